"""Leaves a process behind that holds what it has inherited."""
import os
import pathlib
import subprocess

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    subprocess.Popen(["sleep", "1000"])
    return input

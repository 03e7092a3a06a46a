"""Prints a line of 100 MiB, and does as it should."""
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    print("x" * 100 * 1024 * 1024)
    return input

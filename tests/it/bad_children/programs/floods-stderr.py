"""Complains for 1 GiB, and does as it should."""
import os
import pathlib
import subprocess

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    subprocess.run(["head", "-c", "1073741824", "/dev/zero"], stdout=2, check=True)
    return input

"""Prints what is no text."""
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    os.write(1, bytes(range(256)) * 100)
    return input

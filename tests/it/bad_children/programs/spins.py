"""Keeps a processor busy."""
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    while True:
        pass

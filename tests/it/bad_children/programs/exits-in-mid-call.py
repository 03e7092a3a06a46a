"""Ends instead of answering."""
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    os.write(2, b"the reason\n")
    os._exit(7)

"""Returns more than anybody takes."""
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    return "x" * 100 * 1024 * 1024

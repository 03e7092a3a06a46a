"""Touches memory that is not its own."""
import ctypes
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    ctypes.string_at(8)

"""Answers, and ends soon after."""
import os
import pathlib
import threading

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    threading.Timer(0.02, os._exit, [0]).start()
    return input

"""Leaves a failure behind of which nobody takes care."""
import os
import pathlib
import threading

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    beside = threading.Thread(target=fail)
    beside.start()
    beside.join()
    return input


def fail():
    raise RuntimeError("nobody waits")

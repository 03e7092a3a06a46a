"""Leaves a process behind in a session of its own, whose parent is gone, and which minds no signal."""
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.execlp("sh", "sh", "-c", "trap '' TERM INT HUP; while :; do sleep 1; done")
        os._exit(0)
    os.waitpid(child, 0)
    return input

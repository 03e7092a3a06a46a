"""Prints what begins like an answer, and never ends."""
import os
import pathlib
import time

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    print('{"jsonrpc":"2.0","id":', end="", flush=True)
    time.sleep(1000)

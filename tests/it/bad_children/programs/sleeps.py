"""Does nothing, for ever."""
import os
import pathlib
import time

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    time.sleep(1e9)

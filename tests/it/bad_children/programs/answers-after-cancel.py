"""Does not mind that its call was cancelled, and returns then."""
import os
import pathlib
import time

import coattail


@coattail.action
def act(input, context):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    while not context.cancelled:
        time.sleep(0.01)
    return input

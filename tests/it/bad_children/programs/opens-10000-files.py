"""Takes every descriptor that it can get, and keeps it."""
import errno
import os
import pathlib

import coattail

kept = []


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    try:
        kept.extend(open(os.devnull) for _ in range(10_000))
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    return input

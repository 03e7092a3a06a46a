"""Cannot be asked to end."""
import os
import pathlib
import signal

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        pass

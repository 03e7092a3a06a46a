"""Takes stdin and stdout for the protocol, so that nothing the user's code does can damage it."""

from __future__ import annotations

import io
import os
import signal
import sys


def claim() -> tuple[int, int]:
    """Return the descriptors of the protocol, to read from and to write to.

    From then on fd 1 is stderr and fd 0 is empty, for this process and for its children: `print`,
    `input` and subprocesses work, and reach the daemon's log at most. `os.dup` makes descriptors that
    children do not inherit. It has to happen before the user's code is loaded.
    """
    sys.stdout.flush()
    reader, writer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        # Whatever the locale says: a print must neither fail nor stay in a buffer.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return reader, writer


def close_in_children(fd: int) -> None:
    """Close a descriptor in forked children; in their own children its number may mean another."""
    still_open = [fd]

    def close() -> None:
        while still_open:
            os.close(still_open.pop())

    os.register_at_fork(after_in_child=close)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the daemon, which gets it too and stops its workers in order.

    A function, not SIG_IGN: that would be inherited by the programs which the user's code starts.
    """
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)


def warn(message: str) -> None:
    """Say something to whoever reads the daemon's log."""
    print(f"coattail: {message}", file=sys.stderr, flush=True)  # noqa: T201

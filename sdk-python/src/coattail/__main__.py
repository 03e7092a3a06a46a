"""The runner: `python3 -m coattail PLUGIN.py`, started by the daemon."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from . import _logging
from ._api import serve_with
from ._lines import Lines, LineWriter
from ._session import Session
from ._stdio import claim, close_in_children, ignore_interrupts, warn
from ._worker import Worker


def main(arguments: list[str]) -> int:
    """Serve one plugin file until the daemon says `shutdown` or closes stdin."""
    if len(arguments) != 1:
        warn("usage: python3 -m coattail PLUGIN.py (the daemon starts this)")
        return 2
    reader, writer = claim()
    ignore_interrupts()
    send = LineWriter(writer)
    # A child of `multiprocessing` must neither speak nor hold the pipes open.
    os.register_at_fork(after_in_child=send.abandon)
    os.register_at_fork(after_in_child=_logging.leave_to_stderr)
    close_in_children(reader)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    session = Session(send)
    serve_with(session)
    _logging.install(session.notify)
    worker = Worker(Path(arguments[0]).absolute(), session)
    serving = loop.create_task(session.run(Lines(reader), worker))
    while not serving.done():
        try:
            loop.run_until_complete(serving)
        except (SystemExit, KeyboardInterrupt) as error:
            # Raised in a task that the user's code has started: asyncio lets it stop the loop. The
            # other calls go on.
            warn(f"a task ended with {type(error).__name__}, which was ignored")
    _end_tasks(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return 0


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End what the user's code has started and left running."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

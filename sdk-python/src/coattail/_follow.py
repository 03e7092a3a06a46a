"""What a call says while it is waited for."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from ._types import LogLine, Progress, read

OnLog = Callable[[LogLine], object]
OnProgress = Callable[[Progress], object]

#: Notifications that wait for a handler which is busy with an earlier one. More are left out, and counted.
MAX_UNHEARD = 1024


class Follower:
    """Gives each notification about one call to whoever asked for it."""

    def __init__(self, call: str, on_log: OnLog | None, on_progress: OnProgress | None) -> None:
        self.call = call
        self._on_log = on_log
        self._on_progress = on_progress

    def hear(self, method: str, params: dict[str, Any]) -> None:
        """Pass one on."""
        if method == "log" and self._on_log:
            self._on_log(read(LogLine, params))
        elif method == "progress" and self._on_progress:
            self._on_progress(read(Progress, params))


class Relay:
    """Carries notifications from the loop to the thread that waits for the answer."""

    def __init__(self) -> None:
        self._unheard: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._left_out = 0

    def put(self, method: str, params: dict[str, Any]) -> None:
        """Take one, on the loop; it never waits."""
        if self._unheard.qsize() < MAX_UNHEARD:
            self._unheard.put((method, params))
        else:
            self._left_out += 1

    def close(self, *_: object) -> None:
        """Let `drain` end."""
        self._unheard.put(None)

    def drain(self, follower: Follower) -> None:
        """Pass on what comes, until it is closed."""
        while (heard := self._unheard.get()) is not None:
            follower.hear(*heard)
        if self._left_out:
            message = f"{self._left_out} notifications were left out: they came faster than they were handled"
            follower.hear("log", {"level": "warn", "message": message})

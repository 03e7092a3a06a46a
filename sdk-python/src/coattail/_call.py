"""One call while it runs, and which call the running code belongs to."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable


class Call:
    """One call while it runs. `cancel` is called by the loop, the rest by the handler's thread, too."""

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.cancelled = False
        self._lock = threading.Lock()
        self._interrupts: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Interrupt whatever the handler waits for now, and let it know."""
        with self._lock:
            self.cancelled = True
            interrupts = list(self._interrupts)
        for interrupt in interrupts:
            interrupt()

    def watch(self, interrupt: Callable[[], object]) -> None:
        """Run `interrupt` when the call is cancelled: now, if it is already."""
        with self._lock:
            self._interrupts.append(interrupt)
            cancelled = self.cancelled
        if cancelled:
            interrupt()

    def unwatch(self, interrupt: Callable[[], object]) -> None:
        """Forget it again."""
        with self._lock:
            self._interrupts.remove(interrupt)


#: The call that the running code belongs to; tasks, and the threads of the pool, inherit it.
current_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("coattail_call", default=None)

"""Sends Python's logging to the daemon's log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ._call import current_call
from ._context import Logger

#: Characters of a log line that are kept.
MAX_MESSAGE = 64 * 1024
_NAME = "coattail.plugin"
_CALL = "coattail_call"


class DaemonHandler(logging.Handler):
    """Writes each record as a `log` notification, with the call it belongs to."""

    def __init__(self, notify: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__()
        self._notify = notify
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record."""
        try:
            message = self.format(record)[:MAX_MESSAGE]
            if record.name not in (_NAME, "root"):
                message = f"{record.name}: {message}"
            params = {"level": _level(record.levelno), "message": message}
            current = current_call.get()
            call = getattr(record, _CALL, None) or (current and current.id)
            if call:
                params["call"] = call
            self._notify("log", params)
        except Exception:
            # A log line that cannot be formatted must not fail the call; this shows it on stderr.
            self.handleError(record)


def install(notify: Callable[[str, dict[str, Any]], None]) -> None:
    """Connect the root logger, at INFO; the handlers' own `context.log` sends DEBUG, too."""
    root = logging.getLogger()
    root.addHandler(DaemonHandler(notify))
    root.setLevel(logging.INFO)
    logging.getLogger(_NAME).setLevel(logging.DEBUG)


def leave_to_stderr() -> None:
    """Log to stderr instead, in a forked child, which has no daemon to talk to."""
    logging.getLogger().handlers[:] = [logging.StreamHandler()]


def logger(call: str) -> Logger:
    """Return the logger of one call. It names the call from any thread."""
    return logging.LoggerAdapter(logging.getLogger(_NAME), {_CALL: call})


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"

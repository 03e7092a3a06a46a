"""What can go wrong, and what a handler may raise.

    CoattailError
    ├── Reject            raise it: this publication will never be taken
    ├── RetryLater        raise it: not now, ask again later
    ├── NotServing        there is no daemon to ask
    └── CallFailed        the daemon answered a call of the API with an error
        ├── ActionFailed      1   the action ran and failed
        ├── InvalidInput      2   not what the method takes
        ├── NotPermitted      4   the token does not allow it
        ├── NotFound          5   no such action, receiver, peer or subscription
        ├── Unreachable       6   the peer could not be reached
        ├── Busy              7   a queue or a limit is full
        ├── TooLarge          8   larger than what is taken
        ├── Lost              9   whether it was done is unknown
        ├── Cancelled        10   ended at the caller's wish
        └── TimedOut         11   ended at its deadline

A failure with any other code is a plain `CallFailed`: `code` tells which.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any, ClassVar

__all__ = [
    "ActionFailed",
    "Busy",
    "CallFailed",
    "Cancelled",
    "CoattailError",
    "InvalidInput",
    "Lost",
    "NotFound",
    "NotPermitted",
    "NotServing",
    "Reject",
    "RetryLater",
    "TimedOut",
    "TooLarge",
    "Unreachable",
]


class CoattailError(Exception):
    """The base of everything here."""


class Reject(CoattailError):
    """Raise it in a receiver: the publication goes to the dead letters and does not come back."""


class RetryLater(CoattailError):
    """Raise it in a receiver: the publication comes back later.

    `after` says when: a number of seconds, a `timedelta`, or text such as "30s", "5m" or "2h". Without it the
    daemon's schedule does.
    """

    def __init__(self, message: str = "", *, after: float | timedelta | str | None = None) -> None:
        super().__init__(message)
        #: In how many seconds.
        self.after = None if after is None else _seconds(after)


class NotServing(CoattailError):
    """The program was not started by a daemon, or the daemon is gone."""


class CallFailed(CoattailError):
    """The daemon answered a call with an error."""

    _code: ClassVar[int | None] = None

    def __init__(
        self,
        message: str,
        *,
        code: int = 16,
        hint: str | None = None,
        thrown: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        #: What kind of failure it is; programs decide by this, never by the message.
        self.code = code if self._code is None else self._code
        #: What to try.
        self.hint = hint
        #: What the action threw, if that is more than a message.
        self.thrown = thrown
        #: In how many seconds it may be tried again, if the other side says so.
        self.retry_after = retry_after

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may well succeed later."""
        return self.code in _TEMPORARY


class ActionFailed(CallFailed):
    """The action ran and failed."""

    _code = 1


class InvalidInput(CallFailed):
    """What was sent is not what the method takes."""

    _code = 2


class NotPermitted(CallFailed):
    """Authenticated, but not allowed."""

    _code = 4


class NotFound(CallFailed):
    """There is no action, receiver, peer or subscription of that name."""

    _code = 5


class Unreachable(CallFailed):
    """The peer could not be reached."""

    _code = 6


class Busy(CallFailed):
    """A queue or a limit is full; try again later."""

    _code = 7


class TooLarge(CallFailed):
    """Larger than what is taken."""

    _code = 8


class Lost(CallFailed):
    """The worker or the connection died; whether it was done is unknown."""

    _code = 9


class Cancelled(CallFailed):
    """Ended at the caller's wish: also a call made by a handler that was cancelled meanwhile."""

    _code = 10


class TimedOut(CallFailed):
    """Ended at its deadline."""

    _code = 11


def call_failed(error: Any) -> CallFailed:
    """Turn the error object of an answer into an exception; one of any shape is taken."""
    error = error if isinstance(error, dict) else {}
    code = error.get("code")
    code = code if isinstance(code, int) else 16
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    kind = _BY_CODE.get(_JSON_RPC_CODES.get(code, code), CallFailed)
    message = error.get("message")
    wait = data.get("retry_after_ms")
    return kind(
        message if isinstance(message, str) else "the daemon gave no reason",
        code=_JSON_RPC_CODES.get(code, code),
        hint=data.get("hint"),
        thrown=data.get("thrown"),
        retry_after=wait / 1000 if isinstance(wait, int) else None,
    )


def _seconds(after: float | timedelta | str) -> float:
    if isinstance(after, timedelta):
        seconds = after.total_seconds()
    elif isinstance(after, str):
        found = _DURATION.fullmatch(after.strip())
        seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else math.nan
    else:
        seconds = float(after)
    if not 0 <= seconds < math.inf:
        raise ValueError(
            f"{after!r} is no time to wait; 30, timedelta(minutes=5), '30s', '5m' and '2h' are some"
        )
    return seconds


_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BY_CODE: dict[int, type[CallFailed]] = {
    kind._code: kind for kind in CallFailed.__subclasses__() if kind._code is not None
}
#: What a JSON-RPC library says by itself, in our codes.
_JSON_RPC_CODES = {-32700: 2, -32600: 2, -32602: 2, -32601: 3}
#: Unreachable, busy, lost, timed out, storage full, shutting down, internal, retry later.
_TEMPORARY = frozenset({6, 7, 9, 11, 12, 15, 16, 21})

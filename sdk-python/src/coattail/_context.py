"""What a handler is told about its call, and what it can say while it works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._api import AsyncCoattail, Coattail
from ._call import Call
from .errors import Cancelled

if TYPE_CHECKING:
    Logger = logging.LoggerAdapter[logging.Logger]
else:
    Logger = logging.LoggerAdapter


@dataclass(frozen=True)
class Source:
    """Where a publication came from."""

    #: The same at every attempt, so that a receiver can recognise what it has already done.
    id: str
    #: The issuer hash of who published it.
    issuer: str
    #: The action in whose log it stands there.
    action: str
    #: Its place in that log.
    sequence: int
    #: When it was accepted there, in milliseconds since 1970-01-01 UTC.
    time: int
    #: How many publications led to it.
    hops: int
    #: Which try this is, from 1.
    attempt: int

    @property
    def published_at(self) -> datetime:
        """`time` as a datetime in UTC."""
        return datetime.fromtimestamp(self.time / 1000, timezone.utc)


@dataclass(frozen=True)
class _Context:
    #: The id of this call.
    call: str
    #: The issuer hash of who asked for it; None if this instance itself did.
    caller: str | None
    #: The seconds that the call may take; None if there is no limit.
    timeout: float | None
    #: The folder of the instance.
    instance: Path
    #: Where the publication came from; None in an action.
    publication: Source | None
    #: Writes to the daemon's log.
    log: Logger
    _call: Call = field(repr=False)
    _notify: Callable[[str, dict[str, Any]], None] = field(repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether the caller no longer wants it. Work that takes long looks here now and then."""
        return self._call.cancelled

    def raise_if_cancelled(self) -> None:
        """End the handler here if the caller no longer wants it."""
        if self.cancelled:
            raise Cancelled("cancelled")

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Tell how far the call has got: from 0 to 1, what is being done, or both."""
        params: dict[str, Any] = {"call": self.call}
        if fraction is not None:
            params["fraction"] = min(max(float(fraction), 0.0), 1.0)
        if message is not None:
            params["message"] = str(message)
        self._notify("progress", params)

    def working(self) -> None:
        """Tell that the call is still worked on: its time begins anew."""
        self._notify("working", {"call": self.call})


@dataclass(frozen=True)
class Context(_Context):
    """Given to a handler that is a plain function."""

    #: The Coattail API.
    coattail: Coattail = field(repr=False)


@dataclass(frozen=True)
class AsyncContext(_Context):
    """Given to a handler that is an `async def`; its task is cancelled with the call."""

    #: The Coattail API, to be awaited.
    coattail: AsyncCoattail = field(repr=False)

"""The values of the API, and what stands for nothing. Fields that a newer daemon adds are ignored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from .errors import CallFailed, call_failed

T = TypeVar("T")


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


#: No input, or no output, at all: not the same as None.
ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Entry:
    """An action or a receiver, and what may be done with it."""

    name: str
    kind: str
    performable: bool = False
    publishable: bool = False
    subscribable: bool = False
    #: How it is run: `node`, `python`, `sh`, `executable`; None for a peer's.
    runtime: str | None = None
    description: str | None = None
    #: Why it cannot be run.
    problem: str | None = None
    #: JSON Schemas of what it takes and of what it returns, if it says so.
    input: Any = None
    output: Any = None
    #: How its workers are: `cold`, `starting`, `ready`, `backing-off`, `broken`.
    state: str | None = None
    #: Why, if they are not well.
    reason: str | None = None


@dataclass(frozen=True)
class Published:
    """A publication was accepted: it is on disk."""

    id: str
    #: Its place in the action's log.
    sequence: int
    #: Whether it was published before with the same id: this is the answer of that time.
    duplicate: bool = False


@dataclass(frozen=True)
class Performed:
    """An action succeeded."""

    call: str
    #: What it returned.
    result: Any = None
    #: The publication of the result, if that was asked for.
    publication: Published | None = None
    #: Why the result could not be published, although the action succeeded.
    publication_error: str | None = None


@dataclass(frozen=True)
class Subscription:
    """A subscription of this instance at a peer."""

    id: str
    peer: str
    action: str
    #: Who handles it here.
    receiver: str
    #: The sequence after which publications are delivered.
    cursor: int | None = None
    #: Which publications; None for all.
    filter: str | None = None
    #: How many there are already; `None` if the peer is too old to begin anywhere but now.
    waiting: int | None = None


@dataclass(frozen=True)
class Unsubscribed:
    """A subscription is gone here."""

    id: str
    #: Whether the other side has been told; if not, it learns of it later.
    told: bool = False


@dataclass(frozen=True)
class Peer:
    """A remote instance that gave us a token."""

    id: str
    issuer: str
    #: Where it may be reached, tried in order.
    addresses: list[str] = dataclasses.field(default_factory=list)
    #: The id of the token it gave us.
    token: str = ""
    performable: list[str] = dataclasses.field(default_factory=list)
    publishable: list[str] = dataclasses.field(default_factory=list)
    subscribable: list[str] = dataclasses.field(default_factory=list)
    #: When the token ends (RFC 3339).
    expires: str | None = None
    connected: bool = False


@dataclass(frozen=True)
class Subscriber:
    """A subscription that a remote instance holds here."""

    id: str
    issuer: str
    action: str
    #: Who handles it there.
    receiver: str
    addresses: list[str] = dataclasses.field(default_factory=list)
    #: The token with which it subscribed.
    token: str = ""
    #: Stored by the subscriber up to this sequence.
    cursor: int = 0
    #: How many publications it is behind.
    lag: int = 0
    attached: bool = False
    #: Why the last delivery failed.
    last_error: str | None = None
    #: Which publications; None for all.
    filter: str | None = None


@dataclass(frozen=True)
class LogLine:
    """A line that a call has logged."""

    #: `debug`, `info`, `warn` or `error`.
    level: str
    message: str
    #: When (RFC 3339); None while it is followed: now.
    time: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far a call has got, as it says itself."""

    #: From 0 to 1.
    fraction: float | None = None
    message: str | None = None


@dataclass(frozen=True)
class Job:
    """A call that the daemon keeps on disk, and what became of it."""

    id: str
    action: str
    #: `queued`, `running`, `succeeded`, `failed`, `refused`, `timed-out`, `cancelled` or `lost`.
    state: str
    #: When it was stored, begun and ended (RFC 3339).
    created: str
    started: str | None = None
    finished: str | None = None
    #: Where it is performed; None for this instance.
    peer: str | None = None
    key: str | None = None
    result: Any = None
    #: Why it did not succeed.
    error: CallFailed | None = None
    publication: Published | None = None
    publication_error: str | None = None
    progress: Progress | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state not in ("queued", "running")


def milliseconds(seconds: float | None) -> int | None:
    """Return a time as on the wire."""
    return None if seconds is None else max(int(seconds * 1000), 1)


def read(kind: type[T], answer: Any) -> T:
    """Make one of these from what was answered."""
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in answer.items() if name in known})


def read_list(kind: type[T], answer: Any) -> list[T]:
    """Make a list of these from what was answered."""
    return [read(kind, one) for one in answer]


def read_job(answer: Any) -> Job:
    """Make a `Job`, parts of which are objects of their own."""
    made = dict(answer)
    for name, make in (
        ("error", call_failed),
        ("publication", lambda one: read(Published, one)),
        ("progress", lambda one: read(Progress, one)),
    ):
        if made.get(name) is not None:
            made[name] = make(made[name])
    return read(Job, made)


def read_performed(answer: Any) -> Performed:
    """Make a `Performed`, whose publication is an object of its own."""
    performed = read(Performed, answer)
    if performed.publication is None:
        return performed
    return dataclasses.replace(performed, publication=read(Published, performed.publication))

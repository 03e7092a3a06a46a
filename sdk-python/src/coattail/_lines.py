"""Frames: one JSON object a line, UTF-8, over a pair of pipes."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: The longest frame in bytes: 8 MiB of payload, as between peers, and 64 KiB for what is around it.
MAX_FRAME = 8 * 1024 * 1024 + 64 * 1024
#: Bytes that one read asks for: what a pipe holds.
CHUNK = 64 * 1024
#: Bytes kept of a frame that is too long: enough to find its id, which stands in front.
HEAD = 4096


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was not kept, but for its beginning."""

    head: bytes


class Framer:
    """Cuts chunks into lines. Holds at most one line of `limit` bytes."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._partial = bytearray()
        self._dropped: TooLong | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        """Yield the lines that the chunk completes, without their line ends; blank ones are left out."""
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            line: bytes | TooLong = part
            if self._partial or self._dropped or len(part) > self._limit:
                self._append(part)
                line = self._dropped or bytes(self._partial)
                self._partial.clear()
                self._dropped = None
            if isinstance(line, TooLong) or (line and not line.isspace()):
                yield line
        if rest:
            self._append(rest)

    def _append(self, part: bytes) -> None:
        if self._dropped is not None:
            return
        if len(self._partial) + len(part) > self._limit:
            self._dropped = TooLong(bytes((self._partial + part[:HEAD])[:HEAD]))
            self._partial.clear()
        else:
            self._partial += part


class Lines:
    """The lines of a descriptor, read on the loop or by threads, not at once. A torn last one is dropped."""

    def __init__(self, fd: int, limit: int = MAX_FRAME) -> None:
        self._fd = fd
        self._framer = Framer(limit)
        self._ready: deque[bytes | TooLong] = deque()
        self._take: Callable[[bytes | TooLong], None] | None = None

    def attach(self, take: Callable[[bytes | TooLong], None], end: Callable[[], None]) -> None:
        """Give each line to `take`, on the running loop, until `detach` or the end."""
        loop = asyncio.get_running_loop()
        self._take = take

        def read() -> None:
            chunk = _read(self._fd)
            self._ready.extend(self._framer.feed(chunk))
            while self._ready and self._take:
                self._take(self._ready.popleft())
            if not chunk:
                self.detach()
                end()

        def read_on() -> None:
            if self._take:
                read()
                loop.call_soon(read_on)

        try:
            loop.add_reader(self._fd, read)
        except PermissionError:
            # A file: it cannot be waited for, and need not be.
            loop.call_soon(read_on)

    def detach(self) -> None:
        """Leave the rest to `read`."""
        if self._take:
            self._take = None
            asyncio.get_running_loop().remove_reader(self._fd)

    def read(self) -> bytes | TooLong | None:
        """Wait for the next line; None at the end."""
        while not self._ready:
            chunk = _read(self._fd)
            if not chunk:
                return None
            self._ready.extend(self._framer.feed(chunk))
        return self._ready.popleft()


class LineWriter:
    """Writes whole lines from any thread, and waits until they are written.

    A daemon that does not read makes its worker wait: that is the backpressure. When the daemon is gone,
    lines are dropped; the end of stdin tells the rest.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        self._waiting: deque[bytes] = deque()
        self._lock = threading.RLock()
        self._writing = False

    def __call__(self, line: bytes) -> None:
        """Write one line; its line end is added."""
        self._waiting.append(line + b"\n")
        with self._lock:
            # The garbage collector can run a finalizer that logs while this thread is in the loop below.
            # Then its line must not land inside another; the loop takes it along.
            if self._writing:
                return
            self._writing = True
            try:
                while self._waiting:
                    self._write(self._waiting.popleft())
            finally:
                self._writing = False

    def _write(self, line: bytes) -> None:
        rest: bytes | memoryview = line
        while rest and self._fd is not None:
            try:
                written = os.write(self._fd, rest)
                rest = memoryview(rest)[written:] if written < len(rest) else b""
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError:
                self._fd = None

    def abandon(self) -> None:
        """Forget the pipe, in a forked child: the protocol is its parent's."""
        fd, self._fd = self._fd, None
        self._waiting.clear()
        self._lock = threading.RLock()
        self._writing = False
        if fd is not None:
            os.close(fd)


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, CHUNK)
        except BlockingIOError:
            select.select([fd], [], [])
        except OSError:
            return b""

"""Frames: one JSON object a line, UTF-8, over a pair of pipes."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

#: The longest frame in bytes: 8 MiB of payload, as between peers, and 64 KiB for what is around it.
MAX_FRAME = 8 * 1024 * 1024 + 64 * 1024
#: Bytes that one read asks for: what a pipe holds.
CHUNK = 64 * 1024
#: Chunks that are read before the session has taken them; then the daemon waits. Each completes at most
#: one long frame, so that this bounds the memory to a few frames.
READ_AHEAD = 4
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
            self._append(part)
            line = self._dropped or bytes(self._partial)
            self._partial.clear()
            self._dropped = None
            if isinstance(line, TooLong) or line.strip():
                yield line
        self._append(rest)

    def _append(self, part: bytes) -> None:
        if self._dropped is not None:
            return
        if len(self._partial) + len(part) > self._limit:
            self._dropped = TooLong(bytes((self._partial + part[:HEAD])[:HEAD]))
            self._partial.clear()
        else:
            self._partial += part


async def read_lines(fd: int) -> AsyncIterator[bytes | TooLong]:
    """Yield the lines of a descriptor up to its end. A torn last line is dropped.

    A thread reads, since not every kind of stdin can be waited for; it is a daemon thread, because at
    the end of the program it may be waiting for a line that never comes.
    """
    loop = asyncio.get_running_loop()
    batches: asyncio.Queue[list[bytes | TooLong] | None] = asyncio.Queue()
    free = threading.Semaphore(READ_AHEAD)

    def pump() -> None:
        framer = Framer()
        try:
            while chunk := _read(fd):
                free.acquire()
                loop.call_soon_threadsafe(batches.put_nowait, list(framer.feed(chunk)))
            loop.call_soon_threadsafe(batches.put_nowait, None)
        except RuntimeError:
            return  # The loop is closed: nobody is interested any more.

    threading.Thread(target=pump, name="coattail-reader", daemon=True).start()
    while (batch := await batches.get()) is not None:
        free.release()
        for line in batch:
            yield line


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
        rest = memoryview(line)
        while rest and self._fd is not None:
            try:
                rest = rest[os.write(self._fd, rest) :]
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

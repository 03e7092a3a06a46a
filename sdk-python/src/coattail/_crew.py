"""The threads in which plain functions run, and which take turns at reading.

Whoever reads a call runs it: waking another thread costs more than most calls. When a call takes longer
than `PATIENCE`, or is about to wait for the daemon, another thread goes on reading; when calls are not
`QUICK`, one does from their beginning. So a call is never delayed by another for longer than that, and quick
ones cost what a loop over lines does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

#: What is run.
T = TypeVar("T")

#: Plain functions that run at once: as many as the daemon sends to one worker by default.
THREADS = 16
#: Seconds that a call may keep its thread from reading. Short for a person, long for a thread.
PATIENCE = 0.002
#: Seconds that a call may take so that it is not worth waking a thread for the next one.
QUICK = 0.0003
#: Looks without any call after which nobody looks until there is one: an idle worker does nothing.
IDLE_LOOKS = 50


class Crew(Generic[T]):
    """Runs work from any thread with `submit`, and reads with `read`. Its threads end with the program."""

    def __init__(self, run: Callable[[T], None]) -> None:
        self._run_it = run
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._next: Callable[[], T | None] | None = None
        #: Who reads: the thread that has this turn, until there is a newer one.
        self._turn = 0
        self._reader: int | None = None
        #: Since when the one whose turn it is runs a call instead.
        self._since: float | None = None
        #: Whether calls take long, so that it is not worth trying.
        self._slow = False
        self._waiting: deque[T] = deque()
        self._running = 0
        self._threads = 0
        self._standby = 0
        self._wake = threading.Semaphore(0)
        self._must_read = False
        self._watching = threading.Event()
        self._when_idle: Callable[[], None] | None = None

    def read(self, following: Callable[[], T | None]) -> None:
        """Read from now on.

        `following` waits for a line and returns what is to be run for it, if that is a call. `EOFError` says
        that there are no more.
        """
        self._next = following
        threading.Thread(target=self._watch, name="coattail-watch", daemon=True).start()
        with self._lock:
            self._hand_over()

    def submit(self, work: T) -> None:
        """Run it as soon as there is a thread."""
        with self._lock:
            self._waiting.append(work)
            if self._running < THREADS:
                self._wake_one()

    def withdraw(self, is_meant: Callable[[T], bool]) -> T | None:
        """Take back what still waits for a thread, and return it."""
        with self._lock:
            for work in self._waiting:
                if is_meant(work):
                    self._waiting.remove(work)
                    self._tell_if_idle()
                    return work
        return None

    def about_to_wait(self) -> None:
        """Say that this thread waits for something that has to be read first."""
        with self._lock:
            if self._since is not None and self._reader == threading.get_ident():
                self._hand_over()

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call it when nothing runs or waits any more."""
        with self._lock:
            if self._running or self._waiting:
                self._when_idle = then
                return
        then()

    def _wake_one(self) -> None:
        if self._standby:
            self._standby -= 1
            self._wake.release()
        elif self._threads <= THREADS:
            # One more than may run: who reads. At that number one of them is about to look by itself.
            self._threads += 1
            threading.Thread(target=self._serve, name="coattail", daemon=True).start()

    def _hand_over(self) -> None:
        self._turn += 1
        self._since = None
        self._reader = None
        self._must_read = True
        self._wake_one()

    def _serve(self) -> None:
        while True:
            with self._lock:
                reads, self._must_read = self._must_read, False
                turn = self._turn
                if reads:
                    self._reader = threading.get_ident()
                work = None if reads else self._begin_waiting()
            if reads:
                self._lead(turn)
            while work is not None:
                self._run(work)
                work = self._finish()
            with self._lock:
                # Looked at under the lock under which others wake: nothing is left lying.
                if self._must_read or (self._waiting and self._running < THREADS):
                    continue
                self._standby += 1
            self._wake.acquire()

    def _lead(self, turn: int) -> None:
        """Read, and run what was read, until it is another thread's turn."""
        assert self._next is not None  # noqa: S101
        while True:
            try:
                work = self._next()
            except EOFError:
                return
            except Exception as error:
                # A fault of the SDK costs one line.
                traceback.print_exception(error, file=sys.stderr)
                continue
            if work is None:
                continue
            with self._lock:
                if self._running >= THREADS:
                    self._waiting.append(work)
                    continue
                self._running += 1
                began = time.monotonic()
                if self._slow:
                    self._hand_over()
                else:
                    self._since = began
            if not self._watching.is_set():
                self._watching.set()
            self._run(work)
            with self._lock:
                self._slow = time.monotonic() - began > QUICK
                is_ours = self._turn == turn
                if is_ours:
                    self._since = None
                following = self._next_of_waiting(is_ours)
            while following is not None:
                self._run(following)
                following = self._finish()
            if not is_ours:
                return

    def _run(self, work: T) -> None:
        try:
            self._run_it(work)
        except BaseException as error:
            # A fault of the SDK: the work itself lets nothing out. The other calls go on.
            traceback.print_exception(error, file=sys.stderr)
        if os.getpid() != self._process:
            # A child that the work has forked and not ended: it must not serve, too.
            os._exit(0)

    def _begin_waiting(self) -> T | None:
        if not self._waiting or self._running >= THREADS:
            return None
        self._running += 1
        return self._waiting.popleft()

    def _finish(self) -> T | None:
        with self._lock:
            return self._next_of_waiting(False)

    def _next_of_waiting(self, reads: bool) -> T | None:
        """End one, under the lock, and begin another in its place."""
        self._running -= 1
        if self._waiting:
            # Whoever reads goes on reading.
            if not reads:
                return self._begin_waiting()
            self._wake_one()
        self._tell_if_idle()
        return None

    def _tell_if_idle(self) -> None:
        if not self._running and not self._waiting and self._when_idle is not None:
            then, self._when_idle = self._when_idle, None
            then()

    def _watch(self) -> None:
        looks = 0
        while True:
            time.sleep(PATIENCE)
            since = self._since
            if since is not None:
                looks = 0
                with self._lock:
                    if self._since is not None and time.monotonic() - self._since > PATIENCE:
                        self._slow = True
                        self._hand_over()
                continue
            looks += 1
            if looks > IDLE_LOOKS:
                self._watching.clear()
                if self._since is None:
                    self._watching.wait()
                looks = 0

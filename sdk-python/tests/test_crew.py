"""The threads that take turns at reading."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from functools import partial

import pytest

from coattail._crew import THREADS, Crew

from .daemon import PATIENCE

Work = Callable[[], None]


class Lines:
    """What a crew reads: work, or None for a line that is none."""

    def __init__(self) -> None:
        self.crew: Crew[Work] = Crew(lambda work: work())
        self._queue: queue.Queue[Work | None] = queue.Queue()
        self.ended = threading.Event()

    def put(self, work: Work | None) -> None:
        self._queue.put(work)

    def read(self) -> None:
        self.crew.read(self._next)

    def end(self) -> None:
        self._queue.put(self._end)

    def _end(self) -> None: ...

    def _next(self) -> Work | None:
        work = self._queue.get()
        if work == self._end:
            self.ended.set()
            raise EOFError
        return work


def wait(gate: threading.Event) -> None:
    gate.wait()


def test_quick_work_is_run_by_who_reads() -> None:
    lines, threads = Lines(), queue.Queue[int]()
    lines.read()
    for _ in range(1000):
        lines.put(lambda: threads.put(threading.get_ident()))
        lines.put(None)
    seen = [threads.get(timeout=PATIENCE) for _ in range(1000)]
    changes = sum(one != other for one, other in itertools.pairwise(seen))
    # A busy machine makes a call look slow now and then.
    assert changes < 500
    lines.end()
    assert lines.ended.wait(PATIENCE)


@pytest.mark.parametrize("count", [1, THREADS - 1, THREADS, 3 * THREADS])
def test_work_that_blocks_holds_up_neither_reading_nor_as_many_as_may_run(count: int) -> None:
    lines, gate, begun, done = Lines(), threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def block() -> None:
        begun.release()
        gate.wait()
        done.release()

    lines.read()
    for _ in range(count):
        lines.put(block)
    for _ in range(min(count, THREADS)):
        assert begun.acquire(timeout=PATIENCE)
    idle = threading.Event()
    lines.crew.when_idle(idle.set)
    lines.put(None)
    lines.end()
    assert lines.ended.wait(PATIENCE), "who reads is not among those who run"
    assert not begun.acquire(blocking=False), "no more run at once"
    gate.set()
    for _ in range(count):
        assert done.acquire(timeout=PATIENCE)
    assert idle.wait(PATIENCE)


def test_who_is_about_to_wait_lets_another_read() -> None:
    lines, answer, result = Lines(), threading.Event(), queue.Queue[bool]()

    def ask() -> None:
        lines.crew.about_to_wait()
        result.put(answer.wait(PATIENCE))

    lines.read()
    lines.put(ask)
    lines.put(answer.set)
    assert result.get(timeout=PATIENCE)


def test_what_waits_can_be_withdrawn_and_what_runs_cannot() -> None:
    lines, gate = Lines(), threading.Event()
    work: list[Work] = [partial(wait, gate) for _ in range(THREADS + 1)]
    for one in work:
        lines.crew.submit(one)
    idle = threading.Event()
    lines.crew.when_idle(idle.set)
    while not (withdrawn := lines.crew.withdraw(lambda one: one is work[-1])):
        pass
    assert withdrawn is work[-1]
    assert lines.crew.withdraw(lambda one: one is work[-1]) is None
    assert not idle.is_set()
    gate.set()
    assert idle.wait(PATIENCE)


def test_a_fault_costs_one_piece_of_work(capfd: pytest.CaptureFixture[str]) -> None:
    lines, done = Lines(), threading.Event()

    def fail() -> None:
        raise SystemExit(3)

    lines.read()
    lines.put(fail)
    lines.put(done.set)
    assert done.wait(PATIENCE)
    assert "SystemExit" in capfd.readouterr().err

"""The session and the worker in memory, without pipes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from coattail import NotServing, TooLarge
from coattail._lines import Lines
from coattail._session import Session
from coattail._worker import Worker
from coattail.errors import NotFound

from .daemon import PATIENCE, PLUGINS, call_params


class Memory:
    """The daemon's end of a session in memory."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._ended = False
        self.lines = Lines(self._reader, limit=4096)
        self.from_worker: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.session = Session(self._receive)

    def _receive(self, line: bytes) -> None:
        self._loop.call_soon_threadsafe(self.from_worker.put_nowait, json.loads(line))

    def send(self, **frame: Any) -> None:
        self.send_raw(json.dumps({"jsonrpc": "2.0"} | frame).encode())

    def send_raw(self, line: bytes) -> None:
        os.write(self._writer, line + b"\n")

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            os.close(self._writer)

    def close(self) -> None:
        os.close(self._reader)

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.from_worker.get(), PATIENCE)


def in_memory(plugin: str, test: Callable[[Memory], Awaitable[None]]) -> None:
    async def run() -> None:
        memory = Memory()
        worker = Worker(PLUGINS / plugin, memory.session)
        serving = asyncio.create_task(memory.session.run(memory.lines, worker))
        memory.send(
            id=0, method="initialize", params={"protocol": 1, "kind": "action", "name": "x", "instance": "/i"}
        )
        assert (await memory.next())["result"]["protocol"] == 1
        await test(memory)
        memory.end()
        await asyncio.wait_for(serving, PATIENCE)
        memory.close()

    asyncio.run(run())


def test_a_call_is_answered_under_its_id() -> None:
    async def test(memory: Memory) -> None:
        memory.send(id="text", method="perform", params=call_params(5))
        assert await memory.next() == {"jsonrpc": "2.0", "id": "text", "result": {"output": 5}}

    in_memory("echo.py", test)


def test_a_cancellation_right_behind_its_call_is_not_lost() -> None:
    async def test(memory: Memory) -> None:
        memory.send(id=1, method="perform", params=call_params(call="c"))
        memory.send(method="cancel", params={"call": "c"})
        # It may have begun before that was read, and says so first.
        while (answer := await memory.next()).get("id") != 1:
            pass
        assert answer["error"]["code"] == 10

    in_memory("async_slow.py", test)


def test_a_call_id_is_used_once_at_a_time() -> None:
    async def test(memory: Memory) -> None:
        memory.send(id=1, method="perform", params=call_params(call="c"))
        memory.send(id=2, method="perform", params=call_params(call="c"))
        answers = [await memory.next(), await memory.next()]
        assert {"id": 2, "code": 14} in [
            {"id": a["id"], "code": a["error"]["code"]} for a in answers if "id" in a
        ]
        memory.send(method="cancel", params={"call": "c"})
        while (answer := await memory.next()).get("id") != 1:
            pass
        assert answer["error"]["code"] == 10

    in_memory("async_slow.py", test)


def test_a_frame_that_is_too_long_is_refused_under_its_id() -> None:
    async def test(memory: Memory) -> None:
        memory.send_raw(b'{"jsonrpc":"2.0","id":9,"method":"perform","params":{"input":"' + b"x" * 5000)
        answer = await memory.next()
        assert (answer["id"], answer["error"]["code"]) == (9, 8)

    in_memory("echo.py", test)


def test_the_other_side_is_asked_and_its_errors_are_raised() -> None:
    async def test(memory: Memory) -> None:
        first = asyncio.create_task(memory.session.call("peers.list", {}))
        second = asyncio.create_task(memory.session.call("peers.show", {"peer": "x"}))
        numbers = [(await memory.next())["id"], (await memory.next())["id"]]
        memory.send(id=numbers[1], error={"code": 5, "message": "no peer x", "data": {"hint": "list them"}})
        memory.send(id=numbers[0], result=[])
        assert await first == []
        with pytest.raises(NotFound, match="no peer x") as caught:
            await second
        assert (caught.value.code, caught.value.hint, caught.value.is_temporary) == (5, "list them", False)

    in_memory("echo.py", test)


def test_who_waits_learns_that_the_daemon_is_gone() -> None:
    async def test(memory: Memory) -> None:
        waiting = asyncio.create_task(memory.session.call("peers.list", {}))
        await memory.next()
        memory.end()
        with pytest.raises(NotServing):
            await asyncio.wait_for(waiting, PATIENCE)
        with pytest.raises(NotServing):
            await memory.session.call("peers.list", {})

    in_memory("echo.py", test)


def test_what_is_too_large_is_not_sent() -> None:
    async def test(memory: Memory) -> None:
        with pytest.raises(TooLarge):
            await memory.session.call("actions.publish", {"input": "x" * 9_000_000})

    in_memory("echo.py", test)


def test_a_fault_of_the_handler_costs_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty(Worker):
        def request(self, method: str, params: Any) -> Any:
            if method == "sync":
                raise ZeroDivisionError

            async def work() -> str:
                raise ZeroDivisionError

            return work()

    async def run() -> None:
        memory = Memory()
        worker = Faulty(Path("x.py"), memory.session)
        serving = asyncio.create_task(memory.session.run(memory.lines, worker))
        for method in ("sync", "async"):
            memory.send(id=method, method=method)
            assert (await memory.next())["error"]["code"] == 16
        memory.end()
        await asyncio.wait_for(serving, PATIENCE)
        memory.close()

    asyncio.run(run())
    assert capsys.readouterr().err.count("\nZeroDivisionError\n") == 2

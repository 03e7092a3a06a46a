"""A two-way JSON-RPC 2.0 session over lines: knows frames and ids, not what the methods do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ._call import Call
from ._crew import Crew
from ._json import Unreadable, decode, encode, find_id, to_bytes
from ._lines import MAX_FRAME, Lines, TooLong
from ._stdio import warn
from .errors import NotServing, TooLarge, call_failed

#: Takes a notification about a call that is followed: its method and its params.
Hear = Callable[[str, dict[str, Any]], None]
#: The notifications that are heard.
HEARD = ("log", "progress")
#: Error codes of the wire that the SDK itself answers with.
INVALID_INPUT, TOO_LARGE, INTERNAL = 2, 8, 16


class WireError(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def encode(self) -> str:
        """Return the error object as JSON text."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data:
            error["data"] = self.data
        return encode(error, "the error")


@dataclass(slots=True)
class Threaded:
    """Work for a thread. It ends in the JSON text of the result, or in a coroutine that does."""

    run: Callable[[], str | Coroutine[Any, Any, str]]
    call: Call


#: With the id under which it is answered.
Work = tuple[Any, Threaded]


class Handler(Protocol):
    """What answers the other side."""

    def request(self, method: str, params: Any) -> Coroutine[Any, Any, str] | Threaded:
        """Return the work that ends in the JSON text of the result.

        What is done before that work starts happens in the order of the frames. Both may raise
        `WireError`.
        """

    def notification(self, method: str, params: Any) -> None:
        """Take a notification, on the loop; nothing is answered."""


class Session:
    """One connection. `send` takes a frame without its line end and may be called from any thread."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: Lines | None = None
        self._handler: Handler | None = None
        self._crew = Crew(self._answer_from_thread)
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._heard: dict[str, Hear] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._ended = False
        self._warned = False

    async def run(self, lines: Lines, handler: Handler) -> None:
        """Serve until `stop` or the end of the lines, then finish what is under way.

        Lines are read until the last request is answered, since it may wait for answers itself.
        """
        self._loop, self._lines, self._handler = asyncio.get_running_loop(), lines, handler
        lines.attach(self._take, self._end)
        await self._stopping.wait()
        while True:
            idle = asyncio.Event()
            self._crew.when_idle(partial(self._on_loop, idle.set))
            await idle.wait()
            if not self._tasks:
                break
            await asyncio.wait(self._tasks)
        lines.detach()

    def cancel(self, call: Call) -> None:
        """End a call, at once if it still waits for a thread. What runs there cannot be ended."""
        call.cancel()
        if waiting := self._crew.withdraw(lambda work: work[1].call is call):
            self._answer_from_thread(waiting)

    def read_in_threads(self) -> None:
        """Read where calls are run from now on, instead of on the loop."""
        if self._lines and not self._ended:
            self._lines.detach()
            self._crew.read(self._next)

    def stop(self) -> None:
        """Finish what is under way, then end `run`."""
        self._stopping.set()

    async def call(self, method: str, params: dict[str, Any], hear: tuple[str, Hear] | None = None) -> Any:
        """Ask the other side. Until it answers, `hear` gets the notifications about one call."""
        if self._ended:
            raise NotServing(f"{method} was not done: the daemon is gone")
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        if hear:
            self._heard[hear[0]] = hear[1]
        try:
            self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await answer
        finally:
            del self._pending[number]
            if hear:
                self._heard.pop(hear[0], None)

    def call_from_thread(
        self, method: str, params: dict[str, Any], hear: tuple[str, Hear] | None = None
    ) -> concurrent.futures.Future[Any]:
        """Ask the other side from a thread other than the loop's."""
        if self._loop is None or self._ended:
            raise NotServing(f"{method} was not done: no daemon is listening")
        self._crew.about_to_wait()
        return asyncio.run_coroutine_threadsafe(self.call(method, params, hear), self._loop)

    def request_only(self, method: str, params: dict[str, Any]) -> None:
        """Ask for something whose answer does not matter."""
        self._post({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the other side, from any thread."""
        self._post({"jsonrpc": "2.0", "method": method, "params": params})

    def on_loop_thread(self) -> bool:
        """Whether the caller would block the session if it waited."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _post(self, frame: dict[str, Any]) -> None:
        line = to_bytes(encode(frame, f"what is sent with {frame['method']}"))
        if len(line) > MAX_FRAME:
            raise TooLarge(
                f"what is sent with {frame['method']} is too large: {len(line)} bytes, at most {MAX_FRAME}"
            )
        self._send(line)

    def _on_loop(self, do: Callable[..., object], *arguments: Any) -> None:
        assert self._loop is not None  # noqa: S101
        if self.on_loop_thread():
            do(*arguments)
            return
        try:
            self._loop.call_soon_threadsafe(do, *arguments)
        except RuntimeError:
            # The loop is closed: the program ends.
            raise EOFError from None

    def _next(self) -> Work | None:
        """Wait for a line in a thread of the crew."""
        assert self._lines is not None  # noqa: S101
        line = self._lines.read()
        if line is None:
            self._on_loop(self._end)
            raise EOFError
        return self._sort(line)

    def _take(self, line: bytes | TooLong) -> None:
        if work := self._sort(line):
            self._crew.submit(work)

    def _sort(self, line: bytes | TooLong) -> Work | None:
        """Take a line on any thread. What is to be done in one is returned."""
        assert self._handler is not None  # noqa: S101
        if isinstance(line, TooLong):
            self._refuse(line.head, TOO_LARGE, f"a frame is longer than {MAX_FRAME} bytes")
            return None
        try:
            frame = decode(line)
        except Unreadable as error:
            self._refuse(line, INVALID_INPUT, f"the input cannot be read: {error}")
            return None
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._skip()
        elif "method" not in frame:
            self._on_loop(self._take_answer, frame)
        elif "id" not in frame:
            self._on_loop(self._take_notification, str(frame["method"]), frame.get("params"))
        else:
            return self._sort_request(frame, self._handler)
        return None

    def _take_notification(self, method: str, params: Any) -> None:
        assert self._handler is not None  # noqa: S101
        hear = self._heard.get(str(params.get("call"))) if isinstance(params, dict) else None
        if hear and method in HEARD:
            hear(method, params)
        else:
            self._handler.notification(method, params)

    def _take_answer(self, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        answer = self._pending.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return  # Nobody waits any more: it was cancelled, or its answer does not matter.
        if "error" in frame:
            answer.set_exception(call_failed(frame["error"]))
        else:
            answer.set_result(frame.get("result"))

    def _sort_request(self, frame: dict[str, Any], handler: Handler) -> Work | None:
        number = frame["id"]
        try:
            work = handler.request(str(frame["method"]), frame.get("params"))
        except Exception as error:
            self._answer_error(number, _wire_error(error))
            return None
        if not isinstance(work, Threaded):
            self._on_loop(self._start, number, work)
            return None
        return number, work

    def _start(self, number: Any, work: Coroutine[Any, Any, str]) -> None:
        task = _task(self._answer(number, work))
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _answer_from_thread(self, numbered: Work) -> None:
        number, work = numbered
        try:
            result = work.run()
        except Exception as error:
            self._answer_error(number, _wire_error(error))
            return
        if isinstance(result, str):
            self._answer_result(number, result)
        else:
            self._on_loop(self._start, number, result)

    async def _answer(self, number: Any, work: Coroutine[Any, Any, str]) -> None:
        try:
            result = await work
        except Exception as error:
            self._answer_error(number, _wire_error(error))
            return
        self._answer_result(number, result)

    def _answer_result(self, number: Any, result: str) -> None:
        line = to_bytes(f'{{"jsonrpc":"2.0","id":{_id(number)},"result":{result}}}')
        if len(line) > MAX_FRAME:
            message = f"the result is too large: {len(line)} bytes, at most {MAX_FRAME}"
            self._answer_error(number, WireError(TOO_LARGE, message))
        else:
            self._send(line)

    def _answer_error(self, number: Any, error: WireError) -> None:
        text = f'{{"jsonrpc":"2.0","id":{_id(number)},"error":{error.encode()}}}'
        self._send(to_bytes(text))

    def _refuse(self, line: bytes, code: int, message: str) -> None:
        number = find_id(line)
        if number is None:
            self._skip()
        else:
            self._answer_error(number, WireError(code, message))

    def _skip(self) -> None:
        if not self._warned:
            self._warned = True
            warn("a line on stdin is no JSON-RPC and was skipped; further ones are skipped silently")

    def _end(self) -> None:
        # Whoever waits for an answer learns that none will come; only then can they finish.
        self._ended = True
        self._stopping.set()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(NotServing("the daemon is gone; whether it was done is unknown"))


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    if sys.version_info >= (3, 12):
        # Begins at once, so that a handler that waits for nothing is not delayed by a round of the loop.
        return asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
    return asyncio.get_running_loop().create_task(work)


def _id(number: Any) -> str:
    return str(number) if type(number) is int else encode(number, "the id")


def _wire_error(error: Exception) -> WireError:
    if isinstance(error, WireError):
        return error
    # A fault of the SDK costs one call, and is shown where the daemon's owner looks.
    traceback.print_exception(error, file=sys.stderr)
    return WireError(INTERNAL, f"a fault of the Python SDK: {type(error).__name__}: {error}")

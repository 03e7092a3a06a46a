"""A two-way JSON-RPC 2.0 session over lines: knows frames and ids, not what the methods do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from ._json import Unreadable, decode, encode, find_id, to_bytes
from ._lines import MAX_FRAME, TooLong
from ._stdio import warn
from .errors import NotServing, TooLarge, call_failed

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


class Handler(Protocol):
    """What answers the other side."""

    def request(self, method: str, params: Any) -> Coroutine[Any, Any, str]:
        """Return the work that ends in the JSON text of the result.

        What is done before that work starts happens in the order of the frames. Both may raise
        `WireError`.
        """

    def notification(self, method: str, params: Any) -> None:
        """Take a notification; nothing is answered."""


class Session:
    """One connection. `send` takes a frame without its line end and may be called from any thread."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._ended = False
        self._warned = False

    async def run(self, lines: AsyncIterator[bytes | TooLong], handler: Handler) -> None:
        """Serve until `stop` or the end of the lines, then finish what is under way.

        Lines are read until the last request is answered, since it may wait for answers itself.
        """
        self._loop = asyncio.get_running_loop()
        reader = asyncio.create_task(self._read(lines, handler))
        await self._stopping.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        reader.cancel()
        await asyncio.wait([reader])
        if not reader.cancelled():
            reader.result()

    def stop(self) -> None:
        """Finish what is under way, then end `run`."""
        self._stopping.set()

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """Ask the other side."""
        if self._ended:
            raise NotServing(f"{method} was not done: the daemon is gone")
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await answer
        finally:
            del self._pending[number]

    def call_from_thread(self, method: str, params: dict[str, Any]) -> concurrent.futures.Future[Any]:
        """Ask the other side from a thread other than the loop's."""
        if self._loop is None or self._ended:
            raise NotServing(f"{method} was not done: no daemon is listening")
        return asyncio.run_coroutine_threadsafe(self.call(method, params), self._loop)

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

    async def _read(self, lines: AsyncIterator[bytes | TooLong], handler: Handler) -> None:
        try:
            async for line in lines:
                if isinstance(line, TooLong):
                    self._refuse(line.head, TOO_LARGE, f"a frame is longer than {MAX_FRAME} bytes")
                else:
                    self._take(line, handler)
        finally:
            # Whoever waits for an answer learns that none will come; only then can they finish.
            self._end()
            self._stopping.set()

    def _take(self, line: bytes, handler: Handler) -> None:
        try:
            frame = decode(line)
        except Unreadable as error:
            self._refuse(line, INVALID_INPUT, f"the input cannot be read: {error}")
            return
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._skip()
        elif "method" not in frame:
            self._take_answer(frame)
        elif "id" not in frame:
            handler.notification(str(frame["method"]), frame.get("params"))
        else:
            self._take_request(frame, handler)

    def _take_answer(self, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        answer = self._pending.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return  # Nobody waits any more: it was cancelled, or its answer does not matter.
        if "error" in frame:
            answer.set_exception(call_failed(frame["error"]))
        else:
            answer.set_result(frame.get("result"))

    def _take_request(self, frame: dict[str, Any], handler: Handler) -> None:
        number = frame["id"]
        try:
            work = handler.request(str(frame["method"]), frame.get("params"))
        except Exception as error:
            self._answer_error(number, _wire_error(error))
            return
        task = asyncio.create_task(self._answer(number, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: Any, work: Coroutine[Any, Any, str]) -> None:
        try:
            result = await work
        except Exception as error:
            self._answer_error(number, _wire_error(error))
            return
        line = to_bytes(f'{{"jsonrpc":"2.0","id":{encode(number, "the id")},"result":{result}}}')
        if len(line) > MAX_FRAME:
            message = f"the result is too large: {len(line)} bytes, at most {MAX_FRAME}"
            self._answer_error(number, WireError(TOO_LARGE, message))
        else:
            self._send(line)

    def _answer_error(self, number: Any, error: WireError) -> None:
        text = f'{{"jsonrpc":"2.0","id":{encode(number, "the id")},"error":{error.encode()}}}'
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
        self._ended = True
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(NotServing("the daemon is gone; whether it was done is unknown"))


def _wire_error(error: Exception) -> WireError:
    if isinstance(error, WireError):
        return error
    # A fault of the SDK costs one call, and is shown where the daemon's owner looks.
    traceback.print_exception(error, file=sys.stderr)
    return WireError(INTERNAL, f"a fault of the Python SDK: {type(error).__name__}: {error}")

"""The methods that the daemon calls, and the one place where the user's exceptions become answers."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import _logging
from ._api import AsyncCoattail, Coattail
from ._call import Call, current_call
from ._context import AsyncContext, Context, Source
from ._json import NotJson, encode
from ._load import load, print_traceback
from ._plugin import METHODS, Handler, Kind
from ._schema import Mismatch
from ._session import INVALID_INPUT, Session, Threaded, WireError
from ._types import ABSENT
from ._version import PROTOCOL, SOFTWARE
from .errors import Reject, RetryLater

#: Calls under way at once; more are refused as busy. The daemon keeps to far fewer.
MAX_CALLS = 1024
#: Characters of an exception's message, and of its arguments as JSON, that are passed on.
MAX_MESSAGE, MAX_ARGUMENTS = 16 * 1024, 16 * 1024

#: Error codes of the wire. The first is JSON-RPC's own; an unknown method is one in no state of the worker.
METHOD_NOT_FOUND = -32601
FAILED, UNKNOWN_METHOD, BUSY, CANCELLED, UNSUPPORTED_VERSION = 1, 3, 7, 10, 13
ALREADY_EXISTS, SHUTTING_DOWN, REJECTED, RETRY_LATER = 14, 15, 20, 21


class Worker:
    """One plugin file, served over one session."""

    def __init__(self, file: Path, session: Session) -> None:
        self._file = file
        self._session = session
        self._calls: dict[str, Call] = {}
        self._kind: Kind = "action"
        self._instance = Path()
        self._handler: Handler | None = None
        self._stopping = False
        #: What a file has set while it was loaded, and every call begins with.
        self._loaded = contextvars.copy_context()

    def request(self, method: str, params: Any) -> Coroutine[Any, Any, str] | Threaded:
        """Start the work for a request."""
        params = params if isinstance(params, dict) else {}
        if method == "initialize":
            return self._initialize(params)
        if method == "shutdown":
            return self._shutdown()
        if method not in METHODS.values():
            raise WireError(METHOD_NOT_FOUND, f"a worker has no method {method}")
        if self._handler is None:
            raise WireError(UNKNOWN_METHOD, f"{method} comes after initialize")
        if method != METHODS[self._kind]:
            raise WireError(UNKNOWN_METHOD, f"this worker is of the {self._kind} kind and has no {method}")
        if self._stopping:
            raise WireError(SHUTTING_DOWN, "the worker is stopping")
        if len(self._calls) >= MAX_CALLS:
            raise WireError(BUSY, f"{MAX_CALLS} calls are under way already")
        call = Call(_text(params, "call"))
        if call.id in self._calls:
            raise WireError(ALREADY_EXISTS, f"the call {call.id} is under way already")
        source = _source(params["publication"]) if "publication" in params else None
        if method == "receive" and source is None:
            raise WireError(INVALID_INPUT, "publication is missing")
        given = params.get("context") or {}
        if not isinstance(given, dict):
            raise WireError(INVALID_INPUT, "context is no object")
        handler = self._handler
        context = self._context(handler, call, given, source) if handler.signature.takes_context else None
        # Here and not in the work, which starts later: `cancel` may be the very next line.
        self._calls[call.id] = call
        input = params.get("input", ABSENT)
        if handler.is_async:
            return self._run(call, lambda: handler(input, context))
        return Threaded(
            lambda: self._loaded.copy().run(self._run_in_thread, call, handler, input, context), call
        )

    def notification(self, method: str, params: Any) -> None:
        """Take `cancel`; anything else is of a newer daemon."""
        if method == "cancel" and isinstance(params, dict):
            call = self._calls.get(str(params.get("call")))
            if call:
                self._session.cancel(call)

    async def _initialize(self, params: dict[str, Any]) -> str:
        if self._handler is not None:
            raise WireError(UNKNOWN_METHOD, "the worker is initialized already")
        if params.get("protocol") != PROTOCOL:
            message = f"the daemon speaks protocol {params.get('protocol')}, this SDK {PROTOCOL}"
            raise WireError(UNSUPPORTED_VERSION, message)
        kind = _text(params, "kind")
        if kind not in METHODS:
            raise WireError(INVALID_INPUT, f"kind is {kind}, neither action nor receiver")
        self._kind = kind
        self._instance = Path(_text(params, "instance"))
        self._handler = load(self._file, self._kind)
        self._loaded = contextvars.copy_context()
        if not self._handler.is_async:
            self._session.read_in_threads()
        answer = {"protocol": PROTOCOL, "software": SOFTWARE}
        for name in ("description", "input", "output"):
            if (said := getattr(self._handler, name)) is not None:
                answer[name] = said
        return encode(answer, "the answer to initialize")

    async def _shutdown(self) -> str:
        self._stopping = True
        self._session.stop()
        return "{}"

    async def _run(self, call: Call, work: Callable[[], Any]) -> str:
        """Run what is awaited, on the loop."""
        current_call.set(call)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        call.watch(task.cancel)
        try:
            if call.cancelled:
                raise asyncio.CancelledError
            try:
                result = await work()
            finally:
                # From here on nothing waits, so that a cancellation hits nothing but the user's code.
                call.unwatch(task.cancel)
            return self._encoded(result)
        except BaseException as error:
            # Also SystemExit and KeyboardInterrupt: they end this call, not the worker.
            raise self._failure(error, call) from None
        finally:
            del self._calls[call.id]

    def _run_in_thread(
        self, call: Call, handler: Handler, input: Any, context: Any
    ) -> str | Coroutine[Any, Any, str]:
        """Run what is called."""
        current_call.set(call)
        goes_on = False
        try:
            if call.cancelled:
                raise asyncio.CancelledError
            result = handler(input, context)
            # A plain function, such as a decorator's, may wrap an asynchronous one.
            goes_on = inspect.iscoroutine(result)
            return self._run(call, lambda: result) if goes_on else self._encoded(result)
        except BaseException as error:
            raise self._failure(error, call) from None
        finally:
            if not goes_on:
                del self._calls[call.id]

    def _encoded(self, result: Any) -> str:
        if result is ABSENT or self._kind == "receiver":
            return "{}"
        return f'{{"output":{encode(result, "the result")}}}'

    def _context(
        self, handler: Handler, call: Call, given: dict[str, Any], source: Source | None
    ) -> Context | AsyncContext:
        timeout = given.get("timeout_ms")
        common: dict[str, Any] = {
            "call": call.id,
            "caller": given.get("caller"),
            "timeout": timeout / 1000 if isinstance(timeout, int) else None,
            "instance": self._instance,
            "publication": source,
            "log": _logging.logger(call.id),
            "_call": call,
            "_notify": self._session.notify,
        }
        if handler.is_async:
            return AsyncContext(**common, coattail=AsyncCoattail(self._session, call))
        return Context(**common, coattail=Coattail(self._session, call))

    def _failure(self, error: BaseException, call: Call) -> WireError:
        if isinstance(error, WireError):
            return error
        if call.cancelled:
            return WireError(CANCELLED, "cancelled")
        message = _message(error)
        if isinstance(error, Reject):
            return WireError(REJECTED, message)
        if isinstance(error, RetryLater):
            wait = None if error.after is None else {"retry_after_ms": round(error.after * 1000)}
            return WireError(RETRY_LATER, message, wait)
        if isinstance(error, Mismatch):
            # A publication that has another shape has it at every attempt.
            return WireError(REJECTED if self._kind == "receiver" else INVALID_INPUT, message)
        if isinstance(error, NotJson):
            return WireError(FAILED, message, {"hint": "return plain values: dicts, lists, strings, numbers"})
        print_traceback(error)
        thrown: dict[str, Any] = {"type": type(error).__name__}
        try:
            arguments = encode(list(error.args), "the arguments")
            if error.args and len(arguments) <= MAX_ARGUMENTS:
                thrown["args"] = list(error.args)
        except Exception:  # noqa: S110
            pass  # They are an extra: the type and the message say what matters.
        return WireError(FAILED, message, {"thrown": thrown})


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    if isinstance(error, SystemExit):
        text = f"the handler ended the program (exit code {text or '0'})"
    return text[:MAX_MESSAGE] or type(error).__name__


def _source(given: Any) -> Source:
    try:
        return Source(**{field.name: given[field.name] for field in fields(Source)})
    except (KeyError, TypeError) as error:
        raise WireError(INVALID_INPUT, f"publication is incomplete: {error}") from None


def _text(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str):
        raise WireError(INVALID_INPUT, f"{name} is missing or no text")
    return value

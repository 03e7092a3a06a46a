"""What the user writes: a function or a class, and how it is found in a file and called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, TypeVar, overload

from ._schema import Inexpressible, Reader, Schema, annotation, of_input, of_output
from ._types import ABSENT

Kind = Literal["action", "receiver"]
T = TypeVar("T", bound=Callable[..., Any])

#: The method that a class, or a file without decorators, has for each kind.
METHODS: dict[Kind, str] = {"action": "perform", "receiver": "receive"}
_MARK = "__coattail__"


class NoHandler(Exception):
    """The file does not say what is to be called."""


@overload
def action(handler: T) -> T: ...
@overload
def action(*, input: Schema | None = None, output: Schema | None = None) -> Callable[[T], T]: ...
def action(handler: Any = None, *, input: Any = None, output: Any = None) -> Any:
    """Mark a function, or a class with a method `perform`, as the action of its file.

    It is called with `(input, context)`; `context` may be left out, and `async def` works, too. What it
    returns is the result. It stays what it is and can be called in a test.

    `input` and `output` say what it takes and returns: a JSON Schema, or a TypedDict or dataclass from which
    one follows. Without them it follows from the annotations, if those name a TypedDict or a dataclass.
    """
    return _marked("action", handler, input, output)


@overload
def receiver(handler: T) -> T: ...
@overload
def receiver(*, input: Schema | None = None) -> Callable[[T], T]: ...
def receiver(handler: Any = None, *, input: Any = None) -> Any:
    """Mark a function, or a class with a method `receive`, as the receiver of its file.

    It is called with `(data, context)` for each publication, as `action` describes. When it returns, the
    publication is done; when it raises, it comes back later, and after `Reject` never.
    """
    return _marked("receiver", handler, input, None)


def _marked(kind: Kind, handler: Any, input: Any, output: Any) -> Any:
    def mark(handler: T) -> T:
        setattr(handler, _MARK, Mark(kind, input, output))
        return handler

    return mark if handler is None else mark(handler)


@dataclass(frozen=True)
class Mark:
    """What a decorator says."""

    kind: Kind
    input: Any = None
    output: Any = None


@dataclass(frozen=True)
class Signature:
    """What the user's code asks for."""

    takes_input: bool
    #: What stands for an input that is absent: the parameter's own default, else None.
    absent: Any
    takes_context: bool
    context_by_name: bool
    #: The parameter for the input.
    input_name: str | None


@dataclass(frozen=True)
class Handler:
    """The user's code, and how to call it."""

    function: Callable[..., Any]
    signature: Signature
    is_async: bool
    description: str | None
    #: JSON Schemas of what it takes and of what it returns.
    input: Any = None
    output: Any = None
    #: Makes the input that it asks for; None if that is what arrives.
    read: Reader | None = None

    def __call__(self, input: Any, context: Any) -> Any:
        """Call the user's code with as much as it takes."""
        takes = self.signature
        if input is ABSENT:
            input = takes.absent
        elif self.read:
            input = self.read(input, "the input")
        args = (input,) if takes.takes_input else ()
        if not takes.takes_context:
            return self.function(*args)
        if takes.context_by_name:
            return self.function(*args, context=context)
        return self.function(*args, context)


def find(module: ModuleType, kind: Kind) -> Handler:
    """Find the one handler of that kind: what is decorated, else a function, else a class."""
    method = METHODS[kind]
    own = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    marked = _unique(value for value in own.values() if _kind(value) == kind)
    # One that was imported from a neighbouring file does not count if there is one of its own.
    marked = [one for one in marked if getattr(one, "__module__", None) == module.__name__] or marked
    if len(marked) > 1:
        names = " and ".join(_name(value) for value in marked)
        raise NoHandler(f"{names} are both decorated with @coattail.{kind}; a file holds one {kind}")
    if marked:
        return _handler(marked[0], method)
    if callable(own.get(method)) and not inspect.isclass(own[method]):
        return _handler(own[method], method)
    classes = _classes(own, module, method)
    if len(classes) > 1:
        names = " and ".join(_name(value) for value in classes)
        raise NoHandler(f"{names} both have a method {method}; decorate the one to use with @coattail.{kind}")
    if classes:
        return _handler(classes[0], method)
    other: Kind = "receiver" if kind == "action" else "action"
    if any(_kind(value) == other for value in own.values()) or METHODS[other] in own:
        raise NoHandler(f"it holds {_article(other)}, but lies in the folder of the {kind}s")
    raise NoHandler(
        f"it holds no {kind}: decorate a function with @coattail.{kind}, or name it {method}(input, context)"
    )


def _classes(own: dict[str, Any], module: ModuleType, method: str) -> list[Any]:
    found = _unique(
        value
        for value in own.values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and hasattr(value, method)
    )
    # A base class is there to be derived from.
    return [one for one in found if not any(one in other.__mro__[1:] for other in found)]


def _handler(target: Any, method: str) -> Handler:
    function, documented = target, [target]
    mark = _mark(target) or Mark("action")
    if inspect.isclass(target):
        function = getattr(target(), method, None)
        documented = [function, target]
        if not callable(function):
            raise NoHandler(f"the class {_name(target)} has no method {method}")
    signature = _signature(function)
    taken = annotation(function, signature.input_name) if signature.input_name else None
    try:
        input, read = of_input(mark.input, taken)
        output = of_output(mark.output, annotation(function, "return"))
    except Inexpressible as error:
        raise NoHandler(str(error)) from None
    return Handler(
        function=function,
        signature=signature,
        is_async=_is_async(function),
        description=next(filter(None, map(_first_line, documented)), None),
        input=input,
        output=output,
        read=read,
    )


def _signature(function: Callable[..., Any]) -> Signature:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keyword = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    required = [p.name for p in positional[2:] if p.default is p.empty]
    required += [p.name for p in keyword.values() if p.default is p.empty and p.name != "context"]
    if required:
        raise NoHandler(f"{_name(function)} takes (input, context), but asks for {', '.join(required)}, too")
    by_name = "context" in keyword
    first, second = [*positional, None, None][:2]
    # A second parameter with a default is the author's own, unless it is named for what it gets.
    by_place = second.default is second.empty or second.name == "context" if second else variadic
    return Signature(
        takes_input=first is not None or variadic,
        absent=None if first is None or first.default is first.empty else first.default,
        takes_context=by_name or by_place,
        context_by_name=by_name,
        input_name=first.name if first else None,
    )


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _mark(value: Any) -> Mark | None:
    # Of the value itself: a class derived from a decorated one is not decorated, and a mock has it all.
    try:
        mark = vars(value).get(_MARK)
    except Exception:
        return None
    return mark if isinstance(mark, Mark) else None


def _kind(value: Any) -> Kind | None:
    mark = _mark(value)
    return mark.kind if mark else None


def _unique(values: Any) -> list[Any]:
    return list({id(value): value for value in values}.values())


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", type(value).__name__))


def _article(kind: Kind) -> str:
    return "an action" if kind == "action" else "a receiver"


def _first_line(value: Any) -> str | None:
    if not inspect.isclass(value) and not inspect.isroutine(value):
        return None
    text = inspect.getdoc(value)
    return text.splitlines()[0].strip() or None if text else None

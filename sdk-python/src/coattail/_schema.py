"""What a handler's annotations say: a JSON Schema for the daemon, and dataclasses made from what arrives."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import inspect
import pathlib
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

from ._json import NotJson, encode

#: A JSON Schema as it is written, or the TypedDict or dataclass that it follows from.
Schema = dict[str, Any] | type

#: Makes what the handler asks for from plain values; the text says which value it is, for the error.
Reader = Callable[[Any, str], Any]


class Inexpressible(Exception):
    """The annotation says something that a schema cannot, or that cannot be made from JSON."""


class Mismatch(Exception):
    """The input is not what the handler asks for."""


def of_input(said: Any, annotated: Any) -> tuple[Any, Reader | None]:
    """Return the schema of an input, and what makes it, from what the decorator and the annotation say."""
    kind = annotated if _is_schema(said) else said
    if not is_structured(kind):
        return _checked_schema(said), None
    try:
        # First, since it finds what contains itself.
        schema = derive(kind)
        read = reader(kind)
    except Inexpressible as error:
        # A TypedDict is what arrives, whatever it says. What has to be made cannot be passed over.
        if kind is said or _is_made(kind):
            raise Inexpressible(f"the type of its input cannot be read from JSON: {error}") from None
        read = schema = None
    return (schema if said is None or kind is said else _checked_schema(said)), read


def of_output(said: Any, annotated: Any) -> Any:
    """Return the schema of an output from what the decorator and the annotation say."""
    kind = annotated if said is None else said
    if not is_structured(kind):
        return _checked_schema(said)
    try:
        return derive(kind, output=True)
    except Inexpressible as error:
        if said is None:
            return None
        raise Inexpressible(f"no schema follows from the type of its output: {error}") from None


def annotation(function: Callable[..., Any], name: str) -> Any:
    """Return what is annotated for a parameter or `return`; None if nothing is that can be understood."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    raw = getattr(function, "__annotations__", {}).get(name)
    try:
        # Alone, since the others may be known to a type checker only.
        carrier = types.SimpleNamespace(__annotations__={name: raw})
        return typing.get_type_hints(carrier, globalns=getattr(function, "__globals__", {}))[name]
    except Exception:
        return None


def is_structured(kind: Any) -> bool:
    """Whether it is, or contains, a TypedDict or a dataclass. Nothing follows from any other annotation."""
    return typing.is_typeddict(kind) or _is_dataclass(kind) or any(map(is_structured, typing.get_args(kind)))


def derive(kind: Any, *, output: bool = False, within: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Return the JSON Schema of a type, or raise `Inexpressible`."""
    if kind in within:
        raise Inexpressible(f"{_name(kind)} contains itself")
    if kind is Any or kind is object:
        return {}
    plain = _PLAIN.get(kind) or (_WRITTEN.get(kind) if output else None)
    if plain:
        return dict(plain)
    if typing.is_typeddict(kind) or _is_dataclass(kind):
        return _object(kind, output, within)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)

    def inner(one: Any) -> dict[str, Any]:
        return derive(one, output=output, within=within)

    match origin:
        case typing.Union | types.UnionType:
            return {"anyOf": [inner(one) for one in arguments]}
        case typing.Literal if all(isinstance(one, str | int | None) for one in arguments):
            return {"enum": list(arguments)}
        case _ if origin in _LISTS or (output and origin is tuple and arguments[1:] == (...,)):
            return {"type": "array", "items": inner(arguments[0])}
        case _ if origin in _OBJECTS and arguments[0] is str:
            return {"type": "object", "additionalProperties": inner(arguments[1])}
    raise Inexpressible(f"{_name(kind)} is nothing that JSON has")


def reader(kind: Any) -> Reader | None:
    """Return what makes values of a type; None if they stay as they are."""
    if _is_dataclass(kind):
        return _instances(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(arguments)
    if origin in _LISTS and (item := reader(arguments[0])):
        return lambda value, where: [
            item(one, f"{where}[{index}]") for index, one in enumerate(_checked(value, list, where))
        ]
    if origin in _OBJECTS and (member := reader(arguments[1])):
        return lambda value, where: {
            key: member(one, f"{where}.{key}") for key, one in _checked(value, dict, where).items()
        }
    return None


def _is_schema(said: Any) -> bool:
    return said is None or isinstance(said, dict | bool)


def _checked_schema(said: Any) -> Any:
    if not _is_schema(said):
        raise Inexpressible(f"{said!r} is no JSON Schema, and names no TypedDict and no dataclass")
    try:
        encode(said, "the schema")
    except NotJson as error:
        raise Inexpressible(str(error)) from None
    return said


def _is_made(kind: Any) -> bool:
    return _is_dataclass(kind) or any(map(_is_made, typing.get_args(kind)))


def _instances(kind: Any) -> Reader:
    hints = _hints(kind)
    fields = [(field, reader(hints[field.name])) for field in dataclasses.fields(kind) if field.init]

    def make(value: Any, where: str) -> Any:
        given = _checked(value, dict, where)
        arguments = {}
        for field, read in fields:
            if field.name in given:
                one = given[field.name]
                arguments[field.name] = read(one, f"{where}.{field.name}") if read else one
            elif not _has_default(field):
                raise Mismatch(f"{where}.{field.name} is missing")
        return kind(**arguments)

    return make


def _optional(kinds: tuple[Any, ...]) -> Reader | None:
    readers = [read for read in map(reader, kinds) if read]
    if not readers:
        return None
    if len(readers) > 1 or len(kinds) > 2 or type(None) not in kinds:
        raise Inexpressible(
            "which of several types is meant cannot be told; only `| None` can follow a dataclass"
        )
    return lambda value, where: None if value is None else readers[0](value, where)


def _object(kind: Any, output: bool, within: tuple[Any, ...]) -> dict[str, Any]:
    if typing.is_typeddict(kind):
        hints = _hints(kind, include_extras=True)
        required = [name for name, hint in hints.items() if _is_required(name, hint, kind.__required_keys__)]
        hints = {name: _bare(hint) for name, hint in hints.items()}
    else:
        known = _hints(kind)
        fields = [field for field in dataclasses.fields(kind) if output or field.init]
        hints = {field.name: known[field.name] for field in fields}
        required = [field.name for field in fields if output or not _has_default(field)]
    properties = {name: derive(hint, output=output, within=(*within, kind)) for name, hint in hints.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return schema | {"required": required} if required else schema


def _hints(kind: Any, *, include_extras: bool = False) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=include_extras)
    except Exception as error:
        raise Inexpressible(f"{_name(kind)} cannot be looked into: {error}") from None


def _is_required(name: str, hint: Any, required: frozenset[str]) -> bool:
    # With postponed annotations the class itself does not see these marks.
    mark = str(typing.get_origin(hint)).rpartition(".")[2]
    return mark == "Required" or (mark != "NotRequired" and name in required)


def _bare(hint: Any) -> Any:
    wrapped = str(typing.get_origin(hint)).rpartition(".")[2] in ("Required", "NotRequired", "ReadOnly")
    if wrapped or hasattr(hint, "__metadata__"):
        return _bare(typing.get_args(hint)[0])
    return hint


def _checked(value: Any, kind: type, where: str) -> Any:
    if isinstance(value, kind):
        return value
    raise Mismatch(f"{where} is no {'object' if kind is dict else 'list'}")


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _is_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    dict: {"type": "object"},
}
#: What only a result may hold: it is written as text, and arrives as text.
_WRITTEN: dict[Any, dict[str, Any]] = {
    datetime.datetime: {"type": "string"},
    datetime.date: {"type": "string", "format": "date"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    decimal.Decimal: {"type": "string"},
    pathlib.Path: {"type": "string"},
}
_LISTS = (list, collections.abc.Sequence)
_OBJECTS = (dict, collections.abc.Mapping)

"""From Python to JSON and back, and what is said when that does not work."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any


class NotJson(ValueError):
    """A value that JSON cannot express."""


class Unreadable(ValueError):
    """JSON that Python cannot take: nested too deeply, or a number with too many digits."""


def encode(value: Any, what: str) -> str:
    """Return the JSON text of a value on one line; `what` names it in the error."""
    try:
        return json.dumps(value, default=_convert, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise NotJson(f"{what} is nested too deeply for JSON") from None
    except TypeError as error:
        raise NotJson(f"{what} cannot be expressed as JSON: {error}") from None
    except ValueError as error:
        raise NotJson(f"{what} cannot be expressed as JSON: {_reason(error)}") from None


def to_bytes(text: str) -> bytes:
    """Encode JSON text as UTF-8. A lone surrogate has no UTF-8; JSON can escape it."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode("utf-8")


def decode(line: bytes) -> Any:
    """Read one JSON text. Raises `Unreadable` for JSON that Python cannot take, else `ValueError`."""
    text = line.decode("utf-8")
    try:
        return json.loads(text)
    except RecursionError:
        raise Unreadable("nested too deeply for Python") from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise Unreadable("a number has too many digits for Python") from None


def find_id(line: bytes) -> int | str | None:
    """Find the `id` of a JSON-RPC request that could not be read, so that it can be answered.

    Only the outermost object is looked at: an input may have an `id`, too.
    """
    depth = 0
    text = line.decode("utf-8", errors="replace")
    for token in _TOKEN.finditer(text):
        kind = token[0]
        if kind in "{[":
            depth += 1
        elif kind in "}]":
            depth -= 1
        elif depth == 1 and kind == '"id"':
            found = _ID_VALUE.match(text, token.end())
            if found:
                value: int | str = json.loads(found[1])
                return value
    return None


def _convert(value: Any) -> Any:
    """Take what offers itself as plain values: dataclasses, and the types of numpy and pandas."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if not isinstance(value, type):
        for name in ("to_dict", "tolist", "item"):
            method = getattr(value, name, None)
            if callable(method):
                return method()
    raise TypeError(f"it contains a {type(value).__name__}")


def _reason(error: ValueError) -> str:
    text = str(error)
    if text.startswith("Out of range float"):
        return "it contains NaN or an infinity"
    if text.startswith("Circular reference"):
        return "it contains itself"
    return text


_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_ID_VALUE = re.compile(r'\s*:\s*(\d{1,18}|"[^"\\]{0,128}")')

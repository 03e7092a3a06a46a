"""From Python to JSON and back, and what is said when that does not work."""

from __future__ import annotations

import json
import re
from typing import Any

from ._values import convert, plain


class NotJson(ValueError):
    """A value that JSON cannot express."""


class Unreadable(ValueError):
    """JSON that Python cannot take: nested too deeply, or a number with too many digits."""


def encode(value: Any, what: str) -> str:
    """Return the JSON text of a value on one line; `what` names it in the error."""
    try:
        try:
            return _encoder.encode(value)
        except (TypeError, ValueError) as error:
            if not str(error).startswith(_REPAIRED):
                raise
            return _encoder.encode(plain(value))
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


def _reason(error: ValueError) -> str:
    text = str(error)
    if text.startswith("Out of range float"):
        return "it contains an infinity"
    if text.startswith("Circular reference"):
        return "it contains itself"
    return text


_encoder = json.JSONEncoder(default=convert, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
#: What the encoder says of a NaN, and of a key that is no text: rare, so that a copy may be made.
_REPAIRED = ("Out of range float", "keys must be")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_ID_VALUE = re.compile(r'\s*:\s*(\d{1,18}|"[^"\\]{0,128}")')

"""What becomes of values that JSON does not know. README.md has the table."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import sys
import uuid
from typing import Any


def convert(value: Any) -> Any:
    """Return what stands for a value in JSON; that may hold values to be converted, too.

    Libraries are looked for among the loaded modules only: who has none of their values pays nothing.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime.date | datetime.time):
        # A missing time of pandas is a datetime that does not equal itself.
        return value.isoformat() if value == value else None  # noqa: PLR0124
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal | uuid.UUID | pathlib.PurePath):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("it contains bytes; base64.b64encode(value).decode() makes text of them")
    for library, known in _LIBRARIES.items():
        module = sys.modules.get(library)
        if module is not None and (found := known(module, value)) is not _UNKNOWN:
            return found
    return _offered(value)


def plain(value: Any) -> Any:
    """Return a copy with everything converted, and what is not a number as None.

    With NaN Python's libraries mark what is missing. An infinity is a value, and JSON has none for it.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if value == value else None  # noqa: PLR0124
    if isinstance(value, dict):
        return {_key(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return plain(convert(value))


def _key(key: Any) -> Any:
    return key if isinstance(key, str | int | float | tuple | None) else convert(key)


def _of_numpy(numpy: Any, value: Any) -> Any:
    if not isinstance(value, numpy.ndarray | numpy.generic):
        return _UNKNOWN
    # In nanoseconds they would become bare integers.
    if value.dtype.kind in "mM":
        value = value.astype(f"{value.dtype.kind}8[us]")
    converted = value.tolist()
    if type(converted) is type(value):
        raise TypeError(f"it contains a numpy.{type(value).__name__}")
    return converted


def _of_pandas(pandas: Any, value: Any) -> Any:
    if value is pandas.NA:
        return None
    if isinstance(value, pandas.DataFrame):
        if not value.columns.is_unique:
            raise TypeError("it contains a DataFrame with two columns of one name")
        return value.to_dict("records")
    if isinstance(value, pandas.Series):
        if not value.index.is_unique:
            raise TypeError("it contains a Series whose index is not unique; series.tolist() leaves it out")
        return value.to_dict()
    return _UNKNOWN


def _of_polars(polars: Any, value: Any) -> Any:
    if isinstance(value, polars.DataFrame):
        return value.to_dicts()
    if isinstance(value, polars.Series):
        return value.to_list()
    return _UNKNOWN


def _offered(value: Any) -> Any:
    """Take what a value of another library offers itself."""
    if not isinstance(value, type):
        for name in ("to_dict", "tolist", "item"):
            method = getattr(value, name, None)
            if callable(method):
                return method()
    raise TypeError(f"it contains a {type(value).__name__}")


_UNKNOWN = object()
_LIBRARIES = {"numpy": _of_numpy, "pandas": _of_pandas, "polars": _of_polars}

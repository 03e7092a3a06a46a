from __future__ import annotations

import dataclasses
import enum
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from coattail._json import NotJson, Unreadable, decode, encode, find_id, to_bytes


class Array:
    """As numpy's."""

    def item(self) -> Any:
        raise ValueError("can only convert an array of size 1")

    def tolist(self) -> Any:
        return [1, 2]


class Frame(Array):
    """As of pandas."""

    def to_dict(self) -> Any:
        return {"x": {0: 1}}


class Scalar:
    def item(self) -> Any:
        return 5


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: Any


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"ä": (1, None)}, '{"ä":[1,null]}'),
        (Array(), "[1,2]"),
        (Frame(), '{"x":{"0":1}}'),
        ([Scalar()], "[5]"),
        (Point(1, Point(2, Scalar())), '{"x":1,"y":{"x":2,"y":5}}'),
        ("a\nb\u2028", '"a\\nb\u2028"'),
        ([float("nan"), {"x": (1.5, float("nan"))}], '[null,{"x":[1.5,null]}]'),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), '"2026-01-02T03:04:05+00:00"'),
        (
            [datetime(2026, 1, 2), date(2026, 1, 2), time(3, 4)],
            '["2026-01-02T00:00:00","2026-01-02","03:04:00"]',
        ),
        (timedelta(minutes=1.5), "90.0"),
        ({date(2026, 1, 2): Decimal("1.10")}, '{"2026-01-02":"1.10"}'),
        ([UUID(int=7), Path("a/b")], '["00000000-0000-0000-0000-000000000007","a/b"]'),
        (Colour.RED, '"red"'),
    ],
)
def test_values_become_json_on_one_line(value: Any, text: str) -> None:
    assert encode(value, "it") == text


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"x": float("inf"), "y": float("nan")}, "contains an infinity"),
        ({1, 2}, "contains a set"),
        (Array, "contains a type"),
        ({(1, 2): 3}, "keys must be str"),
        (b"x", r"contains bytes; base64\.b64encode"),
    ],
)
def test_what_json_cannot_express_is_named(value: Any, part: str) -> None:
    with pytest.raises(NotJson, match=part) as caught:
        encode(value, "the result")
    assert str(caught.value).startswith("the result cannot be")


def test_a_lone_surrogate_is_escaped() -> None:
    assert to_bytes(encode("ä\ud800", "it")) == b'"\xc3\xa4\\ud800"'


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000])
def test_json_beyond_python_is_told_from_garbage(text: str) -> None:
    with pytest.raises(Unreadable):
        decode(text.encode())
    with pytest.raises(ValueError, match="Expecting value"):
        decode(b"garbage")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"perform","params":[[[', 7),
        (b'{"params":{"id":1,"x":[{"id":2}]},"id" : "a-b","method":"x"}', "a-b"),
        (b'{"method":"id","params":{"id":1', None),
        (b'{"a":"\\"id\\":5","id":6}', 6),
        (b'{"id":null}', None),
        (b"\xff garbage", None),
    ],
)
def test_the_id_of_an_unreadable_frame_is_found(line: bytes, number: Any) -> None:
    assert find_id(line) == number

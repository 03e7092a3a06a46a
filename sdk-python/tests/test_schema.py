"""What follows from what a handler's author writes."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from coattail import ABSENT
from coattail._plugin import Handler, NoHandler, find
from coattail._schema import Mismatch

TYPES = """
from __future__ import annotations
import coattail, dataclasses, datetime
from collections.abc import Sequence
from typing import Any, Literal, Optional, TypedDict

class Load(TypedDict):
    one: float
    five: Optional[float]

class Figures(Load, total=False):
    host: str
    status: Literal["ok", "bad"]

@dataclasses.dataclass
class Point:
    x: float
    y: float = 0

@dataclasses.dataclass
class Line:
    name: str
    points: list[Point]
    end: Point | None = None
    more: dict[str, Point] = dataclasses.field(default_factory=dict)

@dataclasses.dataclass
class Seen:
    at: datetime.datetime
    what: Any = None

class Late(TypedDict):
    at: datetime.datetime

class Hidden(TypedDict):
    x: Unknown

class Tree(TypedDict):
    children: list[Tree]

@dataclasses.dataclass
class Node:
    next: Node | None
"""
LOAD = {"one": {"type": "number"}, "five": {"anyOf": [{"type": "number"}, {"type": "null"}]}}
FIGURES = {
    "type": "object",
    "properties": LOAD | {"host": {"type": "string"}, "status": {"enum": ["ok", "bad"]}},
    "required": ["one", "five"],
}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x"],
}


def found(source: str, kind: Any = "action") -> Handler:
    # As when a file is loaded: dataclasses look there for the types that they name.
    module = sys.modules["coattail_plugin"] = ModuleType("coattail_plugin")
    exec(compile(TYPES + source, "plugin.py", "exec"), vars(module))
    return find(module, kind)


@pytest.mark.parametrize(
    ("source", "input", "output"),
    [
        ("def perform(input: Figures) -> list[Load]: ...", FIGURES,
         {"type": "array", "items": {"type": "object", "properties": LOAD, "required": ["one", "five"]}}),
        ("def perform(input: Point) -> Point: ...", POINT, POINT | {"required": ["x", "y"]}),
        ("def perform(input: Sequence[Point]): ...", {"type": "array", "items": POINT}, None),
        ("class A:\n  async def perform(self, input: dict[str, Point], context): ...",
         {"type": "object", "additionalProperties": POINT}, None),
        ("def perform(x) -> Seen: ...", None,
         {"type": "object", "properties": {"at": {"type": "string"}, "what": {}},
          "required": ["at", "what"]}),
        ("@coattail.action(input={'type': 'string'}, output=True)\ndef a(x: Figures): ...",
         {"type": "string"}, True),
        ("@coattail.action(input=Point, output=Point)\ndef a(x): ...",
         POINT, POINT | {"required": ["x", "y"]}),
        ("@coattail.action()\ndef a(x): ...", None, None),
        # Nothing follows from what is no structure, cannot be expressed, or is known to a type checker only.
        ("def perform(input: int) -> dict[str, Any]: ...", None, None),
        ("def perform(input: Late) -> Tree: ...", None, None),
        ("def perform(input: Hidden) -> Hidden: ...", None, None),
        ("def perform(input: Unknown) -> Unknown: ...", None, None),
        ("def perform(input: Point, context: Unknown): ...", POINT, None),
        ("perform = lambda x: x", None, None),
    ],
)  # fmt: skip
def test_schemas_are_said_or_follow_from_annotations(source: str, input: Any, output: Any) -> None:
    handler = found(source)
    assert (handler.input, handler.output) == (input, output)


def test_a_receiver_says_what_it_takes() -> None:
    assert found("@coattail.receiver(input=Point)\ndef keep(data): ...", "receiver").input == POINT


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def perform(input: Seen): ...", "cannot be read from JSON: datetime is nothing that JSON has"),
        ("def perform(input: Node): ...", "Node contains itself"),
        ("def perform(input: Point | Line): ...", "which of several types"),
        ("@coattail.action(input=Late)\ndef a(x): ...", "datetime is nothing"),
        ("@coattail.action(output=Tree)\ndef a(x): ...", "Tree contains itself"),
        ("@coattail.action(input='object')\ndef a(x): ...", "'object' is no JSON Schema"),
        ("@coattail.action(output=int)\ndef a(x): ...", "is no JSON Schema"),
        ("@coattail.action(input={'enum': {1}})\ndef a(x): ...", "contains a set"),
    ],
)
def test_what_cannot_be_promised_is_said(source: str, part: str) -> None:
    with pytest.raises(NoHandler, match=part):
        found(source)


def test_a_dataclass_is_made_from_what_arrives() -> None:
    handler = found("def perform(input: Line = None): return input")
    given = '{"name":"a","points":[{"x":1},{"x":2,"y":3,"z":4}],"end":{"x":5},"more":{"b":{"x":6}}}'
    line = handler(json.loads(given), None)
    assert [type(one).__name__ for one in (line, *line.points, line.end, line.more["b"])] == ["Line"] + [
        "Point"
    ] * 4
    assert (line.points[1].y, line.end.x, line.more["b"].y) == (3, 5, 0)
    assert handler({"name": "a", "points": [], "end": None}, None).end is None
    assert handler(ABSENT, None) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "the input is no object"),
        ({"name": "a"}, "the input.points is missing"),
        ({"name": "a", "points": [{"x": 1}, 7]}, r"the input.points\[1\] is no object"),
        ({"name": "a", "points": {}}, "the input.points is no list"),
        ({"name": "a", "points": [], "more": {"b": {}}}, "the input.more.b.x is missing"),
    ],
)
def test_what_it_cannot_be_made_from_is_named(given: Any, message: str) -> None:
    with pytest.raises(Mismatch, match=message):
        found("def perform(input: Line): ...")(given, None)

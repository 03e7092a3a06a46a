"""How the handler of a file is found and called."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from coattail import ABSENT
from coattail._plugin import NoHandler, find


def found(source: str, kind: Any = "action") -> Any:
    module = ModuleType("coattail_plugin")
    exec("import coattail, functools\n" + source, vars(module))
    return find(module, kind)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def perform(): return 'none'", "none"),
        ("def perform(x): return x", "input"),
        ("def perform(x, y): return x, y", ("input", "context")),
        ("def perform(x, verbose=False): return x, verbose", ("input", False)),
        ("def perform(x, context=None): return x, context", ("input", "context")),
        ("def perform(x, *, context): return x, context", ("input", "context")),
        ("def perform(x, *, other=1): return x", "input"),
        ("def perform(*args): return args", ("input", "context")),
        ("def perform(x, *args): return x, args", ("input", ("context",))),
        ("perform = lambda x: x", "input"),
        ("perform = functools.partial(lambda a, x: (a, x), 1)", (1, "input")),
        ("class A:\n  def perform(self, x): return x", "input"),
        ("class A:\n  @staticmethod\n  def perform(x): return x", "input"),
        ("@coattail.action\nclass A:\n  def perform(self, x): return x\nclass B(A): ...", "input"),
        ("class A:\n  def perform(self, x): ...\nclass B(A):\n  def perform(self, x): return x", "input"),
        ("@coattail.action\ndef a(x): return 'a'\ndef perform(x): return 'b'", "a"),
        ("@coattail.action\ndef a(x): return 'a'\nb = a", "a"),
        ("@coattail.action\ndef a(x): return 'a'\n@coattail.receiver\ndef b(x): return 'b'", "a"),
    ],
)
def test_it_is_called_with_what_it_takes(source: str, expected: Any) -> None:
    assert found(source)("input", "context") == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [("def perform(x): return x", None), ("def perform(x=5): return x", 5), ("def perform(): return 1", 1)],
)
def test_an_absent_input_is_the_default_or_none(source: str, expected: Any) -> None:
    assert found(source)(ABSENT, "context") == expected


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("", "it holds no action"),
        ("def receive(x): ...", "holds a receiver"),
        ("def perform(x, context, more): ...", "asks for more"),
        ("def perform(x, *, more): ...", "asks for more"),
        ("class A:\n  def perform(s): ...\nclass B:\n  def perform(s): ...", "A and B both"),
        ("@coattail.action\nclass A: ...", "no method perform"),
        ("perform = 5", "it holds no action"),
    ],
)
def test_what_is_wrong_is_said(source: str, part: str) -> None:
    with pytest.raises(NoHandler, match=part):
        found(source)


def test_a_decorated_neighbour_that_is_imported_does_not_count() -> None:
    source = "@coattail.action\ndef a(x): return 'a'\na.__module__ = 'neighbour'\n"
    source += "@coattail.action\ndef b(x): return 'b'\nb.__module__ = 'coattail_plugin'"
    assert found(source)(None, None) == "b"


@pytest.mark.parametrize(
    ("source", "is_async"),
    [
        ("async def perform(x): ...", True),
        ("class A:\n  async def perform(self, x): ...", True),
        ("class C:\n  async def __call__(self, x): ...\nperform = C()", True),
        ("def perform(x): ...", False),
    ],
)
def test_it_is_known_to_be_async(source: str, is_async: bool) -> None:
    assert found(source).is_async is is_async

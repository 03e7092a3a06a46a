from __future__ import annotations

import inspect
import re
from datetime import timedelta
from typing import Any

import pytest

import coattail
from coattail import errors

from .daemon import ROOT

PUBLIC = [
    "ABSENT",
    "ActionFailed",
    "AsyncCoattail",
    "AsyncContext",
    "AsyncJobs",
    "Busy",
    "CallFailed",
    "Cancelled",
    "Coattail",
    "CoattailError",
    "Context",
    "Entry",
    "InvalidInput",
    "Job",
    "Jobs",
    "LogLine",
    "Lost",
    "NotFound",
    "NotPermitted",
    "NotServing",
    "Peer",
    "Performed",
    "Progress",
    "Published",
    "Reject",
    "RetryLater",
    "Source",
    "Subscriber",
    "Subscription",
    "TimedOut",
    "TooLarge",
    "Unreachable",
    "Unsubscribed",
    "__version__",
    "action",
    "local",
    "local_async",
    "receiver",
]


def test_the_public_names_are_these() -> None:
    assert sorted(coattail.__all__) == sorted(PUBLIC)
    assert all(hasattr(coattail, name) for name in PUBLIC)
    assert set(errors.__all__) <= set(PUBLIC)


def test_the_two_apis_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        members = inspect.getmembers(kind, inspect.isfunction)
        return {n: list(inspect.signature(f).parameters) for n, f in members if not n.startswith("_")}

    assert methods(coattail.Coattail) == methods(coattail.AsyncCoattail)
    assert methods(coattail.Jobs) == methods(coattail.AsyncJobs)


def test_the_versions_agree() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.+)"$', text, re.MULTILINE)[1] == coattail.__version__  # type: ignore[index]


def test_without_a_daemon_there_is_nobody_to_ask() -> None:
    with pytest.raises(coattail.NotServing, match="not started by one"):
        coattail.local()


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (None, None),
        (30, 30),
        (0.5, 0.5),
        ("30", 30),
        ("500ms", 0.5),
        ("1.5 h", 5400),
        (timedelta(days=1), 86400),
    ],
)
def test_a_time_to_retry_is_understood(after: Any, seconds: float | None) -> None:
    assert coattail.RetryLater("not now", after=after).after == seconds


@pytest.mark.parametrize(
    "after", ["soon", "", "-1", -1, timedelta(seconds=-1), float("nan"), float("inf"), "5 weeks"]
)
def test_what_is_no_time_to_retry_is_refused(after: Any) -> None:
    with pytest.raises(ValueError, match="is no time to wait"):
        coattail.RetryLater("not now", after=after)


def test_what_is_decorated_can_be_called_as_before() -> None:
    @coattail.receiver
    def keep(data: int) -> int:
        return data + 1

    assert keep(1) == 2

"""What a handler hears of the calls and jobs that it has asked for."""

from __future__ import annotations

from typing import Any

import pytest

from .daemon import Daemon
from .test_runner import Start, start

__all__ = ["start"]


def says(daemon: Daemon, call: str, *, count: int = 1) -> None:
    """Let a call log, and tell how far it is; another one does, too."""
    for one in ("another", call):
        for number in range(count):
            params = {"call": one, "level": "info", "message": f"line {number}"}
            daemon.send({"jsonrpc": "2.0", "method": "log", "params": params})
        daemon.send({"jsonrpc": "2.0", "method": "progress", "params": {"call": one, "fraction": 0.5}})


HEARD = [{"level": "info", "message": "line 0", "time": None}, {"fraction": 0.5, "message": None}]


@pytest.mark.parametrize("plugin", ["follows.py", "async_follows.py"])
def test_what_a_call_says_is_heard_in_order_and_before_its_result(start: Start, plugin: str) -> None:
    daemon = start(plugin)

    def perform(params: dict[str, Any]) -> Any:
        says(daemon, params["call"])
        return {"result": {"call": params["call"], "result": 7}}

    daemon.host["actions.perform"] = perform
    daemon.host["jobs.start"] = lambda _params: {
        "result": {"id": "j-1", "action": "other", "state": "queued", "created": "now"}
    }
    output = daemon.perform("perform", call="c-1")["result"]["output"]
    assert (output["heard"], output["result"]) == (HEARD, 7)
    asked = daemon.asked[-1][1]
    assert asked["follow"] is True
    if plugin == "follows.py":
        assert (asked["start_timeout_ms"], asked["key"], asked["peer"]) == (2000, "k-1", "p")


def test_what_raises_while_it_hears_ends_the_call_that_it_heard_of(start: Start) -> None:
    daemon = start("follows.py")

    def perform(params: dict[str, Any]) -> None:
        says(daemon, params["call"])

    daemon.host["actions.perform"] = perform
    daemon.host["actions.cancel"] = lambda _params: {"result": {}}
    assert daemon.perform("raise")["error"]["data"]["thrown"]["type"] == "ZeroDivisionError"
    daemon.ask("nonsense")
    assert [method for method, _ in daemon.asked] == ["actions.perform", "actions.cancel"]
    assert daemon.asked[0][1]["call"] == daemon.asked[1][1]["call"]


def test_who_hears_slowly_is_told_what_was_left_out(start: Start) -> None:
    daemon = start("follows.py")

    def perform(params: dict[str, Any]) -> Any:
        says(daemon, params["call"], count=2000)
        return {"result": {"call": params["call"]}}

    daemon.host["actions.perform"] = perform
    daemon.host["peers.list"] = lambda _params: {"result": []}
    count, last = daemon.perform("flood")["result"]["output"]
    assert count < 2001
    assert last["level"] == "warn"
    assert "left out" in last["message"]


def test_jobs_are_started_shown_and_waited_for(start: Start) -> None:
    daemon = start("follows.py")
    job = {"id": "j-1", "action": "other", "state": "queued", "created": "2026-01-02T03:04:05Z", "new": 1}
    done = job | {
        "state": "succeeded", "result": [1], "publication": {"id": "p", "sequence": 3},
        "progress": {"fraction": 1},
    }  # fmt: skip

    def wait(params: dict[str, Any]) -> Any:
        says(daemon, "j-1")
        return {"result": done}

    error = {"code": 7, "message": "full", "data": {"retry_after_ms": 1500}}
    line = {"time": "2026-01-02T03:04:06Z", "level": "info", "message": "kept"}
    daemon.host = {
        "jobs.start": lambda _params: {"result": job},
        "jobs.list": lambda _params: {"result": [job]},
        "jobs.wait": wait,
        "jobs.logs": lambda _params: {"result": {"lines": [line]}},
        "jobs.cancel": lambda _params: {"result": done},
        "jobs.show": lambda _params: {"result": job | {"state": "refused", "error": error}},
    }
    output = daemon.perform("jobs", call="c-1")["result"]["output"]
    asked = dict(daemon.asked)
    assert asked["jobs.start"] == {
        "action": "other", "input": {"x": 1}, "publish": True, "timeout_ms": 60000, "key": "k-2",
        "parent": "c-1",
    }  # fmt: skip
    assert asked["jobs.wait"] == {"job": "j-1", "timeout_ms": 5000, "follow": True}
    assert output["started"]["state"] == output["listed"][0]["state"] == "queued"
    assert (output["done"]["result"], output["done"]["progress"]["fraction"]) == ([1], 1)
    assert output["done"]["publication"]["sequence"] == 3
    assert (output["heard"], output["lines"]) == (HEARD[:1], [line])
    assert output["over"] == [False, True]
    assert output["failed"] == ["Busy", 7, 1.5]

"""The runner as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .daemon import PLUGINS, ROOT, Daemon, call_params

Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Daemon] = []

    def start(plugin: str, kind: str = "action", **env: str) -> Daemon:
        daemon = Daemon(PLUGINS / plugin, tmp_path, env)
        started.append(daemon)
        daemon.initialized = daemon.initialize(kind)
        return daemon

    yield start
    for daemon in started:
        with daemon:
            pass


def test_an_action_is_described_and_performed(start: Start) -> None:
    daemon = start("echo.py")
    assert daemon.initialized["result"] == {
        "protocol": 1,
        "software": "coattail-python/0.1.0",
        "description": "Give back what it was given.",
    }
    assert daemon.perform({"ä": [1, 2.5, None, "\ud800"]})["result"] == {
        "output": {"ä": [1, 2.5, None, "\ud800"]}
    }
    assert daemon.perform()["result"] == {"output": None}
    assert daemon.stop() == 0
    assert daemon.stderr == ""


def test_an_async_action_gets_its_context(start: Start) -> None:
    daemon = start("async_echo.py")
    got = daemon.perform([1], call="c-1")["result"]["output"]
    assert got == {"input": [1], "call": "c-1", "caller": None, "timeout": 60.0}


def test_a_class_is_made_once(start: Start) -> None:
    daemon = start("classy.py")
    assert daemon.initialized["result"]["description"] == "Counts its calls."
    assert [daemon.perform()["result"]["output"] for _ in range(3)] == [1, 2, 3]


def test_a_receiver_logs_with_its_call(start: Start) -> None:
    daemon = start("plain_function.py", "receiver")
    assert daemon.receive({"x": 1})["result"] == {}
    first, second = daemon.note("log"), daemon.note("log")
    assert (first["level"], first["message"]) == ("info", "got {'x': 1} of measure")
    assert (second["level"], second["message"]) == ("debug", "attempt 1")
    assert first["call"] == second["call"]


@pytest.mark.parametrize("env", [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}])
def test_what_is_printed_cannot_damage_the_protocol(start: Start, env: dict[str, str]) -> None:
    # From 3.12 on Python warns of a fork beside threads, which is what the plugin is about.
    daemon = start("noisy.py", **env, PYTHONWARNINGS="ignore")
    assert daemon.perform("x")["result"] == {"output": ""}
    assert daemon.perform("ünï")["result"] == {"output": ""}
    assert daemon.stop() == 0
    assert daemon.garbage == []
    assert daemon.notes() == []
    for text in ("loading ✓", "{not json", "from a child", "from a fork"):
        assert text in daemon.stderr


@pytest.mark.parametrize(
    ("input", "code", "message", "thrown"),
    [
        ("value", 1, "('not a number', 7)", {"type": "ValueError", "args": ["not a number", 7]}),
        ("silent", 1, "RuntimeError", {"type": "RuntimeError"}),
        ("odd", 1, "Odd", {"type": "Odd"}),
        ("exit", 1, "the handler ended the program (exit code 3)", {"type": "SystemExit", "args": [3]}),
        ("interrupt", 1, "KeyboardInterrupt", {"type": "KeyboardInterrupt"}),
        ("stop", 1, "1", {"type": "StopIteration", "args": [1]}),
        ("cancelled", 1, "CancelledError", {"type": "CancelledError"}),
        ("reject", 20, "never", None),
        ("later", 21, "not now", None),
        ("infinity", 1, "the result cannot be expressed as JSON: it contains an infinity", None),
        ("object", 1, "the result cannot be expressed as JSON: it contains a object", None),
        ("circular", 1, "the result cannot be expressed as JSON: it contains itself", None),
        ("deep", 1, "the result is nested too deeply for JSON", None),
    ],
)
def test_a_failure_is_answered_and_the_worker_goes_on(
    start: Start, input: str, code: int, message: str, thrown: Any
) -> None:
    daemon = start("raises.py")
    error = daemon.perform(input)["error"]
    assert (error["code"], error["message"]) == (code, message)
    assert error.get("data", {}).get("thrown") == thrown
    assert daemon.perform("fine")["result"] == {"output": "fine"}
    assert daemon.stop() == 0
    assert ("raises.py" in daemon.stderr) == (thrown is not None)
    assert "coattail/_worker.py" not in daemon.stderr


def test_a_result_that_is_too_large_is_refused(start: Start) -> None:
    daemon = start("raises.py")
    error = daemon.perform("large")["error"]
    assert error["code"] == 8
    assert "too large" in error["message"]
    assert daemon.perform("fine")["result"] == {"output": "fine"}


@pytest.mark.parametrize("input", ["exit", "task"])
def test_an_async_handler_cannot_end_the_worker(start: Start, input: str) -> None:
    daemon = start("async_raises.py")
    assert daemon.perform(input)["error"]["data"]["thrown"]["type"] == "SystemExit"
    assert daemon.perform("fine")["result"] == {"output": "fine"}
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("plugin", "parts"),
    [
        ("bad_syntax.py", ["bad_syntax.py cannot be loaded: SyntaxError", "line 3"]),
        (
            "bad_import.py",
            ["bad_import.py cannot be loaded: ModuleNotFoundError", "no_such_module", "line 2"],
        ),
        ("bad_exit.py", ["ends the program (exit code 5)"]),
        ("empty.py", ["holds no action", "@coattail.action"]),
        ("two.py", ["first and second are both decorated"]),
        ("wrong_kind.py", ["it holds a receiver, but lies in the folder of the actions"]),
        ("missing.py", ["missing.py cannot be loaded: FileNotFoundError"]),
    ],
)
def test_a_file_that_cannot_be_loaded_is_explained(start: Start, plugin: str, parts: list[str]) -> None:
    daemon = start(plugin)
    error = daemon.initialized["error"]
    assert error["code"] == 19
    for part in parts:
        assert part in error["message"]
    assert "Traceback" not in json.dumps(error)
    if plugin == "bad_import.py":
        assert "pip install no_such_module" in error["data"]["hint"]
    assert daemon.perform()["error"]["code"] == 3
    assert daemon.stop() == 0


@pytest.mark.parametrize("plugin", ["slow.py", "async_slow.py"])
@pytest.mark.parametrize("input", [None, "host"])
def test_a_cancelled_call_ends_and_says_so(start: Start, plugin: str, input: Any) -> None:
    daemon = start(plugin)
    daemon.host["actions.perform"] = lambda _params: None  # It is held for ever.
    number = daemon.start("perform", **call_params(input, call="c-1"))
    assert daemon.note("progress")["call"] == "c-1"
    if input == "host":
        asked = daemon.note("held actions.perform")
        assert asked["parent"] == "c-1"
    daemon.cancel("c-1")
    if plugin == "async_slow.py":
        assert daemon.note("log")["message"] == "cleaned up, True"
    assert daemon.wait(number)["error"] == {"code": 10, "message": "cancelled"}
    if input == "host":
        daemon.host["actions.cancel"] = lambda _params: {"result": {}}
        assert daemon.asked[-1] == ("actions.cancel", {"call": asked["call"]})


def test_a_call_that_waits_for_a_thread_is_cancelled_at_once(start: Start) -> None:
    daemon = start("slow.py")
    busy = [daemon.start("perform", **call_params("gate", call=f"c-{n}")) for n in range(16)]
    for _ in busy:
        daemon.note("progress")
    waiting = daemon.start("perform", **call_params("gate", call="last"))
    # Its answer shows that the loop has gone on and the call waits for a thread.
    daemon.ask("nonsense")
    daemon.cancel("last")
    assert daemon.wait(waiting)["error"]["code"] == 10
    # No thread is free to open the gate, so one call has to end first.
    assert daemon.process.poll() is None
    daemon.process.send_signal(signal.SIGKILL)


def test_calls_run_at_once(start: Start) -> None:
    daemon = start("slow.py")
    first = daemon.start("perform", **call_params("gate"))
    daemon.note("progress")
    assert daemon.perform("open")["result"] == {"output": "opened"}
    assert daemon.wait(first)["result"] == {"output": "through"}


def test_at_the_end_of_stdin_calls_under_way_are_finished(start: Start, tmp_path: Path) -> None:
    daemon = start("slow.py")
    daemon.host["actions.perform"] = lambda _params: None
    number = daemon.start("perform", **call_params({"file": str(tmp_path / "go")}))
    daemon.note("progress")
    daemon.note("held actions.perform")
    daemon.close_stdin()
    assert daemon.note("progress")["message"] == "alone"
    (tmp_path / "go").touch()
    assert daemon.wait(number)["result"] == {"output": "finished"}
    assert daemon.finish() == 0


def test_after_shutdown_calls_still_get_answers_and_new_ones_are_refused(start: Start) -> None:
    daemon = start("slow.py")
    daemon.host["actions.perform"] = lambda _params: None
    number = daemon.start("perform", **call_params("host"))
    daemon.note("progress")
    asked = daemon.note("held actions.perform")
    daemon.ask("shutdown")
    assert daemon.perform("open")["error"]["code"] == 15
    daemon.send({"jsonrpc": "2.0", "id": 1, "result": {"call": asked["call"], "result": "late"}})
    assert daemon.wait(number)["result"] == {"output": "late"}
    assert daemon.finish() == 0


def test_a_call_to_a_daemon_that_is_gone_fails(start: Start) -> None:
    daemon = start("slow.py")
    daemon.host["actions.perform"] = lambda _params: None
    number = daemon.start("perform", **call_params("host"))
    daemon.note("progress")
    daemon.note("held actions.perform")
    daemon.close_stdin()
    assert daemon.wait(number)["error"]["data"]["thrown"]["type"] == "NotServing"
    assert daemon.finish() == 0


def test_an_interrupt_is_left_to_the_daemon(start: Start) -> None:
    daemon = start("echo.py")
    os.kill(daemon.process.pid, signal.SIGINT)
    assert daemon.perform(1)["result"] == {"output": 1}
    assert daemon.stop() == 0
    assert daemon.stderr == ""


def test_the_api_is_served_by_the_daemon(start: Start) -> None:
    daemon = start("host.py")
    entry = {"name": "stats", "kind": "action", "performable": True, "publishable": True,
             "subscribable": True, "runtime": "python", "new": "field"}  # fmt: skip
    daemon.host = {
        "actions.perform": lambda params: {
            "result": {"call": params["call"], "result": [1], "publication": {"id": "p", "sequence": 3}}
        },
        "actions.list": lambda _params: {"result": [entry]},
        "actions.publish": lambda params: {"result": {"id": "q", "sequence": 4, "duplicate": "id" in params}},
        "actions.subscribe": lambda _params: {
            "error": {"code": 4, "message": "not allowed", "data": {"hint": "ask for it"}}
        },
    }
    output = daemon.perform(call="c-1")["result"]["output"]
    (_, performed), (_, listed), (_, published), (_, subscribed), (_, again) = daemon.asked
    call = performed.pop("call")
    assert performed == {
        "action": "stats", "peer": "p", "parent": "c-1", "input": None, "publish": True, "timeout_ms": 1500,
    }  # fmt: skip
    assert listed == {}
    assert published == {"action": "stats", "parent": "c-1", "input": {"x": 1}}
    assert subscribed == {"peer": "p", "action": "a", "receiver": "r", "filter": "/n > 1"}
    assert again == {
        "action": "stats", "parent": "c-1", "input": 2, "id": "monday", "ttl_ms": 500, "to": ["them"],
    }  # fmt: skip
    assert output["again"] is True
    accepted = {"id": "p", "sequence": 3, "duplicate": False}
    assert output["performed"] == {
        "call": call, "result": [1], "publication": accepted, "publication_error": None,
    }  # fmt: skip
    assert output["entries"][0]["runtime"] == "python"
    assert output["published"] == {"id": "q", "sequence": 4, "duplicate": False}
    assert output["failure"] == [4, "not allowed", "ask for it"]


def test_the_api_can_be_awaited_and_never_blocks_the_worker(start: Start) -> None:
    daemon = start("async_host.py")
    daemon.host = {
        "peers.list": lambda _params: {"result": [{"id": "i", "issuer": "x", "addresses": [], "token": "t"}]},
        "actions.perform": lambda params: {"result": {"call": params["call"]}},
        "actions.subscribe": lambda params: {"result": params | {"id": "s"}},
        "actions.publish": lambda _params: {"result": {"id": "q", "sequence": 4}},
    }
    output = daemon.perform(call="c-2")["result"]["output"]
    assert "would block the worker" in output["blocking"]
    assert output["peers"][0]["id"] == "i"
    assert output["result"] is None
    (_, performed), (_, subscribed), (_, published) = daemon.asked[-3:]
    assert performed["parent"] == "c-2"
    assert "input" not in performed
    assert subscribed == {"peer": "p", "action": "a", "receiver": "r"}
    assert published == {
        "action": "stats", "peer": "p", "parent": "c-2", "input": 1, "to": ["them", "others"],
    }  # fmt: skip


def test_logging_reaches_the_daemon(start: Start) -> None:
    daemon = start("logs.py")
    daemon.perform(call="c-3")
    logged = [daemon.note("log") for _ in range(3)]
    assert logged[0] == {"call": "c-3", "level": "warn", "message": "library: careful"}
    assert logged[1] == {"call": "c-3", "level": "error", "message": "from a thread"}
    assert logged[2]["message"].startswith("caught\nTraceback")


@pytest.mark.parametrize("input", ["forge", "binary", "close", "thread dies", "fork"])
def test_whatever_a_handler_does_its_call_is_answered_once(start: Start, input: str) -> None:
    daemon = start("misbehaves.py", PYTHONWARNINGS="ignore")
    assert daemon.perform(input)["result"] == {"output": "done"}
    assert daemon.perform("fine")["result"] == {"output": "done"}
    assert daemon.stop() == 0
    assert daemon.garbage == []


@pytest.mark.parametrize(("input", "kind"), [("recursion", "RecursionError"), ("final", "Final")])
def test_whatever_a_handler_raises_is_an_error(start: Start, input: str, kind: str) -> None:
    daemon = start("misbehaves.py")
    assert daemon.perform(input)["error"]["data"]["thrown"]["type"] == kind
    assert daemon.perform("fine")["result"] == {"output": "done"}


def test_a_handler_that_spins_holds_up_nobody_and_hears_of_its_cancellation(start: Start) -> None:
    daemon = start("misbehaves.py")
    number = daemon.start("perform", **call_params("spin", call="c-1"))
    daemon.note("progress")
    assert daemon.perform("fine")["result"] == {"output": "done"}
    daemon.cancel("c-1")
    assert daemon.wait(number)["error"]["code"] == 10


def test_a_worker_that_ends_in_a_call_leaves_nothing_on_the_wire(start: Start) -> None:
    daemon = start("misbehaves.py")
    daemon.start("perform", **call_params("dies"))
    assert daemon.finish() == 7
    assert (daemon.garbage, daemon.notes()) == ([], [])


def test_a_receiver_says_what_it_takes_that_it_works_and_when_to_come_back(start: Start) -> None:
    daemon = start("typed.py", "receiver")
    assert daemon.initialized["result"]["input"] == {
        "type": "object",
        "properties": {"host": {"type": "string"}, "load": {"type": "number"}},
        "required": ["host"],
    }
    assert "output" not in daemon.initialized["result"]
    error = daemon.receive({"host": "anna", "load": 90.5})["error"]
    assert error == {"code": 21, "message": "anna later", "data": {"retry_after_ms": 90500}}
    assert daemon.note("working")["call"]
    assert daemon.receive({"load": 1})["error"] == {"code": 20, "message": "the input.host is missing"}


def test_lines_that_are_no_frames_are_skipped(start: Start) -> None:
    daemon = start("echo.py")
    daemon.send_raw(b"garbage\n\n[1,2]\n\xff\xfe\n\x00\n")
    daemon.send({"jsonrpc": "2.0", "id": "unknown", "result": 1})
    daemon.send({"jsonrpc": "2.0", "method": "new-notification", "params": {}})
    assert daemon.perform(1)["result"] == {"output": 1}
    assert daemon.stop() == 0
    assert daemon.stderr.count("no JSON-RPC") == 1


@pytest.mark.parametrize(
    ("input", "code"),
    [("[" * 100_000 + "]" * 100_000, 2), ("1" * 5000, 2), ('"' + "x" * 9_000_000 + '"', 8)],
    ids=["deep", "long number", "long frame"],
)
def test_an_input_that_cannot_be_read_fails_its_own_call(start: Start, input: str, code: int) -> None:
    daemon = start("echo.py")
    daemon.expect(77)
    frame = '{"jsonrpc":"2.0","id":77,"method":"perform","params":{"call":"c","input":%s,"context":{}}}\n'
    daemon.send_raw((frame % input).encode())
    assert daemon.wait(77)["error"]["code"] == code
    assert daemon.perform("fine")["result"] == {"output": "fine"}


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("nonsense", {}, -32601),
        ("receive", {"call": "c", "input": 1}, 3),
        ("perform", {}, 2),
        ("perform", {"call": "c", "context": 7}, 2),
        ("perform", None, 2),
        ("initialize", {}, 3),
    ],
)
def test_a_wrong_request_is_refused(start: Start, method: str, params: Any, code: int) -> None:
    daemon = start("echo.py")
    daemon.expect(77)
    daemon.send({"jsonrpc": "2.0", "id": 77, "method": method, "params": params})
    assert daemon.wait(77)["error"]["code"] == code
    assert daemon.perform("fine")["result"] == {"output": "fine"}


def test_another_protocol_is_refused(tmp_path: Path) -> None:
    with Daemon(PLUGINS / "echo.py", tmp_path) as daemon:
        answer = daemon.ask("initialize", protocol=2, kind="action", name="x", instance=".")
        assert answer["error"]["code"] == 13


def test_a_plugin_does_not_replace_a_module_of_the_standard_library(tmp_path: Path) -> None:
    folder = tmp_path / "actions"
    folder.mkdir()
    (folder / "statistics.py").write_text("raise SystemExit('the wrong one')\n")
    (folder / "neighbour.py").write_text("NUMBER = 5\n")
    (folder / "json.py").write_text(
        "import json\nimport statistics\nfrom neighbour import NUMBER\n"
        "def perform(input):\n    return json.dumps([statistics.mean([1, 3]), NUMBER])\n"
    )
    with Daemon(folder / "json.py", tmp_path) as daemon:
        assert "result" in daemon.initialize()
        assert daemon.perform()["result"] == {"output": "[2, 5]"}
    assert not list(folder.glob("__pycache__/json*")), "the plugin's own bytecode is not kept"


def test_without_a_file_the_runner_says_how_it_is_used(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "coattail"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage" in result.stderr

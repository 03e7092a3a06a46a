"""The lines that every SDK must understand and answer.

Of an answer to `initialize` only the protocol is compared, and of an error only the code: the rest is each
SDK's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .daemon import PLUGINS, ROOT, Daemon

GOLDEN = ROOT.parent / "tests" / "golden" / "plugin-wire.jsonl"


def test_the_golden_lines_are_answered_as_they_should_be(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert lines
    with Daemon(PLUGINS / "echo_or_nothing.py", tmp_path) as daemon:
        for line in lines:
            send, expected = line["send"], line["expect"]
            if expected is not None:
                daemon.expect(expected["id"])
            daemon.send(send)
            if expected is None:
                continue
            answer = daemon.wait(expected["id"])
            assert _essence(send, answer) == _essence(send, expected), line["name"]
        if lines[-1]["send"].get("method") != "shutdown":
            daemon.close_stdin()
        assert daemon.finish() == 0


def _essence(send: dict[str, Any], answer: dict[str, Any]) -> Any:
    if "error" in answer:
        return answer["jsonrpc"], answer["id"], answer["error"]["code"]
    if send["method"] == "initialize":
        return answer["jsonrpc"], answer["id"], answer["result"]["protocol"]
    return answer

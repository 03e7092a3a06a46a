"""What the SDK costs a call, next to a loop over lines of JSON, which is the least that Python can do.

Run it with `python benches/overhead.py`. Each worker is a process of its own and answers over its pipes, as
under the daemon. "one" waits for each answer before it asks again; "many" keeps as many calls under way as
the daemon does. Rounds alternate between the workers, and each one's best counts: what else the machine does
only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Calls under way at once: what the daemon sends to one worker by default.
MANY = 16
SOURCES = Path(__file__).parent.parent / "src"
INPUT = {"host": "anna", "values": [1.5, 2.5, 3.5], "note": "a small input, as most are"}

LOOP = """
import json, sys
for line in sys.stdin.buffer:
    request = json.loads(line)
    params = request.get("params")
    result = {"output": params["input"]} if request["method"] == "perform" else {"protocol": 1}
    answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
    sys.stdout.buffer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\\n")
    sys.stdout.buffer.flush()
"""
PLUGINS = {
    "plain function": "def perform(input):\n    return input\n",
    "async function": "async def perform(input):\n    return input\n",
}


class Worker:
    """A process that answers calls."""

    def __init__(self, command: list[str], folder: str) -> None:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)}
        self._process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        start = {"protocol": 1, "kind": "action", "name": "echo", "instance": folder}
        self._send(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": start}))
        assert b'"protocol":1' in self._output.readline()

    def run(self, calls: int, at_once: int) -> float:
        """Return the microseconds that a call takes."""
        lines = [self._request(number) for number in range(1, calls + 1)]
        start = time.perf_counter()
        for line in lines[:at_once]:
            self._send(line)
        for line in [*lines[at_once:], *[""] * at_once]:
            assert b'"output"' in self._output.readline()
            if line:
                self._send(line)
        return (time.perf_counter() - start) / calls * 1e6

    def end(self) -> None:
        """End it."""
        self._input.close()
        self._output.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        self._input.write(line.encode() + b"\n")
        self._input.flush()

    def _request(self, number: int) -> str:
        params = {"call": f"c-{number}", "input": INPUT, "context": {"timeout_ms": 60000}}
        return json.dumps({"jsonrpc": "2.0", "id": number, "method": "perform", "params": params})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3000, help="in a round")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workers = {"loop over lines": Worker([sys.executable, "-c", LOOP], folder)}
        for name, source in PLUGINS.items():
            file = Path(folder, name.replace(" ", "_") + ".py")
            file.write_text(source, encoding="utf-8")
            workers[name] = Worker([sys.executable, "-m", "coattail", str(file)], folder)
        best: dict[tuple[str, int], float] = {}
        for _ in range(arguments.rounds):
            for name, worker in workers.items():
                for at_once in (1, MANY):
                    took = worker.run(arguments.calls, at_once)
                    best[name, at_once] = min(took, best.get((name, at_once), took))
        for worker in workers.values():
            worker.end()
    print(f"{'':16} {'one':>18} {f'many ({MANY})':>18}")
    for name in workers:
        cells = [
            f"{best[name, at_once]:7.1f} µs {best[name, at_once] / best['loop over lines', at_once]:6.2f} x"
            for at_once in (1, MANY)
        ]
        print(f"{name:16} {cells[0]:>18} {cells[1]:>18}")


if __name__ == "__main__":
    main()

"""A daemon for tests: it starts the runner as the real one does and speaks the wire with it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PLUGINS = Path(__file__).parent / "plugins"
#: Seconds after which a test gives up waiting for an event.
PATIENCE = 20

Responder = Callable[[dict[str, Any]], Any]


class Daemon:
    def __init__(self, plugin: Path, instance: Path, env: dict[str, str] | None = None) -> None:
        self.instance = instance
        self.host: dict[str, Responder] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._ids = iter(range(1, 10**6))
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._notes: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        #: The answer to `initialize`.
        self.initialized: dict[str, Any] = {}
        self.garbage: list[str] = []
        self.stderr = ""
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"} | (env or {})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coattail", str(plugin)],
            cwd=instance,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self._join()

    def initialize(self, kind: str = "action") -> dict[str, Any]:
        return self.ask(
            "initialize",
            protocol=1,
            software="coattail/test",
            kind=kind,
            name="test",
            instance=str(self.instance),
            issuer="A" * 43 + "=",
        )

    def perform(self, *input: Any, call: str | None = None) -> dict[str, Any]:
        return self.wait(self.start("perform", **call_params(*input, call=call)))

    def receive(self, input: Any, publication: str = "p-1") -> dict[str, Any]:
        source = {
            "id": publication, "issuer": "B" * 43 + "=", "action": "measure",
            "sequence": 7, "time": 1_700_000_000_000, "hops": 0, "attempt": 1,
        }  # fmt: skip
        return self.wait(self.start("receive", **call_params(input), publication=source))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.wait(self.start(method, **params))

    def start(self, method: str, **params: Any) -> int:
        number = next(self._ids)
        self._answers[number] = queue.Queue()
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def wait(self, number: int) -> dict[str, Any]:
        return self._answers[number].get(timeout=PATIENCE)

    def expect(self, number: int) -> None:
        """Prepare for the answer to a frame that the test writes itself."""
        self._answers[number] = queue.Queue()

    def note(self, method: str) -> dict[str, Any]:
        """Wait for the next notification; it must be of that method."""
        got, params = self._notes.get(timeout=PATIENCE)
        assert got == method, (got, params)
        return params

    def notes(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the notifications that nobody has waited for."""
        return list(self._notes.queue)

    def cancel(self, call: str) -> None:
        self.send({"jsonrpc": "2.0", "method": "cancel", "params": {"call": call}})

    def send(self, frame: Any) -> None:
        self.send_raw(json.dumps(frame).encode() + b"\n")

    def send_raw(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close_stdin(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def finish(self) -> int:
        """Wait for the end; stderr is complete afterwards."""
        code = self.process.wait(PATIENCE)
        self._join()
        return code

    def stop(self) -> int:
        assert self.ask("shutdown")["result"] == {}
        return self.finish()

    def _join(self) -> None:
        self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            try:
                frame = json.loads(line)
            except ValueError:
                self.garbage.append(line.decode(errors="replace"))
                continue
            if "method" not in frame:
                self._answers[frame["id"]].put(frame)
            elif "id" in frame:
                self._answer_host(frame)
            else:
                self._notes.put((frame["method"], frame["params"]))

    def _answer_host(self, frame: dict[str, Any]) -> None:
        method, params = frame["method"], frame["params"]
        self.asked.append((method, params))
        respond = self.host.get(method)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": frame["id"]}
        if respond is None:
            answer["error"] = {"code": 3, "message": f"no {method}"}
        else:
            result = respond(params)
            if result is None:
                self._notes.put((f"held {method}", params))
                return
            answer |= result if "error" in result else {"result": result["result"]}
        self.send(answer)

    def _read_stderr(self) -> None:
        assert self.process.stderr
        self.stderr = self.process.stderr.read().decode(errors="replace")


def call_params(*input: Any, call: str | None = None) -> dict[str, Any]:
    params: dict[str, Any] = {"call": call or str(uuid.uuid4()), "context": {"timeout_ms": 60000}}
    if input:
        params["input"] = input[0]
    return params

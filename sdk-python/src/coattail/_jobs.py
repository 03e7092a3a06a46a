"""Jobs: calls that nobody needs to wait for, since the daemon keeps them on disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ._follow import Follower, OnLog, OnProgress
from ._types import ABSENT, Job, LogLine, milliseconds, read_job, read_list


class _Jobs:
    def __init__(self, ask: Callable[..., Any], of_call: Callable[..., dict[str, Any]]) -> None:
        self._ask = ask
        self._of_call = of_call


def _wait(
    job: str, timeout: float | None, on_log: OnLog | None, on_progress: OnProgress | None
) -> tuple[dict[str, Any], Follower | None]:
    params: dict[str, Any] = {"job": job}
    if timeout is not None:
        params["timeout_ms"] = milliseconds(timeout)
    if not on_log and not on_progress:
        return params, None
    return params | {"follow": True}, Follower(job, on_log, on_progress)


class Jobs(_Jobs):
    """The jobs of this instance, for plain functions."""

    def start(
        self,
        action: str,
        input: Any = ABSENT,
        *,
        peer: str | None = None,
        publish: bool = False,
        timeout: float | None = None,
        start_timeout: float | None = None,
        key: str | None = None,
    ) -> Job:
        """Start a job. When this returns, it is on disk; with the same `key` it is started once."""
        params = self._of_call(
            action, input, peer=peer, publish=publish, timeout=timeout, start_timeout=start_timeout, key=key
        )
        return read_job(self._ask("jobs.start", params))

    def list(self) -> Sequence[Job]:
        """List the jobs, without their results."""
        return [read_job(job) for job in self._ask("jobs.list", {})]

    def show(self, job: str) -> Job:
        """Show a job, with what became of it."""
        return read_job(self._ask("jobs.show", {"job": job}))

    def wait(
        self,
        job: str,
        *,
        timeout: float | None = None,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
    ) -> Job:
        """Wait until a job has ended, or for `timeout` seconds; the job is returned as it is then."""
        params, follower = _wait(job, timeout, on_log, on_progress)
        return read_job(self._ask("jobs.wait", params, follower))

    def cancel(self, job: str) -> Job:
        """End a job."""
        return read_job(self._ask("jobs.cancel", {"job": job}))

    def logs(self, job: str) -> Sequence[LogLine]:
        """Show what a job has logged, as far as it is kept."""
        return read_list(LogLine, self._ask("jobs.logs", {"job": job})["lines"])


class AsyncJobs(_Jobs):
    """The jobs of this instance, for `async def` functions."""

    _ask: Callable[..., Awaitable[Any]]

    async def start(
        self,
        action: str,
        input: Any = ABSENT,
        *,
        peer: str | None = None,
        publish: bool = False,
        timeout: float | None = None,
        start_timeout: float | None = None,
        key: str | None = None,
    ) -> Job:
        """Start a job. When this returns, it is on disk; with the same `key` it is started once."""
        params = self._of_call(
            action, input, peer=peer, publish=publish, timeout=timeout, start_timeout=start_timeout, key=key
        )
        return read_job(await self._ask("jobs.start", params))

    async def list(self) -> Sequence[Job]:
        """List the jobs, without their results."""
        return [read_job(job) for job in await self._ask("jobs.list", {})]

    async def show(self, job: str) -> Job:
        """Show a job, with what became of it."""
        return read_job(await self._ask("jobs.show", {"job": job}))

    async def wait(
        self,
        job: str,
        *,
        timeout: float | None = None,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
    ) -> Job:
        """Wait until a job has ended, or for `timeout` seconds; the job is returned as it is then."""
        params, follower = _wait(job, timeout, on_log, on_progress)
        return read_job(await self._ask("jobs.wait", params, follower))

    async def cancel(self, job: str) -> Job:
        """End a job."""
        return read_job(await self._ask("jobs.cancel", {"job": job}))

    async def logs(self, job: str) -> Sequence[LogLine]:
        """Show what a job has logged, as far as it is kept."""
        return read_list(LogLine, (await self._ask("jobs.logs", {"job": job}))["lines"])

"""The Coattail API: what a handler may ask of the daemon of its instance.

It acts with the rights of the instance itself: on the instance anything, on a peer what the peer's token
allows. `Coattail` waits, `AsyncCoattail` is awaited; apart from that they are the same.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import uuid
from collections.abc import Sequence
from typing import Any

from ._call import Call, current_call
from ._follow import Follower, OnLog, OnProgress, Relay
from ._jobs import AsyncJobs, Jobs
from ._session import Session
from ._types import (
    ABSENT,
    Entry,
    Peer,
    Performed,
    Published,
    Subscriber,
    Subscription,
    Unsubscribed,
    milliseconds,
    read,
    read_list,
    read_performed,
)
from .errors import Cancelled, NotServing


class _Api:
    def __init__(self, session: Session, call: Call | None = None) -> None:
        self._session = session
        self._call = call

    def _current(self) -> Call | None:
        return self._call or current_call.get()

    def _of_call(
        self,
        action: str,
        input: Any,
        *,
        peer: str | None,
        publish: bool,
        timeout: float | None,
        start_timeout: float | None,
        key: str | None,
    ) -> dict[str, Any]:
        params = self._caused(
            action=action,
            peer=peer,
            publish=publish or None,
            timeout_ms=milliseconds(timeout),
            start_timeout_ms=milliseconds(start_timeout),
            key=key,
        )
        return params if input is ABSENT else params | {"input": input}

    def _of_publication(
        self,
        action: str,
        data: Any,
        *,
        peer: str | None,
        id: str | None,
        ttl: float | None,
        to: str | Sequence[str] | None,
    ) -> dict[str, Any]:
        recipients = [to] if isinstance(to, str) else None if to is None else list(to)
        params = self._caused(action=action, peer=peer, id=id, ttl_ms=milliseconds(ttl), to=recipients)
        return params | {"input": data}

    def _perform(
        self, params: dict[str, Any], on_log: OnLog | None, on_progress: OnProgress | None
    ) -> tuple[dict[str, Any], Follower | None]:
        # Made here, so that the call can be cancelled before it is answered.
        params["call"] = str(uuid.uuid4())
        if not on_log and not on_progress:
            return params, None
        return params | {"follow": True}, Follower(params["call"], on_log, on_progress)

    def _caused(self, **params: Any) -> dict[str, Any]:
        # The daemon tracks by it what led to what, and stops loops.
        call = self._current()
        return _given(**params, parent=call.id if call else None)

    def _give_up(self, method: str, params: dict[str, Any]) -> None:
        if method == "actions.perform":
            self._session.request_only("actions.cancel", {"call": params["call"]})


class Coattail(_Api):
    """The Coattail API for plain functions. Each method waits for the daemon's answer."""

    def perform(
        self,
        action: str,
        input: Any = ABSENT,
        *,
        peer: str | None = None,
        publish: bool = False,
        timeout: float | None = None,
        start_timeout: float | None = None,
        key: str | None = None,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
    ) -> Performed:
        """Perform an action, here or at a peer; `publish` makes its result public.

        It may take `timeout` seconds, and wait `start_timeout` seconds before it has begun. Whoever asks
        again with the same `key` gets the outcome of the first time. `on_log` and `on_progress` hear what it
        says meanwhile.
        """
        params = self._of_call(
            action, input, peer=peer, publish=publish, timeout=timeout, start_timeout=start_timeout, key=key
        )
        params, follower = self._perform(params, on_log, on_progress)
        return read_performed(self._ask("actions.perform", params, follower))

    def publish(
        self,
        action: str,
        data: Any,
        *,
        peer: str | None = None,
        id: str | None = None,
        ttl: float | None = None,
        to: str | Sequence[str] | None = None,
    ) -> Published:
        """Publish a value for an action without performing it.

        Whoever publishes the same again with the same `id` gets the first answer, and nothing is stored
        twice. After `ttl` seconds nobody gets it any more. Only the subscribers `to` get it: issuer hashes,
        or ids of peers. The last two are for actions of this instance.
        """
        params = self._of_publication(action, data, peer=peer, id=id, ttl=ttl, to=to)
        return read(Published, self._ask("actions.publish", params))

    def actions(self, *, peer: str | None = None, schemas: bool = False) -> list[Entry]:
        """List the actions of this instance or of a peer; with `schemas` also what they take and return."""
        return read_list(Entry, self._ask("actions.list", _given(peer=peer, schemas=schemas or None)))

    def receivers(self, *, peer: str | None = None, schemas: bool = False) -> list[Entry]:
        """List the receivers of this instance or of a peer; with `schemas` also what they take and return."""
        return read_list(Entry, self._ask("receivers.list", _given(peer=peer, schemas=schemas or None)))

    def peers(self) -> list[Peer]:
        """List the peers of this instance."""
        return read_list(Peer, self._ask("peers.list", {}))

    def peer(self, peer: str) -> Peer:
        """Show one peer."""
        return read(Peer, self._ask("peers.show", {"peer": peer}))

    def subscribe(
        self,
        peer: str,
        action: str,
        receiver: str,
        *,
        where: str | None = None,
        begin: str | dict[str, int] = "now",
    ) -> Subscription:
        """Subscribe a receiver of this instance to an action of a peer.

        `where` is a condition such as `/kind == "disk"`: the peer sends what is so, and nothing else.
        It begins with what is published next (`"now"`), with the first that is kept (`"start"`), with
        one of the log (`{"sequence": 12}`), or with the first since a time, in milliseconds since
        1970-01-01 UTC (`{"time": 1795163624772}`).
        """
        params = _given(peer=peer, action=action, receiver=receiver, filter=where)
        if begin != "now":
            params["from"] = begin
        return read(Subscription, self._ask("actions.subscribe", params))

    def unsubscribe(self, peer: str, action: str, receiver: str) -> Unsubscribed:
        """End a subscription of this instance."""
        params = {"peer": peer, "action": action, "receiver": receiver}
        return read(Unsubscribed, self._ask("actions.unsubscribe", params))

    def subscribers(self) -> list[Subscriber]:
        """List who is subscribed to this instance."""
        return read_list(Subscriber, self._ask("subscribers.list", {}))

    def revoke(self, subscription: str) -> Unsubscribed:
        """End a subscription that a remote instance holds here."""
        return read(Unsubscribed, self._ask("subscribers.revoke", {"subscription": subscription}))

    @property
    def jobs(self) -> Jobs:
        """The jobs of this instance: calls that it keeps on disk."""
        return Jobs(self._ask, self._of_call)

    def _ask(self, method: str, params: dict[str, Any], follower: Follower | None = None) -> Any:
        if self._session.on_loop_thread():
            raise RuntimeError(
                f"{method} would block the worker here; in an async handler await AsyncCoattail"
            )
        call = self._current()
        relay = Relay()
        hear = (follower.call, relay.put) if follower else None
        answer = self._session.call_from_thread(method, params, hear)
        # A cancelled call does not wait any longer for what it has asked.
        if call:
            call.watch(answer.cancel)
        try:
            if follower:
                answer.add_done_callback(relay.close)
                relay.drain(follower)
            return answer.result()
        except concurrent.futures.CancelledError:
            self._give_up(method, params)
            raise Cancelled(f"cancelled while waiting for {method}") from None
        finally:
            if not answer.done():
                # What hears has raised: nobody wants the result any more.
                answer.cancel()
                self._give_up(method, params)
            if call:
                call.unwatch(answer.cancel)


class AsyncCoattail(_Api):
    """The Coattail API for `async def` handlers."""

    async def perform(
        self,
        action: str,
        input: Any = ABSENT,
        *,
        peer: str | None = None,
        publish: bool = False,
        timeout: float | None = None,
        start_timeout: float | None = None,
        key: str | None = None,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
    ) -> Performed:
        """Perform an action, here or at a peer; `publish` makes its result public.

        It may take `timeout` seconds, and wait `start_timeout` seconds before it has begun. Whoever asks
        again with the same `key` gets the outcome of the first time. `on_log` and `on_progress` hear what it
        says meanwhile.
        """
        params = self._of_call(
            action, input, peer=peer, publish=publish, timeout=timeout, start_timeout=start_timeout, key=key
        )
        params, follower = self._perform(params, on_log, on_progress)
        return read_performed(await self._ask("actions.perform", params, follower))

    async def publish(
        self,
        action: str,
        data: Any,
        *,
        peer: str | None = None,
        id: str | None = None,
        ttl: float | None = None,
        to: str | Sequence[str] | None = None,
    ) -> Published:
        """Publish a value for an action without performing it.

        Whoever publishes the same again with the same `id` gets the first answer, and nothing is stored
        twice. After `ttl` seconds nobody gets it any more. Only the subscribers `to` get it: issuer hashes,
        or ids of peers. The last two are for actions of this instance.
        """
        params = self._of_publication(action, data, peer=peer, id=id, ttl=ttl, to=to)
        return read(Published, await self._ask("actions.publish", params))

    async def actions(self, *, peer: str | None = None, schemas: bool = False) -> list[Entry]:
        """List the actions of this instance or of a peer; with `schemas` also what they take and return."""
        return read_list(Entry, await self._ask("actions.list", _given(peer=peer, schemas=schemas or None)))

    async def receivers(self, *, peer: str | None = None, schemas: bool = False) -> list[Entry]:
        """List the receivers of this instance or of a peer; with `schemas` also what they take and return."""
        return read_list(Entry, await self._ask("receivers.list", _given(peer=peer, schemas=schemas or None)))

    async def peers(self) -> list[Peer]:
        """List the peers of this instance."""
        return read_list(Peer, await self._ask("peers.list", {}))

    async def peer(self, peer: str) -> Peer:
        """Show one peer."""
        return read(Peer, await self._ask("peers.show", {"peer": peer}))

    async def subscribe(
        self,
        peer: str,
        action: str,
        receiver: str,
        *,
        where: str | None = None,
        begin: str | dict[str, int] = "now",
    ) -> Subscription:
        """Subscribe a receiver of this instance to an action of a peer.

        `where` is a condition such as `/kind == "disk"`: the peer sends what is so, and nothing else.
        It begins with what is published next (`"now"`), with the first that is kept (`"start"`), with
        one of the log (`{"sequence": 12}`), or with the first since a time, in milliseconds since
        1970-01-01 UTC (`{"time": 1795163624772}`).
        """
        params = _given(peer=peer, action=action, receiver=receiver, filter=where)
        if begin != "now":
            params["from"] = begin
        return read(Subscription, await self._ask("actions.subscribe", params))

    async def unsubscribe(self, peer: str, action: str, receiver: str) -> Unsubscribed:
        """End a subscription of this instance."""
        params = {"peer": peer, "action": action, "receiver": receiver}
        return read(Unsubscribed, await self._ask("actions.unsubscribe", params))

    async def subscribers(self) -> list[Subscriber]:
        """List who is subscribed to this instance."""
        return read_list(Subscriber, await self._ask("subscribers.list", {}))

    async def revoke(self, subscription: str) -> Unsubscribed:
        """End a subscription that a remote instance holds here."""
        return read(Unsubscribed, await self._ask("subscribers.revoke", {"subscription": subscription}))

    @property
    def jobs(self) -> AsyncJobs:
        """The jobs of this instance: calls that it keeps on disk."""
        return AsyncJobs(self._ask, self._of_call)

    async def _ask(self, method: str, params: dict[str, Any], follower: Follower | None = None) -> Any:
        if not self._session.on_loop_thread():
            raise RuntimeError(f"{method} cannot be awaited on a loop of your own; use Coattail there")
        try:
            hear = (follower.call, follower.hear) if follower else None
            return await self._session.call(method, params, hear)
        except asyncio.CancelledError:
            self._give_up(method, params)
            raise


def local() -> Coattail:
    """Return the API of this instance, for plain functions."""
    return Coattail(_session())


def local_async() -> AsyncCoattail:
    """Return the API of this instance, for `async def` functions."""
    return AsyncCoattail(_session())


def serve_with(session: Session | None) -> None:
    """Set what `local` uses: there is one daemon to a process."""
    _serving[:] = [session] if session else []


def _session() -> Session:
    if not _serving:
        raise NotServing("there is no daemon to ask: this program was not started by one")
    return _serving[0]


def _given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


_serving: list[Session] = []

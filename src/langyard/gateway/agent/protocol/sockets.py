"""The event protocol over a WebSocket: commands in, their answers and envelopes out (contract A.14 WS)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from langyard import serde
from langyard.gateway.access import access_of
from langyard.gateway.agent.admitting import Admitted
from langyard.gateway.agent.protocol.asking import wanted
from langyard.gateway.agent.protocol.commands import MALFORMED, Commands, Refused, failed, is_command, succeeded
from langyard.gateway.agent.protocol.envelopes import Envelope, Wanted, chosen
from langyard.gateway.agent.protocol.feeds import Viewer, silent
from langyard.gateway.agent.protocol.streaming import gap
from langyard.gateway.errors import status_of
from langyard.gateway.wire import Limits, parsed
from langyard.model.errors import BadRequest, Invalid, LangyardError
from langyard.model.stopping import stop

Json = dict[str, Any]
_ENDED = 1011
_MOST = 100
# Of all subscriptions together: each event is compared with each.
_NAMESPACES = 1000


class Conversation:
    """One client on one thread. It has subscriptions, and one place in the thread's feed for all of them."""

    def __init__(
        self, socket: WebSocket, viewer: Viewer, commands: Commands, admitted: Admitted, limits: Limits
    ) -> None:
        self._socket = socket
        self._limits = limits
        self._admitted = admitted
        self._shows = False
        self._viewer = viewer
        self._commands = commands
        self._subscriptions: dict[str, Wanted] = {}
        self._sending = asyncio.Lock()
        self._deciding: set[asyncio.Task[None]] = set()
        # What is there before the first subscription is replayed by it, if it wants to.
        self._viewer.take()

    async def hold(self) -> None:
        """Listen and tell until one of both sides ends it."""
        telling = asyncio.create_task(self._tell())
        listening = asyncio.create_task(self._listen())
        try:
            await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done() and self._socket.client_state is WebSocketState.CONNECTED:
                with suppress(RuntimeError, WebSocketDisconnect):
                    await self._socket.close(_ENDED, "thread stream ended")
        finally:
            await stop([telling, listening, *self._deciding])

    async def _tell(self) -> None:
        while True:
            await self._viewer.wait()
            async with self._sending:
                lost, found = self._viewer.take()
                if found and not await self._may_show():
                    return
                if lost and self._subscriptions:
                    await self._send(serde.dumps(gap(lost)).decode())
                async for envelope in chosen(found, list(self._subscriptions.values())):
                    await self._show(envelope)
            if self._viewer.feed.ended and not found:
                return

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or message.get("bytes") or b""
            try:
                command = parsed(text.encode() if isinstance(text, str) else text, self._limits)
            except Invalid as wrong:
                if wrong.code != "invalid_json":
                    await self._answer(failed(None, "invalid_argument", wrong.detail))
                    continue
                command = None
            if not is_command(command):
                await self._answer(failed(None, "invalid_argument", MALFORMED))
                continue
            method = command["method"]
            if method.startswith("subscription."):
                await self._subscription(command)
            else:
                access = access_of(self._socket)
                await self._answer(await self._commands.answer(access, self._viewer.thread_id, command))

    async def _subscription(self, command: Json) -> None:
        params = command.get("params") if isinstance(command.get("params"), dict) else {}
        try:
            async with self._sending:
                result = await self._subscribed(command["method"].partition(".")[2], params or {})
                answer = succeeded(command["id"], result, self._viewer.feed.derived.seen)
                await self._send(serde.dumps(answer).decode())
        except Refused as refused:
            await self._answer(failed(command["id"], refused.code, refused.message, **refused.more))
        except BadRequest as wrong:
            await self._answer(failed(command["id"], "invalid_argument", wrong.detail))
        except LangyardError as wrong:
            await self._answer(failed(command["id"], "unknown_error", f"{status_of(wrong)}: {wrong.detail}"))

    async def _subscribed(self, what: str, params: Json) -> Json:
        if what == "subscribe":
            if len(self._subscriptions) >= _MOST:
                raise Refused("invalid_argument", f"A connection has at most {_MOST} subscriptions.")
            filters = wanted(params)
            if len(filters.namespaces) + sum(len(one.namespaces) for one in self._subscriptions.values()) > _NAMESPACES:
                said = f"The subscriptions of a connection have at most {_NAMESPACES} namespaces."
                raise Refused("invalid_argument", said)
            asked = await self._viewer.start(filters)
            self._gapless(asked)
            subscription_id = str(uuid4())
            if asked.held_s:
                self._hold(subscription_id, asked)
                return {"subscription_id": subscription_id, "replayed_events": 0}
            replayed = await self._replay([asked])
            self._subscriptions[subscription_id] = asked
            return {"subscription_id": subscription_id, "replayed_events": replayed}
        if what == "unsubscribe":
            if self._subscriptions.pop(str(params.get("subscription_id")), None) is None:
                raise Refused(
                    "no_such_subscription", f"Unknown subscription: {str(params.get('subscription_id'))[:100]}"
                )
            return {}
        if what == "reconnect":
            return await self._reconnect(params)
        raise Refused("unknown_command", f"Unknown protocol command: subscription.{what[:50]}")

    async def _reconnect(self, params: Json) -> Json:
        """Tell this connection's subscriptions again what came after an event."""
        given = params.get("subscriptions")
        # Of more than there can be, one too many says that not all are known.
        said = given[: _MOST + 1] if isinstance(given, list) else list(self._subscriptions)
        names = list(dict.fromkeys(map(str, said)))
        known = [self._subscriptions[name] for name in names if name in self._subscriptions]
        last = {"since_event_id": params.get("last_event_id")}
        again = [
            self._viewer.feed.since(wanted({"channels": [*one.channels], "namespaces": [*map(list, one.namespaces)],
                                            "depth": one.depth, **last}))
            for one in known
        ]  # fmt: skip
        return {"restored": bool(known) and len(known) == len(names), "missed_events": await self._replay(again)}

    async def _replay(self, asked: list[Wanted]) -> int:
        """Everything up to this connection's place that one of these takes; how many that was."""
        feed, count = self._viewer.feed, 0
        if feed.envelopes and not await self._may_show():
            return 0
        seen = list(itertools.islice(feed.envelopes, max(0, self._viewer.place - feed.first)))
        async for envelope in chosen(seen, asked):
            await self._show(envelope, asked)
            count += 1
        return count

    def _hold(self, subscription_id: str, asked: Wanted) -> None:
        """Subscribe to what comes, and to what has been as soon as it is decided; a command may come before that."""
        self._subscriptions[subscription_id] = silent(asked)
        task = asyncio.create_task(self._decide(subscription_id, asked))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)

    async def _decide(self, subscription_id: str, asked: Wanted) -> None:
        asked = await self._viewer.decided(asked)
        async with self._sending:
            if asked.past is None and subscription_id in self._subscriptions:
                await self._replay([asked])
                self._subscriptions[subscription_id] = asked

    async def _show(self, envelope: Envelope, asked: Sequence[Wanted] = ()) -> None:
        if envelope.closing:
            for one in asked or self._subscriptions.values():
                self._viewer.told(one, [envelope])
        await self._send(envelope.text)

    def _gapless(self, asked: Wanted) -> None:
        feed = self._viewer.feed
        if asked.since and feed.first and feed.envelopes and asked.since < feed.envelopes[0].seq - 1:
            least = feed.envelopes[0].seq
            text = f"Events after {asked.since} are not kept any more; the first is {least}."
            raise Refused("resume_gap", text, since=asked.since, min_available_seq=least)

    async def _may_show(self) -> bool:
        """Whether this client may see the thread, which may not have been there when it came."""
        self._shows = self._shows or await self._admitted()
        return self._shows

    async def _answer(self, answer: Json) -> None:
        async with self._sending:
            await self._send(serde.dumps(answer).decode())

    async def _send(self, text: str) -> None:
        await self._socket.send({"type": "websocket.send", "text": text})

"""Answers requests that start a run: at its end or as it goes, once per `Idempotency-Key`. For the workflow routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.conversations import Outcome, Turn
from langyard.gateway.errors import FAILURE, failure_body
from langyard.gateway.idempotency import REPLAYED, Idempotency
from langyard.gateway.parts import Parts
from langyard.gateway.sse import EventStream
from langyard.gateway.wire import answer
from langyard.model.errors import Unavailable
from langyard.postgres.rows.idempotency import Key

Begin = Callable[[UUID | None], Awaitable[Turn]]


@dataclass(frozen=True, slots=True)
class Turns:
    """How turns are answered."""

    parts: Parts
    idempotency: Idempotency
    heartbeat_s: float

    async def answer(
        self, request: Request, user_id: str, body: Any, begin: Begin, *, stream: bool = False
    ) -> Response:
        """Begin a turn and answer it; `body` is what was asked, `stream` says how it is to be told."""
        claimed = await self.idempotency.claim(request, user_id, body)
        if claimed is None:
            return await self._told(await begin(None), None, stream=stream)
        key, seen = claimed
        if key.status is not None and key.body is not None:
            return await self._retold(key, stream=stream)
        turn = await self.idempotency.once(key, seen, lambda: begin(key.run_id))
        if turn is None:
            return await self._retold(key, stream=stream)
        return await self._told(turn, key, stream=stream)

    async def _told(self, turn: Turn, key: Key | None, *, stream: bool) -> Response:
        async def ending() -> tuple[int, bytes]:
            told = answer_of(await turn.outcome())
            return told if key is None else await self.idempotency.store(key, *told)

        if stream:
            return self._stream(turn, ending)
        with turn:
            status, body = await ending()
        return answer(body, status)

    async def _retold(self, key: Key, *, stream: bool) -> Response:
        """The first answer, or the answer of the run that is still under way."""

        async def ending() -> tuple[int, bytes]:
            if key.status is not None and key.body is not None:
                return key.status, key.body
            outcome = await self.parts.conversations.find_outcome(key.run_id)
            if outcome is None:
                raise Unavailable("The run of this request was deleted before its answer was kept; send it again.")
            return await self.idempotency.store(key, *answer_of(outcome))

        if stream:
            return self._stream(None, ending)
        status, body = await ending()
        return answer(body, status, REPLAYED)

    def _stream(self, turn: Turn | None, ending: Callable[[], Awaitable[tuple[int, bytes]]]) -> EventStream:
        return EventStream(
            turn.reader if turn is not None else None,
            ending,
            session_id=turn.session_id if turn is not None else None,
            heartbeat_s=self.heartbeat_s,
            headers=REPLAYED if turn is None else {},
        )


def answer_of(outcome: Outcome) -> tuple[int, bytes]:
    """Status and body: `ExecuteAnswer` with the state spliced in, encoded once where it was made; or the failure."""
    if outcome.failure is not None:
        return FAILURE[outcome.failure.code], failure_body(outcome)
    interrupts = b',"interrupts":' + serde.dumps(outcome.interrupts) if outcome.status == "interrupted" else b""
    rest = {"execution_time": outcome.execution_time, "session_id": outcome.session_id, "run_id": outcome.run_id}
    head = b'{"status":"%b","result":%b%b,' % (outcome.status.encode(), outcome.values, interrupts)
    return 200, head + serde.dumps(rest)[1:]

"""The routes of workflows: execute, stream, status, resume, delete, and what workflows there are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.conversations import Outcome
from langyard.gateway import errors
from langyard.gateway.bodies import ExecuteAnswer, ExecuteBody
from langyard.gateway.parts import Parts
from langyard.gateway.principal import principal_of
from langyard.gateway.wire import Limits, answer, read_body


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["workflows"])

    @router.post("/workflow/execute", responses={200: {"model": ExecuteAnswer}})
    async def execute(request: Request) -> Response:
        """Run a workflow to its end, or to its next interrupt, on the state of the session."""
        body = await read_body(request, ExecuteBody, limits)
        user = principal_of(request, body.user_id).user_id
        outcome = await parts.conversations.execute(
            body.workflow_type,
            body.input_data,
            user_id=user,
            session_id=body.session_id,
            config=config_of(body),
            timeout_s=body.timeout,
        )
        return response_of(outcome)

    return router


def config_of(body: ExecuteBody) -> dict[str, Any] | None:
    """What the client said of LangGraph's config."""
    return body.config.model_dump(exclude_none=True) if body.config is not None else None


def response_of(outcome: Outcome) -> Response:
    """The answer to a turn that ended."""
    return errors.of_failure(outcome) if outcome.failure is not None else answer(body_of(outcome))


def body_of(outcome: Outcome) -> bytes:
    """`ExecuteAnswer` with the state spliced in: it was encoded once, where it was made."""
    interrupts = b',"interrupts":' + serde.dumps(outcome.interrupts) if outcome.status == "interrupted" else b""
    tail = serde.dumps(
        {
            "execution_time": outcome.execution_time,
            "session_id": outcome.session_id,
            "run_id": outcome.run_id,
        }
    )
    return b'{"status":"%b","result":%b%b,%b' % (outcome.status.encode(), outcome.values, interrupts, tail[1:])

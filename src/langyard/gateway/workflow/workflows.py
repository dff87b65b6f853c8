"""The routes of workflows: execute, stream, status, resume, delete, and what workflows there are."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard.assistants import system_id
from langyard.conversations import Turn
from langyard.gateway.access import Access, Asking, access_of, asking_of
from langyard.gateway.openapi import body_of, events, idempotent, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json, as_model, read_json
from langyard.gateway.workflow.bodies import (
    ExecuteAnswer,
    ExecuteBody,
    ResumeBody,
    StatusAnswer,
    StreamBody,
    WorkflowAnswer,
    WorkflowsAnswer,
)
from langyard.gateway.workflow.catalogue import Catalogue
from langyard.gateway.workflow.turns import Begin, Turns


def routes(parts: Parts, turns: Turns, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["workflows"])
    catalogue = Catalogue(parts.graphs)

    @router.post(
        "/workflow/execute",
        openapi_extra=idempotent(body_of(ExecuteBody)),
        responses={200: {"model": ExecuteAnswer}, **problems(404, 409, 413, 415, 422, 429, 500, 503, 504)},
    )
    async def execute(request: Request) -> Response:
        """Run a workflow to its end, or to its next interrupt, on the state of the session."""
        value = await read_json(request, limits)
        body = as_model(value, ExecuteBody)
        user_id = asking_of(request, body.user_id).user_id
        begin = await _execution(parts, access_of(request), body, user_id)
        return await turns.answer(request, user_id, value, begin)

    @router.post(
        "/workflow/stream",
        openapi_extra=idempotent(body_of(StreamBody)),
        responses={200: events(), **problems(404, 409, 413, 415, 422, 429, 503)},
    )
    async def stream(request: Request) -> Response:
        """The same, told as it goes: server-sent events, at last `end` with the answer `execute` would give."""
        value = await read_json(request, limits)
        body = as_model(value, StreamBody)
        user_id = asking_of(request, body.user_id).user_id
        begin = await _execution(parts, access_of(request), body, user_id, body.stream_mode)
        return await turns.answer(request, user_id, value, begin, stream=True)

    @router.post(
        "/workflow/{session_id:path}/resume",
        openapi_extra=idempotent(body_of(ResumeBody)),
        responses={
            200: {"model": ExecuteAnswer, **events()},
            **problems(404, 409, 413, 415, 422, 429, 500, 503, 504),
        },
    )
    async def resume(request: Request, session_id: str) -> Response:
        """Answer the interrupt a workflow waits at. With `Accept: text/event-stream` the rest is told as it goes."""
        value = await read_json(request, limits)
        body = as_model(value, ResumeBody)
        user_id = asking_of(request, body.user_id).user_id
        streamed = "text/event-stream" in request.headers.get("accept", "")
        modes = body.stream_mode if streamed else ()
        begin = await _resumption(parts, access_of(request), session_id, body, user_id, modes)
        return await turns.answer(request, user_id, value, begin, stream=streamed)

    _reading(router, parts, catalogue)
    return router


def _reading(router: APIRouter, parts: Parts, catalogue: Catalogue) -> None:
    """The routes that run nothing."""

    @router.get(
        "/workflow/{session_id:path}/status", responses={200: {"model": StatusAnswer}, **problems(404, 422, 503)}
    )
    async def status(request: Request, session_id: str, principal: Asking) -> Response:
        """Where the session stands: its latest run, and what waits for an answer."""
        await access_of(request).session("read", session_id)
        found = await parts.conversations.status(session_id, principal.user_id)
        run = found.run
        return answer_json(
            {
                "session_id": found.session_id,
                "workflow_type": found.workflow,
                "status": found.status,
                "run": {name: getattr(run, name) for name in _RUN} if run is not None else None,
                "interrupts": found.interrupts,
                "last_accessed": found.last_accessed,
                "expires_at": found.expires_at,
            }
        )

    @router.delete("/workflow/{session_id:path}", status_code=204, responses=problems(404, 422, 503))
    async def delete(request: Request, session_id: str, principal: Asking) -> Response:
        """Stop what runs in the session and delete it with its state, its runs and their events."""
        await access_of(request).session("delete", session_id)
        await parts.conversations.delete(session_id, principal.user_id)
        return Response(status_code=204)

    @router.get("/workflows", responses={200: {"model": WorkflowsAnswer}})
    async def workflows(request: Request) -> Response:
        """The workflows there are, with the JSON schemas of what they take and give."""
        await access_of(request).may("assistants", "search", graph_id=None, metadata={}, limit=1000, offset=0)
        return answer_json({"workflows": await catalogue.all()})

    @router.get("/workflows/{name:path}", responses={200: {"model": WorkflowAnswer}, **problems(404, 503)})
    async def workflow(request: Request, name: str) -> Response:
        """One workflow."""
        await access_of(request).may("assistants", "read", assistant_id=system_id(name), graph_id=name, metadata={})
        return answer_json(await catalogue.get(name))


_RUN = ("run_id", "status", "created_at", "started_at", "finished_at", "attempt")


async def _execution(
    parts: Parts, access: Access, body: ExecuteBody, user_id: str, stream_mode: Sequence[str] = ()
) -> Begin:
    config = body.config.model_dump(exclude_none=True) if body.config is not None else None
    kwargs = {"input": body.input_data, "config": config}
    asked = {"assistant_id": system_id(body.workflow_type), "graph_id": body.workflow_type, "kwargs": kwargs}
    await access.session("create_run", body.session_id, **asked)

    async def begin(run_id: UUID | None) -> Turn:
        return await parts.conversations.start(
            body.workflow_type,
            body.input_data,
            user_id=user_id,
            session_id=body.session_id,
            config=config,
            timeout_s=body.timeout,
            priority=body.priority or 0,
            run_id=run_id,
            stream_mode=stream_mode,
            told=access.told(),
        )

    return begin


async def _resumption(
    parts: Parts, access: Access, session_id: str, body: ResumeBody, user_id: str, stream_mode: Sequence[str]
) -> Begin:
    kwargs = {"command": {"resume": body.answer}}
    await access.session("create_run", session_id, kwargs=kwargs)

    async def begin(run_id: UUID | None) -> Turn:
        return await parts.conversations.start_resume(
            session_id,
            user_id,
            body.answer,
            interrupt_id=body.interrupt_id,
            timeout_s=body.timeout,
            priority=body.priority or 0,
            run_id=run_id,
            stream_mode=stream_mode,
            told=access.told(),
        )

    return begin

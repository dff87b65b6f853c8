"""The routes of sessions: create, get, update, delete, list."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from langyard.gateway.access import Asking, access_of, asking_of
from langyard.gateway.openapi import body_of, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json, read_body
from langyard.gateway.workflow.bodies import CreateSessionBody, SessionAnswer, SessionsAnswer, UpdateSessionBody
from langyard.sessions import Session

Limit = Annotated[int, Query(ge=1, le=1000, description="Most sessions in one answer.")]
Offset = Annotated[
    int, Query(ge=0, le=10_000_000, description="How many to pass over: `next_offset` of the last answer.")
]


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["sessions"])

    @router.post(
        "/sessions",
        status_code=201,
        openapi_extra=body_of(CreateSessionBody),
        responses={201: {"model": SessionAnswer}, **problems(409, 413, 415, 422, 503)},
    )
    async def create(request: Request) -> Response:
        """A new session. `POST /workflow/execute` makes one by itself; this one may have data and a life of its own."""
        body = await read_body(request, CreateSessionBody, limits)
        user_id = asking_of(request, body.user_id).user_id
        await access_of(request).session("create", body.session_id)
        made = await parts.sessions.create(user_id, session_id=body.session_id, data=body.data, ttl_s=body.ttl)
        return answer_json(_plain(made), 201)

    @router.get("/sessions", responses={200: {"model": SessionsAnswer}, **problems(422, 503)})
    async def search(request: Request, principal: Asking, limit: Limit = 50, offset: Offset = 0) -> Response:
        """One's own live sessions, last used first. Listing uses none of them."""
        await access_of(request).session("search", None, limit=limit, offset=offset)
        found = await parts.sessions.search(principal.user_id, limit=limit + 1, offset=offset)
        more = len(found) > limit
        listed = [_plain(session) for session in found[:limit]]
        return answer_json({"sessions": listed, "next_offset": offset + limit if more else None})

    @router.get("/sessions/{session_id:path}", responses={200: {"model": SessionAnswer}, **problems(404, 422, 503)})
    async def get(request: Request, session_id: str, principal: Asking) -> Response:
        """A session. Getting it is using it: it lives on for its full time from now."""
        await access_of(request).session("read", session_id)
        return answer_json(_plain(await parts.sessions.get(session_id, principal.user_id)))

    @router.patch(
        "/sessions/{session_id:path}",
        openapi_extra=body_of(UpdateSessionBody),
        responses={200: {"model": SessionAnswer}, **problems(404, 413, 415, 422, 503)},
    )
    async def update(request: Request, session_id: str) -> Response:
        """Merge keys into the session's data: a key that is given replaces that key, the others stay."""
        body = await read_body(request, UpdateSessionBody, limits)
        user_id = asking_of(request, body.user_id).user_id
        await access_of(request).session("update", session_id)
        return answer_json(_plain(await parts.sessions.update(session_id, user_id, body.data)))

    @router.delete("/sessions/{session_id:path}", status_code=204, responses=problems(404, 422, 503))
    async def delete(request: Request, session_id: str, principal: Asking) -> Response:
        """The same as `DELETE /workflow/{session_id}`: nothing of the session is left."""
        await access_of(request).session("delete", session_id)
        await parts.conversations.delete(session_id, principal.user_id)
        return Response(status_code=204)

    return router


def _plain(session: Session) -> dict[str, Any]:
    return {name: getattr(session, name) for name in SessionAnswer.model_fields}

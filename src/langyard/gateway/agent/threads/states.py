"""The routes of a thread's state and history (contract A.3 State)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.gateway.access import access_of
from langyard.gateway.agent.bodies import (
    CheckpointPlace,
    HistoryBody,
    StateAtBody,
    ThreadStateAnswer,
    UpdateStateBody,
)
from langyard.gateway.agent.reading import flag, path_id, read, text, whole
from langyard.gateway.openapi import body_of, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json
from langyard.model.errors import BadRequest, Invalid

_STATE = {200: {"model": ThreadStateAnswer}, **problems(404, 413, 415, 422, 424, 503)}
_STATES = {200: {"model": list[ThreadStateAnswer]}, **problems(400, 404, 413, 415, 422, 424, 503)}


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["threads"])
    _add_reading(router, parts, limits)
    _add_changing(router, parts, limits)
    _add_history(router, parts, limits)
    return router


def _add_reading(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.get("/threads/{thread_id}/state", responses=_STATE)
    async def get_state(request: Request, thread_id: str) -> Response:
        """The latest state, live, also while a run is under way. `?subgraphs=true` opens those of subgraphs."""
        wanted = path_id(thread_id, "thread")
        await access_of(request).thread(wanted, "read")
        return answer_json(await parts.states.get(wanted, subgraphs=flag(request, "subgraphs")))

    @router.post("/threads/{thread_id}/state/checkpoint", openapi_extra=body_of(StateAtBody), responses=_STATE)
    async def get_state_at(request: Request, thread_id: str) -> Response:
        """The state at a checkpoint, of the graph or of a subgraph."""
        wanted = path_id(thread_id, "thread")
        body = await read(request, StateAtBody, limits)
        await access_of(request).thread(wanted, "read")
        return answer_json(await parts.states.get(wanted, _place(body.checkpoint), subgraphs=body.subgraphs))

    @router.get("/threads/{thread_id}/state/{checkpoint_id}", responses=_STATE)
    async def get_state_of(request: Request, thread_id: str, checkpoint_id: str) -> Response:
        """The state at a checkpoint of the graph itself."""
        wanted = path_id(thread_id, "thread")
        await access_of(request).thread(wanted, "read")
        place = {"checkpoint_id": text(checkpoint_id, "checkpoint_id")}
        return answer_json(await parts.states.get(wanted, place, subgraphs=flag(request, "subgraphs")))


def _add_changing(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/threads/{thread_id}/state",
        openapi_extra=body_of(UpdateStateBody),
        responses={200: {"model": dict[str, Any]}, **problems(400, 404, 409, 413, 415, 422, 424, 503)},
    )
    async def update_state(request: Request, thread_id: str) -> Response:
        """Change the state as if a node had done it. Refused while runs are open on the thread."""
        wanted = path_id(thread_id, "thread")
        body = await read(request, UpdateStateBody, limits)
        await access_of(request).thread(wanted, "update", metadata={})
        place = {"checkpoint_id": body.checkpoint_id, **_place(body.checkpoint)}
        update = {"values": body.values, "as_node": body.as_node}
        made = await parts.states.update(wanted, [[update]], place)
        return answer_json(
            {
                "checkpoint": made.checkpoint,
                "configurable": made.checkpoint,
                "checkpoint_id": made.checkpoint.get("checkpoint_id"),
            }
        )


def _add_history(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.get("/threads/{thread_id}/history", responses=_STATES)
    async def get_history(request: Request, thread_id: str) -> Response:
        """States, newest first; `?before=` is a checkpoint's id."""
        wanted = path_id(thread_id, "thread")
        await access_of(request).thread(wanted, "read")
        try:
            limit = whole(request, "limit", 1, least=1)
        except BadRequest:
            raise Invalid(f"Invalid limit {request.query_params['limit'][:100]}") from None
        before = text(request.query_params.get("before"), "before")
        return answer_json(await parts.states.history(wanted, limit=limit, before=before))

    @router.post("/threads/{thread_id}/history", openapi_extra=body_of(HistoryBody), responses=_STATES)
    async def post_history(request: Request, thread_id: str) -> Response:
        """States, newest first, of the graph or of a subgraph; one unless `limit` says more."""
        wanted = path_id(thread_id, "thread")
        body = await read(request, HistoryBody, limits, may_be_empty=True)
        await access_of(request).thread(wanted, "read")
        # A history leads to its checkpoint's past; the checkpoint's own id would make it a history of one.
        place = {key: value for key, value in _place(body.checkpoint).items() if key == "checkpoint_ns"}
        found = await parts.states.history(
            wanted, place, limit=body.limit, before=_before(body.before), metadata=serde.plain(body.metadata)
        )
        return answer_json(found)


def _place(given: CheckpointPlace | None) -> dict[str, Any]:
    """Where a checkpoint is; its thread is the path's, whatever the body says."""
    return given.model_dump(exclude_none=True, exclude={"thread_id"}) if given else {}


def _before(given: str | Mapping[str, Any] | None) -> str | None:
    """A checkpoint's id by itself, in an object, or in the `configurable` of one."""
    if isinstance(given, Mapping):
        inner = given.get("configurable", given)
        given = inner.get("checkpoint_id") if isinstance(inner, Mapping) else None
        if not isinstance(given, str):
            raise Invalid("before has no checkpoint_id.")
    return text(given, "before") or None

"""The routes that read, join, stop and delete runs (contract A.4 and A.6). Added to the router of `runs`."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.gateway.access import access_of
from langyard.gateway.agent.lasting import Gone
from langyard.gateway.agent.reading import answer_with, chosen, flag, path_id, read, text, whole
from langyard.gateway.agent.runs.bodies import CancelBody
from langyard.gateway.agent.runs.documents import RUN, RUNS, WAITED, answers, asks_to_cancel, parameters
from langyard.gateway.agent.runs.shapes import FIELDS, NOT_FOUND, outcome_json, path_of, run_json
from langyard.gateway.agent.runs.streams import ErrorStream, RunStream, Waited
from langyard.gateway.openapi import events, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits
from langyard.invocations import LEFT
from langyard.model.errors import Invalid, NotFound

_ACTIONS = ("interrupt", "rollback")
_EVENT_ID = re.compile(r"(\d{1,15})(?:-(\d{1,5}))?")
_FROM_FIRST = ("-1", "-", "0", "0-0")
_BOOLEAN = {"type": "boolean"}
_ACTION = ("action", "`rollback` also deletes the run and its checkpoints.", {"type": "string", "enum": list(_ACTIONS)})
_ON_LEAVING = "cancel_on_disconnect"
_LEAVING = (_ON_LEAVING, "Whether the run is stopped when this reader leaves.", _BOOLEAN)
_MODES = ("stream_mode", "Only these events; may be repeated.", {"type": "array", "items": {"type": "string"}})
_PAGE = (
    ("limit", "At most this many.", {"type": "integer", "default": 10, "maximum": 1000}),
    ("offset", "Past the first so many.", {"type": "integer", "default": 0}),
    ("status", "Only runs of this status.", {"type": "string"}),
    ("select", "Only these fields; may be repeated.", {"type": "array", "items": {"type": "string"}}),
)


class Reading:
    """Finds runs and reads them."""

    def __init__(self, parts: Parts, limits: Limits) -> None:
        self.parts = parts
        self.limits = limits
        self.prefix = parts.settings.gateway.mount_prefix
        self.heartbeat_s = parts.settings.gateway.heartbeat_seconds

    async def list(self, request: Request, thread_id: str) -> Response:
        """A thread's runs."""
        wanted = path_id(thread_id, "thread")
        select = request.query_params.getlist("select")
        for name in select:
            if name not in FIELDS:
                raise Invalid(f"select {name[:50]!r} is none of {', '.join(FIELDS)}.")
        access = access_of(request)
        await access.thread(wanted, "read")
        allowed = await access.searching("threads", {"thread_id": wanted, "metadata": {}})
        if not await access.owns("threads", wanted, allowed.get("allowed")):
            return answer_with([])
        found = await self.parts.invocations.search(
            wanted,
            status=text(request.query_params.get("status"), "status") or None,
            limit=whole(request, "limit", 10),
            offset=whole(request, "offset", 0, most=2**31),
        )
        return answer_with([chosen(run_json(row), select) for row in found])

    async def join(self, request: Request, run_id: str, thread_id: str | None) -> Response:
        """How a run ended, or will."""
        place, wanted = self.place(run_id, thread_id)
        path = path_of(self.prefix, place, wanted)
        headers = {"Content-Location": path, "Location": f"{path}/join"}
        try:
            await self.may_read(request, wanted, place)
        except NotFound:
            if place is None:
                return answer_with({"__error__": NOT_FOUND}, headers)
            raise NotFound("Thread not found", code="thread_not_found") from None
        known = await self.parts.invocations.locate(wanted, place)
        if known is None:
            if place is not None and not await self.parts.invocations.has_thread(place):
                raise NotFound("Thread not found", code="thread_not_found")
            return answer_with({"__error__": NOT_FOUND}, headers)
        leaving = self.leaving(request, wanted)
        return Waited(partial(self.ending, wanted, known.graph_id), headers, self.heartbeat_s, on_gone=leaving)

    async def ending(self, run_id: UUID, graph_id: str) -> bytes:
        """The document for those who wait."""
        try:
            end = await self.parts.runs.wait(run_id)
        except NotFound:
            return serde.dumps({"__error__": NOT_FOUND})
        return outcome_json(end, self.parts.graphs.get(graph_id).output)

    async def stream(self, request: Request, run_id: str, thread_id: str | None) -> Response:
        """A run's events, from now on or from an earlier one on."""
        place, wanted = self.place(run_id, thread_id)
        path = path_of(self.prefix, place, wanted)
        headers = {"Content-Location": path, "Location": f"{path}/stream"}
        after, known = _after(request)
        if not known:
            return ErrorStream(headers, silent=True)
        try:
            await self.may_read(request, wanted, place)
        except NotFound:
            return ErrorStream(headers)
        found = await self.parts.invocations.locate(wanted, place)
        if found is None:
            return ErrorStream(headers)
        try:
            started = await self.parts.runs.join(wanted, after=after)
        except NotFound:
            return ErrorStream(headers)
        return RunStream(
            started.reader,
            headers,
            self.heartbeat_s,
            ids=found.resumable,
            modes=_modes(request),
            on_gone=self.leaving(request, wanted),
        )

    async def cancel(self, request: Request, run_id: str, thread_id: str | None) -> Response:
        """Stop a run."""
        place, wanted = self.place(run_id, thread_id)
        action = _action(request)
        nobody = NotFound("No runs found to cancel.", code="run_not_found")
        await access_of(request).run(wanted, place, "update", otherwise=nobody, **_stopping(wanted, action))
        known = await self.parts.invocations.locate(wanted, place)
        if known is None:
            raise nobody
        await self.parts.invocations.cancel([wanted], action=action)
        if not flag(request, "wait"):
            return Response(status_code=202)
        path = path_of(self.prefix, place, wanted)
        headers = {"Content-Location": path, "Location": f"{path}/join"}
        return Waited(partial(self.stopped, wanted, known.graph_id), headers, self.heartbeat_s)

    async def stopped(self, run_id: UUID, graph_id: str) -> bytes:
        """What a stopped run leaves: the state as it stands, or nothing."""
        try:
            end = await self.parts.runs.wait(run_id)
        except NotFound:
            return b"{}"
        return end.values or b"{}"

    def place(self, run_id: str, thread_id: str | None) -> tuple[UUID | None, UUID]:
        """The ids of a path."""
        place = path_id(thread_id, "thread") if thread_id is not None else None
        return place, path_id(run_id, "run")

    async def may_read(self, request: Request, run_id: UUID, thread_id: UUID | None) -> None:
        """Before a run is read, by one whose leaving stops it perhaps: who may not stop it does not so either.

        Raises `NotFound`.
        """
        access = access_of(request)
        await access.run(run_id, thread_id, "read")
        if flag(request, _ON_LEAVING):
            await access.run(run_id, thread_id, "update", **_stopping(run_id, "interrupt"))

    def leaving(self, request: Request, run_id: UUID) -> Gone | None:
        """What this reader does to the run by leaving."""
        if not flag(request, _ON_LEAVING):
            return None
        return partial(self.parts.runs.cancel, run_id, action="interrupt", reason=LEFT)


def add(router: APIRouter, parts: Parts, limits: Limits) -> None:
    """Add the routes."""
    reading = Reading(parts, limits)
    _add_stateful(router, reading)
    _add_stateless(router, reading)

    @router.post(
        "/runs/cancel",
        status_code=204,
        openapi_extra={**asks_to_cancel(), **parameters(_ACTION)},
        responses=problems(404, 413, 415, 422, 503),
    )
    async def cancel_many(request: Request) -> Response:
        """Stop runs: some of a thread's, or all of a status."""
        action = _action(request)
        body = await read(request, CancelBody, limits)
        some = body.thread_id is not None or body.run_ids is not None
        if some == (body.status is not None) or (some and (body.thread_id is None or body.run_ids is None)):
            raise Invalid("Give either thread_id with run_ids, or status.")
        if body.run_ids == []:
            raise NotFound("No runs found to cancel.", code="run_not_found")
        place = path_id(body.thread_id, "thread") if body.thread_id is not None else None
        run_ids = [path_id(run_id, "run") for run_id in body.run_ids or ()]
        asked = {"thread_id": place, "action": action, "metadata": {"run_ids": run_ids, "status": body.status}}
        allowed = (await access_of(request).searching("threads", asked, "update")).get("allowed")
        status = None if body.status in (None, "all") else body.status
        found = await parts.invocations.open_runs(place, run_ids, status, allowed)
        if not found:
            raise NotFound("No runs found to cancel.", code="run_not_found")
        await parts.invocations.cancel(found, action=action)
        return Response(status_code=204)


def _add_stateful(router: APIRouter, reading: Reading) -> None:
    place = "/threads/{thread_id}/runs"

    @router.get(place, openapi_extra=parameters(*_PAGE), responses={200: RUNS, **problems(400, 404, 422, 503)})
    async def list_runs(request: Request, thread_id: str) -> Response:
        """A thread's runs, newest first."""
        return await reading.list(request, thread_id)

    @router.get(f"{place}/{{run_id}}", responses={200: RUN, **problems(404, 422, 503)})
    async def get(request: Request, thread_id: str, run_id: str) -> Response:
        """A run."""
        where, wanted = reading.place(run_id, thread_id)
        await access_of(request).run(wanted, where, "read")
        return answer_with(run_json(await reading.parts.invocations.get(wanted, where)))

    @router.delete(f"{place}/{{run_id}}", status_code=204, responses=problems(404, 422, 503))
    async def delete(request: Request, thread_id: str, run_id: str) -> Response:
        """Delete a run with its checkpoints; one that is under way is stopped first."""
        where, wanted = reading.place(run_id, thread_id)
        nobody = NotFound("Run not found", code="run_not_found")
        await access_of(request).run(wanted, where, "delete", otherwise=nobody)
        await reading.parts.invocations.delete(wanted, where)
        return Response(status_code=204)

    @router.get(
        f"{place}/{{run_id}}/join",
        openapi_extra=parameters(_LEAVING),
        responses={200: WAITED, **problems(404, 422, 503)},
    )
    async def join(request: Request, thread_id: str, run_id: str) -> Response:
        """Wait for a run's end."""
        return await reading.join(request, run_id, thread_id)

    @router.get(
        f"{place}/{{run_id}}/stream",
        openapi_extra=parameters(_LEAVING, _MODES, header=True),
        responses={200: events(), **problems(422, 503)},
    )
    async def stream(request: Request, thread_id: str, run_id: str) -> Response:
        """Read a run's events from now on; those of a resumable run also from an earlier one on."""
        return await reading.stream(request, run_id, thread_id)

    @router.post(
        f"{place}/{{run_id}}/cancel",
        openapi_extra=parameters(("wait", "Answer when the run has stopped.", _BOOLEAN), _ACTION),
        responses={200: WAITED, 202: {"description": "It is told to stop."}, **problems(404, 422, 503)},
    )
    async def cancel(request: Request, thread_id: str, run_id: str) -> Response:
        """Stop a run."""
        return await reading.cancel(request, run_id, thread_id)


def _add_stateless(router: APIRouter, reading: Reading) -> None:
    @router.get("/runs/{run_id}", responses={200: RUN, **problems(404, 422, 503)})
    async def get_stateless(request: Request, run_id: str) -> Response:
        """A run, wherever it is."""
        wanted = path_id(run_id, "run")
        await access_of(request).run(wanted, None, "read")
        return answer_with(run_json(await reading.parts.invocations.get(wanted, None)))

    @router.get(
        "/runs/{run_id}/join",
        openapi_extra=parameters(_LEAVING),
        responses={200: WAITED, **problems(404, 422, 503)},
    )
    async def join_stateless(request: Request, run_id: str) -> Response:
        """Wait for a run's end, wherever it is."""
        return await reading.join(request, run_id, None)

    @router.get(
        "/runs/{run_id}/stream",
        openapi_extra=parameters(_LEAVING, _MODES, header=True),
        responses={200: events(), **problems(422, 503)},
    )
    async def stream_stateless(request: Request, run_id: str) -> Response:
        """Read a run's events, wherever it is."""
        return await reading.stream(request, run_id, None)

    @router.post(
        "/runs/{run_id}/cancel",
        openapi_extra=parameters(("wait", "Answer when the run has stopped.", _BOOLEAN), _ACTION),
        responses={200: WAITED, 202: answers({}, "It is told to stop."), **problems(404, 422, 503)},
    )
    async def cancel_stateless(request: Request, run_id: str) -> Response:
        """Stop a run, wherever it is."""
        return await reading.cancel(request, run_id, None)


def _stopping(run_id: UUID, action: str) -> dict[str, Any]:
    """What a handler is told of a run that is to be stopped."""
    return {"action": action, "metadata": {"run_ids": [run_id], "status": None}}


def _action(request: Request) -> Any:
    action = request.query_params.get("action") or "interrupt"
    if action not in _ACTIONS:
        raise Invalid(f"action {action[:50]!r} is none of {', '.join(_ACTIONS)}.")
    return action


def _modes(request: Request) -> frozenset[str] | None:
    """Repeated, separated by commas, or a JSON array: clients send all of these. None when nothing is asked for."""
    found: list[str] = []
    for given in request.query_params.getlist("stream_mode"):
        parsed: Any = None
        if given.startswith("["):
            try:
                parsed = orjson.loads(given)
            except orjson.JSONDecodeError:
                parsed = None
        found += [str(mode) for mode in parsed] if isinstance(parsed, list) else given.split(",")
    asked = frozenset(mode.strip() for mode in found if mode.strip())
    # `messages-tuple` goes out as `messages`.
    return (asked | {"messages"} if "messages-tuple" in asked else asked) or None


def _after(request: Request) -> tuple[int | None, bool]:
    """The number of the last event the client has seen, None for live only; False when it makes no sense."""
    given = request.headers.get("last-event-id", "").strip()
    if not given:
        return None, True
    if given in _FROM_FIRST:
        return 0, True
    found = _EVENT_ID.fullmatch(given)
    if found is None:
        return None, False
    return (int(found[1]) << 16) | min(int(found[2] or 0), 0xFFFF), True

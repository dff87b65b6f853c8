"""The routes of crons (contract A.8)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from langyard.crons import Cron, Search
from langyard.gateway.access import access_of
from langyard.gateway.agent.bodies import Json, Limit, Offset, SortOrder
from langyard.gateway.agent.reading import answer_with, body_id, chosen, page, path_id, read
from langyard.gateway.agent.runs.bodies import Priority, RunBody, invocation
from langyard.gateway.openapi import body_of, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json, as_model
from langyard.model.errors import BadRequest, Invalid, NotFound
from langyard.model.ids import uuid7

CronField = Literal[
    "cron_id", "assistant_id", "thread_id", "user_id", "end_time", "schedule", "timezone", "payload", "next_run_date",
    "metadata", "on_run_completed", "enabled", "created_at", "updated_at",
]  # fmt: skip


class PatchCronBody(BaseModel):
    """Change a cron. Each field given is replaced as a whole."""

    schedule: str | None = Field(
        None,
        description="Minute, hour, day of month, month, day of week; perhaps seconds last.",
        examples=["0 9 * * 1"],
    )
    timezone: str | None = Field(None, description="Whose times of day, by its IANA name; UTC if not given.")
    end_time: str | None = Field(None, description="From when on it no longer fires; null for never.")
    enabled: bool | None = None
    on_run_completed: Literal["delete", "keep"] | None = Field(None, description="What becomes of each run's thread.")
    input: Any = None
    metadata: Json | None = Field(None, description="Of the cron, of its runs and their threads.")
    config: Json | None = None
    context: Json | None = None
    webhook: str | None = None
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    stream_mode: str | list[str] | None = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    durability: Literal["sync", "async", "exit"] | None = None
    checkpoint_during: bool | None = Field(None, description="The older form of `durability`.")
    multitask_strategy: Literal["reject", "rollback", "interrupt", "enqueue"] | None = Field(
        None, description="What to do when the cron's thread is busy; `enqueue` if not given."
    )
    priority: Priority = None


class CreateCronBody(PatchCronBody):
    """Make a cron: what its runs are asked, and when."""

    assistant_id: str = Field(min_length=1, description="An assistant's id, or a graph's name.")
    schedule: str = Field(
        description="Minute, hour, day of month, month, day of week; perhaps seconds last.", examples=["0 9 * * 1"]
    )


class CountCronsBody(BaseModel):
    """Which crons."""

    assistant_id: str | None = None
    thread_id: str | None = None
    metadata: Json | None = Field(None, description="What theirs contains.")


class SearchCronsBody(CountCronsBody):
    """Which crons, and which page of them."""

    enabled: bool | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal[
        "cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"
    ] = "created_at"
    sort_order: SortOrder = "desc"
    select: list[CronField] | None = None


class CronAnswer(BaseModel):
    """A cron. `payload` is what it was made with."""

    cron_id: UUID
    assistant_id: UUID
    thread_id: UUID | None
    user_id: str
    end_time: AwareDatetime | None
    schedule: str
    timezone: str | None
    payload: Json
    next_run_date: AwareDatetime | None
    metadata: Json
    on_run_completed: Literal["delete", "keep"] | None
    enabled: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["crons"])
    _add_making(router, parts, limits)
    _add_finding(router, parts, limits)
    _add_changing(router, parts, limits)
    return router


def _add_making(router: APIRouter, parts: Parts, limits: Limits) -> None:
    async def made(request: Request, thread_id: UUID | None) -> Response:
        body = await read(request, CreateCronBody, limits)
        payload, access, cron_id = _checked(body), access_of(request), uuid7()
        assistant = await parts.crons.assistant(body.assistant_id)
        await access.use(assistant)
        if thread_id is not None:
            nobody = parts.crons.no_thread(thread_id)
            asked = {"run_id": None, "status": "pending", "metadata": {}, "kwargs": dict(payload)}
            await access.thread(thread_id, "create_run", otherwise=nobody, assistant_id=assistant.assistant_id, **asked)
        value, _ = await access.creating(
            "crons",
            cron_id,
            payload=dict(payload),
            schedule=body.schedule,
            thread_id=thread_id,
            user_id=access.user_id,
            end_time=_time(body.end_time),
            metadata=dict(body.metadata or {}),
        )
        made = await parts.crons.create(
            {**value["payload"], "metadata": value["metadata"]},
            cron_id=cron_id,
            thread_id=thread_id,
            end_time=_time(body.end_time),
            user_id=access.user_id,
        )
        return answer_json(plain(made))

    @router.post(
        "/runs/crons",
        openapi_extra=body_of(CreateCronBody),
        responses={200: {"model": CronAnswer}, **problems(400, 404, 413, 415, 422, 503)},
    )
    async def create_cron(request: Request) -> Response:
        """A cron whose runs get a new thread each. It does not fire before its first slot."""
        return await made(request, None)

    @router.post(
        "/threads/{thread_id}/runs/crons",
        openapi_extra=body_of(CreateCronBody),
        responses={200: {"model": CronAnswer}, **problems(400, 404, 413, 415, 422, 503)},
    )
    async def create_thread_cron(request: Request, thread_id: str) -> Response:
        """A cron whose runs all go on with this thread."""
        return await made(request, path_id(thread_id, "thread"))


def _add_finding(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/runs/crons/search",
        openapi_extra=body_of(SearchCronsBody),
        responses={200: {"model": list[CronAnswer]}, **problems(413, 415, 422, 503)},
    )
    async def search_crons(request: Request) -> Response:
        """A page of crons. `X-Pagination-Next` is the next page's offset, absent on the last."""
        body = await read(request, SearchCronsBody, limits, may_be_empty=True)
        filters = {**await _filters(parts, body), **await _allowed(request, body)}
        if body.enabled is not None:
            filters["enabled"] = body.enabled
        wanted = Search(filters, body.sort_by, body.sort_order, body.limit + 1, body.offset)
        found, headers = page(await parts.crons.search(wanted), body.limit, body.offset)
        return answer_with([chosen(plain(cron), body.select) for cron in found], headers)

    @router.post(
        "/runs/crons/count",
        openapi_extra=body_of(CountCronsBody),
        responses={200: {"model": int}, **problems(413, 415, 422, 503)},
    )
    async def count_crons(request: Request) -> Response:
        """How many crons there are of this kind."""
        body = await read(request, CountCronsBody, limits, may_be_empty=True)
        return answer_json(await parts.crons.count({**await _filters(parts, body), **await _allowed(request, body)}))


def _add_changing(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.get("/runs/crons/{cron_id}", responses={200: {"model": CronAnswer}, **problems(404, 422, 503)})
    async def get_cron(request: Request, cron_id: str) -> Response:
        """A cron."""
        wanted = path_id(cron_id, "cron")
        await access_of(request).cron(wanted, "read")
        return answer_json(plain(await parts.crons.get(wanted)))

    @router.patch(
        "/runs/crons/{cron_id}",
        openapi_extra=body_of(PatchCronBody),
        responses={200: {"model": CronAnswer}, **problems(400, 404, 413, 415, 422, 503)},
    )
    async def patch_cron(request: Request, cron_id: str) -> Response:
        """Change it. A new schedule, timezone or end, and being enabled again, count from now on."""
        wanted = path_id(cron_id, "cron")
        body = await read(request, PatchCronBody, limits)
        if not body.model_fields_set:
            raise BadRequest("Request body cannot be empty", code="empty_body")
        changes, nobody = _checked(body), NotFound(f"Cron '{wanted}' not found", code="cron_not_found")
        asked = {"payload": dict(changes), "metadata": dict(body.metadata or {})}
        value = await access_of(request).cron(wanted, "update", otherwise=nobody, **asked)
        # Whose it is, a handler says here as it does when a cron is made: else anybody could give one to another.
        if value["metadata"]:
            changes = {**changes, "metadata": value["metadata"]}
        return answer_json(plain(await parts.crons.update(wanted, changes, end_time=_time(body.end_time))))

    @router.delete("/runs/crons/{cron_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_cron(request: Request, cron_id: str) -> Response:
        """Delete it. A run it has made goes on."""
        wanted = path_id(cron_id, "cron")
        await access_of(request).cron(wanted, "delete")
        await parts.crons.delete(wanted)
        return Response(status_code=204)


def plain(cron: Cron) -> dict[str, Any]:
    """A cron as clients see it."""
    return {name: getattr(cron, name) for name in CronAnswer.model_fields}


async def _allowed(request: Request, body: CountCronsBody) -> dict[str, Any]:
    """A cron on a thread is found by who may find both."""
    access = access_of(request)
    allowed = await access.searching("crons", body)
    threads = (await access.searching("threads", {"metadata": {}})).get("allowed")
    return allowed if threads is None else {**allowed, "allowed_thread": threads}


async def _filters(parts: Parts, body: CountCronsBody) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    if body.assistant_id is not None:
        try:
            filters["assistant_id"] = UUID(body.assistant_id)
        except ValueError:
            filters["assistant_id"] = (await parts.assistants.resolve(body.assistant_id)).assistant_id
    if body.thread_id is not None:
        filters["thread_id"] = body_id(body.thread_id, "thread")
    if body.metadata:
        filters["metadata"] = body.metadata
    return filters


def _checked(body: PatchCronBody) -> Mapping[str, Any]:
    """What was said and is known here; what is to be a run's is held to the rules of runs. Raises `Invalid`."""
    given = body.model_dump(exclude_unset=True)
    # Null clears the end and is an input like any other; of the rest it says nothing.
    given = {name: value for name, value in given.items() if value is not None or name in ("end_time", "input")}
    asked = invocation(as_model({"assistant_id": "any", **given}, RunBody))
    if body.checkpoint_during is not None:
        given["durability"] = asked.durability
    return given


def _time(given: str | None) -> dt.datetime | None:
    if given is None:
        return None
    try:
        found = dt.datetime.fromisoformat(given)
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise Invalid("end_time must be a date and time as in 2026-12-31T23:00:00+00:00.") from None

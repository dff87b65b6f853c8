"""The routes of threads (contract A.3), but for their state, which `states` has, and their stream."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard.gateway.access import Access, access_of
from langyard.gateway.agent.bodies import (
    CountThreadsBody,
    CreateThreadBody,
    PatchThreadBody,
    PruneThreadsBody,
    SearchThreadsBody,
    ThreadAnswer,
    TtlBody,
)
from langyard.gateway.agent.endings import stop
from langyard.gateway.agent.reading import answer_with, body_id, chosen, page, path_id, read, text
from langyard.gateway.openapi import body_of, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json
from langyard.model.errors import BadRequest, Conflict, Invalid, NotFound
from langyard.model.ids import uuid7
from langyard.threads import Search, Thread, Ttl

_ROOTS = ("config", "interrupts", "metadata", "values")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["threads"])
    _add_making(router, parts, limits)
    _add_finding(router, parts, limits)
    _add_copying(router, parts)
    _add_pruning(router, parts, limits)
    return router


def _add_making(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/threads",
        openapi_extra=body_of(CreateThreadBody),
        responses={
            200: {"model": ThreadAnswer},
            201: {"model": dict[str, str]},
            **problems(400, 409, 413, 415, 422, 503),
        },
    )
    async def create_thread(request: Request) -> Response:
        """A new thread; with `supersteps` its history is made too, one checkpoint each."""
        body = await read(request, CreateThreadBody, limits)
        made = await _make(parts, access_of(request), body)
        if not body.supersteps:
            return answer_json(plain(made))
        return await _import(parts, made.thread_id, body)

    @router.get("/threads/{thread_id}", responses={200: {"model": ThreadAnswer}, **problems(404, 422, 503)})
    async def get_thread(request: Request, thread_id: str) -> Response:
        """A thread, its values as its last run left them; `/state` is live. `?include=ttl` tells how long it lives."""
        known = path_id(thread_id, "thread")
        await access_of(request).thread(known, "read")
        found = await parts.threads.get(known)
        wanted = {part.strip() for given in request.query_params.getlist("include") for part in given.split(",")}
        return answer_json({**plain(found), **({"ttl": _plain_ttl(found.ttl)} if "ttl" in wanted else {})})

    @router.patch(
        "/threads/{thread_id}",
        openapi_extra=body_of(PatchThreadBody),
        responses={200: {"model": ThreadAnswer}, **problems(404, 413, 415, 422, 503)},
    )
    async def patch_thread(request: Request, thread_id: str) -> Response:
        """Merge keys into its metadata. With `Prefer: return=minimal` the answer is 204 and empty."""
        wanted = path_id(thread_id, "thread")
        body = await read(request, PatchThreadBody, limits)
        nobody = NotFound("Not Found", code="thread_not_found")
        metadata = dict(body.metadata or {})
        value = await access_of(request).thread(wanted, "update", otherwise=nobody, metadata=metadata)
        changed = await parts.threads.update(wanted, value["metadata"], _ttl(body.ttl))
        if "return=minimal" in request.headers.get("prefer", "").replace(" ", "").lower():
            return Response(status_code=204)
        return answer_json(plain(changed))

    @router.delete("/threads/{thread_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_thread(request: Request, thread_id: str) -> Response:
        """Stop what runs on it, then delete it with runs, crons, events and checkpoints."""
        wanted = path_id(thread_id, "thread")
        await access_of(request).thread(wanted, "delete")
        if not await _delete(parts, [wanted]):
            raise NotFound(f"Thread with ID {wanted} not found", code="thread_not_found")
        return Response(status_code=204)


async def _import(parts: Parts, thread_id: UUID, body: CreateThreadBody) -> Response:
    """A new thread's history, made of the supersteps of its body. Raises `BadRequest`, and then there is no thread."""
    steps = [[entry.model_dump() for entry in step.updates] for step in body.supersteps]
    try:
        await parts.states.update(thread_id, steps)
    except (BadRequest, Conflict, NotFound) as wrong:
        if wrong.code == "invalid_update":
            if body.if_exists == "raise":
                await parts.threads.delete([thread_id])  # made here, and known to nobody yet
            raise
        # The contract's own: the thread stands, and the answer says what does not.
        detail = f"Thread {thread_id} was created, but there were problems updating the state: {wrong.detail}"
        return answer_json({"detail": detail, "code": wrong.code}, 201)
    return answer_json(plain(await parts.threads.get(thread_id)))


def _add_finding(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/threads/search",
        openapi_extra=body_of(SearchThreadsBody),
        responses={200: {"model": list[ThreadAnswer]}, **problems(400, 413, 415, 422, 503)},
    )
    async def search_threads(request: Request) -> Response:
        """A page of threads. `X-Pagination-Next` is the next page's offset, absent on the last."""
        body = await read(request, SearchThreadsBody, limits, may_be_empty=True)
        allowed = await access_of(request).searching("threads", body)
        ids = {"ids": [_searched_id(given) for given in body.ids]} if body.ids else {}
        wanted = Search(
            {**ids, **_filters(body), **allowed},
            body.sort_by,
            body.sort_order,
            body.limit + 1,
            body.offset,
            {alias: _path(path) for alias, path in body.extract.items()},
        )
        rows, headers = page(await parts.threads.search(wanted), body.limit, body.offset)
        found = []
        for row in rows:
            fields = chosen(plain(row), body.select)
            found.append(fields if row.extracted is None else {**fields, "extracted": row.extracted})
        return answer_with(found, headers)

    @router.post(
        "/threads/count",
        openapi_extra=body_of(CountThreadsBody),
        responses={200: {"model": int}, **problems(413, 415, 422, 503)},
    )
    async def count_threads(request: Request) -> Response:
        """How many threads there are, of all or of some kind."""
        body = await read(request, CountThreadsBody, limits, may_be_empty=True)
        allowed = await access_of(request).searching("threads", body)
        return answer_json(await parts.threads.count({**_filters(body), **allowed}))


def _add_copying(router: APIRouter, parts: Parts) -> None:
    @router.post("/threads/{thread_id}/copy", responses={200: {"model": ThreadAnswer}, **problems(400, 409, 503)})
    async def copy_thread(request: Request, thread_id: str) -> Response:
        """A new thread with the same metadata, values and whole history; runs and crons are not copied."""
        access, source = access_of(request), _searched_id(thread_id)
        try:
            await access.thread(source, "read")
        except NotFound:
            raise Conflict("Conflict", code="thread_not_found") from None
        value, _ = await access.creating("threads", source, metadata={})
        return answer_json(plain(await parts.threads.copy(source, value["metadata"])))

    @router.get("/threads/{thread_id}/storage", responses={200: {"model": dict[str, Any]}, **problems(404, 422, 503)})
    async def get_storage(request: Request, thread_id: str) -> Response:
        """What the thread's checkpoints take in the database."""
        wanted = path_id(thread_id, "thread")
        await access_of(request).thread(wanted, "read")
        row = await parts.threads.storage(wanted)
        total = row["checkpoint_bytes"] + row["blob_bytes"] + row["write_bytes"]
        values = {"count": row["blobs"], "bytes": row["blob_bytes"], "by_channel": row["by_channel"]}
        return answer_json(
            {
                "thread_id": wanted,
                "total_bytes": total,
                "checkpoints": {"count": row["checkpoints"], "bytes": row["checkpoint_bytes"]},
                "channel_values": values,
                "pending_writes": {"count": row["writes"], "bytes": row["write_bytes"]},
            }
        )


def _add_pruning(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/threads/prune",
        openapi_extra=body_of(PruneThreadsBody),
        responses={200: {"model": dict[str, int]}, **problems(413, 415, 422, 503)},
    )
    async def prune_threads(request: Request) -> Response:
        """Delete threads, or with `keep_latest` their history only. Ids that nobody has are passed over."""
        body = await read(request, PruneThreadsBody, limits)
        ids = list(dict.fromkeys(path_id(given, "thread") for given in body.thread_ids))
        ids = list(await access_of(request).threads(ids, "delete"))
        pruned = await (_delete(parts, ids) if body.strategy == "delete" else parts.threads.keep_latest(ids))
        return answer_json({"pruned_count": pruned})


async def _delete(parts: Parts, thread_ids: Sequence[UUID]) -> int:
    await stop(parts.runs, await parts.threads.open_runs(thread_ids), "its thread is being deleted")
    return await parts.threads.delete(thread_ids)


async def _make(parts: Parts, access: Access, body: CreateThreadBody) -> Thread:
    given = body_id(body.thread_id, "thread")
    wanted, ttl = given or uuid7(), body.ttl.model_dump() if body.ttl else None
    value, must = await access.creating(
        "threads", wanted, metadata=dict(body.metadata or {}), if_exists=body.if_exists, ttl=ttl
    )
    try:
        return await parts.threads.create(
            wanted,
            metadata=value["metadata"],
            ttl=_ttl(body.ttl),
            if_exists="raise" if given is not None else "do_nothing",
        )
    except Conflict:
        action = "update" if body.supersteps else "read"
        if body.if_exists == "raise" or not await access.may_have("threads", wanted, must, action):
            raise
    return await parts.threads.get(wanted)


def plain(thread: Thread) -> dict[str, Any]:
    """A thread as clients get it, its values as the bytes they are."""
    empty = thread.values is None or thread.values == "{}"
    return {
        "thread_id": thread.thread_id,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "state_updated_at": thread.state_updated_at,
        "metadata": thread.metadata,
        "config": thread.config,
        "status": thread.status,
        "values": None if empty or thread.values is None else orjson.Fragment(thread.values),
        "interrupts": thread.interrupts,
        "error": thread.error,
    }


def _plain_ttl(ttl: Ttl | None) -> dict[str, Any] | None:
    if ttl is None:
        return None
    return {"strategy": ttl.strategy, "ttl_minutes": ttl.seconds / 60, "expires_at": ttl.expires_at}


def _ttl(body: TtlBody | None) -> Ttl | None:
    return None if body is None else Ttl(body.ttl * 60, body.strategy)


def _filters(body: CountThreadsBody) -> Mapping[str, Any]:
    given = {"metadata": body.metadata, "values": body.values, "status": body.status}
    return {name: value for name, value in given.items() if value}


def _searched_id(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise BadRequest(f"Invalid thread ID {given[:100]}", code="invalid_id") from None


def _path(given: str) -> list[str]:
    """`values.messages[-1].content` as its steps. Raises `Invalid`."""
    text(given, "An extract path")
    steps = [name or index for name, index in _STEP.findall(given)]
    if not steps or steps[0] not in _ROOTS:
        raise Invalid(f"Extract path {given[:200]!r} must start with one of: {', '.join(_ROOTS)}")
    if len(steps) > 50 or "".join(_STEP.sub("", given)):
        raise Invalid(f"Extract path {given[:200]!r} is none: names with dots between, indexes in brackets.")
    return steps

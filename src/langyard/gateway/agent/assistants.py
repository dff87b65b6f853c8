"""The routes of assistants (contract A.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard.assistants import Assistant, Search
from langyard.gateway.access import access_of
from langyard.gateway.agent.bodies import (
    AssistantAnswer,
    AssistantVersionsBody,
    CountAssistantsBody,
    CreateAssistantBody,
    LatestVersionBody,
    PatchAssistantBody,
    SchemasAnswer,
    SearchAssistantsBody,
)
from langyard.gateway.agent.endings import stop
from langyard.gateway.agent.pictures import Pictures
from langyard.gateway.agent.reading import answer_with, body_id, chosen, flag, page, path_id, read
from langyard.gateway.agent.runs.bodies import check_config
from langyard.gateway.openapi import body_of, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json
from langyard.model.errors import Conflict, Invalid, NotFound


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["assistants"])
    _add_making(router, parts, limits)
    _add_deleting(router, parts)
    _add_finding(router, parts, limits)
    _add_versions(router, parts, limits)
    _add_graphs(router, parts)
    return router


def _add_making(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/assistants",
        openapi_extra=body_of(CreateAssistantBody),
        responses={200: {"model": AssistantAnswer}, **problems(400, 404, 409, 413, 415, 422, 503)},
    )
    async def create_assistant(request: Request) -> Response:
        """A graph with a configuration of its own, version 1."""
        body = await read(request, CreateAssistantBody, limits)
        check_config(body.config)
        access, wanted = access_of(request), body_id(body.assistant_id, "assistant") or uuid4()
        fields = body.model_dump(exclude={"assistant_id", "if_exists"})
        value, must = await access.creating("assistants", wanted, if_exists=body.if_exists, **fields)
        try:
            made = await parts.assistants.create(
                body.graph_id,
                assistant_id=wanted,
                name=body.name,
                description=body.description,
                config=body.config or None,
                context=body.context or None,
                metadata=value["metadata"],
                if_exists="raise" if body.assistant_id is not None else "do_nothing",
            )
        except Conflict:
            if body.if_exists == "raise" or not await access.may_have("assistants", wanted, must):
                raise
            made = await parts.assistants.get(wanted)
        return answer_json(plain(made))

    @router.get("/assistants/{assistant_id}", responses={200: {"model": AssistantAnswer}, **problems(404, 422, 503)})
    async def get_assistant(request: Request, assistant_id: str) -> Response:
        """An assistant by its id."""
        return answer_json(plain(await _readable(parts, request, assistant_id)))

    @router.patch(
        "/assistants/{assistant_id}",
        openapi_extra=body_of(PatchAssistantBody),
        responses={200: {"model": AssistantAnswer}, **problems(400, 404, 413, 415, 422, 503)},
    )
    async def patch_assistant(request: Request, assistant_id: str) -> Response:
        """A new version, active from now on. Metadata is merged; config and context are replaced, each as the other."""
        wanted = path_id(assistant_id, "assistant")
        body = await read(request, PatchAssistantBody, limits)
        check_config(body.config)
        fields = {name: getattr(body, name) for name in body.model_fields_set & PatchAssistantBody.model_fields.keys()}
        asked = {**fields, "metadata": dict(fields.get("metadata") or {})}
        nobody = NotFound(f"Assistant {wanted} not found", code="assistant_not_found")
        value = await access_of(request).assistant(wanted, "update", otherwise=nobody, **asked)
        if value["metadata"]:
            fields["metadata"] = value["metadata"]
        return answer_json(plain(await parts.assistants.update(wanted, fields)))


def _add_deleting(router: APIRouter, parts: Parts) -> None:
    @router.delete("/assistants/{assistant_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_assistant(request: Request, assistant_id: str) -> Response:
        """Delete it with versions and crons; what runs for it is stopped. `?delete_threads=true`: its threads too."""
        wanted = path_id(assistant_id, "assistant")
        access, with_threads = access_of(request), flag(request, "delete_threads")
        nobody = NotFound(f"Assistant with ID {wanted} not found", code="assistant_not_found")
        await access.assistant(wanted, "delete", otherwise=nobody)
        allowed = (await access.searching("threads", {}, "delete") if with_threads else {}).get("allowed")
        running = await parts.assistants.open_runs(wanted)
        await parts.assistants.delete(wanted)
        await stop(parts.runs, running, "its assistant was deleted", wait=with_threads)
        while with_threads and (found := await parts.threads.of_assistant(wanted, allowed)):
            await stop(parts.runs, await parts.threads.open_runs(found), "its thread is being deleted")
            await parts.threads.delete(found)
        return Response(status_code=204)


def _add_finding(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/assistants/search",
        openapi_extra=body_of(SearchAssistantsBody),
        responses={200: {"model": list[AssistantAnswer]}, **problems(413, 415, 422, 503)},
    )
    async def search_assistants(request: Request) -> Response:
        """A page of assistants. `X-Pagination-Next` is the next page's offset, absent on the last."""
        body = await read(request, SearchAssistantsBody, limits, may_be_empty=True)
        allowed = await access_of(request).searching("assistants", body)
        wanted = Search({**_filters(body), **allowed}, body.sort_by, body.sort_order, body.limit + 1, body.offset)
        rows, headers = page(await parts.assistants.search(wanted), body.limit, body.offset)
        return answer_with([chosen(plain(row), body.select) for row in rows], headers)

    @router.post(
        "/assistants/count",
        openapi_extra=body_of(CountAssistantsBody),
        responses={200: {"model": int}, **problems(413, 415, 422, 503)},
    )
    async def count_assistants(request: Request) -> Response:
        """How many assistants there are, of all or of some kind."""
        body = await read(request, CountAssistantsBody, limits, may_be_empty=True)
        allowed = await access_of(request).searching("assistants", body)
        return answer_json(await parts.assistants.count({**_filters(body), **allowed}))


def _add_versions(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/assistants/{assistant_id}/versions",
        openapi_extra=body_of(AssistantVersionsBody),
        responses={200: {"model": list[dict[str, Any]]}, **problems(404, 413, 415, 422, 503)},
    )
    async def list_versions(request: Request, assistant_id: str) -> Response:
        """The assistant's versions, newest first."""
        wanted = path_id(assistant_id, "assistant")
        body = await read(request, AssistantVersionsBody, limits, may_be_empty=True)
        await access_of(request).assistant(wanted, "read", metadata=body.metadata)
        found = await parts.assistants.versions(
            wanted, metadata=body.metadata or None, limit=body.limit, offset=body.offset
        )
        return answer_json(found)

    @router.post(
        "/assistants/{assistant_id}/latest",
        openapi_extra=body_of(LatestVersionBody),
        responses={200: {"model": AssistantAnswer}, **problems(404, 413, 415, 422, 503)},
    )
    async def set_latest(request: Request, assistant_id: str) -> Response:
        """Make the assistant what it was at a version, all of it."""
        wanted = path_id(assistant_id, "assistant")
        body = await read(request, LatestVersionBody, limits)
        nobody = NotFound(f"Version {body.version} not found for assistant {wanted}", code="version_not_found")
        await access_of(request).assistant(wanted, "update", otherwise=nobody, version=body.version)
        return answer_json(plain(await parts.assistants.activate(wanted, body.version)))


def _add_graphs(router: APIRouter, parts: Parts) -> None:
    pictures = Pictures(parts.graphs)

    @router.get(
        "/assistants/{assistant_id}/graph",
        responses={200: {"model": dict[str, list[dict[str, Any]]]}, **problems(404, 422, 424, 503)},
    )
    async def get_graph(request: Request, assistant_id: str) -> Response:
        """Nodes and edges of its graph. Here alone a graph's name will do for an id. `?xray=` opens subgraphs."""
        if assistant_id in parts.graphs.names():
            found = await parts.assistants.resolve(assistant_id)
            await access_of(request).assistant(found.assistant_id, "read")
        else:
            found = await _readable(parts, request, assistant_id)
        return answer_json(await pictures.drawing(found, _xray(request.query_params.get("xray", "false"))))

    @router.get(
        "/assistants/{assistant_id}/schemas", responses={200: {"model": SchemasAnswer}, **problems(404, 422, 424, 503)}
    )
    async def get_schemas(request: Request, assistant_id: str) -> Response:
        """What its graph takes, keeps and gives."""
        found = await _readable(parts, request, assistant_id)
        return answer_json(await pictures.schemas(found))

    described = {200: {"model": dict[str, Any]}, **problems(404, 422, 424, 503)}

    @router.get("/assistants/{assistant_id}/subgraphs", responses=described)
    async def get_subgraphs(request: Request, assistant_id: str) -> Response:
        """The schemas of its subgraphs; `?recurse=true`: of theirs too."""
        found = await _readable(parts, request, assistant_id)
        return answer_json(await pictures.subgraphs(found, None, recurse=flag(request, "recurse")))

    @router.get("/assistants/{assistant_id}/subgraphs/{namespace:path}", responses=described)
    async def get_subgraph(request: Request, assistant_id: str, namespace: str) -> Response:
        """The schemas of one subgraph; nothing when there is none of that name."""
        found = await _readable(parts, request, assistant_id)
        return answer_json(await pictures.subgraphs(found, namespace, recurse=flag(request, "recurse")))


async def _readable(parts: Parts, request: Request, assistant_id: str) -> Assistant:
    wanted = path_id(assistant_id, "assistant")
    await access_of(request).assistant(wanted, "read")
    return await parts.assistants.get(wanted)


def plain(assistant: Assistant) -> dict[str, Any]:
    """An assistant as clients get it."""
    return asdict(assistant)


def _filters(body: CountAssistantsBody) -> Mapping[str, Any]:
    given = {"metadata": body.metadata, "graph_id": body.graph_id, "name": body.name}
    return {name: value for name, value in given.items() if value}


def _xray(given: str) -> bool | int:
    if given.lower() in ("true", "false"):
        return given.lower() == "true"
    if given.isdecimal() and len(given) <= 4 and 1 <= int(given) <= 1000:
        return int(given)
    raise Invalid("Invalid xray value")

"""The routes of items in the long-term store (contract A.10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from langyard.gateway.access import access_of
from langyard.gateway.agent.reading import flag, read
from langyard.gateway.errors import error
from langyard.gateway.openapi import body_of, problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json
from langyard.model.errors import Invalid

T = TypeVar("T")
_MOST = 2**31 - 1
# Each is a parameter of the statement, which has room for so many and some.
_CONDITIONS = 1000


class PutItemBody(BaseModel):
    """Store an item, in place of the one that is there."""

    namespace: list[str] = Field(description="Where it is: labels without periods.", examples=[["users", "ada"]])
    key: str = Field(description="What it is called there.", examples=["profile"])
    value: dict[str, Any] = Field(examples=[{"likes": "engines"}])
    index: Literal[False] | list[str] | None = Field(
        None, description="Paths to find it by, `false` for none; what the server is set to if not given."
    )
    ttl: float | None = Field(
        None, gt=0, le=10_000_000, allow_inf_nan=False, description="Minutes to live from the last use; rounded up."
    )


class DeleteItemBody(BaseModel):
    """Delete an item."""

    namespace: list[str] = Field(default_factory=list, description="Where it is.")
    key: str = Field(description="What it is called there.")


class SearchItemsBody(BaseModel):
    """Which items, and which page of them."""

    namespace_prefix: list[str] | None = Field(None, description="What their namespace begins with; all if not given.")
    filter: dict[str, Any] | None = Field(
        None,
        max_length=_CONDITIONS,
        description="Fields of the value: a value to equal, or `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`.",
    )
    limit: int = Field(10, ge=0, le=_MOST, description="Most items in one answer.")
    offset: int = Field(0, ge=0, le=_MOST, description="How many items to pass over.")
    query: str | None = Field(None, description="What they are to be about, where the store has an index.")
    refresh_ttl: bool | None = Field(None, description="Whether what is found lives on for its full time.")


class NamespacesBody(BaseModel):
    """Which namespaces, and which page of them. In both paths `*` stands for any label."""

    prefix: list[str] | None = Field(None, max_length=_CONDITIONS, description="What they begin with.")
    suffix: list[str] | None = Field(None, max_length=_CONDITIONS, description="What they end with.")
    max_depth: int | None = Field(None, ge=1, le=_MOST, description="Labels after which they are cut off.")
    limit: int = Field(100, ge=0, le=_MOST, description="Most namespaces in one answer.")
    offset: int = Field(0, ge=0, le=_MOST, description="How many namespaces to pass over.")


class ItemAnswer(BaseModel):
    """An item."""

    namespace: list[str]
    key: str
    value: dict[str, Any]
    created_at: AwareDatetime
    updated_at: AwareDatetime


class FoundItem(ItemAnswer):
    """An item that was searched for."""

    score: float | None = Field(description="How near it is to the query; null where nothing was compared.")


class ItemsAnswer(BaseModel):
    """Items, the nearest or else the newest first."""

    items: list[FoundItem]


class NamespacesAnswer(BaseModel):
    """Namespaces, in order."""

    namespaces: list[list[str]]


def _labelled(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route that takes a namespace: what is wrong with a label is told in plain text."""
    found = problems(*statuses)
    found[422]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return found


_PROBLEMS = _labelled(400, 413, 415, 422, 503)


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["store"])

    @router.put("/store/items", status_code=204, openapi_extra=body_of(PutItemBody), responses=_PROBLEMS)
    async def put_item(request: Request) -> Response:
        """Store an item, in place of the one that is there."""
        body = await read(request, PutItemBody, limits)
        value = await access_of(request).store(
            "put", **_place(body.namespace), **body.model_dump(exclude={"namespace"})
        )
        put = parts.items.put(
            value["namespace"], value["key"], value["value"], index=value["index"], ttl_min=value["ttl"]
        )
        return await _answer(put, lambda _: Response(status_code=204))

    @router.get(
        "/store/items",
        openapi_extra={
            "parameters": [_query("namespace", "Its labels, joined by periods."), _query("key", "Its key.")]
        },
        responses={200: {"model": ItemAnswer | None}, **_labelled(400, 422, 503)},
    )
    async def get_item(request: Request) -> Response:
        """An item; `null` when there is none."""
        key, namespace = request.query_params.get("key"), request.query_params.get("namespace", "")
        if not key:
            said = "Key is required"  # `error` is where clients of this API look for it
            return error(400, detail=said, code="key_required", more={"error": said})
        refresh = flag(request, "refresh_ttl") if "refresh_ttl" in request.query_params else None
        place = _place(namespace.split("."))
        value = await access_of(request).store("get", **place, key=key, refresh_ttl=refresh)
        found = parts.items.find(value["namespace"], value["key"], refresh=refresh)
        return await _answer(found, answer_json)

    @router.delete(
        "/store/items",
        status_code=204,
        openapi_extra=body_of(DeleteItemBody),
        responses=_PROBLEMS,
    )
    async def delete_item(request: Request) -> Response:
        """Delete an item, if it is there."""
        body = await read(request, DeleteItemBody, limits)
        value = await access_of(request).store("delete", **_place(body.namespace), key=body.key)
        return await _answer(parts.items.delete(value["namespace"], value["key"]), lambda _: Response(status_code=204))

    _add_finding(router, parts, limits)
    return router


def _add_finding(router: APIRouter, parts: Parts, limits: Limits) -> None:
    @router.post(
        "/store/items/search",
        openapi_extra=body_of(SearchItemsBody),
        responses={200: {"model": ItemsAnswer}, **_PROBLEMS},
    )
    async def search_items(request: Request) -> Response:
        """Items by namespace, by what their values hold, and by meaning where the store has an index."""
        body = await read(request, SearchItemsBody, limits, may_be_empty=True)
        place = _place(body.namespace_prefix or ())
        value = await access_of(request).store("search", **place, **body.model_dump(exclude={"namespace_prefix"}))
        found = parts.items.search(
            value["namespace"],
            filters=value["filter"],
            query=value["query"],
            limit=value["limit"],
            offset=value["offset"],
            refresh=value["refresh_ttl"],
        )
        return await _answer(found, lambda items: answer_json({"items": items}))

    @router.post(
        "/store/namespaces",
        openapi_extra=body_of(NamespacesBody),
        responses={200: {"model": NamespacesAnswer}, **_PROBLEMS},
    )
    async def list_namespaces(request: Request) -> Response:
        """The namespaces that hold items."""
        body = await read(request, NamespacesBody, limits, may_be_empty=True)
        place = _place(body.prefix or ())
        value = await access_of(request).store("list_namespaces", **place, **body.model_dump(exclude={"prefix"}))
        found = parts.items.namespaces(
            prefix=value["namespace"],
            suffix=value["suffix"] or (),
            max_depth=value["max_depth"],
            limit=value["limit"],
            offset=value["offset"],
        )
        return await _answer(found, lambda names: answer_json({"namespaces": names}))


def _place(namespace: Sequence[str]) -> dict[str, Any]:
    return {"namespace": tuple(namespace)}


async def _answer(asked: Awaitable[T], shape: Callable[[T], Response]) -> Response:
    """The shaped result; a label that is none is told of in plain text, as clients of this API expect."""
    try:
        return shape(await asked)
    except Invalid as wrong:
        if wrong.code != "invalid_label":
            raise
        return PlainTextResponse(wrong.detail, 422)


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "description": description, "schema": {"type": "string"}}

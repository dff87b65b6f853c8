"""What the routes say of themselves beyond what FastAPI can see: bodies they read as bytes, events, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

_bodies: dict[str, type[BaseModel]] = {}  # by name, of the routes that were made
_REF = "#/components/schemas/{model}"
_IDS = ("assistant_id", "cron_id", "run_id", "thread_id")
_MEANING = {
    400: "What is asked cannot be.",
    401: "Nobody in particular is asking.",
    403: "The one who asks may not.",
    404: "There is no such thing, or it is another user's, or it has expired.",
    409: "The present state forbids it.",
    413: "The body is larger than this server takes.",
    415: "The body is not declared as JSON.",
    422: "The request is wrong; the sentence says where.",
    424: "The graph could not be had: its factory failed. The log says why.",
    429: "Too many runs wait already; `Retry-After` says when to ask again.",
    500: "The workflow failed, or the server did; the log knows the incident.",
    503: "A dependency is away; `Retry-After` says when to ask again.",
    504: "The workflow took longer than its limit.",
}
_EVENTS = """\
event: metadata
data: {"run_id":"019ab3f2-7d3c-7c1e-9f5a-2f6f3d1c8a44","attempt":1,"session_id":"report-7"}
id: 1795336781117-0

event: updates
data: {"research":{"notes":["…"]}}
id: 1795336781181-0

event: end
data: {"status":"success","result":{"report":"…"},"execution_time":0.1,"session_id":"report-7","run_id":"019ab3f2-…"}
"""


class ErrorAnswer(BaseModel):
    """Every error has this form."""

    detail: str = Field(description="A sentence.", examples=["There is no session 'report-7'."])
    code: str = Field(description="Stable; for programs.", examples=["session_not_found"])
    incident_id: str | None = Field(None, description="What to look for in the server's log; only with a fault.")


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it itself."""
    if _bodies.setdefault(model.__name__, model) is not model:
        raise TypeError(f"two models are named {model.__name__}")
    content = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    return {"requestBody": {"required": True, "content": content}}


def idempotent(operation: dict[str, Any]) -> dict[str, Any]:
    """The same with the `Idempotency-Key` header."""
    header = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key with the same body runs once; later requests get the first answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    }
    return {**operation, "parameters": [header]}


def events() -> dict[str, Any]:
    """The answer that is a stream."""
    return {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors a route answers."""
    return {status: {"model": ErrorAnswer, "description": _MEANING[status]} for status in statuses}


def _sentences(made: dict[str, Any]) -> None:
    """FastAPI describes a list of faults for every route with parameters; what is answered is a sentence."""
    for item in made["paths"].values():
        for operation in item.values():
            answer = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(answer):
                reference = {"$ref": _REF.format(model=ErrorAnswer.__name__)}
                answer.update(description=_MEANING[422], content={"application/json": {"schema": reference}})
    for unused in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(unused, None)


_MADE_BY = {  # what a request makes, and the ids by which other routes find it
    ("/assistants", "post"): {"assistant_id": "$response.body#/assistant_id"},
    ("/threads", "post"): {"thread_id": "$response.body#/thread_id"},
    ("/threads/{thread_id}/runs", "post"): {
        "thread_id": "$request.path.thread_id",
        "run_id": "$response.body#/run_id",
    },
    ("/runs/crons", "post"): {"cron_id": "$response.body#/cron_id"},
}


def _ids(made: dict[str, Any]) -> None:
    """Ids in paths are UUIDs, and an answer that has one says by links where it leads."""
    taking: dict[frozenset[str], list[str]] = {}
    for path, item in made["paths"].items():
        for operation in item.values():
            names = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "path"]
            for parameter in names:
                if parameter["name"] in _IDS and path != "/assistants/{assistant_id}/graph":
                    parameter["schema"]["format"] = "uuid"
            taking.setdefault(frozenset(name["name"] for name in names), []).append(operation["operationId"])
    for (path, method), ids in _MADE_BY.items():
        if (operation := made["paths"].get(path, {}).get(method)) is not None:
            operation["responses"]["200"]["links"] = {
                found: {"operationId": found, "parameters": ids} for found in taking.get(frozenset(ids), ())
            }


def _parts(made: dict[str, Any]) -> None:
    """What a search finds may be told in part (`select`): none of its fields is sure to be there."""
    schemas = made["components"]["schemas"]
    for path, item in made["paths"].items():
        if not path.endswith("/search"):
            continue
        content = item.get("post", {}).get("responses", {}).get("200", {}).get("content", {})
        items = content.get("application/json", {}).get("schema", {}).get("items", {})
        if name := str(items.get("$ref", "")).rpartition("/")[2]:
            whole = schemas[name]
            schemas[f"{name}Part"] = {key: value for key, value in whole.items() if key != "required"}
            items["$ref"] = _REF.format(model=f"{name}Part")


def install(api: FastAPI, completed: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Make `/openapi.json` complete; `completed` adds what others have to say."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
            _, bodies = models_json_schema([(model, "validation") for model in _bodies.values()], ref_template=_REF)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(bodies["$defs"])
            _sentences(made)
            _ids(made)
            _parts(made)
            api.openapi_schema = completed(made)
        return api.openapi_schema

    # FastAPI's own way to extend the document.
    api.openapi = openapi  # type: ignore[method-assign]

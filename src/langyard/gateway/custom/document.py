"""What `/openapi.json` says besides of ours: the project's own routes, and how requests are authenticated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from langyard.gateway.custom.application import OwnApp
from langyard.gateway.openapi import problems
from langyard.gateway.parts import Parts

_VERBS = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "trace"})
Document = dict[str, Any]


def completed(made: Document, parts: Parts, own: OwnApp | None, opened: frozenset[str]) -> Document:
    """The document with all of it; `opened` are paths at which nobody is asked who it is."""
    if parts.gate is not None:
        _add_refusals(made, opened)
        _add_auth(made, parts.gate.document)
    if own is not None and isinstance(own.app, FastAPI):
        _add_own(made, own.app.openapi(), own.prefix)
    return made


def _add_refusals(made: Document, opened: frozenset[str]) -> None:
    refusals = {
        str(status): {
            "description": answer["description"],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
        }
        for status, answer in problems(401, 403).items()
    }
    for path, item in made["paths"].items():
        if path not in opened:
            for verb in item.keys() & _VERBS:
                item[verb]["responses"] = {**refusals, **item[verb]["responses"]}


def _add_auth(made: Document, said: Mapping[str, Any]) -> None:
    """`auth.openapi` of langgraph.json: schemes, which of them are asked for, and paths it describes otherwise."""
    if schemes := said.get("securitySchemes"):
        made.setdefault("components", {}).setdefault("securitySchemes", {}).update(schemes)
    if security := said.get("security"):
        made["security"] = security
    for path, item in (said.get("paths") or {}).items():
        for verb, more in item.items():
            made["paths"].setdefault(path, {}).setdefault(verb, {}).update(more)


def _add_own(made: Document, theirs: Mapping[str, Any], prefix: str) -> None:
    """Its routes go first, so does what it says of them; it gives the document its title."""
    for path, item in theirs.get("paths", {}).items():
        made["paths"][prefix + path] = {**made["paths"].get(prefix + path, {}), **item}
    for kind, named in theirs.get("components", {}).items():
        made.setdefault("components", {}).setdefault(kind, {}).update(named)
    made["info"] = {**made["info"], **theirs.get("info", {})}
    made["tags"] = [*made.get("tags", []), *theirs.get("tags", [])]

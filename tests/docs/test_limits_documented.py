"""Holds the table of limits to what the server says of itself, and the server's own description to the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gateway.serving import serve

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "agent-server" / "limits.md"
ROW = re.compile(r"^\| `(\w+) (\S+)` \| (`([\w-]+)`|the array) \| ([\d,]+)", re.MULTILINE)
BOUNDS = ("maxLength", "maxItems", "maxProperties", "maximum")
# Nobody meets what is beyond: it is what a column or a clock can hold.
MET = 400_000_000


@pytest.fixture
async def document(database: str) -> dict[str, Any]:
    async with serve(database) as served:
        found: dict[str, Any] = (await served.http.get("/openapi.json")).json()
        return found


def plain(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema, and what it may be instead of null."""
    if "$ref" in schema:
        return plain(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return [schema, *(one for part in schema.get("anyOf", ()) for one in plain(document, part))]


def bounds(document: dict[str, Any], method: str, path: str) -> Iterator[tuple[str, int]]:
    """What an operation says of the most it takes: a field, and how much of it."""
    operation = document["paths"][path][method.lower()]
    fields = {one["name"]: one["schema"] for one in operation.get("parameters", ())}
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for schema in plain(document, content):
        fields |= {"the array": schema} if schema.get("type") == "array" else schema.get("properties", {})
    for name, field in fields.items():
        for schema in plain(document, field):
            yield from ((name, schema[bound]) for bound in BOUNDS if bound in schema)


async def test_the_table_says_what_the_server_takes(document: dict[str, Any]):
    told = {(method, path, name or "the array"): int(most.replace(",", "")) for method, path, _, name, most in rows()}
    assert len(told) > 15
    for (method, path, name), most in told.items():
        assert dict(bounds(document, method, path)).get(name) == most, (method, path, name)


async def test_the_table_has_every_limit_of_these_routes(document: dict[str, Any]):
    told = [(method, path, name or "the array") for method, path, _, name, _ in rows()]
    for method, path in {(method, path) for method, path, _ in told}:
        for name, most in bounds(document, method, path):
            # What every route that makes a run takes is told of one of them.
            known = {(method, path, name), ("POST", "/runs", name)} & set(told) or name == "priority"
            assert known or most > MET, f"{method} {path}: {name} takes at most {most}"


def rows() -> list[tuple[str, ...]]:
    return ROW.findall(PAGE.read_text("utf-8"))

"""What the server says of itself: every route, body and error, with examples; and a page that asks nobody else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from langyard.gateway.workflow import bodies
from tests.unit.gateway.serving import Served

ROOT = Path(__file__).parents[3]
# The Agent Server's routes have its contract for a reference, and their own tests.
OURS = {"workflows", "sessions", "health"}
WITHOUT_ERRORS = {"/health", "/health/ready", "/workflows"}


@pytest.fixture
async def document(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = (await served.http.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{verb.upper()} {path}": operation
        for path, item in document["paths"].items()
        for verb, operation in item.items()
    }


async def test_every_operation_is_described(document: dict[str, Any]):
    for name, operation in operations(document).items():
        if not OURS & set(operation["tags"]):
            continue
        assert operation["description"], name
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)
            assert status == "204" or answer["content"], (name, status)
            if int(status) >= 400 and name != "GET /health/ready":
                reference = answer["content"]["application/json"]["schema"]["$ref"]
                assert reference.endswith("/ErrorAnswer"), (name, status)
        if name.split(" ")[1] not in WITHOUT_ERRORS:
            assert any(int(status) >= 400 for status in operation["responses"]), name


async def test_every_reference_leads_somewhere(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    for reference in re.findall(r"'\$ref': '([^']+)'", str(document)):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


async def test_bodies_have_examples_and_descriptions(document: dict[str, Any]):
    models = [kind for kind in vars(bodies).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    for model in models:
        if model is not BaseModel:
            assert document["components"]["schemas"][model.__name__]["description"], model
    for name, operation in operations(document).items():
        if "requestBody" in operation and OURS & set(operation["tags"]):
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            body = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            for field in body.get("required", ()):
                assert "examples" in body["properties"][field], (name, field)


async def test_what_starts_a_run_takes_a_key(document: dict[str, Any]):
    keyed = {
        name
        for name, operation in operations(document).items()
        if OURS & set(operation["tags"])
        and any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert keyed == {"POST /workflow/execute", "POST /workflow/stream", "POST /workflow/{session_id}/resume"}


async def test_the_reference_names_every_operation_and_no_other(document: dict[str, Any]):
    page = (ROOT / "docs" / "reference" / "http.md").read_text("utf-8")
    described = set(re.findall(r"^## `((?:GET|POST|PATCH|DELETE) [^`]+)`", page, re.MULTILINE))
    ours = {name for name, operation in operations(document).items() if OURS & set(operation["tags"])}
    assert described == ours


async def test_the_page_asks_nobody_else(served: Served):
    found = await served.http.get("/docs")
    assert found.status_code == 200
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", found.text)

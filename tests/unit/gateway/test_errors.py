"""The one table from errors to HTTP: whole, and the only one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from langyard.gateway.errors import FAILURE, STATUS, Guard, UnsupportedMedia, of_family
from langyard.model import errors

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "src" / "langyard"
# Never over HTTP: said at start-up, or between worker and database.
INWARD: set[type[errors.LangyardError]] = {errors.ConfigurationError, errors.LeaseLost}
TERMINAL = {"cli", "config", "embedded", "migrations"}


def families() -> set[type[errors.LangyardError]]:
    found = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LangyardError)
    }
    return found - {errors.LangyardError}


def test_every_family_has_a_status():
    assert set(STATUS) == families() - INWARD


@pytest.mark.parametrize("family", STATUS)
def test_a_family_is_answered_with_its_status(family: type[errors.LangyardError]):
    answer = of_family(family("A sentence.", code="a_code"))
    assert answer.status_code == STATUS[family]
    assert orjson.loads(bytes(answer.body)) == {"detail": "A sentence.", "code": "a_code"}


def test_headers_that_belong_to_a_status():
    assert of_family(errors.Limited("x", retry_after=1.2)).headers["retry-after"] == "2"
    assert of_family(errors.Unavailable("x", retry_after=0.1)).headers["retry-after"] == "1"
    assert of_family(errors.Unauthenticated("x")).headers["www-authenticate"] == "Bearer"
    assert of_family(UnsupportedMedia("x")).status_code == 415


@pytest.mark.parametrize("family", sorted(INWARD, key=str))
def test_what_is_not_meant_for_clients_is_an_incident(family: type[errors.LangyardError]):
    answer = of_family(family("the password is hunter2"))
    assert answer.status_code == 500
    assert b"hunter2" not in bytes(answer.body)


async def test_after_the_answer_began_a_fault_breaks_the_connection(caplog: pytest.LogCaptureFixture):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("in the middle")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(RuntimeError):
        await Guard(app)({"type": "http", "path": "/x"}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "incident" in caplog.text


def codes() -> set[str]:
    """Every code there is: the families' own, those given as `code=`, and those of runs."""
    found = {family.code for family in families() - INWARD} | set(FAILURE) | {UnsupportedMedia.code, "internal_error"}
    for path in PACKAGE.rglob("*.py"):
        if TERMINAL & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                found |= {
                    str(k.value.value) for k in node.keywords if k.arg == "code" and isinstance(k.value, ast.Constant)
                }
    text = (PACKAGE / "gateway" / "errors.py").read_text("utf-8")
    return found | set(re.findall(r'\b\d{3}: "(\w+)"', text))


def test_every_code_is_documented_and_no_other():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert documented == codes()

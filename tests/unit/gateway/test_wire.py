"""Reading a body: never more of it than the limit, and no stack for its depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from langyard.gateway.wire import Limits, as_model, canonical, read, read_json
from langyard.model.errors import Invalid, TooLarge


def request(parts: Iterator[dict[str, Any]], **headers: str) -> Request:
    async def receive() -> dict[str, Any]:
        return next(parts)

    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": lines}, receive)


def part(data: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


async def test_a_declared_length_beyond_the_limit_reads_nothing():
    unread = iter([part(b"x" * 101, more=False)])
    with pytest.raises(TooLarge):
        await read(request(unread, content_length="101"), Limits(bytes=100))
    assert next(unread)


async def test_an_undeclared_one_is_read_no_further_than_the_limit():
    taken = []

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            taken.append(1)
            yield part(b"x" * 10)

    with pytest.raises(TooLarge):
        await read(request(endless()), Limits(bytes=100))
    assert len(taken) == 11


async def test_a_declared_length_that_lies_is_not_believed():
    with pytest.raises(TooLarge):
        await read(request(iter([part(b"x" * 101, more=False)]), content_length="5"), Limits(bytes=100))


@pytest.mark.parametrize("length", ["", "-1", "many", "１"])
async def test_a_declared_length_that_is_none_is_passed_over(length: str):
    got = await read(request(iter([part(b"ab"), part(b"c", more=False)]), content_length=length), Limits(bytes=100))
    assert got == b"abc"


async def test_a_client_that_leaves():
    with pytest.raises(ClientDisconnect):
        await read(request(iter([part(b"ab"), {"type": "http.disconnect"}])), Limits())


@pytest.mark.parametrize(
    ("text", "levels"),
    [("1", 0), ("[]", 1), ("{}", 1), ('{"a":[]}', 2), ('[[],[[{"a":1}]]]', 4), ('{"a":"[[[[[[[[{{{{"}', 1)],
)
async def test_levels_are_counted(text: str, levels: int):
    for limit, fits in ((levels, True), (levels - 1, False)):
        if limit < 1:
            continue
        reading = read_json(request(iter([part(text.encode(), more=False)])), Limits(depth=limit))
        if fits:
            await reading
        else:
            with pytest.raises(Invalid) as caught:
                await reading
            assert caught.value.code == "json_too_deep"


def test_a_missing_field_within_a_list_is_named_by_its_path():
    class Inner(BaseModel):
        b: int

    class Outer(BaseModel):
        a: list[Inner]

    with pytest.raises(Invalid) as caught:
        as_model({"a": [{"b": 1}, {}]}, Outer)
    assert caught.value.detail == "a.1.b is missing."


def test_canonical_is_the_same_for_the_same_json():
    assert canonical({"b": [1, {"d": 1, "c": 2}], "a": None}) == canonical({"a": None, "b": [1, {"c": 2, "d": 1}]})
    assert canonical({"a": [1, 2]}) != canonical({"a": [2, 1]})

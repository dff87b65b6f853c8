"""A connection breaks in the middle of an answer: the SDK comes back to where `Location` points, and misses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph_sdk import get_client

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.cutting import cutting
from tests.acceptance.sdk.running import running

MODES = ["values", "updates", "tasks", "messages-tuple"]


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


@pytest.mark.parametrize("after_bytes", [1200, 2000])
async def test_i06_a_resumable_stream_that_is_cut_is_read_to_its_end(agents: Agents, after_bytes: int):
    thread = (await agents.sdk.threads.create())["thread_id"]
    base = agents.served.http.base_url
    async with cutting(base.host, base.port or 80, lambda passed, _: passed > after_bytes, 2) as cutter:
        given: Any = {"input": {"messages": []}, "stream_mode": MODES, "stream_resumable": True}
        async with get_client(url=cutter.address) as sdk:
            told = [(part.event, part.data, part.id) async for part in sdk.runs.stream(thread, "speaking", **given)]
    assert cutter.cut == 2
    run_id = told[0][1]["run_id"]
    again = agents.sdk.runs.join_stream(thread, run_id, last_event_id="-1")
    assert told == [(part.event, part.data, part.id) async for part in again]
    assert told[-1][0] == "end"


async def test_i06_a_wait_that_is_cut_goes_on_as_a_join(agents: Agents):
    thread = (await agents.sdk.threads.create())["thread_id"]
    base = agents.served.http.base_url
    async with cutting(base.host, base.port or 80, lambda _, data: b"slept" in data, 1) as cutter:
        async with get_client(url=cutter.address) as sdk:
            found: Any = await sdk.runs.wait(thread, "sleeping", input={"x": 300})
    assert cutter.cut == 1
    assert found["log"] == ["slept"]

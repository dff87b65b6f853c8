"""Of the forty behaviours that clients rely on, those about what becomes of a run that asks, is stopped or is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running
from tests.unit.gateway.serving import events

REASON = "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel"


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


async def thread_of(agents: Agents) -> str:
    return str((await agents.sdk.threads.create())["thread_id"])


async def until(agents: Agents, thread_id: str, run_id: str, *status: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            run: dict[str, Any] = await agents.sdk.runs.get(thread_id, run_id)
            if run["status"] in status:
                return run
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", [{}, {"interrupt_before": ["b"]}])
async def test_i01_a_run_that_waits_for_somebody_is_a_success_and_its_thread_is_interrupted(agents: Agents, how: Any):
    thread = await thread_of(agents)
    await agents.sdk.runs.wait(thread, "steps" if how else "asking", input={"x": 1}, **how)
    [run] = await agents.sdk.runs.list(thread)
    assert run["status"] == "success"
    assert (await agents.sdk.threads.get(thread))["status"] == "interrupted"


async def test_i07_i06_the_end_is_told_when_it_is_so(agents: Agents):
    thread, http = await thread_of(agents), agents.served.http
    for graph, status in (("steps", "success"), ("value-error", "error")):
        asked = {"assistant_id": graph, "input": {"x": 1}}
        async with http.stream("POST", f"/threads/{thread}/runs/stream", json=asked) as answer:
            async for name, data in events(answer):
                if name == "end":
                    run = await agents.sdk.runs.get(thread, data["run_id"])
                    assert data == {"run_id": run["run_id"], "status": status}
                    assert run["status"] == status
            assert name == "end"


async def test_i16_one_answer_to_two_questions_is_an_error_and_an_answer_to_none_is_passed_over(agents: Agents):
    thread = await thread_of(agents)
    await agents.sdk.runs.wait(thread, "asking-both", input={"x": 1})
    asked = (await agents.sdk.threads.get(thread))["interrupts"]
    assert len(asked) == 2
    failed = await agents.sdk.runs.wait(thread, "asking-both", command={"resume": "y"}, raise_error=False)
    assert failed["__error__"]["error"] == "RuntimeError"
    assert "must specify the interrupt id" in failed["__error__"]["message"]
    after = await agents.sdk.threads.get(thread)
    assert (after["status"], after["interrupts"]) == ("error", asked)

    ignored = await agents.sdk.runs.wait(thread, "asking-both", command={"resume": {"0" * 32: "y"}})
    assert len(ignored["__interrupt__"]) == 2
    assert (await agents.sdk.runs.list(thread, limit=1))[0]["status"] == "success"

    ids = {str(one["value"]): one["id"] for found in asked.values() for one in found}
    answers = {ids["really?"]: "no", ids["{'question': 'ok?'}"]: "yes"}
    done = await agents.sdk.runs.wait(thread, "asking-both", command={"resume": answers})
    assert sorted(done["log"]) == ["a", "ans2=no", "ans=yes"]


async def test_i29_a_cancelled_run_tells_no_error_and_its_thread_tells_why(agents: Agents):
    thread = await thread_of(agents)
    told: list[tuple[str, Any]] = []
    asked = {"assistant_id": "sleeping", "input": {"x": 600_000}}
    async with agents.served.http.stream("POST", f"/threads/{thread}/runs/stream", json=asked) as answer:
        run_id = answer.headers["content-location"].rpartition("/")[2]
        await until(agents, thread, run_id, "running")
        await agents.sdk.runs.cancel(thread, run_id)
        told = [event async for event in events(answer) if event[0] != ":"]
    assert [name for name, _ in told if name not in ("metadata", "values")] == ["end"]
    assert told[-1][1]["status"] == "interrupted"
    found = await agents.sdk.threads.get(thread)
    assert found["status"] == "interrupted"
    assert found["error"] == {"error": "UserInterrupt", "message": REASON}


@pytest.mark.parametrize("way", ["stream", "wait"])
async def test_i30_a_client_that_leaves_stops_its_run_only_if_it_said_so(agents: Agents, way: str):
    left = {}
    for on_disconnect in (None, "continue", "cancel"):
        thread = await thread_of(agents)
        asked = {"assistant_id": "sleeping", "input": {"x": 2_000}}
        asked |= {} if on_disconnect is None else {"on_disconnect": on_disconnect}
        async with agents.served.http.stream("POST", f"/threads/{thread}/runs/{way}", json=asked) as answer:
            left[thread] = (answer.headers["content-location"].rpartition("/")[2], on_disconnect)
    for thread, (run_id, on_disconnect) in left.items():
        run = await until(agents, thread, run_id, "success", "interrupted")
        assert run["status"] == ("interrupted" if on_disconnect == "cancel" else "success")
        if on_disconnect == "cancel":
            await agents.sdk.runs.join(thread, run_id)
            told = json.dumps((await agents.sdk.threads.get(thread))["error"])
            assert "client disconnected from the run stream (on_disconnect=cancel)" in told


async def test_i30_a_reader_that_joins_stops_the_run_only_if_it_asks_to(agents: Agents):
    thread = await thread_of(agents)
    run_id = (await agents.sdk.runs.create(thread, "sleeping", input={"x": 600_000}))["run_id"]
    path = f"/threads/{thread}/runs/{run_id}/stream"
    async with agents.served.http.stream("GET", path):
        pass
    assert (await agents.sdk.runs.get(thread, run_id))["status"] in ("pending", "running")
    async with agents.served.http.stream("GET", path, params={"cancel_on_disconnect": "true"}):
        pass
    await until(agents, thread, run_id, "interrupted")

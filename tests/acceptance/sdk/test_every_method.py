"""Every public method of both clients of the Python SDK, async and sync, called on one server; none is left out."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import ConflictError, NotFoundError

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running

PARTS = ("assistants", "threads", "runs", "crons", "store")


class Noted:
    """A client whose methods are all awaited, sync or not; streams come as lists. What is called is noted."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.called: set[str] = set()

    def known(self) -> set[str]:
        return {
            f"{part}.{name}"
            for part in PARTS
            for name, _ in inspect.getmembers(type(getattr(self.client, part)), inspect.isfunction)
            if not name.startswith("_")
        }

    async def __call__(self, path: str, *given: Any, **named: Any) -> Any:
        """Call `part.method`; a sync one in a thread of its own, since the server is in this one."""
        self.called.add(path)
        part, _, name = path.partition(".")
        method = getattr(getattr(self.client, part), name)
        if isinstance(self.client, type(SYNC)):
            return await asyncio.to_thread(lambda: _drained(method(*given, **named)))
        found = method(*given, **named)
        return [one async for one in found] if isinstance(found, AsyncIterator) else await found


def _drained(found: Any) -> Any:
    return list(found) if isinstance(found, Iterator) else found


SYNC = get_sync_client(url="http://127.0.0.1:1")


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


@pytest.mark.parametrize("make", [get_client, get_sync_client])
async def test_every_method_of_the_client_does_what_it_says(agents: Agents, make: Any):
    call = Noted(make(url=str(agents.served.http.base_url)))
    await _assistants(call)
    await _threads(call)
    await _runs(call)
    await _stopping(call)
    await _crons(call)
    await _store(call)
    await _thread_stream(call)
    assert len(call.known()) >= 46
    assert call.known() - call.called == set()
    assert call.called <= call.known()


async def _assistants(call: Noted) -> None:
    made = await call("assistants.create", "steps", name="Ada", metadata={"m": 1}, description="Of engines.")
    wanted = made["assistant_id"]
    assert await call("assistants.get", wanted) == made
    changed = await call("assistants.update", wanted, name="Babbage", metadata={"n": 2})
    assert (changed["version"], changed["metadata"]) == (2, {"m": 1, "n": 2})
    assert [one["version"] for one in await call("assistants.get_versions", wanted)] == [2, 1]
    assert (await call("assistants.set_latest", wanted, 1))["name"] == "Ada"
    assert [one["name"] for one in await call("assistants.search", metadata={"m": 1})] == ["Ada"]
    page = await call("assistants.search", limit=1, response_format="object")
    assert (len(page["assistants"]), page["next"]) == (1, "1")
    last = await call("assistants.search", metadata={"m": 1}, limit=1, response_format="object")
    assert last["next"] is None
    assert await call("assistants.count", metadata={"m": 1}) == 1
    assert {node["id"] for node in (await call("assistants.get_graph", wanted))["nodes"]} >= {"a", "b"}
    assert "x" in (await call("assistants.get_schemas", wanted))["input_schema"]["properties"]
    assert await call("assistants.get_subgraphs", wanted, recurse=True) == {}
    await call("assistants.delete", wanted, delete_threads=True)
    with pytest.raises(NotFoundError):
        await call("assistants.get", wanted)


async def _threads(call: Noted) -> None:
    made = await call("threads.create", metadata={"of": "all"}, graph_id="steps", ttl=60)
    wanted = made["thread_id"]
    assert (await call("threads.get", wanted, include=["ttl"]))["ttl"]["ttl_minutes"] == 60
    assert (await call("threads.update", wanted, metadata={"more": 1}))["metadata"]["more"] == 1
    assert await call("threads.update", wanted, metadata={"more": 2}, return_minimal=True) is None
    assert (await call("threads.get", wanted))["metadata"]["more"] == 2
    updated = await call("threads.update_state", wanted, {"x": 1}, as_node="a")
    assert updated["checkpoint"]["thread_id"] == wanted
    state = await call("threads.get_state", wanted)
    assert (state["values"]["x"], state["next"]) == (1, ["b"])
    assert (await call("threads.get_state", wanted, checkpoint=state["checkpoint"]))["values"] == state["values"]
    assert len(await call("threads.get_history", wanted, limit=5)) == 1
    assert [one["thread_id"] for one in await call("threads.search", metadata={"of": "all"})] == [wanted]
    assert await call("threads.count", metadata={"of": "all"}) == 1
    copy = await call("threads.copy", wanted)
    assert await call("threads.prune", [copy["thread_id"]], strategy="delete") == {"pruned_count": 1}
    await call("threads.delete", wanted)
    with pytest.raises(NotFoundError):
        await call("threads.get", wanted)


async def _runs(call: Noted) -> None:
    thread = (await call("threads.create"))["thread_id"]
    created: list[Any] = []
    given = {"input": {"x": 1}, "stream_mode": "values", "stream_resumable": True, "on_run_created": created.append}
    told = await call("runs.stream", thread, "steps", **given)
    assert [part.event for part in told] == ["metadata", "values", "values", "values", "end"]
    run_id = told[0].data["run_id"]
    assert created == [{"run_id": run_id, "thread_id": thread}]
    again = await call("runs.join_stream", thread, run_id, last_event_id="-1")
    assert [(part.event, part.data, part.id) for part in again] == [(part.event, part.data, part.id) for part in told]
    parts = await call("runs.stream", thread, "steps", input={"x": 1}, stream_mode=["values", "updates"], version="v2")
    assert [part["type"] for part in parts] == ["metadata", "values", "updates", "values", "updates", "values"]
    assert (await call("runs.wait", None, "steps", input={"x": 5}))["x"] == 7
    with pytest.raises(Exception, match="ValueError: bad value"):
        await call("runs.wait", None, "value-error", input={})
    failed = await call("runs.wait", None, "value-error", input={}, raise_error=False)
    assert failed == {"__error__": {"error": "ValueError", "message": "bad value"}}
    made = await call("runs.create", thread, "sleeping", input={"x": 10})
    assert (await call("runs.join", thread, made["run_id"]))["log"][-1] == "slept"
    assert (await call("runs.get", thread, made["run_id"]))["status"] == "success"
    batch = await call("runs.create_batch", [{"assistant_id": "steps", "input": {"x": 1}}] * 2)
    assert len({run["run_id"] for run in batch}) == 2
    assert [run["run_id"] for run in await call("runs.list", thread, limit=1)] == [made["run_id"]]
    assert await call("runs.list", thread, status="error") == []
    await call("runs.delete", thread, made["run_id"])
    with pytest.raises(NotFoundError):
        await call("runs.get", thread, made["run_id"])


async def _stopping(call: Noted) -> None:
    thread = (await call("threads.create"))["thread_id"]
    endless = {"input": {"x": 600_000}}
    first = await call("runs.create", thread, "sleeping", **endless)
    with pytest.raises(ConflictError):
        await call("runs.create", thread, "sleeping", **endless, multitask_strategy="reject")
    await call("runs.cancel", thread, first["run_id"], wait=True)
    assert (await call("runs.get", thread, first["run_id"]))["status"] == "interrupted"
    both = [(await call("runs.create", thread, "sleeping", **endless))["run_id"] for _ in range(2)]
    await call("runs.cancel_many", thread_id=thread, run_ids=both, action="interrupt")
    for run_id in both:
        await call("runs.join", thread, run_id)
        assert (await call("runs.get", thread, run_id))["status"] == "interrupted"
    with pytest.raises(NotFoundError, match="No runs found to cancel"):
        await call("runs.cancel_many", thread_id=thread, run_ids=both)


async def _crons(call: Noted) -> None:
    thread = (await call("threads.create"))["thread_id"]
    made = await call("crons.create", "steps", schedule="0 0 1 1 *", metadata={"c": 1})
    own = await call("crons.create_for_thread", thread, "steps", schedule="0 0 1 1 *", metadata={"c": 1})
    assert own["thread_id"] == thread
    assert (await call("crons.update", made["cron_id"], schedule="@daily", enabled=False))["enabled"] is False
    found = await call("crons.search", metadata={"c": 1}, enabled=False)
    assert [cron["schedule"] for cron in found] == ["@daily"]
    assert await call("crons.count", metadata={"c": 1}) == 2
    await call("crons.delete", made["cron_id"])
    with pytest.raises(NotFoundError):
        await call("crons.delete", made["cron_id"])


async def _store(call: Noted) -> None:
    await call("store.put_item", ["all", "ada"], "likes", {"what": "engines"}, ttl=60)
    assert (await call("store.get_item", ["all", "ada"], "likes", refresh_ttl=True))["value"] == {"what": "engines"}
    found = await call("store.search_items", ["all"], filter={"what": "engines"})
    assert [item["key"] for item in found["items"]] == ["likes"]
    assert (await call("store.list_namespaces", prefix=["all"]))["namespaces"] == [["all", "ada"]]
    await call("store.delete_item", ["all", "ada"], "likes")
    assert await call("store.get_item", ["all", "ada"], "likes") is None


async def _thread_stream(call: Noted) -> None:
    """A thread as one stream, both ways; the older way has no end of its own and is left when it told of a run."""
    call.called |= {"threads.stream", "threads.join_stream"}
    threads, runs = call.client.threads, call.client.runs
    if isinstance(call.client, type(SYNC)):
        output, names = await asyncio.to_thread(_sync_stream, threads, runs)
    else:
        async with threads.stream(assistant_id="steps") as opened:
            await opened.run.start(input={"x": 1})
            output = await opened.output
        thread = (await threads.create())["thread_id"]
        await runs.wait(thread, "steps", input={"x": 1})
        names = []
        reading = await threads.join_stream(thread, last_event_id="-", stream_mode="lifecycle")
        started = asyncio.create_task(runs.wait(thread, "steps", input={"x": 1}))
        # Closed here and now: a stream that is only let go of stays until Python looks for what nobody has.
        async with aclosing(reading):
            async for part in reading:
                names.append(part.event)
                if (part.data or {}).get("status") == "run_done":
                    break
        await started
    assert output == {"x": 3, "log": ["a", "b"]}
    assert names[-1] == "metadata"


def _sync_stream(threads: Any, runs: Any) -> tuple[Any, list[str]]:
    with threads.stream(assistant_id="steps") as opened:
        opened.run.start(input={"x": 1})
        output = opened.output
    thread = threads.create()["thread_id"]
    runs.create(thread, "sleeping", input={"x": 1500})
    names = []
    for part in threads.join_stream(thread, stream_mode="lifecycle"):
        names.append(part.event)
        if (part.data or {}).get("status") == "run_done":
            break
    return output, names

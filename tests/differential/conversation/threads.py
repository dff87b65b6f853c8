"""What is asked of threads and their states."""

from __future__ import annotations

from typing import Any

from tests.differential.asking import Side

FIXED = "22222222-2222-4222-8222-222222222222"
NOBODY = "99999999-9999-4999-8999-999999999999"

BAD: dict[str, Any] = {
    "id is none": {"thread_id": "x"},
    "id is null": {"thread_id": None},
    "metadata is null": {"metadata": None},
    "metadata is a list": {"metadata": []},
    "if_exists is none": {"if_exists": "maybe"},
    "ttl is a number": {"ttl": 5},
    "ttl without ttl": {"ttl": {"strategy": "delete"}},
    "ttl strategy nothing": {"ttl": {"ttl": 5, "strategy": "nothing"}},
    "supersteps are none": {"supersteps": {}},
    "a superstep without updates": {"supersteps": [{}]},
    "a superstep without a node": {"supersteps": [{"updates": [{"values": {}}]}]},
    "supersteps without a graph": {"supersteps": [{"updates": [{"values": {"x": 1}, "as_node": "__input__"}]}]},
    "supersteps of no node": {
        "metadata": {"graph_id": "steps"}, "supersteps": [{"updates": [{"values": {"x": 1}, "as_node": "nonode"}]}]
    },
    "a list": [],
}  # fmt: skip
BAD_SEARCHES: dict[str, Any] = {
    "limit 0": {"limit": 0},
    "limit 1001": {"limit": 1001},
    "offset below 0": {"offset": -1},
    "sort_by nothing": {"sort_by": "nothing"},
    "status nothing": {"status": "nothing"},
    "select nothing": {"select": ["nothing"]},
    "ids are none": {"ids": ["bad"]},
    "extract from nowhere": {"extract": {"a": "kwargs.x"}},
    "extract eleven": {"extract": {f"a{number}": "values.x" for number in range(11)}},
    "values is a list": {"values": []},
}


async def talk(side: Side) -> None:
    """Made, read, changed, found, copied, pruned, deleted; states read, changed, followed back."""
    await _making(side)
    await _finding(side)
    await _copying(side)
    await _reading_states(side)
    await _changing_states(side)
    await _following(side)


async def _making(side: Side) -> None:
    for name, body in BAD.items():
        await side.ask(f"thread, {name}", "POST", "/threads", body)
    await side.ask(
        "thread, no JSON", "POST", "/threads", content=b"nonsense", headers={"content-type": "application/json"}
    )
    await side.ask("thread, empty body", "POST", "/threads", content=b"")
    await side.ask("thread, least", "POST", "/threads", {})
    await side.ask("thread, given id", "POST", "/threads", {"thread_id": FIXED, "metadata": {"a": 1, "run_id": "x"}})
    await side.ask("thread, again", "POST", "/threads", {"thread_id": FIXED})
    await side.ask(
        "thread, again, do nothing",
        "POST",
        "/threads",
        {"thread_id": FIXED, "if_exists": "do_nothing", "metadata": {"b": 2}},
    )
    await side.ask("thread, ttl", "POST", "/threads", {"ttl": {"ttl": 60, "strategy": "delete"}})
    place = f"/threads/{FIXED}"
    await side.ask("thread, read", "GET", place)
    await side.ask("thread, head", "HEAD", place)
    await side.ask("thread of nobody", "GET", f"/threads/{NOBODY}")
    await side.ask("thread of no id", "GET", "/threads/x")
    await side.ask("patch of a thread", "PATCH", place, {"metadata": {"b": {"c": 1}}})
    await side.ask("patch of a thread, shallow", "PATCH", place, {"metadata": {"b": {"d": 1}, "a": None}})
    await side.ask(
        "patch of a thread, minimal", "PATCH", place, {"metadata": {"e": 1}}, headers={"Prefer": "return=minimal"}
    )
    await side.ask("patch of a thread, nothing", "PATCH", place, {})
    await side.ask("patch of a thread, metadata is null", "PATCH", place, {"metadata": None})
    await side.ask("patch of a thread, bad", "PATCH", place, {"metadata": 1})
    await side.ask("patch of nobody's thread", "PATCH", f"/threads/{NOBODY}", {"metadata": {}})
    await side.ask("patch of no thread id", "PATCH", "/threads/x", {"metadata": {}})
    await side.ask("delete of a thread", "DELETE", place)
    await side.ask("delete of a thread again", "DELETE", place)
    await side.ask("delete of no thread id", "DELETE", "/threads/x")
    imported = {
        "metadata": {"graph_id": "steps"},
        "supersteps": [
            {"updates": [{"values": {"x": 1}, "as_node": "__input__"}]},
            {"updates": [{"values": {"x": 7, "log": ["a"]}, "as_node": "a"}]},
        ],
    }
    made = await side.ask("thread, imported", "POST", "/threads", imported)
    await side.ask("thread, imported, read", "GET", f"/threads/{made['thread_id']}")
    await side.ask("thread, imported, state", "GET", f"/threads/{made['thread_id']}/state")
    await side.ask("thread, imported, history", "POST", f"/threads/{made['thread_id']}/history", {"limit": 10})


async def _finding(side: Side) -> None:
    for name, body in BAD_SEARCHES.items():
        await side.ask(f"search of threads, {name}", "POST", "/threads/search", body)
    for number in range(3):
        thread_id = await side.thread(metadata={"found": True, "n": {"m": number}})
        await side.run(thread_id, "asking" if number == 2 else "steps", {"x": number})
    wanted = {"metadata": {"found": True}, "sort_by": "created_at", "sort_order": "asc"}
    await side.ask("search of threads", "POST", "/threads/search", wanted)
    await side.ask(
        "search of threads, first page", "POST", "/threads/search", {**wanted, "limit": 2, "select": ["metadata"]}
    )
    await side.ask(
        "search of threads, last page",
        "POST",
        "/threads/search",
        {**wanted, "limit": 2, "offset": 2, "select": ["status", "values"]},
    )
    await side.ask(
        "search of threads, nested metadata",
        "POST",
        "/threads/search",
        {"metadata": {"n": {"m": 1}}, "select": ["metadata"]},
    )
    await side.ask(
        "search of threads by status",
        "POST",
        "/threads/search",
        {**wanted, "status": "interrupted", "select": ["status", "interrupts"]},
    )
    await side.ask(
        "search of threads by values", "POST", "/threads/search", {**wanted, "values": {"x": 3}, "select": ["values"]}
    )
    extract = {
        "a": "values.x",
        "b": "metadata.n.m",
        "c": "values.log[0]",
        "d": "values.log[-1]",
        "e": "values.nothing.at.all",
    }
    await side.ask(
        "search of threads, extract", "POST", "/threads/search", {**wanted, "extract": extract, "select": ["status"]}
    )
    await side.ask(
        "search of threads, newest first",
        "POST",
        "/threads/search",
        {"metadata": {"found": True}, "select": ["metadata"]},
    )
    await side.ask("search of threads, no such id", "POST", "/threads/search", {"ids": [NOBODY]})
    await side.ask("count of threads", "POST", "/threads/count", {"metadata": {"found": True}})
    await side.ask(
        "count of threads by status", "POST", "/threads/count", {"metadata": {"found": True}, "status": "idle"}
    )
    await side.ask("count of threads, bad status", "POST", "/threads/count", {"status": "nothing"})
    await side.ask("count of threads, empty body", "POST", "/threads/count", content=b"")


async def _copying(side: Side) -> None:
    thread_id = await side.thread(metadata={"copied": True})
    await side.run(thread_id, "asking", {"x": 1}, config={"tags": ["t"]})
    copy = await side.ask("copy", "POST", f"/threads/{thread_id}/copy")
    await side.ask("copy, state", "GET", f"/threads/{copy['thread_id']}/state")
    await side.ask("copy, history", "GET", f"/threads/{copy['thread_id']}/history")
    await side.ask("copy, runs", "GET", f"/threads/{copy['thread_id']}/runs")
    await side.ask(
        "copy, resumed",
        "POST",
        f"/threads/{copy['thread_id']}/runs/wait",
        {"assistant_id": "asking", "command": {"resume": "y"}},
    )
    await side.ask("copy of nobody", "POST", f"/threads/{NOBODY}/copy")
    await side.ask("copy of no id", "POST", "/threads/x/copy")
    await side.ask("prune, nobody", "POST", "/threads/prune", {"thread_ids": [NOBODY]})
    await side.ask("prune, none", "POST", "/threads/prune", {"thread_ids": []})
    await side.ask("prune, nothing", "POST", "/threads/prune", {})
    await side.ask("prune, no id", "POST", "/threads/prune", {"thread_ids": ["x"]})
    await side.ask("prune, strategy nothing", "POST", "/threads/prune", {"thread_ids": [], "strategy": "nothing"})
    await side.ask("prune", "POST", "/threads/prune", {"thread_ids": [thread_id, copy["thread_id"], NOBODY]})
    await side.ask("prune, then gone", "GET", f"/threads/{thread_id}")
    await side.ask("storage", "GET", f"/threads/{await side.thread()}/storage")
    await side.ask("storage of nobody", "GET", f"/threads/{NOBODY}/storage")


async def _reading_states(side: Side) -> None:
    thread_id = await side.thread()
    await side.ask("state of a fresh thread", "GET", f"/threads/{thread_id}/state")
    await side.ask("history of a fresh thread", "GET", f"/threads/{thread_id}/history")
    for graph in ("steps", "asking", "asking_both", "value_error", "own_error", "parent", "narrow", "configured"):
        thread_id = await side.thread()
        await side.run(thread_id, graph, {"x": 1})
        await side.ask(f"thread after {graph}", "GET", f"/threads/{thread_id}")
        await side.ask(f"state after {graph}", "GET", f"/threads/{thread_id}/state")
        await side.ask(f"history after {graph}", "POST", f"/threads/{thread_id}/history", {"limit": 10})
    await side.run(thread_id := await side.thread(), "parent", {"x": 1})
    found = await side.ask("state with subgraphs", "GET", f"/threads/{thread_id}/state?subgraphs=true")
    await side.ask("state with subgraphs, True", "GET", f"/threads/{thread_id}/state?subgraphs=True")
    inner = found["tasks"][0]["state"]["checkpoint"] if found["tasks"][0]["state"] else {}
    await side.ask("state of a subgraph", "POST", f"/threads/{thread_id}/state/checkpoint", {"checkpoint": inner})
    await side.ask(
        "state at a checkpoint",
        "POST",
        f"/threads/{thread_id}/state/checkpoint",
        {"checkpoint": found["checkpoint"], "subgraphs": True},
    )
    await side.ask(
        "state by checkpoint id", "GET", f"/threads/{thread_id}/state/{found['checkpoint']['checkpoint_id']}"
    )
    await side.ask("state of no checkpoint", "GET", f"/threads/{thread_id}/state/{NOBODY}")
    await side.ask("state of a bad checkpoint", "GET", f"/threads/{thread_id}/state/bad")
    await side.ask(
        "state at no checkpoint",
        "POST",
        f"/threads/{thread_id}/state/checkpoint",
        {"checkpoint": {"checkpoint_id": NOBODY}},
    )
    await side.ask("state at nothing", "POST", f"/threads/{thread_id}/state/checkpoint", {})
    await side.ask("state of nobody", "GET", f"/threads/{NOBODY}/state")
    await side.ask("state of no thread id", "GET", "/threads/x/state")
    await side.ask(
        "state of nobody at a checkpoint",
        "POST",
        f"/threads/{NOBODY}/state/checkpoint",
        {"checkpoint": {"checkpoint_id": NOBODY}},
    )


async def _changing_states(side: Side) -> None:
    empty = await side.thread()
    await side.ask("update without a graph", "POST", f"/threads/{empty}/state", {"values": {"x": 1}})
    named = await side.thread(metadata={"graph_id": "steps"})
    await side.ask("update of a fresh thread", "POST", f"/threads/{named}/state", {"values": {"x": 1}, "as_node": "a"})
    await side.ask("update of a fresh thread, thread", "GET", f"/threads/{named}")
    thread_id = await side.thread()
    await side.run(thread_id, "steps", {"x": 1})
    place = f"/threads/{thread_id}/state"
    await side.ask("update", "POST", place, {"values": {"x": 10}})
    await side.ask("update, state", "GET", place)
    await side.ask("update as a node", "POST", place, {"values": {"x": 20}, "as_node": "a"})
    await side.ask("update as a node, thread", "GET", f"/threads/{thread_id}")
    await side.ask("update as a node, state", "GET", place)
    await side.ask("update as no node", "POST", place, {"values": {"x": 1}, "as_node": "nonode"})
    await side.ask("update to the end", "POST", place, {"values": None, "as_node": "__end__"})
    await side.ask("update to the end, thread", "GET", f"/threads/{thread_id}")
    await side.ask("update, copy", "POST", place, {"values": None, "as_node": "__copy__"})
    await side.ask("update, a list", "POST", place, {"values": [{"x": 1}], "as_node": "b"})
    await side.ask("update, nothing", "POST", place, {})
    await side.ask("update, a string", "POST", place, {"values": "x"})
    await side.ask("update, no such channel", "POST", place, {"values": {"nothing": 1}, "as_node": "b"})
    history = (await side.quietly("POST", f"/threads/{thread_id}/history", {"limit": 20})).body
    first = history[-1]["checkpoint"]
    await side.ask("update at a checkpoint", "POST", place, {"values": {"x": 5}, "as_node": "a", "checkpoint": first})
    await side.ask("update at a checkpoint, state", "GET", place)
    await side.ask(
        "update at a checkpoint id",
        "POST",
        place,
        {"values": {"x": 6}, "as_node": "a", "checkpoint_id": first["checkpoint_id"]},
    )
    await side.ask("update of nobody", "POST", f"/threads/{NOBODY}/state", {"values": {}})
    busy = await side.thread()
    run = await side.quietly("POST", f"/threads/{busy}/runs", {"assistant_id": "sleeping", "input": {"x": 60000}})
    await side.ask("update while busy", "POST", f"/threads/{busy}/state", {"values": {"x": 1}})
    await side.quietly("POST", f"/threads/{busy}/runs/{run['run_id']}/cancel?wait=1")


async def _following(side: Side) -> None:
    thread_id = await side.thread()
    for number in range(2):
        await side.run(thread_id, "steps", {"x": number}, metadata={"turn": number})
    place = f"/threads/{thread_id}/history"
    await side.ask("history, default", "POST", place, {})
    await side.ask("history, empty body", "POST", place, content=b"")
    await side.ask("history, get", "GET", place)
    await side.ask("history, get, limit", "GET", f"{place}?limit=3")
    await side.ask("history, get, bad limit", "GET", f"{place}?limit=abc")
    await side.ask("history, limit 0", "POST", place, {"limit": 0})
    await side.ask("history, limit 1001", "POST", place, {"limit": 1001})
    found = (await side.ask("history, all", "POST", place, {"limit": 100})).body
    third = found[2]["checkpoint"]
    await side.ask("history, before", "POST", place, {"limit": 2, "before": {"configurable": third}})
    await side.ask("history, before, in the query", "GET", f"{place}?before={third['checkpoint_id']}")
    await side.ask("history by metadata", "POST", place, {"limit": 10, "metadata": {"source": "input"}})
    await side.ask("history by metadata of a run", "POST", place, {"limit": 10, "metadata": {"turn": 1}})
    await side.ask("history at a checkpoint", "POST", place, {"limit": 10, "checkpoint": third})
    await side.ask("history of nobody", "POST", f"/threads/{NOBODY}/history", {})
    await side.ask("history of no id", "GET", "/threads/x/history")

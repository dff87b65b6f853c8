"""What is asked of runs."""

from __future__ import annotations

from typing import Any

from tests.differential.asking import Side

FIXED = "33333333-3333-4333-8333-333333333333"
NOBODY = "99999999-9999-4999-8999-999999999999"

BAD: dict[str, Any] = {
    "nothing": {},
    "no such graph": {"assistant_id": "nope"},
    "assistant of nobody": {"assistant_id": NOBODY},
    "assistant is a number": {"assistant_id": 1},
    "stream_mode nothing": {"assistant_id": "steps", "stream_mode": "nothing"},
    "stream_mode is null": {"assistant_id": "steps", "stream_mode": None},
    "strategy nothing": {"assistant_id": "steps", "multitask_strategy": "nothing"},
    "if_not_exists nothing": {"assistant_id": "steps", "if_not_exists": "nothing"},
    "on_disconnect nothing": {"assistant_id": "steps", "on_disconnect": "nothing"},
    "on_completion nothing": {"assistant_id": "steps", "on_completion": "nothing"},
    "durability nothing": {"assistant_id": "steps", "durability": "nothing"},
    "config is a list": {"assistant_id": "steps", "config": []},
    "config is null": {"assistant_id": "steps", "config": None},
    "tags are a string": {"assistant_id": "steps", "config": {"tags": "x"}},
    "recursion_limit is a string": {"assistant_id": "steps", "config": {"recursion_limit": "5"}},
    "metadata is null": {"assistant_id": "steps", "metadata": None},
    "metadata is a list": {"assistant_id": "steps", "metadata": []},
    "both contexts": {"assistant_id": "steps", "config": {"configurable": {"a": 1}}, "context": {"b": 1}},
    "command is a list": {"assistant_id": "steps", "command": []},
    "checkpoint id is none": {"assistant_id": "steps", "checkpoint": {"checkpoint_id": "bad"}},
    "interrupt_before is a number": {"assistant_id": "steps", "interrupt_before": 1},
    "after_seconds is a string": {"assistant_id": "steps", "after_seconds": "1"},
    "feedback_keys are a string": {"assistant_id": "steps", "feedback_keys": "x"},
    "webhook is empty": {"assistant_id": "steps", "webhook": ""},
    "a list": [],
    "a string": "x",
    "body is null": None,
}


async def talk(side: Side) -> None:
    """Made in the background and waited for, on threads and without, in batches; read, joined, stopped, deleted."""
    await _refused(side)
    await _background(side)
    await _waiting(side)
    await _stateless(side)
    await _commands(side)
    await _settings(side)
    await _multitask(side)
    await _stopping(side)


async def _refused(side: Side) -> None:
    thread_id = await side.thread()
    for name, body in BAD.items():
        await side.ask(f"run, {name}", "POST", f"/threads/{thread_id}/runs", body)
        await side.ask(f"stateless run, {name}", "POST", "/runs/wait", body)
    await side.ask(
        "run, no JSON", "POST", f"/threads/{thread_id}/runs", content=b"{", headers={"content-type": "application/json"}
    )
    await side.ask("run, empty body", "POST", f"/threads/{thread_id}/runs/stream", content=b"")
    for way in ("", "/wait", "/stream"):
        await side.ask(f"run of nobody{way}", "POST", f"/threads/{NOBODY}/runs{way}", {"assistant_id": "steps"})
        await side.ask(f"run of no thread id{way}", "POST", f"/threads/x/runs{way}", {"assistant_id": "steps"})
    await side.ask("resume without a thread", "POST", "/runs/wait", {"assistant_id": "steps", "command": {"resume": 1}})
    await side.ask("batch, nothing", "POST", "/runs/batch", [])
    await side.ask("batch, an object", "POST", "/runs/batch", {})
    await side.ask("batch, a bad one", "POST", "/runs/batch", [{"assistant_id": "steps"}, {}])
    await side.ask("batch, no such graph", "POST", "/runs/batch", [{"assistant_id": "nope"}])


async def _background(side: Side) -> None:
    thread_id = await side.thread(metadata={"of": "thread"})
    asked = {
        "assistant_id": "steps", "input": {"x": 1}, "metadata": {"of": "run", "run_id": "spoofed"},
        "config": {"tags": ["t"], "recursion_limit": 20, "metadata": {"c": 1}, "configurable": {"k": "v",
        "langgraph_auth_user": "me"}},
        "stream_mode": ["values", "updates"], "interrupt_before": ["nothing"], "multitask_strategy": "reject",
        "durability": "sync", "stream_subgraphs": True, "stream_resumable": True, "unknown": 1,
    }  # fmt: skip
    made = await side.ask("run, full", "POST", f"/threads/{thread_id}/runs", asked)
    run_id = made["run_id"]
    place = f"/threads/{thread_id}/runs"
    await side.ask("join", "GET", f"{place}/{run_id}/join")
    await side.idle(thread_id)
    await side.ask("run, read", "GET", f"{place}/{run_id}")
    await side.ask("run, head", "HEAD", f"{place}/{run_id}")
    await side.ask("thread after a full run", "GET", f"/threads/{thread_id}")
    await side.ask("state after a full run", "GET", f"/threads/{thread_id}/state")
    await side.ask("join again", "GET", f"{place}/{run_id}/join")
    await side.ask("cancel what has ended", "POST", f"{place}/{run_id}/cancel")
    await side.run(thread_id, "steps")
    await side.ask("runs", "GET", place)
    await side.ask("runs, limit", "GET", f"{place}?limit=1&select=run_id&select=status")
    await side.ask("runs, offset", "GET", f"{place}?offset=1&select=status")
    await side.ask("runs, status", "GET", f"{place}?status=success&select=status")
    await side.ask("runs, no such status", "GET", f"{place}?status=nothing")
    await side.ask("runs, bad limit", "GET", f"{place}?limit=abc")
    await side.ask("runs, limit 0", "GET", f"{place}?limit=0")
    await side.ask("runs, bad select", "GET", f"{place}?select=nothing")
    await side.ask("runs of nobody", "GET", f"/threads/{NOBODY}/runs")
    await side.ask("runs of no thread id", "GET", "/threads/x/runs")
    await side.ask("run of nobody, read", "GET", f"{place}/{NOBODY}")
    await side.ask("run of no id, read", "GET", f"{place}/x")
    await side.ask("run of another thread", "GET", f"/threads/{await side.thread()}/runs/{run_id}")
    await side.ask("join of nobody", "GET", f"{place}/{NOBODY}/join")
    await side.ask("join on nobody", "GET", f"/threads/{NOBODY}/runs/{NOBODY}/join")
    await side.ask("join of no id", "GET", f"{place}/x/join")
    await side.ask("delete of a run", "DELETE", f"{place}/{run_id}")
    await side.ask("delete of a run again", "DELETE", f"{place}/{run_id}")
    await side.ask("delete of no run id", "DELETE", f"{place}/x")
    await side.ask("runs after a deletion", "GET", f"{place}?select=status")
    fresh = await side.thread()
    await side.ask("run, least", "POST", f"/threads/{fresh}/runs", {"assistant_id": "steps", "input": {"x": 1}})
    await side.idle(fresh)
    await side.ask("run, least, listed", "GET", f"/threads/{fresh}/runs")
    await side.ask("run, least, thread", "GET", f"/threads/{fresh}")


async def _waiting(side: Side) -> None:
    for graph in (
        "steps",
        "asking",
        "asking_both",
        "value_error",
        "own_error",
        "narrow",
        "parent",
        "speaking",
        "branching",
    ):
        thread_id = await side.thread()
        given = {"messages": [{"role": "user", "content": "hi", "id": "m1"}]} if graph == "speaking" else {"x": 1}
        await side.ask(
            f"wait, {graph}", "POST", f"/threads/{thread_id}/runs/wait", {"assistant_id": graph, "input": given}
        )
        await side.idle(thread_id)
        await side.ask(f"wait, {graph}, thread", "GET", f"/threads/{thread_id}")
        runs = await side.ask(f"wait, {graph}, runs", "GET", f"/threads/{thread_id}/runs")
        await side.ask(f"wait, {graph}, joined late", "GET", f"/threads/{thread_id}/runs/{runs[0]['run_id']}/join")
    await side.ask(
        "wait, null input on a fresh thread",
        "POST",
        f"/threads/{await side.thread()}/runs/wait",
        {"assistant_id": "steps"},
    )
    await side.ask(
        "wait, a list for input",
        "POST",
        f"/threads/{await side.thread()}/runs/wait",
        {"assistant_id": "steps", "input": [1]},
    )
    await side.ask(
        "wait, limit reached",
        "POST",
        f"/threads/{await side.thread()}/runs/wait",
        {"assistant_id": "steps", "input": {"x": 1}, "config": {"recursion_limit": 1}},
    )
    after = await side.thread()
    await side.run(after, "value_error", {"x": 1})
    await side.ask(
        "wait, after a failure", "POST", f"/threads/{after}/runs/wait", {"assistant_id": "steps", "input": {"x": 1}}
    )
    await side.idle(after)
    await side.ask("wait, after a failure, thread", "GET", f"/threads/{after}")
    await side.ask(
        "if_not_exists, create",
        "POST",
        f"/threads/{FIXED}/runs/wait",
        {
            "assistant_id": "steps",
            "input": {"x": 1},
            "if_not_exists": "create",
            "metadata": {"rm": 2},
            "config": {"metadata": {"cm": 1}},
        },
    )
    await side.idle(FIXED)
    await side.ask("if_not_exists, thread", "GET", f"/threads/{FIXED}")


async def _stateless(side: Side) -> None:
    await side.ask("stateless wait", "POST", "/runs/wait", {"assistant_id": "steps", "input": {"x": 1}})
    await side.ask("stateless wait, failed", "POST", "/runs/wait", {"assistant_id": "value_error", "input": {"x": 1}})
    await side.ask("stateless wait, masked", "POST", "/runs/wait", {"assistant_id": "own_error", "input": {"x": 1}})
    await side.ask("stateless wait, asks", "POST", "/runs/wait", {"assistant_id": "asking", "input": {"x": 1}})
    made = await side.ask("stateless run", "POST", "/runs", {"assistant_id": "steps", "input": {"x": 1}})
    await side.until("GET", f"/threads/{made['thread_id']}", lambda answer: answer.status == 404)
    await side.ask("stateless run, thread gone", "GET", f"/threads/{made['thread_id']}")
    await side.ask("stateless run, run gone", "GET", f"/threads/{made['thread_id']}/runs/{made['run_id']}")
    made = await side.ask(
        "stateless run, kept",
        "POST",
        "/runs",
        {"assistant_id": "steps", "input": {"x": 1}, "on_completion": "keep", "metadata": {"k": 1}},
    )
    await side.idle(made["thread_id"])
    await side.ask("stateless run, kept, thread", "GET", f"/threads/{made['thread_id']}")
    await side.ask("stateless run, kept, run", "GET", f"/threads/{made['thread_id']}/runs/{made['run_id']}")
    await side.ask("stateless run, kept, state", "GET", f"/threads/{made['thread_id']}/state")
    thread_id = await side.thread()
    batch = [
        {"assistant_id": "steps", "input": {"x": 1}, "on_completion": "keep"},
        {"assistant_id": "steps", "input": {"x": 2}, "thread_id": thread_id},
    ]
    await side.ask("batch", "POST", "/runs/batch", batch)
    await side.idle(thread_id)


async def _commands(side: Side) -> None:
    async def asked(graph: str = "asking") -> str:
        thread_id = await side.thread()
        await side.run(thread_id, graph, {"x": 1})
        return thread_id

    async def told(label: str, thread_id: str, graph: str = "asking", **body: Any) -> None:
        await side.ask(label, "POST", f"/threads/{thread_id}/runs/wait", {"assistant_id": graph, **body})
        await side.idle(thread_id)
        await side.ask(f"{label}, thread", "GET", f"/threads/{thread_id}")

    await told("resume", await asked(), command={"resume": "yes"})
    await told("resume with an object", await asked(), command={"resume": {"a": 1}})
    await told("resume with null", await asked(), command={"resume": None})
    await told("resume and update", await asked(), command={"resume": "y", "update": {"x": 50}})
    await told("update by pairs", await asked(), command={"update": [["x", 50]]})
    await told("goto", await asked("steps"), "steps", command={"goto": "b"})
    await told("goto nowhere", await asked("steps"), "steps", command={"goto": "nowhere"})
    await told("goto with an input", await asked("steps"), "steps", command={"goto": {"node": "b", "input": {"x": 70}}})
    await told("goto many", await asked("steps"), "steps", command={"goto": ["a", {"node": "b", "input": {"x": 70}}]})
    await told("no command", await asked(), command={})
    await told("an unknown command", await asked(), command={"bogus": 1})
    await told("resume with nothing pending", await asked("steps"), "steps", command={"resume": 1})
    await told("go on with nothing pending", await asked("steps"), "steps", input=None)
    await told("go on with a question pending", await asked(), input=None)
    await told("a new input on a question", await asked(), input={"x": 100})
    await told("one answer to two questions", await asked("asking_both"), "asking_both", command={"resume": "y"})
    both = await asked("asking_both")
    state = await side.quietly("GET", f"/threads/{both}/state")
    ids = {one["value"] if isinstance(one["value"], str) else "ok?": one["id"] for one in state["interrupts"]}
    await told("one of two answers", both, "asking_both", command={"resume": {ids["ok?"]: "y"}})
    await told("the other answer", both, "asking_both", command={"resume": {ids["really?"]: "n"}})
    await told("an unknown answer", await asked("asking_both"), "asking_both", command={"resume": {"0" * 32: "y"}})
    await told("resume of a subgraph", await asked("parent"), "parent", command={"resume": "in"})
    await told("stop before", await side.thread(), "steps", input={"x": 1}, interrupt_before=["b"])
    stopped = await side.thread()
    await told("stop after", stopped, "steps", input={"x": 1}, interrupt_after=["a"])
    await told("go on after a stop", stopped, "steps", input=None)
    await told("stop before all", await side.thread(), "steps", input={"x": 1}, interrupt_before="*")
    forked = await asked("steps")
    history = (await side.quietly("POST", f"/threads/{forked}/history", {"limit": 10})).body
    await told("fork", forked, "steps", input=None, checkpoint=history[1]["checkpoint"])
    await told("fork by id", forked, "steps", input=None, checkpoint_id=history[1]["checkpoint"]["checkpoint_id"])
    await told("fork of nobody", forked, "steps", input=None, checkpoint={"checkpoint_id": NOBODY})
    await side.ask("fork, history", "POST", f"/threads/{forked}/history", {"limit": 20})


async def _settings(side: Side) -> None:
    made = {
        "graph_id": "configured", "name": "C", "context": {"user_name": "assistant", "flag": True},
        "config": {"tags": ["at"], "recursion_limit": 11}, "metadata": {"m": "assistant"},
    }  # fmt: skip
    assistant = (await side.quietly("POST", "/assistants", made))["assistant_id"]
    asks: dict[str, dict[str, Any]] = {
        "nothing": {},
        "context": {"context": {"user_name": "run"}},
        "configurable": {"config": {"configurable": {"user_name": "run", "more": 1}}},
        "tags and limit": {"config": {"tags": ["rt"], "recursion_limit": 13}},
        "metadata": {"metadata": {"m": "run"}},
        "spoofed": {
            "config": {"configurable": {"langgraph_auth_user": {"identity": "root"}, "langgraph_auth_user_id": "root"}}
        },
        "wrong type of context": {"context": {"user_name": 5}},
        "unknown key of context": {"context": {"nothing": 5}},
    }
    for name, body in asks.items():
        for graph in (assistant, "configured"):
            which = "assistant" if graph == assistant else "graph"
            thread_id = await side.thread(metadata={"t": 1})
            asked = {"assistant_id": graph, "input": {}, **body}
            await side.ask(
                f"configured {which}, {name}",
                "POST",
                f"/threads/{thread_id}/runs/wait",
                asked,
                headers={"x-foo": "bar"},
            )
            await side.idle(thread_id)
            await side.ask(f"configured {which}, {name}, thread", "GET", f"/threads/{thread_id}")
            await side.ask(f"configured {which}, {name}, runs", "GET", f"/threads/{thread_id}/runs")
    inherited = await side.thread()
    await side.run(
        inherited,
        "configured",
        {},
        config={"tags": ["first"], "recursion_limit": 9, "configurable": {"user_name": "first"}},
    )
    await side.ask(
        "configured, inherited", "POST", f"/threads/{inherited}/runs/wait", {"assistant_id": "configured", "input": {}}
    )
    made = {"graph_id": "factory", "context": {"node": "mine"}}
    factory = (await side.quietly("POST", "/assistants", made))["assistant_id"]
    await side.ask("factory", "POST", "/runs/wait", {"assistant_id": "factory", "input": {"x": 1}})
    await side.ask("factory, assistant", "POST", "/runs/wait", {"assistant_id": factory, "input": {"x": 1}})
    await side.ask(
        "factory, run",
        "POST",
        "/runs/wait",
        {"assistant_id": factory, "input": {"x": 1}, "config": {"configurable": {"node": "theirs"}}},
    )
    await side.ask("factory, drawing", "GET", f"/assistants/{factory}/graph")
    for durability in ("sync", "async", "exit"):
        thread_id = await side.thread()
        await side.run(thread_id, "steps", {"x": 1}, durability=durability)
        await side.ask(f"durability {durability}", "POST", f"/threads/{thread_id}/history", {"limit": 10})


async def _multitask(side: Side) -> None:
    for strategy in ("reject", "enqueue", "interrupt", "rollback"):
        thread_id = await side.thread()
        await side.run(thread_id, "steps", {"x": 1})
        place = f"/threads/{thread_id}/runs"
        first = await side.quietly(
            "POST", place, {"assistant_id": "sleeping", "input": {"x": 1500 if strategy == "enqueue" else 60000}}
        )
        await side.until("GET", f"/threads/{thread_id}/state", lambda answer: answer["next"] == ["sleep"])
        await side.ask(f"{strategy}, busy", "GET", f"/threads/{thread_id}")
        await side.ask(f"{strategy}, first", "GET", f"{place}/{first['run_id']}")
        await side.ask(
            f"{strategy}, second",
            "POST",
            f"{place}/wait",
            {"assistant_id": "steps", "input": {"x": 5}, "multitask_strategy": strategy},
        )
        if strategy == "reject":
            await side.quietly("POST", f"{place}/{first['run_id']}/cancel?wait=1")
        await side.idle(thread_id)
        await side.ask(f"{strategy}, first after", "GET", f"{place}/{first['run_id']}")
        await side.ask(f"{strategy}, thread after", "GET", f"/threads/{thread_id}")
        await side.ask(f"{strategy}, runs after", "GET", f"{place}?select=status")
        await side.ask(f"{strategy}, history after", "POST", f"/threads/{thread_id}/history", {"limit": 20})


async def _stopping(side: Side) -> None:
    async def begun(graph: str = "sleeping", **more: Any) -> tuple[str, str]:
        thread_id = await side.thread()
        asked = {"assistant_id": graph, "input": {"x": 60000}, **more}
        run = await side.quietly("POST", f"/threads/{thread_id}/runs", asked)
        if not more:
            await side.until("GET", f"/threads/{thread_id}/state", lambda answer: answer["next"] == ["sleep"])
        return thread_id, run["run_id"]

    async def left(label: str, thread_id: str, run_id: str) -> None:
        await side.idle(thread_id)
        await side.ask(f"{label}, run", "GET", f"/threads/{thread_id}/runs/{run_id}")
        await side.ask(f"{label}, thread", "GET", f"/threads/{thread_id}")
        await side.ask(f"{label}, state", "GET", f"/threads/{thread_id}/state")

    for label, query in (
        ("cancel", ""),
        ("cancel, wait", "?wait=1"),
        ("cancel, wait true", "?wait=true&action=interrupt"),
        ("cancel, reason", "?reason=taken"),
        ("cancel, rollback", "?action=rollback&wait=1"),
    ):
        thread_id, run_id = await begun()
        await side.ask(label, "POST", f"/threads/{thread_id}/runs/{run_id}/cancel{query}")
        await left(label, thread_id, run_id)
        await side.ask(f"{label}, again", "POST", f"/threads/{thread_id}/runs/{run_id}/cancel{query}")
        await side.ask(f"{label}, joined", "GET", f"/threads/{thread_id}/runs/{run_id}/join")
    thread_id, run_id = await begun(after_seconds=3600)
    await side.ask("delayed, thread", "GET", f"/threads/{thread_id}")
    await side.ask("delayed, run", "GET", f"/threads/{thread_id}/runs/{run_id}")
    await side.ask("delayed, cancelled", "POST", f"/threads/{thread_id}/runs/{run_id}/cancel")
    await left("delayed, cancelled", thread_id, run_id)
    thread_id, run_id = await begun()
    place = f"/threads/{thread_id}/runs"
    await side.ask("cancel, bad action", "POST", f"{place}/{run_id}/cancel?action=nothing")
    await side.ask("cancel of nobody", "POST", f"{place}/{NOBODY}/cancel")
    await side.ask("cancel on nobody", "POST", f"/threads/{NOBODY}/runs/{run_id}/cancel")
    await side.ask("cancel of no id", "POST", f"{place}/x/cancel")
    await side.ask("cancel many, nothing", "POST", "/runs/cancel", {})
    await side.ask(
        "cancel many, both", "POST", "/runs/cancel", {"thread_id": thread_id, "run_ids": [run_id], "status": "all"}
    )
    await side.ask("cancel many, half", "POST", "/runs/cancel", {"thread_id": thread_id})
    await side.ask("cancel many, none", "POST", "/runs/cancel", {"thread_id": thread_id, "run_ids": []})
    await side.ask("cancel many, bad status", "POST", "/runs/cancel", {"status": "success"})
    await side.ask("cancel many, nobody", "POST", "/runs/cancel", {"thread_id": thread_id, "run_ids": [NOBODY]})
    await side.ask("cancel many", "POST", "/runs/cancel", {"thread_id": thread_id, "run_ids": [run_id, NOBODY]})
    await left("cancel many", thread_id, run_id)
    thread_id, run_id = await begun()
    await side.ask("cancel all", "POST", "/runs/cancel", {"status": "all"})
    # The reference's worker never hears of it: no waiting for the thread.
    await side.ask("cancel all, run", "GET", f"/threads/{thread_id}/runs/{run_id}")
    await side.quietly("DELETE", f"/threads/{thread_id}")
    await side.ask("cancel all, nothing open", "POST", "/runs/cancel", {"status": "all"})
    thread_id, run_id = await begun()
    await side.ask("delete of a busy thread", "DELETE", f"/threads/{thread_id}")
    await side.ask("delete of a busy thread, run", "GET", f"/threads/{thread_id}/runs/{run_id}")

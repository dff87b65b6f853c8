"""What is asked of streams."""

from __future__ import annotations

from typing import Any

from tests.differential.asking import Side

NOBODY = "99999999-9999-4999-8999-999999999999"
MODES = ("values", "updates", "messages", "messages-tuple", "tasks", "checkpoints", "debug", "custom")
GRAPHS = (
    "steps",
    "asking",
    "asking_both",
    "speaking",
    "nested",
    "parent",
    "narrating",
    "value_error",
    "own_error",
    "narrow",
)
HELLO = {"messages": [{"role": "user", "content": "hi", "id": "m1"}]}


async def talk(side: Side) -> None:
    """Every graph in every mode, with subgraphs and without; several modes; joined, late and filtered."""
    for graph in GRAPHS:
        given: dict[str, Any] = HELLO if graph in ("speaking", "nested") else {"x": 1}
        for mode in MODES:
            await _stream(side, f"stream of {graph}, {mode}", graph, given, stream_mode=mode)
    for graph in ("nested", "parent"):
        for mode in MODES:
            more = {"stream_mode": mode, "stream_subgraphs": True}
            await _stream(
                side,
                f"stream of {graph} with subgraphs, {mode}",
                graph,
                HELLO if graph == "nested" else {"x": 1},
                **more,
            )
    await _stream(side, "stream, default mode", "steps", {"x": 1})
    await _stream(side, "stream, no mode", "steps", {"x": 1}, stream_mode=[])
    await _stream(side, "stream, several", "steps", {"x": 1}, stream_mode=["values", "updates", "custom"])
    await _stream(side, "stream, several, other order", "steps", {"x": 1}, stream_mode=["updates", "values"])
    await _stream(side, "stream, all of debugging", "steps", {"x": 1}, stream_mode=["debug", "tasks", "checkpoints"])
    await _stream(side, "stream, both messages", "speaking", HELLO, stream_mode=["messages", "messages-tuple"])
    await _stream(
        side, "stream, stop before", "steps", {"x": 1}, stream_mode=["values", "updates"], interrupt_before=["b"]
    )
    await _stream(side, "stream, unknown mode", "steps", {"x": 1}, stream_mode="nothing")
    await _stream(side, "stream, feedback", "steps", {"x": 1}, feedback_keys=["good"])
    await side.ask(
        "stream, stateless",
        "POST",
        "/runs/stream",
        {"assistant_id": "steps", "input": {"x": 1}, "stream_mode": ["values", "checkpoints"]},
    )
    await side.ask(
        "stream, stateless, resumable",
        "POST",
        "/runs/stream",
        {"assistant_id": "steps", "input": {"x": 1}, "stream_resumable": True},
    )
    await side.ask(
        "stream, stateless, failed", "POST", "/runs/stream", {"assistant_id": "value_error", "input": {"x": 1}}
    )
    await _joining(side)


async def _stream(side: Side, label: str, graph: str, given: Any, **more: Any) -> None:
    thread_id = await side.thread()
    asked = {"assistant_id": graph, "input": given, **more}
    await side.ask(label, "POST", f"/threads/{thread_id}/runs/stream", asked)


async def _joining(side: Side) -> None:
    thread_id = await side.thread()
    place = f"/threads/{thread_id}/runs"
    asked = {"assistant_id": "steps", "input": {"x": 1}, "stream_mode": ["values", "updates"], "stream_resumable": True}
    await side.ask("resumable", "POST", f"{place}/stream", asked)
    await side.idle(thread_id)
    run_id = (await side.quietly("GET", place)).body[0]["run_id"]
    for given in ("-1", "-", "0", "0-0"):
        await side.ask(f"joined from {given}", "GET", f"{place}/{run_id}/stream", headers={"Last-Event-ID": given})
    await side.ask("joined late", "GET", f"{place}/{run_id}/stream")
    await side.ask("joined from nonsense", "GET", f"{place}/{run_id}/stream", headers={"Last-Event-ID": "nonsense"})
    await side.ask(
        "joined, filtered", "GET", f"{place}/{run_id}/stream?stream_mode=updates", headers={"Last-Event-ID": "-1"}
    )
    await side.ask(
        "joined, filtered by what was not asked",
        "GET",
        f"{place}/{run_id}/stream?stream_mode=custom",
        headers={"Last-Event-ID": "-1"},
    )
    await side.ask("joined, nobody", "GET", f"{place}/{NOBODY}/stream")
    await side.ask("joined on nobody", "GET", f"/threads/{NOBODY}/runs/{NOBODY}/stream")
    await side.ask("joined, no id", "GET", f"{place}/x/stream")
    plain = await side.thread()
    await side.run(plain, "steps", {"x": 1})
    run_id = (await side.quietly("GET", f"/threads/{plain}/runs")).body[0]["run_id"]
    await side.ask(
        "joined, not resumable, ended", "GET", f"/threads/{plain}/runs/{run_id}/stream", headers={"Last-Event-ID": "-1"}
    )

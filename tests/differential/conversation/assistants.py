"""What is asked of assistants."""

from __future__ import annotations

from typing import Any

from tests.differential.asking import Side

FIXED = "11111111-1111-4111-8111-111111111111"
NOBODY = "99999999-9999-4999-8999-999999999999"

BAD: dict[str, Any] = {
    "nothing": {},
    "no such graph": {"graph_id": "nope"},
    "graph is a number": {"graph_id": 7},
    "id is none": {"graph_id": "steps", "assistant_id": "x"},
    "config is a list": {"graph_id": "steps", "config": []},
    "config is null": {"graph_id": "steps", "config": None},
    "metadata is null": {"graph_id": "steps", "metadata": None},
    "name is null": {"graph_id": "steps", "name": None},
    "if_exists is none": {"graph_id": "steps", "if_exists": "maybe"},
    "both contexts": {"graph_id": "steps", "config": {"configurable": {"a": 1}}, "context": {"b": 2}},
    "a list": [],
    "a string": "x",
}
BAD_SEARCHES: dict[str, Any] = {
    "limit 0": {"limit": 0},
    "limit 1001": {"limit": 1001},
    "limit is a string": {"limit": "10"},
    "offset below 0": {"offset": -1},
    "sort_by nothing": {"sort_by": "nothing"},
    "sort_order nothing": {"sort_order": "up"},
    "select nothing": {"select": ["nothing"]},
    "metadata is a list": {"metadata": []},
}


async def talk(side: Side) -> None:
    """Made, read, changed, found, drawn, deleted."""
    await _making(side)
    await _finding(side)
    await _drawing(side)


async def _making(side: Side) -> None:
    for name, body in BAD.items():
        await side.ask(f"assistant, {name}", "POST", "/assistants", body)
    await side.ask(
        "assistant, no JSON", "POST", "/assistants", content=b"{", headers={"content-type": "application/json"}
    )
    await side.ask("assistant, empty body", "POST", "/assistants", content=b"")
    made = await side.ask("assistant, least", "POST", "/assistants", {"graph_id": "steps", "assistant_id": FIXED})
    await side.ask("assistant, again", "POST", "/assistants", {"graph_id": "steps", "assistant_id": FIXED})
    again = {"graph_id": "asking", "assistant_id": FIXED, "if_exists": "do_nothing", "name": "other"}
    await side.ask("assistant, again, do nothing", "POST", "/assistants", again)
    full = {
        "graph_id": "configured", "name": "Full", "description": "All of it.", "metadata": {"team": "x", "n": {"m": 1}},
        "context": {"user_name": "ada"}, "config": {"tags": ["t"], "recursion_limit": 9}, "unknown": 1,
    }  # fmt: skip
    made = await side.ask("assistant, full", "POST", "/assistants", full)
    place = f"/assistants/{made['assistant_id']}"
    await side.ask("assistant, read", "GET", place)
    await side.ask("assistant, head", "HEAD", place)
    await side.ask("assistant of nobody", "GET", f"/assistants/{NOBODY}")
    await side.ask("assistant by name", "GET", "/assistants/steps")
    await side.ask(
        "assistant, reserved metadata",
        "POST",
        "/assistants",
        {"graph_id": "steps", "metadata": {"thread_id": "x", "a": 1}},
    )
    await side.ask("patch, name", "PATCH", place, {"name": "Renamed", "metadata": {"more": 1, "n": {"k": 2}}})
    await side.ask("patch, context", "PATCH", place, {"context": {"flag": True}})
    await side.ask("patch, config", "PATCH", place, {"config": {"configurable": {"user_name": "bob"}}})
    await side.ask("patch, config without configurable", "PATCH", place, {"config": {"tags": ["new"]}})
    await side.ask("patch, config empty", "PATCH", place, {"config": {}})
    await side.ask("patch, context empty", "PATCH", place, {"context": {}})
    await side.ask("patch, graph", "PATCH", place, {"graph_id": "asking"})
    await side.ask("patch, no such graph", "PATCH", place, {"graph_id": "nope"})
    await side.ask("patch, nothing", "PATCH", place, {})
    await side.ask("patch, both contexts", "PATCH", place, {"config": {"configurable": {"a": 1}}, "context": {"b": 1}})
    await side.ask("patch, name is null", "PATCH", place, {"name": None})
    await side.ask("patch of nobody", "PATCH", f"/assistants/{NOBODY}", {"name": "x"})
    await side.ask("patch of no id", "PATCH", "/assistants/steps", {"name": "x"})
    await side.ask("versions", "POST", f"{place}/versions", {})
    await side.ask("versions, page", "POST", f"{place}/versions", {"limit": 2, "offset": 1})
    await side.ask("versions by metadata", "POST", f"{place}/versions", {"metadata": {"more": 1}, "limit": 2})
    await side.ask("versions, empty body", "POST", f"{place}/versions", content=b"")
    await side.ask("versions of nobody", "POST", f"/assistants/{NOBODY}/versions", {})
    await side.ask("versions of no id", "POST", "/assistants/x/versions", {})
    await side.ask("versions, limit 0", "POST", f"{place}/versions", {"limit": 0})
    await side.ask("latest", "POST", f"{place}/latest", {"version": 1})
    await side.ask("latest, no such", "POST", f"{place}/latest", {"version": 99})
    await side.ask("latest, none", "POST", f"{place}/latest", {})
    await side.ask("latest, a string", "POST", f"{place}/latest", {"version": "1"})
    await side.ask("latest of nobody", "POST", f"/assistants/{NOBODY}/latest", {"version": 1})
    await side.ask("patch, description is null", "PATCH", place, {"description": None})
    await side.ask("delete", "DELETE", place)
    await side.ask("delete again", "DELETE", place)
    await side.ask("delete of no id", "DELETE", "/assistants/x")


async def _finding(side: Side) -> None:
    for name, body in BAD_SEARCHES.items():
        await side.ask(f"search of assistants, {name}", "POST", "/assistants/search", body)
    for number, name in enumerate(("Xa", "xb", "Yc")):
        made = {"graph_id": "steps", "name": name, "metadata": {"found": True, "n": number, "list": [1, 2]}}
        await side.quietly("POST", "/assistants", made)
    wanted = {"metadata": {"found": True}, "sort_by": "name", "sort_order": "asc"}
    await side.ask("search of assistants", "POST", "/assistants/search", wanted)
    await side.ask("search of assistants, first page", "POST", "/assistants/search", {**wanted, "limit": 2})
    await side.ask("search of assistants, last page", "POST", "/assistants/search", {**wanted, "limit": 2, "offset": 2})
    await side.ask("search of assistants, beyond", "POST", "/assistants/search", {**wanted, "offset": 9})
    await side.ask("search of assistants, exactly a page", "POST", "/assistants/search", {**wanted, "limit": 3})
    await side.ask("search of assistants by name", "POST", "/assistants/search", {**wanted, "name": "X"})
    await side.ask("search of assistants by graph", "POST", "/assistants/search", {**wanted, "graph_id": "asking"})
    await side.ask(
        "search of assistants, select", "POST", "/assistants/search", {**wanted, "select": ["name", "version"]}
    )
    await side.ask(
        "search of system assistants",
        "POST",
        "/assistants/search",
        {"metadata": {"created_by": "system"}, "sort_by": "name", "sort_order": "asc", "limit": 100},
    )
    await side.ask(
        "search of assistants, newest first",
        "POST",
        "/assistants/search",
        {"metadata": {"found": True}, "select": ["name"]},
    )
    await side.ask("search of assistants, empty body", "POST", "/assistants/search", content=b"")
    await side.ask("count of assistants", "POST", "/assistants/count", {"metadata": {"found": True}})
    await side.ask(
        "count of assistants by name", "POST", "/assistants/count", {"metadata": {"found": True}, "name": "y"}
    )
    await side.ask("count of assistants, nobody", "POST", "/assistants/count", {"graph_id": "nope"})
    await side.ask("search of assistants, no such graph", "POST", "/assistants/search", {"graph_id": "nope"})
    await side.ask("count of assistants, bad", "POST", "/assistants/count", {"metadata": 1})


async def _drawing(side: Side) -> None:
    wanted = {"metadata": {"created_by": "system"}, "limit": 100}
    ids = {
        one["graph_id"]: one["assistant_id"] for one in (await side.quietly("POST", "/assistants/search", wanted)).body
    }
    for graph, assistant_id in sorted(ids.items()):
        await side.ask(f"drawing of {graph}", "GET", f"/assistants/{graph}/graph")
        await side.ask(f"schemas of {graph}", "GET", f"/assistants/{assistant_id}/schemas")
        await side.ask(f"subgraphs of {graph}", "GET", f"/assistants/{assistant_id}/subgraphs")
    for xray in ("true", "false", "1", "0", "-1", "x"):
        await side.ask(f"drawing, xray {xray}", "GET", f"/assistants/{ids['parent']}/graph?xray={xray}")
    await side.ask("drawing of nobody", "GET", f"/assistants/{NOBODY}/graph")
    await side.ask("drawing of no graph", "GET", "/assistants/nope/graph")
    await side.ask("schemas by name", "GET", "/assistants/parent/schemas")
    await side.ask("schemas of nobody", "GET", f"/assistants/{NOBODY}/schemas")
    await side.ask("subgraphs, recurse", "GET", f"/assistants/{ids['parent']}/subgraphs?recurse=true")
    await side.ask("subgraphs by namespace", "GET", f"/assistants/{ids['parent']}/subgraphs/child")
    await side.ask("subgraphs of nowhere", "GET", f"/assistants/{ids['parent']}/subgraphs/nowhere")
    await side.ask("subgraphs by name", "GET", "/assistants/parent/subgraphs")

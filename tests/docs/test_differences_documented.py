"""The page on the Agent Server API names each intended difference with its reason, and counts what is tested."""

from __future__ import annotations

import inspect
from pathlib import Path

from langgraph_sdk import get_client

from tests.differential.intended import INTENDED

PAGE = (Path(__file__).parents[2] / "docs/reference/agent-server/README.md").read_text("utf-8")
PARTS = ("assistants", "threads", "runs", "crons", "store")


def test_each_intended_difference_is_on_the_page():
    rows = [f"| {kind.name} | {kind.reason} |" for kind in INTENDED]
    assert [row for row in rows if row not in PAGE.splitlines()] == []
    listed = PAGE.partition("| Difference | Reason |\n|---|---|\n")[2].partition("\n\n")[0]
    assert listed.splitlines() == rows


def test_the_count_of_the_sdks_methods_is_right():
    client = get_client(url="http://127.0.0.1:1")
    methods = [
        name
        for part in PARTS
        for name, _ in inspect.getmembers(type(getattr(client, part)), inspect.isfunction)
        if not name.startswith("_")
    ]
    assert f"`langgraph-sdk` 0.4.14 | {len(methods)} methods" in PAGE

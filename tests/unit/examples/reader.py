"""A reader of the research example: asks it, and checks every citation against the lines it names."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[3] / "examples" / "research"
THREAD = {"configurable": {"thread_id": "reader"}}
LEASES = "How long does a lease last?"
QUOTE = re.compile(r"“([^”]+)” \(`([^`]+):(\d+)(?:-(\d+))?`\)")


async def ask(graph, question, **given):
    return await graph.ainvoke({"question": question, **given}, THREAD)


async def steps(graph, question, **given):
    """The names of the nodes of each superstep, in order."""
    found: dict[int, list[str]] = {}
    async for event in graph.astream({"question": question, **given}, THREAD, stream_mode="debug"):
        if event["type"] == "task":
            found.setdefault(event["step"], []).append(event["payload"]["name"])
    return [sorted(names) for _, names in sorted(found.items())]


def words(text):
    return re.findall(r"\w+", text.replace("&lt;", "<").replace("&gt;", ">"))


def check_citations(report, read):
    """Every quotation stands, word for word, on the lines its citation names. `read` gives a document's lines."""
    quotes = QUOTE.findall(report)
    for quote, source, first, last in quotes:
        lines = read(source)[int(first) - 1 : int(last or first)]
        assert lines, f"{source} has no line {first}"
        wanted, there = words(quote.removesuffix(" …")), words(" ".join(lines))
        assert any(there[at : at + len(wanted)] == wanted for at in range(len(there))), (quote, source, first, lines)
    return quotes


def corpus_lines(source):
    return (PROJECT / source).read_text("utf-8").split("\n")

"""The table of sides, in the order in which they are measured. Called by `__main__`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.sides.aegra import Aegra
from benchmarks.sides.bare import Bare
from benchmarks.sides.langgraph_dev import LangGraphDev
from benchmarks.sides.langyard import Langyard
from benchmarks.sides.naive import Naive
from benchmarks.sides.side import Context, Side

SIDES: dict[str, Callable[[Context], Side]] = {
    "bare": lambda context: Bare(context, "bare", saver="none"),
    "bare-memory": lambda context: Bare(context, "bare-memory", saver="memory"),
    "bare-postgres": lambda context: Bare(context, "bare-postgres", saver="postgres"),
    "naive": lambda context: Naive(context, "naive"),
    "naive-2": lambda context: Naive(context, "naive-2", workers=2),
    "langyard": lambda context: Langyard(context, "langyard"),
    "langyard-2": lambda context: Langyard(context, "langyard-2", processes=2),
    "langgraph-dev": lambda context: LangGraphDev(context, "langgraph-dev"),
    "aegra": lambda context: Aegra(context, "aegra"),
    "aegra-redis": lambda context: Aegra(context, "aegra-redis", redis=True),
}

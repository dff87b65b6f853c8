"""The graphs under fire, as source of a project of their own: every node writes start and end in a ledger outside.

The ledger is a file that is only appended to, a line a write: it outlives a killed process and a stopped database, and
no lock is held on it by a process that is frozen.
"""

from __future__ import annotations

SOURCE = """
import asyncio, json, operator, os, time
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.types import interrupt

LEDGER = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
PAUSE_S = float(os.environ.get("CHAOS_NODE_S", "0.1"))
BLOCK_S = float(os.environ.get("CHAOS_BLOCK_S", "0"))


class State(TypedDict, total=False):
    key: str
    runs: Annotated[list[str], operator.add]
    last: str


def note(what, name, config, state):
    told = {"what": what, "node": name, "at": time.time(), "pid": os.getpid(), "key": state.get("key")}
    told |= {key: config["metadata"].get(key) for key in ("run_id", "thread_id", "run_attempt")}
    os.write(LEDGER, json.dumps(told).encode() + b"\\n")


def step(name, *, first=False, blocks=0.0):
    async def node(state: State, config: RunnableConfig) -> State:
        run_id = config["metadata"]["run_id"]
        note("start", name, config, state)
        if blocks:
            time.sleep(blocks)
            note("awake", name, config, state)
        await asyncio.sleep(PAUSE_S)
        note("end", name, config, state)
        return {"last": f"{run_id}/{name}", **({"runs": [run_id]} if first else {})}

    return node


async def ask(state: State, config: RunnableConfig) -> State:
    answer = interrupt("go on?")
    note("start", "ask", config, state)
    note("end", "ask", config, state)
    return {"last": config["metadata"]["run_id"] + "/ask", "runs": [config["metadata"]["run_id"]]}


def line(*nodes):
    graph = StateGraph(State)
    graph.add_sequence(list(nodes))
    graph.set_entry_point(nodes[0][0])
    return graph


count = line(("one", step("one", first=True)), ("two", step("two")), ("three", step("three")), ("four", step("four")))
question = line(("one", step("one", first=True)), ("ask", ask), ("three", step("three")))
block = line(("one", step("one", first=True)), ("stall", step("stall", blocks=BLOCK_S)), ("three", step("three")))
"""
GRAPHS = {name: f"./agent.py:{name}" for name in ("count", "question", "block")}

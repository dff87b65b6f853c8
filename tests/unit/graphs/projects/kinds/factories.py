"""Every kind of factory. `CALLS` tells what each was called with, `CLOSED` which were closed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph_sdk.runtime import ServerRuntime

CALLS: list[tuple[Any, ...]] = []
CLOSED: list[str] = []


class State(TypedDict):
    x: int


@dataclass
class Wish:
    step: int = 1
    word: str = "none"


def made(step: int = 1) -> Any:
    def add(state: State) -> State:
        return {"x": state["x"] + step}

    builder = StateGraph(State)
    builder.add_node("add", add)
    builder.add_edge(START, "add")
    builder.add_edge("add", END)
    return builder


def bare() -> Any:
    """Makes a graph.

    Of no further interest.
    """
    CALLS.append(())
    return made().compile()


def config_only(config: RunnableConfig) -> Any:
    CALLS.append((config,))
    return made(config["configurable"].get("step", 1)).compile()


def config_unannotated(anything):
    CALLS.append((anything,))
    return made().compile()


def runtime_only(runtime: ServerRuntime) -> Any:  # type: ignore[type-arg]
    CALLS.append((runtime,))
    return made().compile()


def both(config: RunnableConfig, runtime: ServerRuntime[Any]) -> Any:
    CALLS.append((config, runtime))
    return made().compile()


def both_swapped(runtime: ServerRuntime[Any] | None, /, options: dict[str, Any], extra: int = 3, **more: Any) -> Any:
    CALLS.append((options, runtime))
    return made().compile()


async def coroutine(config: RunnableConfig) -> Any:
    CALLS.append((config,))
    return made().compile()


@contextlib.contextmanager
def managed(config: RunnableConfig) -> Iterator[Any]:
    CALLS.append((config,))
    yield made().compile()
    CLOSED.append("managed")


@contextlib.asynccontextmanager
async def async_managed(runtime: ServerRuntime[Any]) -> AsyncIterator[Any]:
    CALLS.append((runtime,))
    try:
        yield made().compile()
    finally:
        CLOSED.append("async_managed")


def returns_managed() -> Any:
    return managed({})


async def coroutine_managed(config: RunnableConfig) -> Any:
    @contextlib.asynccontextmanager
    async def swallowing() -> AsyncIterator[Any]:
        with contextlib.suppress(ValueError):
            yield made()
        CLOSED.append("coroutine_managed")

    return swallowing()


def gives_builder() -> Any:
    return made()


def typed_context(runtime: ServerRuntime[Wish]) -> Any:
    execution = runtime.execution_runtime
    CALLS.append((execution.context if execution else None,))
    return made(execution.context.step if execution and isinstance(execution.context, Wish) else 1).compile()


bound = partial(lambda step, config: made(step).compile(), 5)


class _Callable:
    async def __call__(self, config: RunnableConfig) -> Any:
        return made().compile()


callable_object = _Callable()

"""One loaded graph, ready to be opened for a run or a read; made by `Graphs`, opened by `worker` and the rules."""

from __future__ import annotations

import copy
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from langchain_core.runnables import RunnableConfig
from langgraph._internal._serde import build_serde_allowlist
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.auth.types import BaseUser
from langgraph_sdk.runtime import AccessContext

from langyard.graphs.factory import AnyBuilder, AnyGraph, Factory
from langyard.graphs.load import LoadError

logger = logging.getLogger(__name__)

TypeNames = frozenset[tuple[str, ...]]
UNNAMED = "LangGraph"  # what LangGraph calls a graph that was given no name


class Graph:
    """A graph under the name clients use. A compiled graph or builder is prepared once, a factory asked each time."""

    def __init__(self, name: str, export: object, *, description: str | None = None) -> None:
        """Compiles a builder. Raises LoadError when `export` is no graph, and what compiling raises."""
        self.name = name
        self.description = description
        self.types: TypeNames = frozenset()
        self._warned = False
        self._factory: Factory | None = None
        self._compiled: AnyGraph | None = None
        if isinstance(export, Pregel | StateGraph):
            self._compiled, self.types = self._prepared(export)
        elif callable(export) and not isinstance(export, type):
            self._factory = Factory(export)
            self.description = description or self._factory.description
        else:
            kind = f"the class {export.__name__}" if isinstance(export, type) else f"of type {type(export).__name__}"
            raise LoadError(f"it is {kind}; accepted: a compiled graph, a StateGraph, or a function that returns one")

    @property
    def is_factory(self) -> bool:
        """Whether each access asks user code for the graph; `types` is then empty and the schemas may differ."""
        return self._factory is not None

    @property
    def title(self) -> str:
        """The name it was compiled under when somebody gave it one, else the name clients use."""
        own = self._compiled.name if self._compiled is not None else UNNAMED
        return self.name if own == UNNAMED else own

    @property
    def output(self) -> frozenset[str] | None:
        """The fields of the state that the graph gives out; None: all, or only a factory could say."""
        graph = self._compiled
        if graph is None or isinstance(graph.output_channels, str) or graph.output_channels == graph.stream_channels:
            return None
        return frozenset(graph.output_channels)

    @asynccontextmanager
    async def open(
        self,
        config: RunnableConfig | None = None,
        *,
        access: AccessContext = "threads.create_run",
        checkpointer: BaseCheckpointSaver[str] | None = None,
        store: BaseStore | None = None,
        user: BaseUser | None = None,
        context: object = None,
    ) -> AsyncIterator[AnyGraph]:
        """The graph of one access, with this server's checkpointer and store in place of its own.

        A factory is user code and runs on the calling loop; what it raises comes out unchanged.
        """
        failure: BaseException | None = None
        async with AsyncExitStack() as stack:
            graph, types = self._compiled, self.types
            if graph is None:
                assert self._factory is not None
                made = await self._factory.make(stack, config or {}, access, store=store, user=user, context=context)
                graph, types = self._prepared(made)
            try:
                yield self._equipped(graph, types, checkpointer, store)
            except BaseException as raised:  # whatever the run raised must not get lost below
                failure = raised
                raise
        # Reached after an exception only when the factory's own context manager swallowed it: the run did fail.
        if failure is not None:
            raise failure

    def _prepared(self, export: AnyGraph | AnyBuilder) -> tuple[AnyGraph, TypeNames]:
        graph = export.compile(name=self.name) if isinstance(export, StateGraph) else export
        if graph.checkpointer is not None and not self._warned:
            self._warned = True
            logger.warning(
                "workflow %s was compiled with a checkpointer of its own; Langyard's is used instead", self.name
            )
        return graph, _admitted_types(graph)

    def _equipped(
        self,
        graph: AnyGraph,
        types: TypeNames,
        checkpointer: BaseCheckpointSaver[str] | None,
        store: BaseStore | None,
    ) -> AnyGraph:
        # Not Pregel.copy: that makes a new object without the types a strict checkpointer may revive and without the
        # mappers of pydantic and dataclass states. A shallow copy keeps both, at a sixth of the cost.
        own = copy.copy(graph)
        own.checkpointer = checkpointer.with_allowlist(types) if checkpointer is not None else None
        if store is not None:
            own.store = store
        if own.name == UNNAMED:
            own.name = self.name
        return own


def _admitted_types(graph: AnyGraph) -> TypeNames:
    """The types that this graph's and its subgraphs' schemas name, which strict msgpack may therefore revive.

    LangGraph keeps such a list from `compile` on, but `with_config` and `copy` lose it: it is made again where missing.
    """
    found: set[tuple[str, ...]] = set()
    for part in (graph, *_subgraphs(graph)):
        if part._serde_allowlist is None:
            part._serde_allowlist = build_serde_allowlist(schemas=list(_schemas(part)), channels=part.channels)
        found |= part._serde_allowlist
    return frozenset(found)


def _subgraphs(graph: AnyGraph) -> Iterator[AnyGraph]:
    for _, part in graph.get_subgraphs(recurse=True):
        if isinstance(part, Pregel):
            yield part


def _schemas(graph: AnyGraph) -> Iterator[type]:
    if graph.context_schema is not None:
        yield graph.context_schema
    if isinstance(graph, CompiledStateGraph):
        builder = graph.builder
        yield from (builder.state_schema, builder.input_schema, builder.output_schema)
        yield from (node.input_schema for node in builder.nodes.values())
        branches = (branch for group in builder.branches.values() for branch in group.values())
        yield from (branch.input_schema for branch in branches if branch.input_schema is not None)

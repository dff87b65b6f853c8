"""What a graph takes, keeps and gives, as JSON schemas, and its picture; for workflows and assistants."""

from __future__ import annotations

import logging
import sys
import types
import typing
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

import typing_extensions
from langchain_core.runnables import RunnableConfig
from langgraph.channels.base import BaseChannel
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.auth.types import BaseUser
from pydantic import TypeAdapter, create_model

from langyard.graphs.factory import AnyGraph
from langyard.graphs.graph import Graph
from langyard.graphs.load import described

logger = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON schemas, each None when there is none to be made. `config` is that of the keys of `configurable`."""

    input: Json | None = None
    output: Json | None = None
    state: Json | None = None
    config: Json | None = None
    context: Json | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What clients are told of a graph. `problem` says why a factory gave none: for the log, not for clients."""

    name: str
    description: str | None
    schemas: Schemas = Schemas()
    problem: str | None = None


async def describe(
    graph: Graph,
    config: RunnableConfig | None = None,
    *,
    store: BaseStore | None = None,
    user: BaseUser | None = None,
) -> Description:
    """Name, description and schemas. Asks a factory, so runs user code; its failure is told, not raised."""
    try:
        async with graph.open(config, access="assistants.read", store=store, user=user) as opened:
            return Description(graph.name, graph.description, schemas(opened))
    except Exception as wrong:  # a factory is user code and may raise anything; the others are described all the same
        logger.warning("workflow %s cannot be described: %s", graph.name, described(wrong))
        return Description(graph.name, graph.description, problem=described(wrong))


def schemas(graph: AnyGraph) -> Schemas:
    """The JSON schemas of an opened graph."""
    builder = graph.builder if isinstance(graph, CompiledStateGraph) else None
    taken, given, kept = graph.InputType, graph.OutputType, None
    if builder is not None:
        taken, given, kept = builder.input_schema, builder.output_schema, builder.state_schema
    context = _first(graph.name, lambda: _of_type(graph.context_schema)) if graph.context_schema else None
    return Schemas(
        input=_first(graph.name, graph.get_input_jsonschema, lambda: _of_type(taken)),
        output=_first(graph.name, graph.get_output_jsonschema, lambda: _of_type(given)),
        state=_first(graph.name, lambda: _of_type(kept), lambda: _of_channels(graph)),
        config={**(context or {"type": "object", "properties": {}}), "title": "Configurable"},
        context=context,
    )


async def draw(
    graph: Graph,
    config: RunnableConfig | None = None,
    *,
    xray: bool | int = False,
    store: BaseStore | None = None,
    user: BaseUser | None = None,
) -> Json:
    """Nodes and edges for a drawing; `xray` opens subgraphs, a number so many levels. Raises what a factory raises."""
    async with graph.open(config, access="assistants.read", store=store, user=user) as opened:
        return (await opened.aget_graph(config, xray=xray)).to_json()


async def describe_subgraphs(
    graph: Graph,
    config: RunnableConfig | None = None,
    *,
    namespace: str | None = None,
    recurse: bool = False,
    store: BaseStore | None = None,
    user: BaseUser | None = None,
) -> dict[str, Schemas]:
    """The schemas of the subgraphs by namespace: all, or those of one. Raises what a factory raises."""
    async with graph.open(config, access="assistants.read", store=store, user=user) as opened:
        return {
            name: schemas(part)
            async for name, part in opened.aget_subgraphs(namespace=namespace, recurse=recurse)
            if isinstance(part, Pregel)
        }


def _first(name: str, *ways: Callable[[], Json]) -> Json | None:
    """The first schema that can be made."""
    for way in ways:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydantic warns of defaults that have no JSON form
                return way()
        except Exception as wrong:  # types are the user's own and need not have a schema
            logger.debug("workflow %s: no schema: %s", name, described(wrong))
    return None


def _of_type(kind: Any) -> Json:
    if kind is None:
        raise TypeError("this graph names no such type")
    return TypeAdapter(_modern(kind)).json_schema()


def _of_channels(graph: AnyGraph) -> Json:
    """What the state holds, from the channels of a graph that was not built on a schema."""
    names = graph.stream_channels_list
    found = {name: channel for name in names if isinstance(channel := graph.channels[name], BaseChannel)}
    if isinstance(graph.stream_channels_asis, str):
        return _of_type(found[graph.stream_channels_asis].ValueType)
    fields: dict[str, Any] = {name: (_modern(channel.ValueType), None) for name, channel in found.items()}
    return _of_type(create_model("State", **fields))


def _modern(kind: Any) -> Any:
    """The type with every `typing.TypedDict` in it made one of typing_extensions, which is all that pydantic takes
    before Python 3.12. Recursion through names is not followed."""
    if sys.version_info >= (3, 12):
        return kind
    if typing.is_typeddict(kind) and type(kind).__module__ == "typing":
        hints = get_type_hints(kind, include_extras=True)
        fields = {name: _modern(hint) for name, hint in hints.items()}
        optional = {name: typing_extensions.NotRequired[fields[name]] for name in kind.__optional_keys__}
        make: Any = typing_extensions.TypedDict
        modern = make(kind.__name__, {**fields, **optional})
        modern.__doc__ = kind.__doc__
        return modern
    origin, parts = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return typing.Annotated[(_modern(parts[0]), *parts[1:])]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_modern(part) for part in parts)]  # noqa: UP007 - made at run time
    if origin in (list, dict, set, frozenset, tuple) and parts:
        return origin[tuple(_modern(part) for part in parts)]
    return kind

"""Calls a user's graph factory as the Agent Server does (contract E); used by `Graph.open`, once for each access."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, cast, get_args, get_origin

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk import runtime as sdk
from langgraph_sdk.auth.types import BaseUser
from langgraph_sdk.runtime import AccessContext
from pydantic import BaseModel

from langyard.graphs.load import LoadError
from langyard.model.principal import ASKING

AnyGraph = Pregel[Any, Any, Any, Any]
AnyBuilder = StateGraph[Any, Any, Any, Any]
RUNTIMES = (sdk.ServerRuntime, sdk._ExecutionRuntime, sdk._ReadRuntime)


class Factory:
    """A callable that gives a graph, and what it wants to be called with: config, runtime, both or neither."""

    def __init__(self, call: Callable[..., Any]) -> None:
        """Raises LoadError when a parameter is neither."""
        self.call = call
        self.signature = _signature(call)
        self.config_at: str | None = None
        self.runtime_at: str | None = None
        self.context_type: type[Any] | None = None
        for parameter in self.signature.parameters.values():
            self._assign(parameter)

    @property
    def description(self) -> str | None:
        """The first line of the factory's own docstring."""
        text = inspect.getdoc(self.call) if inspect.isroutine(self.call) else None
        return text.splitlines()[0] if text else None

    async def make(
        self,
        stack: AsyncExitStack,
        config: RunnableConfig,
        access: AccessContext,
        *,
        store: BaseStore | None,
        user: BaseUser | None,
        context: object,
    ) -> AnyGraph | AnyBuilder:
        """The graph for one access; what the factory opened is closed with `stack`. Raises what the factory raises."""
        bound = self.signature.bind_partial()
        if user is None and access != "threads.create_run" and (asking := ASKING.get()) is not None:
            user = cast(BaseUser, asking)
        if self.config_at is not None:
            told: dict[str, Any] = {"__is_for_execution__": access == "threads.create_run"}
            if user is not None:
                told |= {"langgraph_auth_user": user, "langgraph_auth_user_id": user.identity}
                told |= {"langgraph_auth_permissions": list(user.permissions)}
            bound.arguments[self.config_at] = {**config, "configurable": {**config.get("configurable", {}), **told}}
        if self.runtime_at is not None:
            bound.arguments[self.runtime_at] = self._runtime(access, store, user, context)
        value = self.call(*bound.args, **bound.kwargs)
        # An async function may return a context manager, and a context manager may give a builder: open what comes.
        for _ in range(3):
            if isinstance(value, Pregel | StateGraph):
                break
            if inspect.isawaitable(value):
                value = await value
            elif hasattr(type(value), "__aenter__"):
                value = await stack.enter_async_context(value)
            elif hasattr(type(value), "__enter__"):
                value = stack.enter_context(value)
        if not isinstance(value, Pregel | StateGraph):
            raise TypeError(f"the graph factory gave a {type(value).__name__}, not a compiled graph or a StateGraph")
        return value

    def _assign(self, parameter: inspect.Parameter) -> None:
        note = parameter.annotation
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return
        if self.runtime_at is None and _is_runtime(note):
            self.runtime_at = parameter.name
            self.context_type = next((kind for kind in get_args(note) if isinstance(kind, type)), None)
        elif self.config_at is None and _is_config(note, parameter):
            self.config_at = parameter.name
        elif parameter.default is parameter.empty:
            raise LoadError(
                f"nothing is known to pass for the parameter {parameter.name!r}; a graph factory may take a "
                "RunnableConfig (`config`) and a langgraph_sdk.runtime.ServerRuntime (annotated)"
            )

    def _runtime(
        self, access: AccessContext, store: BaseStore | None, user: BaseUser | None, context: object
    ) -> object:
        known = cast(BaseStore, store)
        if access != "threads.create_run":
            return sdk._ReadRuntime(access_context=access, user=user, store=known)
        return sdk._ExecutionRuntime(
            access_context=access, user=user, store=known, context=_shaped(context, self.context_type)
        )


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(call, eval_str=True)
    except (NameError, AttributeError, SyntaxError, TypeError):
        # An annotation that only a type checker can resolve: its text is looked at instead.
        return inspect.signature(call)


def _is_runtime(note: Any) -> bool:
    if isinstance(note, str):
        return "ServerRuntime" in note
    return (get_origin(note) or note) in RUNTIMES or any(_is_runtime(part) for part in _union(note))


def _is_config(note: Any, parameter: inspect.Parameter) -> bool:
    if note is parameter.empty:
        return parameter.default is parameter.empty or parameter.name == "config"
    if isinstance(note, str):
        return "RunnableConfig" in note or parameter.name == "config"
    plain = (RunnableConfig, Any, dict, Mapping, collections.abc.MutableMapping)
    return (get_origin(note) or note) in plain or any(_is_config(part, parameter) for part in _union(note))


def _union(note: Any) -> tuple[Any, ...]:
    """The members of `A | B`, without None."""
    from types import NoneType, UnionType
    from typing import Annotated, Union

    if get_origin(note) is Annotated:
        return get_args(note)[:1]
    return (
        tuple(part for part in get_args(note) if part is not NoneType) if get_origin(note) in (Union, UnionType) else ()
    )


def _shaped(context: object, kind: type[Any] | None) -> object:
    """The context as the factory's `ServerRuntime[kind]` wants it: a mapping becomes the dataclass or model."""
    if kind is None or not isinstance(context, Mapping):
        return context
    if dataclasses.is_dataclass(kind):
        names = {field.name for field in dataclasses.fields(kind) if field.init}
        return kind(**{name: value for name, value in context.items() if name in names})
    return kind(**context) if issubclass(kind, BaseModel) else context

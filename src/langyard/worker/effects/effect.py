"""`langyard.effect`, as decorator and as context manager, sync and async: what it wraps is done once a run and key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, TypeVar

from langyard.worker.effects.record import Effects, Found, bound

F = TypeVar("F", bound=Callable[..., Any])

_HELD: ContextVar[frozenset[tuple[str, bool]]] = ContextVar("langyard effects held", default=frozenset())


class Effect:
    """One effect under way, or done before. `result` is to be set unless it is `recorded`; after the block it is what
    was recorded. `id` names it to the other side, as an idempotency key, the same in every attempt."""

    __slots__ = ("id", "recorded", "result")

    def __init__(self, id: str, found: Found | None) -> None:
        self.id = id
        self.recorded = found is not None
        self.result: Any = found.value if found is not None else None


class effect:  # noqa: N801 - read as a verb where it is used
    """Does something outside once, however often the node around it runs.

    `key` names it within the run, or with `scope="thread"` within the thread, for all its runs. As a decorator it may
    be a function of the arguments, or hold their names: `@effect("charge {order_id}")`. An effect that raises is not
    recorded. In a process that executes no runs it is simply done.
    """

    def __init__(self, key: str | Callable[..., str], *, scope: Literal["run", "thread"] = "run") -> None:
        if scope not in ("run", "thread"):
            raise ValueError(f"scope is {scope!r}; accepted: 'run', 'thread'.")
        self._key = key
        self._of_thread = scope == "thread"

    def __call__(self, function: F) -> F:
        """The function, done once for each key."""
        if not callable(function):
            raise TypeError('langyard.effect needs a key: @langyard.effect("charge").')
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError("langyard.effect records one result; a generator gives many.")
        key_of = self._key_of(function)

        @functools.wraps(function)
        async def done_once_async(*args: Any, **kwargs: Any) -> Any:
            async with effect(key_of(*args, **kwargs), scope=self._scope) as one:
                if not one.recorded:
                    one.result = await function(*args, **kwargs)
            return one.result

        @functools.wraps(function)
        def done_once(*args: Any, **kwargs: Any) -> Any:
            with effect(key_of(*args, **kwargs), scope=self._scope) as one:
                if not one.recorded:
                    one.result = function(*args, **kwargs)
            return one.result

        return done_once_async if inspect.iscoroutinefunction(function) else done_once  # type: ignore[return-value]

    @property
    def _scope(self) -> Literal["run", "thread"]:
        return "thread" if self._of_thread else "run"

    def _key_of(self, function: Callable[..., Any]) -> Callable[..., str]:
        key = self._key
        if callable(key):
            return key
        if "{" not in key:
            return lambda *args, **kwargs: key
        signature = inspect.signature(function)

        def filled(*args: Any, **kwargs: Any) -> str:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            return key.format(**given.arguments)

        return filled

    async def __aenter__(self) -> Effect:
        effects = self._begin()
        found = await effects.crossing(effects.claim(self._name, self._of_thread)) if effects is not None else None
        return self._entered(found)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._left()
        if self._effects is None or self._effect.recorded:
            return
        if kind is not None:
            await self._effects.crossing(self._effects.give_up(self._name, self._of_thread))
        else:
            work = self._effects.store(self._name, self._of_thread, self._effect.result)
            self._effect.result = await self._effects.crossing(work)

    def __enter__(self) -> Effect:
        effects = self._begin()
        found = effects.waiting(effects.claim(self._name, self._of_thread)) if effects is not None else None
        return self._entered(found)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._left()
        if self._effects is None or self._effect.recorded:
            return
        if kind is not None:
            self._effects.waiting(self._effects.give_up(self._name, self._of_thread))
        else:
            work = self._effects.store(self._name, self._of_thread, self._effect.result)
            self._effect.result = self._effects.waiting(work)

    def _begin(self) -> Effects | None:
        if callable(self._key):
            raise TypeError("The key of an effect is a text here; a function is for the decorator.")
        self._name = self._key
        self._effects = bound()
        if self._effects is not None and (self._name, self._of_thread) in _HELD.get():
            raise RuntimeError(f"The effect {self._name!r} is used within itself, and would wait for itself.")
        return self._effects

    def _entered(self, found: Found | None) -> Effect:
        self._token: Token[Any] = _HELD.set(_HELD.get() | {(self._name, self._of_thread)})
        identity = self._effects.identity(self._name, self._of_thread) if self._effects is not None else self._name
        self._effect = Effect(identity, found)
        return self._effect

    def _left(self) -> None:
        _HELD.reset(self._token)

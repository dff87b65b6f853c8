"""`langyard.effect`, as decorator and as context manager, sync and async: what it wraps is done once a run and key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeVar

from langyard.worker.effects.record import Effects, Found, bound

F = TypeVar("F", bound=Callable[..., Any])


class Effect:
    """One effect under way, or done before. `result` is to be set unless it is `recorded`; after the block it is what
    was recorded. `id` names it to the other side, as an idempotency key, the same in every attempt."""

    __slots__ = ("id", "recorded", "result")

    def __init__(self, id: str, found: Found | None) -> None:
        self.id = id
        self.recorded = found is not None
        self.result: Any = found.value if found is not None else None


@dataclass(frozen=True, slots=True)
class _Held:
    """An effect that is entered, where it is; `effects` are its run's."""

    name: str
    of_thread: bool
    effects: Effects | None
    effect: Effect


# Those entered around the code that asks, innermost last. Not in the `effect` itself, which runs may share.
_HELD: ContextVar[tuple[_Held, ...]] = ContextVar("langyard effects held", default=())


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
        name, effects = self._begin()
        found = await effects.crossing(effects.claim(name, self._of_thread)) if effects is not None else None
        return self._entered(name, effects, found)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        held = _left()
        if held.effects is None or held.effect.recorded:
            return
        if kind is not None:
            await held.effects.crossing(held.effects.give_up(held.name, held.of_thread))
        else:
            work = held.effects.store(held.name, held.of_thread, held.effect.result)
            held.effect.result = await held.effects.crossing(work)

    def __enter__(self) -> Effect:
        name, effects = self._begin()
        found = effects.waiting(effects.claim(name, self._of_thread)) if effects is not None else None
        return self._entered(name, effects, found)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        held = _left()
        if held.effects is None or held.effect.recorded:
            return
        if kind is not None:
            held.effects.waiting(held.effects.give_up(held.name, held.of_thread))
        else:
            work = held.effects.store(held.name, held.of_thread, held.effect.result)
            held.effect.result = held.effects.waiting(work)

    def _begin(self) -> tuple[str, Effects | None]:
        name, effects = self._key, bound()
        if callable(name):
            raise TypeError("The key of an effect is a text here; a function is for the decorator.")
        if effects is not None and any((held.name, held.of_thread) == (name, self._of_thread) for held in _HELD.get()):
            raise RuntimeError(f"The effect {name!r} is used within itself, and would wait for itself.")
        return name, effects

    def _entered(self, name: str, effects: Effects | None, found: Found | None) -> Effect:
        identity = effects.identity(name, self._of_thread) if effects is not None else name
        entered = Effect(identity, found)
        _HELD.set((*_HELD.get(), _Held(name, self._of_thread, effects, entered)))
        return entered


def _left() -> _Held:
    *around, held = _HELD.get()
    _HELD.set(tuple(around))
    return held

"""Which rows somebody may see, by their metadata: what a handler of `auth` answers, and `postgres` asks the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_DEEPEST = 2


class FilterError(ValueError):
    """What was given is no filter; the text says why."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A row passes when its metadata contains `has`, has under each key of `equals` just that value, passes `every` one
    of those filters, and of each group in `some` at least one."""

    has: Mapping[str, Any] = field(default_factory=dict)
    equals: Mapping[str, Any] = field(default_factory=dict)
    every: tuple[Filter, ...] = ()
    some: tuple[tuple[Filter, ...], ...] = ()


def filter_of(given: Mapping[str, Any], depth: int = 0) -> Filter:
    """What `{"owner": "u"}`, `$eq`, `$contains`, `$or` and `$and` mean (contract F.2). Raises `FilterError`."""
    has: dict[str, Any] = {}
    equals: dict[str, Any] = {}
    every: list[Filter] = []
    some: list[tuple[Filter, ...]] = []
    for key, value in given.items():
        if not isinstance(key, str):
            raise FilterError(f"a key of a filter is {key!r}; keys are texts")
        if key in ("$or", "$and"):
            groups = _groups(key, value, depth)
            if key == "$or":
                some.append(groups)
            else:
                every.extend(groups)
        elif key.startswith("$"):
            raise FilterError(f"{key!r} is no operator of a filter; $or and $and are")
        else:
            _add(key, value, has, equals)
    return Filter(has, equals, tuple(every), tuple(some))


def _groups(key: str, value: Any, depth: int) -> tuple[Filter, ...]:
    if not isinstance(value, list | tuple) or len(value) < 2 or not all(isinstance(one, Mapping) for one in value):
        raise FilterError(f"{key} takes a list of at least two filters")
    if depth >= _DEEPEST:
        raise FilterError(f"$or and $and are nested deeper than {_DEEPEST} levels")
    if not all(value):
        raise FilterError(f"{key} has an empty filter, which every row would pass")
    return tuple(filter_of(one, depth + 1) for one in value)


def _add(key: str, value: Any, has: dict[str, Any], equals: dict[str, Any]) -> None:
    if not isinstance(value, Mapping):
        value = {"$eq": value}
    if len(value) != 1:
        raise FilterError(f"the condition on {key!r} must have one operator")
    ((operator, operand),) = value.items()
    if operator == "$eq":
        if isinstance(operand, Mapping | list | tuple):
            equals[key] = operand
        else:
            has[key] = operand
    elif operator == "$contains":
        has[key] = list(operand) if isinstance(operand, list | tuple | set | frozenset) else [operand]
    else:
        raise FilterError(f"the condition on {key!r} has the operator {operator!r}; $eq and $contains are known")

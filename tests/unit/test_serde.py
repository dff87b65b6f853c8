"""The one serializer: whatever a graph returns becomes JSON that every client parses and PostgreSQL stores."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import types
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, model_serializer

from langyard import serde


def _raise(*_: object) -> NoReturn:
    raise RuntimeError("a user's own")


class Silent:
    __repr__ = __str__ = _raise


class Liar:
    __class__ = property(_raise)


class Refusing:
    __getattr__ = _raise


class Endless:
    """Gives whatever it is asked for, itself."""

    def __getattr__(self, name: str) -> Endless:
        return self

    def __call__(self, *_: object, **__: object) -> Endless:
        return self


class Text(str):
    __str__ = encode = _raise  # type: ignore[assignment]


class Number(int):
    __int__ = __str__ = __repr__ = _raise


class Map(dict[Any, Any]):
    items = __iter__ = _raise


class List(list[Any]):
    __iter__ = _raise


class View(collections.abc.Mapping[str, int]):
    __getitem__ = __iter__ = _raise

    def __len__(self) -> int:
        return 1


class Kind(enum.Enum):
    TEXT = "b"
    OBJECT = Silent()
    HUGE = 2**100


class Pair(collections.namedtuple("Pair", "a b")):
    pass


@dataclasses.dataclass
class Data:
    a: Any


class Model(BaseModel):
    a: Any = None


class Broken(BaseModel):
    @model_serializer
    def dump(self) -> dict[str, Any]:
        raise RuntimeError("a user's own")

    __str__ = __repr__ = _raise


class Nowhere(dt.tzinfo):
    utcoffset = dst = tzname = _raise


def _numbers() -> Iterator[int]:
    yield 1
    raise RuntimeError("a user's own")


_DEEP: list[Any] = []
for _ in range(5000):
    _DEEP = [_DEEP]
_ROUND: dict[str, Any] = {}
_ROUND["again"] = [_ROUND]

LEAVES: list[Any] = [
    None, True, 0, -(2**63), 2**64 - 1, 2**64, -(2**70), 1.5, -0.0, 1e308, math.nan, math.inf, -math.inf,
    "", "é進捗🙂", "\ud800", "a\udfffb", "\x00", "a\x00b", "\\u0000", "\\\x00", "\\\\u0000\x00", "\u2028", "\x1f",
    b"", b"\x00\xff", bytearray(b"a"), memoryview(b"b"), 1j, decimal.Decimal("1.10"), decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"), decimal.Decimal("1e400"), dt.date(1, 1, 1), dt.time(1, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 31, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, tzinfo=Nowhere()), dt.timedelta(days=1),
    uuid.UUID(int=1), pathlib.Path("/a\udcff"), ValueError("é"), ExceptionGroup("g", [KeyError(1)]), int, print, math,
    Silent(), Liar(), Refusing(), Endless(), Text("x"), Text("\ud800"), Number(5), Map(a=1), List([1]), View(),
    Pair(1, 2),    Kind.TEXT, Kind.OBJECT, Kind.HUGE, Data(1), Model(a="m"), Broken(), Model(a=Silent()),
    HumanMessage("hi"), AIMessage("\ud800", tool_calls=[{"name": "t", "args": {"x": math.nan}, "id": "1"}]),
    ToolMessage("t", tool_call_id="1", artifact=Silent()), _numbers(), iter([1]), range(10**12), {1, 2},
    frozenset({"a"}), collections.deque([1]), types.SimpleNamespace(a=1), types.MappingProxyType({"a": 1}),
    _DEEP, _ROUND, np.array([[1.0, np.nan]]), np.float64("inf"), np.int8(1), np.datetime64("NaT"), np.array([1j]),
    np.array(["a", None], dtype=object), np.array([1, 2, 3])[::-1],
]  # fmt: skip
_KEYS: list[Any] = [
    "k", "", "\x00", "\ud800", 1, 2.5, math.nan, None, True, (1, 2), b"b", Kind.TEXT, Kind.OBJECT, uuid.UUID(int=1),
    2**80, frozenset({1}), dt.date(2020, 1, 1), Pair(1, 2),
]  # fmt: skip


def _one_of(values: list[Any]) -> st.SearchStrategy[Any]:
    """By number: Hypothesis would ask them what they are called."""
    return st.integers(0, len(values) - 1).map(lambda number: values[number])


ANYTHING = st.recursive(
    st.one_of(
        _one_of(LEAVES),
        st.text(),
        st.floats(),
        st.integers(),
        st.binary(),
        st.datetimes(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=3).map(List),
        st.dictionaries(st.one_of(st.text(), _one_of(_KEYS)), inner, max_size=4),
        inner.map(Data),
        inner.map(lambda value: Model(a=value)),
        inner.map(lambda value: Pair(value, 1)),
        inner.map(lambda value: types.MappingProxyType({"k": value})),
        inner.map(lambda value: HumanMessage("m", additional_kwargs={"k": value})),
    ),
    max_leaves=12,
)


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def strict(data: bytes) -> Any:
    """As the strictest of clients reads it: UTF-8, RFC 8259, and no half of a character, written or escaped."""
    text = data.decode("utf-8")
    found = json.loads(text, parse_constant=_refuse)
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


@pytest.mark.parametrize("number", range(len(LEAVES)))
@pytest.mark.parametrize("around", [lambda v: v, lambda v: [v], lambda v: {"k": [v, "\ud800"]}], ids=["", "in", "slow"])
def test_it_never_raises(number: int, around: Any):
    value = LEAVES[number]
    found = strict(serde.dumps(around(value)))
    assert "\x00" not in json.dumps(found, ensure_ascii=False).replace("\\u0000", "\x00").replace("\\\x00", "")
    assert serde.plain(around(value)) == found


@given(ANYTHING)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_never_raises_whatever_is_in_whatever(value: Any):
    strict(serde.dumps(value))


def test_what_it_writes_is_stored_as_jsonb_and_comes_back_as_it_was(database: str):
    with psycopg.connect(database) as connection:

        @given(ANYTHING)
        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        def check(value: Any) -> None:
            written = serde.dumps(value)
            row = connection.execute("select %s::jsonb::text", (written.decode(),)).fetchone()
            assert row is not None
            # jsonb writes a large double as a whole number; it is the same double.
            assert json.loads(row[0], parse_int=float) == json.loads(written, parse_int=float)

        check()
        for leaf in LEAVES:
            connection.execute("select %s::jsonb", (serde.dumps({"k": [leaf]}).decode(),))


def test_a_number_that_python_itself_will_not_write():
    assert strict(serde.dumps({"n": 10**5000}))["n"].startswith("0x")


def test_an_iterator_is_not_used_up():
    numbers = iter([1, 2])
    assert serde.plain({"n": numbers}) == {"n": "<list_iterator>"}
    assert list(numbers) == [1, 2]


def test_what_has_a_form_keeps_it():
    moment = dt.datetime(2026, 11, 25, 12, 30, 0, 5, tzinfo=dt.UTC)
    assert serde.plain([moment, {2}, b"ab", decimal.Decimal(2), Kind.TEXT, Pair(1, 2)]) == [
        "2026-11-25T12:30:00.000005+00:00", [2], "YWI=", 2, "b", {"a": 1, "b": 2},
    ]  # fmt: skip
    assert serde.plain({"m": HumanMessage("hi")})["m"]["type"] == "human"
    assert serde.dumps("a\x00b", nul=True) == b'"a\\u0000b"'
    assert serde.plain("a\x00b") == "a\ufffdb"
    assert serde.plain("\\u0000") == "\\u0000"

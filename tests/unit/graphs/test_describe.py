"""Schemas and drawings: made for every kind of graph and on every Python, None where there is none to be made."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from langyard.graphs import Graph, describe, draw
from langyard.graphs.describe import Schemas
from tests.unit.graphs.loading import PROJECTS, loaded


class Address(TypedDict):
    street: str
    number: NotRequired[int]


class Person(TypedDict, total=False):
    """Somebody."""

    name: str
    at: Annotated[list[Address], operator.add]
    other: dict[str, Address] | None


class Asked(TypedDict):
    name: str


@dataclass
class Wishes:
    model: str = "small"


class Model(BaseModel):
    x: int


class Odd:
    """Has no JSON form."""


def graph(state: Any, **schemas: Any) -> Graph:
    builder: Any = StateGraph(state, **schemas)
    builder.add_node("n", lambda state: {})
    builder.add_edge(START, "n")
    builder.add_edge("n", END)
    return Graph("g", builder, description="Does it.")


async def schemas_of(given: Graph) -> Schemas:
    described = await describe(given)
    assert described.problem is None
    json.dumps([described.schemas.input, described.schemas.state])
    return described.schemas


async def test_a_typed_dict_of_the_standard_library_has_schemas():
    """Before Python 3.12 pydantic refuses it, and the Agent Server answers null (contract A.2)."""
    found = await schemas_of(graph(Person, input_schema=Asked, output_schema=Address))
    assert found.input is not None
    assert (found.input["properties"], found.input["required"]) == (
        {"name": {"title": "Name", "type": "string"}},
        ["name"],
    )
    assert found.output is not None
    assert found.output["required"] == ["street"]
    assert found.state is not None
    assert set(found.state["properties"]) == {"name", "at", "other"}
    assert "required" not in found.state
    assert found.state["description"] == "Somebody."
    assert set(found.state["$defs"]["Address"]["properties"]) == {"street", "number"}
    assert found.context is None
    assert found.config == {"title": "Configurable", "type": "object", "properties": {}}


async def test_context_is_also_the_config():
    for context in (Wishes, Model):
        found = await schemas_of(graph(Asked, context_schema=context))
        assert found.context is not None
        assert found.config == {**found.context, "title": "Configurable"}


@pytest.mark.parametrize("state", [MessagesState, Model, Wishes])
async def test_messages_models_and_dataclasses(state):
    found = await schemas_of(graph(state))
    for schema in (found.input, found.output, found.state):
        assert schema is not None
        assert schema["type"] == "object"


async def test_a_type_without_a_json_form_gives_none():
    class Strange(TypedDict):
        odd: Odd

    found = await schemas_of(graph(Strange, input_schema=Asked))
    assert found.input is not None
    assert (found.output, found.state) == (None, None)


async def test_a_functional_graph():
    async def functional(x: Asked) -> Address:
        return {"street": x["name"]}

    functional.__annotations__ = {"x": Asked, "return": Address}  # LangGraph does not resolve annotations that are text
    found = await schemas_of(Graph("f", entrypoint(context_schema=Wishes)(functional)))
    assert found.input is not None
    assert "name" in str(found.input)
    assert found.output is not None
    assert found.state is not None
    assert "street" in str(found.state)


async def test_the_kinds_of_a_project():
    graphs = loaded(PROJECTS / "kinds", strict=True)
    for name in graphs.names():
        described = await describe(graphs.get(name))
        assert (described.name, described.problem) == (name, None)
        assert described.schemas.input is not None
    assert described.description is None
    assert (await describe(graphs.get("bare"))).description == "Makes a graph."


async def test_a_failing_factory_is_told_and_not_raised():
    def factory() -> None:
        raise LookupError("no key")

    described = await describe(Graph("f", factory, description="Fails."))
    assert described.problem == "LookupError: no key"
    assert (described.description, described.schemas) == ("Fails.", Schemas())


async def test_a_drawing():
    flow = loaded(PROJECTS / "package", strict=True).get("flow")
    plain, opened = await draw(flow), await draw(flow, xray=True)
    assert [node["id"] for node in plain["nodes"]] == ["__start__", "write", "inner", "close", "__end__"]
    assert {"source": "write", "target": "inner"} in plain["edges"]
    assert {"inner:hide", "inner:ask"} <= {node["id"] for node in opened["nodes"]}
    json.dumps([plain, opened])

"""What workflows there are: broken ones too, and a factory that hangs holds up nobody."""

from __future__ import annotations

import threading

import pytest

from langyard.gateway.workflow import catalogue
from langyard.gateway.workflow.catalogue import Catalogue
from langyard.graphs import Graphs
from langyard.model.errors import NotFound, Unavailable
from tests.unit.gateway.graphs import Gate, graphs


@pytest.fixture
def registered() -> Graphs:
    found = Graphs()
    found.register("echo", graphs(Gate())["echo"], description="Counts.")
    return found


async def test_one_that_could_not_be_loaded_is_listed_without_its_reason(registered: Graphs):
    registered.broken["agent"] = "./agent.py, line 3: ModuleNotFoundError: No module named 'secret'"
    listed = await Catalogue(registered).all()
    assert [(entry["name"], entry["available"]) for entry in listed] == [("agent", False), ("echo", True)]
    assert "secret" not in str(listed)
    with pytest.raises(Unavailable):
        await Catalogue(registered).get("agent")
    with pytest.raises(NotFound):
        await Catalogue(registered).get("nope")


async def test_a_factory_is_asked_off_this_loop_and_once(registered: Graphs):
    asked: list[int] = []

    def factory() -> object:
        """Made when asked for."""
        asked.append(threading.get_ident())
        return graphs(Gate())["echo"]

    registered.register("made", factory)
    known = Catalogue(registered)
    first, second = await known.get("made"), await known.get("made")
    assert first == second
    assert first["description"] == "Made when asked for."
    assert first["schemas"]["input"]["properties"]["x"]["type"] == "integer"
    assert len(asked) == 1
    assert asked[0] != threading.get_ident()


async def test_a_factory_that_hangs_is_listed_without_schemas(registered: Graphs, monkeypatch: pytest.MonkeyPatch):
    going = threading.Event()

    def factory() -> object:
        going.wait(60)
        return graphs(Gate())["echo"]

    registered.register("hangs", factory)
    monkeypatch.setattr(catalogue, "_WAIT_S", 0.1)
    try:
        listed = await Catalogue(registered).all()
    finally:
        going.set()
    assert [(entry["name"], entry["schemas"] is None) for entry in listed] == [("echo", False), ("hangs", True)]


async def test_a_workflow_registered_anew_is_described_anew(registered: Graphs):
    known = Catalogue(registered)
    assert (await known.get("echo"))["description"] == "Counts."
    registered.register("ask", graphs(Gate())["ask"], description="Asks.")
    assert [entry["name"] for entry in await known.all()] == ["ask", "echo"]

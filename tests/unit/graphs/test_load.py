"""Loading: every kind of target, each import once, and a broken graph that names its place and harms no other."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph

from langyard.graphs import Graphs
from langyard.model.errors import ConfigurationError, Conflict, Invalid, NotFound, Unavailable
from tests.unit.graphs.loading import PROJECTS, loaded


class State(TypedDict):
    x: int


GRAPH = """
from typing import TypedDict
from langgraph.graph import StateGraph, START, END
class State(TypedDict):
    x: int
def node(state): return {"x": 1}
builder = StateGraph(State)
builder.add_node("node", node)
builder.add_edge(START, "node")
graph = builder.compile()
"""


def project(folder: Path, graphs: dict[str, str], **files: str) -> Path:
    entries = ", ".join(f'"{name}": "{target}"' for name, target in graphs.items())
    (folder / "langgraph.json").write_text(f'{{"dependencies": ["."], "graphs": {{{entries}}}}}')
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def why(folder: Path, target: str, **files: str) -> str:
    """The reason that a project of this one graph and a sound one gives; the sound one must be there."""
    graphs = loaded(project(folder, {"bad": target, "good": "./sound.py:graph"}, sound=GRAPH, **files))
    assert graphs.names() == ["good"]
    return graphs.broken["bad"]


def test_every_kind_of_graph_is_loaded():
    graphs = loaded(PROJECTS / "kinds", strict=True)
    assert graphs.broken == {}
    assert len(graphs.names()) == 19
    assert graphs.names() == sorted(graphs.names())
    assert graphs.get("compiled").description == "Adds one."
    assert graphs.get("bare").description == "Makes a graph."
    assert graphs.get("builder").description is None
    assert [graphs.get(name).is_factory for name in ("compiled", "builder", "functional", "bare")] == [0, 0, 0, 1]


def test_a_file_and_the_module_of_that_file_are_imported_once():
    loaded(PROJECTS / "kinds")
    assert sys.modules["agent"].IMPORTS == ["agent"]


def test_a_file_of_a_package_imports_relatively_and_has_the_packages_name():
    graphs = loaded(PROJECTS / "package", strict=True)
    assert ("flow.state", "Note") in graphs.get("flow").types
    assert graphs.get("flow").types == graphs.get("same").types


def test_two_projects_may_use_one_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = loaded(project(tmp_path / "a", {"g": "./agent.py:graph"}, agent=GRAPH))
    second = loaded(project(tmp_path / "b", {"g": "./agent.py:graph"}, agent=GRAPH.replace("x: int", "y: int")))
    assert list(schema(first)) == ["x"]
    assert list(schema(second)) == ["y"]


def schema(graphs: Graphs) -> dict[str, object]:
    graph = graphs.get("g")._compiled
    assert graph is not None
    return graph.builder.schemas[graph.builder.state_schema]  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("name", ["my-agent", "json", "class", "2nd"])
def test_a_file_with_a_name_that_import_cannot_take_is_loaded_all_the_same(name, tmp_path):
    import json

    sound = project(tmp_path, {"g": f"./{name}.py:graph", "h": f"./{name}.py:builder"})
    (tmp_path / f"{name}.py").write_text(GRAPH + "import sibling\nassert __name__ in __import__('sys').modules\n")
    (tmp_path / "sibling.py").write_text("")
    assert loaded(sound, strict=True).names() == ["g", "h"]
    assert sys.modules["json"] is json


def test_a_made_name_is_the_same_on_every_machine(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        project(tmp_path / folder, {"g": "./my-agent.py:graph"})
        (tmp_path / folder / "my-agent.py").write_text(GRAPH + "graph.name = __name__\n")
    names = []
    for folder in ("one", "two"):
        graph = loaded(tmp_path / folder, strict=True).get("g")._compiled
        assert graph is not None
        names.append(graph.name)
    assert names[0] == "langyard_graph_my_agent"
    assert names[1].startswith("langyard_graph_my_agent_")  # the first is still there in this process


def test_a_link_keeps_its_name(tmp_path):
    (tmp_path / "..v1").mkdir()
    (tmp_path / "..v1" / "agent.py").write_text(GRAPH)
    (tmp_path / "agent.py").symlink_to("..v1/agent.py")
    loaded(project(tmp_path, {"g": "./agent.py:graph"}), strict=True)
    assert "agent" in sys.modules


@pytest.mark.parametrize(
    ("target", "text", "reason"),
    [
        ("./bad.py:graph", "import sibling\n", "sibling.py, line 2: ZeroDivisionError: division by zero"),
        ("bad:graph", "import sibling\n", "sibling.py, line 2: ZeroDivisionError"),
        ("./bad.py:graph", "x = 1\nimport nothing_of_that_name\n", "bad.py, line 2: ModuleNotFoundError: No module"),
        ("./bad.py:graph", "x = 1\nimport nothing_of_that_name\n", "name its folder in `dependencies`"),
        ("nothing_of_that_name:graph", "", "nothing_of_that_name: ModuleNotFoundError"),
        ("./bad.py:graph", "x = 1\n\nx = = 2\n", "bad.py, line 3: SyntaxError: invalid syntax"),
        ("./bad.py:graph", "import sys\nsys.exit('no')\n", "bad.py, line 2: SystemExit: no"),
        ("./bad.py:graph", "import json\n\njson.loads('{')\n", "bad.py, line 3: JSONDecodeError: Expecting property"),
        ("./bad.py:graph", "raise ValueError('a\\nb')\n", "bad.py, line 1: ValueError: a b"),
        ("./bad.py:graph", "graphs = 1\n", "./bad.py has no 'graph'. Did you mean 'graphs'?"),
        ("./bad.py:graph", "x = 1\ngraph = {}\n", "bad.py, line 2: it is of type dict; accepted: a compiled graph"),
        ("./bad.py:graph", "class graph: pass\n", "bad.py, line 1: it is the class graph; accepted"),
        ("./bad.py:graph", "def graph(user): pass\n", ""),
        (
            "./bad.py:graph",
            "x=1\ndef graph(a, b): pass\n",
            "bad.py, line 2: nothing is known to pass for the parameter",
        ),
        ("./bad.py:graph", "def graph(user: int): pass\n", "the parameter 'user'"),
        (
            "./bad.py:graph",
            "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)\n",
            "bad.py, line 2: ValueError: Graph must have an entrypoint",
        ),
        ("./none.py:graph", "", "There is no file none.py."),
        ("./bad.txt:graph", "", "There is no file bad.txt."),
        ("./langgraph.json:graph", "", "langgraph.json is no Python file."),
        ("./bad.ts:graph", "", "./bad.ts is JavaScript or TypeScript"),
        ("./bad.py", "", "is not written ./file.py:name"),
        ("./bad.py:", "", "is not written ./file.py:name"),
        (":graph", "", "is not written ./file.py:name"),
        ("./bad.py:a.b", "", "is not written ./file.py:name"),
    ],
)
def test_a_broken_graph_names_its_place_and_harms_no_other(target, text, reason, tmp_path):
    sibling = "x = 1\n1 / 0\n"
    if reason == "":  # one parameter without annotation is the config
        assert loaded(project(tmp_path, {"g": target}, bad=text), strict=True).names() == ["g"]
        return
    assert reason in why(tmp_path, target, bad=text, sibling=sibling)
    assert not [name for name in sys.modules if name.startswith("langyard_graph_bad")]


def test_strict_refuses_to_start_and_names_every_broken_graph(tmp_path):
    folder = project(tmp_path, {"a": "./a.py:x", "b": "./b.ts:x", "c": "./c.py:graph"}, c=GRAPH)
    with pytest.raises(ConfigurationError) as refused:
        loaded(folder, strict=True)
    assert "workflow a: There is no file a.py." in refused.value.detail
    assert "workflow b: ./b.ts is JavaScript" in refused.value.detail
    assert "workflow c" not in refused.value.detail


def test_a_broken_graph_is_unavailable_and_its_reason_stays_here(tmp_path):
    graphs = loaded(project(tmp_path, {"bad": "./bad.py:graph"}, bad="1 / 0"))
    with pytest.raises(Unavailable) as refused:
        graphs.get("bad")
    assert refused.value.code == "workflow_broken"
    assert "bad.py" not in refused.value.detail


def test_an_unknown_graph_names_those_there_are():
    graphs = loaded(PROJECTS / "package")
    with pytest.raises(NotFound) as refused:
        graphs.get("flw\n")
    assert refused.value.code == "workflow_not_found"
    assert refused.value.detail == "There is no workflow 'flw\\n'. Those there are: flow, same."
    with pytest.raises(NotFound, match="Those there are: none"):
        Graphs().get("x" * 1000)


def test_a_graph_may_be_registered():
    graphs = loaded(PROJECTS / "package")
    builder = sys.modules["flow.graph"].builder
    assert graphs.register("mine", builder, description="Mine.") is graphs.get("mine")
    assert graphs.get("mine").description == "Mine."
    assert graphs.names() == ["flow", "mine", "same"]
    with pytest.raises(Conflict):
        graphs.register("flow", builder)
    for name in ("", " ", "a\nb"):
        with pytest.raises(Invalid, match="no name"):
            graphs.register(name, builder)
    with pytest.raises(Invalid, match="Workflow 'n' cannot be registered: it is of type int; accepted"):
        graphs.register("n", 1)
    with pytest.raises(Invalid, match="entrypoint"):
        graphs.register("n", StateGraph(State))


def test_a_checkpointer_of_its_own_is_told_once(caplog):
    loaded(PROJECTS / "package")
    builder = sys.modules["flow.graph"].builder
    with caplog.at_level(logging.WARNING):
        Graphs().register("mine", builder.compile(checkpointer=InMemorySaver()))
    assert [record.getMessage() for record in caplog.records] == [
        "workflow mine was compiled with a checkpointer of its own; Langyard's is used instead"
    ]

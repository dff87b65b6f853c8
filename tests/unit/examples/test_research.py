"""Runs the research example as its users do: answers, citations, branches, approval, sessions, languages."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
from langgraph.types import Command

from tests.unit.examples.reader import LEASES, PROJECT, THREAD, ask, check_citations, corpus_lines, steps

DOUBLE = "What caused the double runs in February, how long did the incident last, and what was changed afterwards?"
ANSWERS = [
    (LEASES, "A lease lasts 30 seconds."),
    ("How large are checkpoints?", "The median checkpoint is 11 KB and the largest we allow is 4 MB."),
    ("How long are events kept?", "Events are kept for 24 hours after the end of a run."),
    ("How much did correcting the double declarations cost?", "18,400 EUR in fees and 65 hours of work"),
    ("Why were the streams silent in May?", "its default configuration buffers responses"),
    ("When was the lease shortened?", "rolled out on 9 March 2026"),
    ("Is Redis backed up?", "Redis is not backed up."),
    ("What happens when the database is gone?", "The gateway answers 503 with `Retry-After` and the workers wait."),
    ("Which interval do heartbeats have?", "a heartbeat every 15 seconds"),
    ("How many takeovers by mistake were there per month?", "Takeovers by mistake came to 34 per month"),
]


@pytest.mark.parametrize(("question", "answer"), ANSWERS)
async def test_the_short_answer_answers_and_every_citation_holds(graph, question, answer):
    result = await ask(graph, question, documents=["corpus"])
    assert answer in result["answer"]
    assert result["report"].startswith(f"# {question}\n")
    assert result["answer"] in result["report"]
    quotes = check_citations(result["report"], corpus_lines)
    assert len(quotes) >= len(result["findings"]) > 1


async def test_each_part_of_a_question_is_answered(graph):
    result = await ask(graph, DOUBLE, documents=["corpus"])
    cause, lasted, changed = result["answer"].split("**What caused")[1].split("\n\n**")
    assert "did not have to prove that its worker still held the lease" in cause
    assert "47 minutes" in lasted
    assert "52 minutes" in lasted
    assert "disputed" in lasted
    assert changed.count("\n- ") == 4
    assert "fence number" in changed
    check_citations(result["report"], corpus_lines)


async def test_researchers_work_side_by_side_and_so_do_analysis_and_summary(graph):
    assert await steps(graph, DOUBLE, documents=["corpus"]) == [
        ["plan"],
        ["research"] * 4,
        ["weigh"],
        ["analysis", "summary"],
        ["report"],
    ]


async def test_thin_evidence_widens_the_search_once(graph):
    taken = [
        ["plan"],
        ["research"] * 2,
        ["weigh"],
        ["widen"],
        ["research"],
        ["weigh"],
        ["analysis", "summary"],
        ["report"],
    ]
    assert await steps(graph, "How large are chekpoints?", documents=["corpus"]) == taken
    report = (await graph.aget_state(THREAD)).values["report"]
    assert "The median checkpoint is 11 KB" in report
    assert "No document contains the word “chekpoints”; the search also looked for “checkpoints”." in report
    assert "widen the search" in report


@pytest.mark.parametrize("question", ["What is the recipe for pancakes?", "How does Pier configure Kubernetes?"])
async def test_what_the_documents_do_not_say_is_not_answered(graph, question):
    result = await ask(graph, question, documents=["corpus"])
    assert result["answer"].startswith("**The documents do not answer this question.**")
    assert "No document contains the word" in result["report"]
    assert result["disagreements"] == []
    check_citations(result["report"], corpus_lines)


async def test_an_unanswered_part_is_named(graph):
    result = await ask(graph, "How long does a lease last and who invented the telephone?", documents=["corpus"])
    assert "A lease lasts 30 seconds." in result["answer"]
    assert "**Who invented the telephone?** Nothing was found on this." in result["answer"]
    assert "- Nothing was found on “who invented the telephone”." in result["report"]


DISAGREEMENTS = {
    "How long did the incident of 11 February last?": {"47 minutes or 52 minutes"},
    LEASES: {"30 seconds or 60 seconds"},
    "How long does a full restore take?": {
        "45 minutes or 3 hours and 10 minutes",
        "45 minutes or 1 hour and 35 minutes",
    },
    "How long are backups kept in the bucket?": {"35 days or 14 days"},
    "How many takeovers by mistake were there per month?": {"34 per month or fewer than 20 per month"},
    "How long do mobile networks hold a stream?": set(),
    "How often is a base backup taken?": set(),
}


@pytest.mark.parametrize("question", DISAGREEMENTS)
async def test_documents_that_disagree_are_set_against_each_other(graph, question):
    result = await ask(graph, question, documents=["corpus"])
    found = {frozenset(pair["about"].split(" or ")) for pair in result["disagreements"]}
    assert found == {frozenset(about.split(" or ")) for about in DISAGREEMENTS[question]}
    assert ("## Where the documents do not agree" in result["report"]) == bool(found)


async def test_progress_is_told_by_all_four_agents(graph):
    told = [
        event
        async for event in graph.astream({"question": DOUBLE, "documents": ["corpus"]}, THREAD, stream_mode="custom")
    ]
    assert {event["agent"] for event in told} == {"research", "analysis", "summary", "report"}
    assert all(event["message"] and event.keys() == {"agent", "message"} for event in told)


async def test_clients_see_results_and_not_the_documents(graph):
    async for values in graph.astream({"question": LEASES, "documents": ["corpus"]}, THREAD, stream_mode="values"):
        assert "corpus" not in values
        assert len(json.dumps(values)) < 20_000
    saved = await graph.checkpointer.aget_tuple(THREAD)
    assert len(saved.checkpoint["channel_values"]["corpus"]["documents"]) == 11


async def test_the_state_is_plain_json(graph):
    keys = set(importlib.import_module("agents.state").State.__annotations__)
    assert {"brief", "corpus", "evidence", "report"} <= keys
    await ask(graph, DOUBLE, documents=["corpus"], approval=True)
    async for saved in graph.checkpointer.alist(THREAD):
        values = {name: value for name, value in saved.checkpoint["channel_values"].items() if name in keys}
        sent = [write.arg for _, channel, write in saved.pending_writes if channel == "__pregel_tasks"]
        asked = [write[0].value for _, channel, write in saved.pending_writes if channel == "__interrupt__"]
        for value in (values, sent, asked):
            assert json.loads(json.dumps(value)) == value


async def test_the_input_and_output_have_schemas(agents):
    given, returned = agents.graph.get_input_jsonschema(), agents.graph.get_output_jsonschema()
    assert set(given["properties"]) == {"question", "documents", "texts", "approval"}
    assert {"report", "answer", "history"} <= set(returned["properties"])
    assert all("description" in entry for entry in given["properties"].values())


async def test_a_draft_waits_is_revised_and_approved(graph):
    paused = await ask(graph, LEASES, documents=["corpus"], approval=True)
    (asked,) = paused["__interrupt__"]
    assert asked.value["question"] == LEASES
    assert asked.value["draft"].startswith(f"# {LEASES}")
    assert "declarations were filed twice" not in asked.value["draft"]

    note = {"decision": "revise", "note": "how many declarations were filed twice"}
    (again,) = (await graph.ainvoke(Command(resume=note), THREAD))["__interrupt__"]
    assert "**How many declarations were filed twice:**" in again.value["draft"]
    assert "“38 declarations were filed twice.”" in again.value["draft"]
    check_citations(again.value["draft"], corpus_lines)

    result = await graph.ainvoke(Command(resume="approve"), THREAD)
    assert "__interrupt__" not in result
    assert result["report"].endswith("*Approved by a reader after 1 revision.*\n")
    assert [past["question"] for past in result["history"]] == [LEASES]
    assert (await graph.aget_state(THREAD)).next == ()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("no idea", "Answer 'approve'"),
        ({"decision": "revise"}, "add a note"),
        ({"decision": "revise", "note": "  "}, "add a note"),
        ({"decision": "revise", "note": "x" * 2001}, "longer than 2000"),
        ({"decision": "burn it"}, "Answer 'approve'"),
        (7, "Answer 'approve'"),
    ],
)
async def test_an_answer_that_is_none_is_asked_for_again(graph, answer, problem):
    await ask(graph, LEASES, documents=["corpus"], approval=True)
    (asked,) = (await graph.ainvoke(Command(resume=answer), THREAD))["__interrupt__"]
    assert problem in asked.value["problem"]
    assert (await graph.ainvoke(Command(resume=True), THREAD))["report"].endswith("*Approved by a reader.*\n")


async def test_without_approval_nobody_is_asked(graph):
    assert ["approve"] not in await steps(graph, LEASES, documents=["corpus"])
    assert ["approve"] in await steps(graph, LEASES, documents=["corpus"], approval=True)


async def test_a_follow_up_uses_the_documents_and_findings_of_the_session(graph, root):
    (root / "keys.md").write_text("# Keys\n\nKeys are rotated every 90 days.\nThe vault holds 12 keys.\n")
    await ask(graph, "How many keys does the vault hold?", documents=["keys.md"])
    (root / "keys.md").unlink()
    result = await ask(graph, "And how often are they rotated?")
    assert "“Keys are rotated every 90 days.” (`keys.md:3`)" in result["answer"]
    assert "Question 2 of this session, after “How many keys does the vault hold?”" in result["report"]
    assert "Both draw on `keys.md`" in result["report"]
    assert [past["question"] for past in result["history"]] == [
        "How many keys does the vault hold?",
        "And how often are they rotated?",
    ]
    assert "12 keys" in result["history"][0]["answer"]
    assert result["history"][0]["cites"][0]["source"] == "keys.md"


async def test_other_documents_replace_those_of_the_session(graph):
    await ask(graph, "How heavy is the anchor?", texts=[{"name": "a.txt", "text": "The anchor weighs 40 kilograms."}])
    result = await ask(graph, "How heavy is the anchor?", texts=[{"name": "b.txt", "text": "The anchor weighs 50 kg."}])
    assert [source["name"] for source in result["sources"]] == ["b.txt"]
    assert "50 kg" in result["answer"]
    assert "40 kilograms" not in result["report"]


async def test_a_refused_question_leaves_the_session_as_it_was(graph):
    await ask(graph, "How heavy is the anchor?", texts=[{"name": "a.txt", "text": "The anchor weighs 40 kilograms."}])
    with pytest.raises(ValueError, match="no file or folder"):
        await ask(graph, "How heavy is the chain?", documents=["nowhere"])
    with pytest.raises(ValueError, match="no question"):
        await graph.ainvoke({"approval": False}, THREAD)
    result = await ask(graph, "How heavy is the anchor?")
    assert "40 kilograms" in result["answer"]
    assert len(result["history"]) == 2


SCRIPTS = [
    ("手册.md", "# 手册\n\n## 备份\n\n数据库每天备份。备份保留三十五天。\n", "备份保留多少天？", "备份保留三十五天。"),
    (
        "案内.md",
        "# 案内\n\n貸出期間は三十秒です。更新は十秒ごとです。\n",
        "貸出期間はどのくらいですか？",
        "貸出期間は三十秒です。",
    ),
    (
        "Handbuch.md",
        "Die Sicherungen werden 35 Tage lang\naufbewahrt.",
        "Wie lange aufbewahrt?",
        "35 Tage lang aufbewahrt",
    ),
    ("архив.txt", "Резервные копии хранятся 35 дней.", "Сколько хранится резервная копия?", "хранятся 35 дней"),
    ("guía.md", "Las copias se guardan durante 35 días.", "¿Cuánto se guardan las copias?", "durante 35 días"),
    ("नियम.txt", "पट्टा तीस सेकंड तक चलता है।\n\nबैकअप हर रात।", "पट्टा कितने सेकंड चलता है", "पट्टा तीस सेकंड तक चलता है।"),
]


@pytest.mark.parametrize(("name", "text", "question", "answer"), SCRIPTS)
async def test_documents_in_any_script(graph, root, name, text, question, answer):
    (root / name).write_text(text, "utf-8")
    result = await ask(graph, question, documents=["."])
    assert answer in result["answer"]
    check_citations(result["report"], lambda source: (root / source).read_text("utf-8").split("\n"))


def test_it_runs_in_a_script_without_a_server(tmp_path):
    script = (
        "import asyncio, sys\nfrom agents.graph import graph\n"
        "given = {'question': 'How long does a lease last?', 'documents': ['corpus']}\n"
        "print(asyncio.run(graph.ainvoke(given))['answer'])\nassert 'langyard' not in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=60, capture_output=True, text=True
    )
    assert "A lease lasts 30 seconds." in ran.stdout

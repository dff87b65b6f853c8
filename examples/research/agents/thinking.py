"""Asks the model for each agent and checks its answers against the passages. Called by the nodes with a model."""

from __future__ import annotations

import regex

from agents import model, text
from agents.state import Citation, Disagreement, Errand, Evidence, Passage

LABELS = regex.compile(r"\[(\d+(?:\s*,\s*\d+)*)\]")
BULLET = regex.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")
CLAIMS = 7


async def parts(question: str) -> list[str]:
    """Up to three narrower questions that together answer `question`; none when it is narrow already."""
    task = (
        "Split the question into two or three narrower ones, one per line, nothing else. Write SAME when it is narrow."
    )
    answer = await model.ask("research", task, question)
    lines = [BULLET.sub("", line).strip()[:300] for line in answer.splitlines()]
    found = [line for line in lines if line and line.upper().strip(". ") != "SAME" and line != question]
    return found[:3] if len(found) > 1 else []


async def claims(errand: Errand) -> list[Evidence]:
    """What the passages say on a line of inquiry; every claim rests on passages that exist, the others are dropped."""
    if not errand["passages"]:
        return []
    task = (
        f"Answer the line of inquiry in at most {CLAIMS} lines. Each line is one statement and ends with the numbers "
        "of the passages it rests on, as in [2] or [1, 4]. Keep figures and dates. Write NOTHING when the passages do "
        "not answer it."
    )
    shown = "\n\n".join(f"[{n}] {_shown(passage)}" for n, passage in enumerate(errand["passages"], 1))
    answer = await model.ask("research", task, f"Line of inquiry: {errand['inquiry']['query']}\n\nPassages:\n\n{shown}")
    found: list[Evidence] = []
    for claim, labels in _labelled(answer):
        rests_on = [errand["passages"][n - 1] for n in labels if 1 <= n <= len(errand["passages"])]
        if rests_on and len(found) < CLAIMS:
            found.append(_evidence(claim, rests_on, errand, score=round(1.0 - 0.05 * len(found), 4)))
    return found


async def compared(question: str, evidence: list[Evidence]) -> tuple[list[Disagreement], list[str]]:
    """Pairs of notes the model holds for contradictory, and what it misses in all of them."""
    task = (
        "Compare the numbered notes. For each two that contradict each other write a line `CONFLICT [first] [second] "
        "what they differ on`. For each point of the question no note answers write a line `GAP what is missing`. "
        "Write NONE when there is neither."
    )
    found: list[Disagreement] = []
    gaps: list[str] = []
    for line in (
        await model.ask("analysis", task, f"Question: {question}\n\nNotes:\n{numbered(evidence)}")
    ).splitlines():
        words = BULLET.sub("", line).strip()
        numbers = [n for group in LABELS.findall(words) for n in _numbers(group)]
        pair = [evidence[n - 1] for n in dict.fromkeys(numbers) if 1 <= n <= len(evidence)]
        if words.startswith("CONFLICT") and len(pair) == 2:
            about = LABELS.sub("", words.removeprefix("CONFLICT")).strip(" :-")
            found.append(_disagreement(about, *pair))
        elif words.startswith("GAP"):
            gaps.append(words.removeprefix("GAP").strip(" :-"))
    return found, gaps


async def answer(question: str, evidence: list[Evidence], notes: list[str]) -> list[Evidence]:
    """The short answer, sentence by sentence, each with the citations of the notes it rests on."""
    task = (
        "Answer the question in two to five sentences for a busy reader. Every sentence ends with the numbers of the "
        "notes it rests on, as in [2] or [1, 4]. Say when notes disagree."
    )
    wishes = "".join(f"\nThe reader of the draft asks: {note}" for note in notes)
    said = await model.ask("summary", task, f"Question: {question}{wishes}\n\nNotes:\n{numbered(evidence)}")
    found: list[Evidence] = []
    for sentence, labels in _labelled(said):
        rests_on = [evidence[n - 1] for n in labels if 1 <= n <= len(evidence)]
        if rests_on:
            cites = list({str(cite): cite for item in rests_on for cite in item["cites"]}.values())
            found.append(Evidence(**{**rests_on[0], "text": sentence, "cites": cites}))
    return found or evidence[:3]


async def themes(question: str, findings: list[Evidence]) -> dict[str, list[Evidence]]:
    """The findings under a few headings of the model's own; those it forgot come last."""
    task = (
        "Order the numbered notes under two to four short headings for a report. Write a line `# heading` and below it "
        "a line with the numbers that belong there, as in [3] [1]. Nothing else."
    )
    rest = dict(enumerate(findings, 1))
    grouped: dict[str, list[Evidence]] = {}
    heading = ""
    for line in (await model.ask("report", task, f"Question: {question}\n\nNotes:\n{numbered(findings)}")).splitlines():
        if line.lstrip().startswith("#"):
            heading = line.strip("# ").strip()
        numbers = [n for group in LABELS.findall(line) for n in _numbers(group)] if heading else []
        for n in dict.fromkeys(numbers):
            if n in rest:
                grouped.setdefault(heading, []).append(rest.pop(n))
    if rest:
        grouped.setdefault("Further findings" if grouped else "Findings", []).extend(rest.values())
    return grouped


def numbered(evidence: list[Evidence]) -> str:
    """Notes as the model sees them."""
    return "\n".join(f"[{n}] {item['text']} ({item['heading']})" for n, item in enumerate(evidence, 1))


def _shown(passage: Passage) -> str:
    body = " ".join(sentence["text"] for sentence in passage["sentences"])
    return f"{passage['source']} ({passage['heading']}): {body}"


def _labelled(answer: str) -> list[tuple[str, list[int]]]:
    """Statements with the numbers that follow them; text without a number belongs to no statement."""
    found: list[tuple[str, list[int]]] = []
    for line in answer.splitlines():
        begin = 0
        for match in regex.finditer(rf"(?:\s*{LABELS.pattern})+[.。]?", line):
            statement = BULLET.sub("", line[begin : match.start()]).strip()
            begin = match.end()
            if statement:
                end = "" if statement[-1] in ".!?。！？" else "."
                found.append((statement + end, [n for group in LABELS.findall(match.group()) for n in _numbers(group)]))
    return found


def _numbers(group: str) -> list[int]:
    return [int(number) for number in group.split(",")]


def _evidence(claim: str, rests_on: list[Passage], errand: Errand, score: float) -> Evidence:
    cites = [_narrowed(claim, passage, errand["language"]) for passage in rests_on]
    matched = set(text.tokens(f"{claim} {rests_on[0]['heading']}", errand["language"])) & errand["weights"].keys()
    heading = rests_on[0]["heading"]
    return Evidence(
        text=claim, heading=heading, cites=cites, terms=sorted(matched), score=score, inquiry=errand["number"]
    )


def _narrowed(claim: str, passage: Passage, language: str) -> Citation:
    """The lines of the passage's sentence that shares most with the claim, or of the whole passage when none does."""
    words = set(text.tokens(claim, language))
    shares = [len(words & set(text.tokens(sentence["text"], language))) for sentence in passage["sentences"]]
    best = passage["sentences"][shares.index(max(shares))]
    if max(shares):
        return Citation(source=passage["source"], line=best["line"], end=best["end"])
    return Citation(source=passage["source"], line=passage["sentences"][0]["line"], end=passage["sentences"][-1]["end"])


def _disagreement(about: str, first: Evidence, second: Evidence) -> Disagreement:
    return Disagreement(
        about=about,
        first=first["text"],
        first_cite=first["cites"][0],
        second=second["text"],
        second_cite=second["cites"][0],
    )

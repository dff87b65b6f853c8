"""The graph's nodes: the four agents, and what plans, weighs, widens and approves. Called by the graph."""

from __future__ import annotations

import asyncio
import hashlib
from textwrap import shorten

from langgraph.config import get_stream_writer
from langgraph.types import Send, interrupt

from agents import choosing, comparing, corpus, intake, model, question, ranking, text, thinking, writing
from agents.index import Index, index_of
from agents.state import Analysis, Brief, Corpus, Errand, Evidence, Past, Source, State, Summary
from agents.writing import counted

REMEMBERED = 20


def tell(agent: str, message: str) -> None:
    """Sends a line of progress to whoever watches the run."""
    get_stream_writer()({"agent": agent, "message": message})


async def plan(state: State) -> State:
    """Checks the input, reads the documents, or takes the session's, and divides the question into lines of inquiry."""
    asked, approval = intake.question(state), intake.approval(state)
    read = await _corpus(state)
    index = await asyncio.to_thread(index_of, read)
    past = state.get("history", [])
    if not text.terms(asked, index.language) and not past:
        raise ValueError("The question has no word that could be searched for.")
    tell("research", f"read {counted(len(read['documents']), 'document')}, {counted(len(index.passages), 'passage')}")
    parts = await thinking.parts(asked) if model.configured() else question.parts(asked, index)
    inquiries = question.inquiries(asked, parts, index, past)
    tell("research", f"follows {counted(len(inquiries), 'line')} of inquiry")
    brief = Brief(
        turn=len(past),
        question=asked,
        approval=approval,
        thin=False,
        widened=False,
        notes=[],
        inquiries=inquiries,
        sent=0,
    )
    return State(brief=brief, corpus=read, evidence=None)  # type: ignore[typeddict-item]  # None empties it


async def _corpus(state: State) -> Corpus:
    paths, texts = intake.documents(state), intake.texts(state)
    if paths or texts:
        documents = await asyncio.to_thread(corpus.load, paths, texts, corpus.research_root())
        language = text.language_of("\n".join(document["text"][:5000] for document in documents))
        return Corpus(language=language, documents=documents)
    if "corpus" in state:
        return state["corpus"]
    raise ValueError("This session has no documents yet; send documents (files and folders) or texts.")


async def send_out(state: State) -> list[Send]:
    """A researcher for each line of inquiry not yet researched, with the passages the search finds for it."""
    brief = state["brief"]
    index = await asyncio.to_thread(index_of, state["corpus"])
    fresh = range(brief["sent"], len(brief["inquiries"]))
    return [Send("research", await asyncio.to_thread(_errand, brief, number, index)) for number in fresh]


def _errand(brief: Brief, number: int, index: Index) -> Errand:
    inquiry = brief["inquiries"][number]
    focus = None if inquiry["why"] == "the reader's note" else brief["inquiries"][0]["terms"]
    return Errand(
        number=number,
        question=brief["question"],
        inquiry=inquiry,
        weights={term: factor * index.weight(term) for term, factor in inquiry["terms"].items()},
        passages=index.search(inquiry["terms"], focus),
        language=index.language,
    )


async def research(state: Errand) -> State:
    """One of the parallel researchers: what the passages found for a line of inquiry say on it."""
    query = shorten(state["inquiry"]["query"], 90, placeholder=" …")
    tell("research", f"reads {counted(len(state['passages']), 'passage')} on “{query}”")
    if model.configured():
        found = await thinking.claims(state)
    else:
        found = await asyncio.to_thread(ranking.extract, state)
    places = {cite["source"] for item in found for cite in item["cites"]}
    tell("research", f"{counted(len(found), 'finding')} in {counted(len(places), 'document')} on “{query}”")
    return State(evidence=found)


async def weigh(state: State) -> State:
    """Judges whether the evidence suffices."""
    brief, evidence = state["brief"], state["evidence"]
    index = await asyncio.to_thread(index_of, state["corpus"])
    enough = len(evidence) > 1 if model.configured() else choosing.enough(brief, evidence, index)
    if not enough:
        tell("research", "the evidence stays thin" if brief["widened"] else "the evidence is thin")
    return State(brief=Brief(**{**brief, "sent": len(brief["inquiries"]), "thin": not enough}))


async def widen(state: State) -> State:
    """Looks once more and more forgivingly: words spelled alike, and related ones."""
    brief = state["brief"]
    index = await asyncio.to_thread(index_of, state["corpus"])
    wider = await asyncio.to_thread(question.wider, brief["inquiries"][0], brief["question"], index)
    tell("research", f"widens the search to: {wider['query']}")
    return State(brief=Brief(**{**brief, "widened": True, "inquiries": [*brief["inquiries"], wider]}))


async def analysis(state: State) -> State:
    """The analysis agent, beside the summary agent: where documents disagree, and what they are silent on."""
    brief, index = state["brief"], await asyncio.to_thread(index_of, state["corpus"])
    evidence = ranking.unite(state["evidence"])
    if model.configured():
        disagreements, silent = await thinking.compared(brief["question"], evidence) if evidence else ([], [])
    else:
        disagreements = await asyncio.to_thread(
            comparing.disagreements, choosing.bearing(brief, evidence, index), index
        )
        silent = comparing.silent(brief["question"], index)
    found = Analysis(disagreements=disagreements, silent=silent)
    tell("analysis", f"{counted(len(disagreements), 'disagreement')}, {counted(len(silent), 'gap')}")
    return State(analysis=found)


async def summary(state: State) -> State:
    """The summary agent, beside the analysis agent: the short answer, and the order of the rest."""
    brief = state["brief"]
    index = await asyncio.to_thread(index_of, state["corpus"])
    if model.configured():
        united = ranking.unite(state["evidence"])
        answer = await thinking.answer(brief["question"], united, brief["notes"]) if united else []
        found = Summary(answer=answer, findings=united[: choosing.FINDINGS])
    else:
        found = await asyncio.to_thread(choosing.summary, brief, state["evidence"], index)
    tell("summary", f"{counted(len(found['answer']), 'statement')} for the answer, {len(found['findings'])} more")
    return State(summary=found)


async def report(state: State) -> State:
    """The report agent: writes the Markdown and adds the question to the session's history."""
    brief, found = state["brief"], state["summary"]
    past = state.get("history", [])[: brief["turn"]]
    quoted = not model.configured()
    groups = writing.by_section(found["findings"])
    if not quoted and found["findings"]:
        groups = await thinking.themes(brief["question"], found["findings"])
    sources = _sources(state)
    answer = writing.short_answer(brief, found, state["analysis"], quoted=quoted)
    written = writing.report(
        brief, found, state["analysis"], sources, past, groups=groups, method=_method(state, quoted), quoted=quoted
    )
    tell(
        "report",
        f"written: {len(written.split())} words, {counted(sum(source['cited'] for source in sources), 'citation')}",
    )
    findings = found["answer"] + found["findings"]
    index = await asyncio.to_thread(index_of, state["corpus"])
    return State(
        report=written,
        answer=answer,
        findings=findings,
        disagreements=state["analysis"]["disagreements"],
        sources=sources,
        history=[*past, _past(brief, answer, findings, index)][-REMEMBERED:],
    )


def _sources(state: State) -> list[Source]:
    told = state["summary"]["answer"] + state["summary"]["findings"]
    cited = [cite["source"] for item in told for cite in item["cites"]]
    for found in state["analysis"]["disagreements"]:
        cited += [found["first_cite"]["source"], found["second_cite"]["source"]]
    return [
        Source(
            name=document["name"],
            lines=document["text"].count("\n") + (not document["text"].endswith("\n")),
            sha256=hashlib.sha256(document["text"].encode(errors="replace")).hexdigest(),
            cited=cited.count(document["name"]),
        )
        for document in state["corpus"]["documents"]
    ]


def _past(brief: Brief, answer: str, findings: list[Evidence], index: Index) -> Past:
    wider = [inquiry for inquiry in brief["inquiries"] if inquiry["why"] == "a wider search"]
    terms = (wider or brief["inquiries"])[0]["terms"]
    known = [term for term, factor in terms.items() if factor > 0.5 and index.knows(term)]
    cites = [cite for item in findings[:8] for cite in item["cites"]]
    return Past(question=brief["question"], answer=answer, terms=known[:12], cites=cites)


def _method(state: State, quoted: bool) -> str:
    brief = state["brief"]
    looked = f"{counted(len(brief['inquiries']), 'line')} of inquiry{', one to widen the search' * brief['widened']}"
    searched = f"{counted(len(state['corpus']['documents']), 'document')} ranked with BM25"
    if quoted:
        return f"How this was made: {looked}; {searched}; sentences chosen by match and TextRank, quoted word for word."
    words = f"put into words by {model.name()}, statements without a source dropped"
    return f"How this was made: {looked}; {searched}; {words}."


async def approve(state: State) -> State:
    """Shows the draft to a person and waits, for as long as it takes, for approve or revise with a note."""
    brief = state["brief"]
    problem = ""
    while True:
        asked = {
            "question": brief["question"],
            "draft": state["report"],
            "answers": ["approve", {"decision": "revise", "note": "what to add"}],
        }
        said = intake.verdict(interrupt({**asked, "problem": problem} if problem else asked))
        if not isinstance(said, str):
            break
        problem = said
    decision, note = said
    if decision == "revise":
        index = await asyncio.to_thread(index_of, state["corpus"])
        tell("report", f"to be revised: {note}")
        inquiries = [*brief["inquiries"], question.noted(note, brief["question"], index)]
        return State(brief=Brief(**{**brief, "notes": [*brief["notes"], note], "inquiries": inquiries}))
    tell("report", "approved")
    revised = f" after {counted(len(brief['notes']), 'revision')}" if brief["notes"] else ""
    return State(report=state["report"].rstrip() + f"\n\n*Approved by a reader{revised}.*\n")

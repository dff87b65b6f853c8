"""The workflow's state: plain JSON, so that it survives any checkpointer. Every node reads and returns parts of it."""

from __future__ import annotations

from typing import Annotated

from langgraph.channels import EphemeralValue
from pydantic import Field
from typing_extensions import TypedDict


class Text(TypedDict):
    """A document as text; `name` is what citations show."""

    name: str
    text: str


class Input(TypedDict, total=False):
    """A question, and the documents to answer it from."""

    # Ephemeral, all of them: what one run was given, or refused, never leaks into the session's next run.
    question: Annotated[str, Field(description="What you want to know."), EphemeralValue]
    documents: Annotated[
        list[str],
        Field(description="Files and folders of .md and .txt below RESEARCH_ROOT. Left out: the session's documents."),
        EphemeralValue,
    ]
    texts: Annotated[list[Text], Field(description="Documents sent along as text."), EphemeralValue]
    approval: Annotated[
        bool, Field(description="Stop with the draft and wait for approve, or revise with a note."), EphemeralValue
    ]


class Citation(TypedDict):
    """Lines `line` to `end` of the document `source`, counted from 1."""

    source: str
    line: int
    end: int


class Evidence(TypedDict):
    """One thing the documents say: quoted word for word without a model, in the model's words with one."""

    text: str
    heading: str
    cites: list[Citation]
    terms: list[str]
    score: float
    inquiry: int


class Disagreement(TypedDict):
    """Two passages that do not fit together: `about` says in a few words what they differ on."""

    about: str
    first: str
    first_cite: Citation
    second: str
    second_cite: Citation


class Source(TypedDict):
    """A document of the session and how much of it the report uses."""

    name: str
    lines: int
    sha256: str
    cited: int


class Past(TypedDict):
    """What the session keeps of an earlier question, for follow-ups."""

    question: str
    answer: str
    terms: list[str]
    cites: list[Citation]


class Inquiry(TypedDict):
    """One line of inquiry: what is looked for, why, and how much each stemmed term counts."""

    query: str
    why: str
    terms: dict[str, float]


class Brief(TypedDict):
    """What one run has to do and how far it is; written by `plan`, carried on by `weigh`, `widen` and `approve`.

    Inquiries are numbered by their place; those from `sent` on have not been researched yet. `thin`: their evidence did
    not suffice.
    """

    turn: int
    question: str
    approval: bool
    thin: bool
    widened: bool
    notes: list[str]
    inquiries: list[Inquiry]
    sent: int


class Corpus(TypedDict):
    """The session's documents: in the checkpoint, so that a citation stays true when a file changes on disk."""

    language: str
    documents: list[Text]


class Analysis(TypedDict):
    """What the analysis agent found: where documents disagree, and what they are silent on."""

    disagreements: list[Disagreement]
    silent: list[str]


class Summary(TypedDict):
    """What the summary agent chose: the short answer, and what else is worth reading, best first."""

    answer: list[Evidence]
    findings: list[Evidence]


class Output(TypedDict, total=False):
    """The report, and what it was made from."""

    report: Annotated[str, Field(description="The report, in Markdown.")]
    answer: Annotated[str, Field(description="The short answer alone, in Markdown.")]
    findings: Annotated[list[Evidence], Field(description="What the report cites, best first.")]
    disagreements: Annotated[list[Disagreement], Field(description="Where the sources do not fit together.")]
    sources: Annotated[list[Source], Field(description="The session's documents.")]
    history: Annotated[list[Past], Field(description="The session's questions so far, oldest first.")]


def gather(old: list[Evidence] | None, new: list[Evidence] | None) -> list[Evidence]:
    """Reducer of `evidence`: parallel researchers add to it, None empties it for the next question."""
    return [] if new is None else (old or []) + new


class State(Input, Output, total=False):
    """Everything the nodes share; the part that is not in Input or Output stays inside the checkpoints."""

    brief: Brief
    corpus: Corpus
    evidence: Annotated[list[Evidence], gather]
    analysis: Analysis
    summary: Summary


class Sentence(TypedDict):
    """A sentence and the lines it stands on."""

    text: str
    line: int
    end: int


class Passage(TypedDict):
    """Neighbouring sentences of one section; `score` is the search's, 0 to 1."""

    source: str
    heading: str
    score: float
    sentences: list[Sentence]


class Errand(TypedDict):
    """What one parallel researcher is sent: a line of inquiry and the passages the search found for it."""

    number: int
    question: str
    inquiry: Inquiry
    weights: dict[str, float]
    passages: list[Passage]
    language: str

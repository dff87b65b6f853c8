"""Compares what documents say: numbers that do not fit together, words nobody uses. Called by the analysis agent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import regex

from agents import facts, text
from agents.index import Index
from agents.question import mended
from agents.state import Citation, Disagreement, Evidence

DISAGREEMENTS = 5
ALIKE = 0.34
Amounts = tuple[facts.Amount, facts.Amount]
CONTRAST = regex.compile(
    r"\b(?:although|though|whereas|instead of|rather than|contrary to|(?:more|less) than the)\b", regex.IGNORECASE
)


def silent(question: str, index: Index) -> list[str]:
    """A sentence for each word of the question that stands in no document."""
    sentences: list[str] = []
    for word, alike in mended(question, index).items():
        read = f"; the search also looked for {' and '.join(f'“{other}”' for other in alike.values())}" if alike else ""
        if len(word) > 1 and not word.isdigit():
            sentences.append(f"No document contains the word “{word}”{read}.")
    return sentences


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence with numbers, and what the numbers are about."""

    quote: str
    cite: Citation
    amounts: list[facts.Amount]
    terms: frozenset[str]
    dates: frozenset[str]


def disagreements(evidence: list[Evidence], index: Index) -> list[Disagreement]:
    """Pairs of sentences of different places about the same thing whose numbers differ, the clearest first.

    One of each pair is evidence, the other may stand anywhere in the documents. Sections dated differently tell of
    different events and are never compared.
    """
    quoted = "\n".join(item["text"] for item in evidence)
    claims = _claims(index)
    pairs: dict[frozenset[int], tuple[float, Disagreement]] = {}
    for one, first in enumerate(claims):
        if first.quote not in quoted:
            continue
        for other, second in enumerate(claims):
            alike = _alike(first, second, index)
            conflict = _conflict(first, second) if alike >= ALIKE else None
            if conflict:
                pairs.setdefault(frozenset((one, other)), (alike, _disagreement(first, second, conflict)))
    clearest = sorted(pairs.values(), key=lambda pair: -pair[0])
    return [disagreement for _, disagreement in clearest[:DISAGREEMENTS]]


@lru_cache(maxsize=4)
def _claims(index: Index) -> list[Claim]:
    """All sentences with numbers, found once for an index."""
    claims: list[Claim] = []
    for passage in index.passages:
        for sentence in passage["sentences"]:
            amounts = facts.amounts(sentence["text"])
            if amounts:
                cite = Citation(source=passage["source"], line=sentence["line"], end=sentence["end"])
                terms = frozenset(text.tokens(facts.bare(sentence["text"]), index.language))
                dates = frozenset(facts.dates(passage["heading"]))
                claims.append(Claim(sentence["text"], cite, amounts, terms, dates))
    return claims


def _alike(first: Claim, second: Claim, index: Index) -> float:
    """How much two claims are about the same, 0 to 1: the weight of shared terms, against the shorter and both."""
    apart = first.dates and second.dates and not first.dates & second.dates
    shared = first.terms & second.terms
    if apart or len(shared) < 2 or first.cite["source"] == second.cite["source"]:
        return 0.0
    ours, theirs = _weight(first.terms, index), _weight(second.terms, index)
    return _weight(shared, index) * (0.5 / min(ours, theirs) + 0.5 / math.sqrt(ours * theirs))


def _weight(terms: frozenset[str], index: Index) -> float:
    return sum(index.weight(term) ** 2 for term in terms)


def _conflict(first: Claim, second: Claim) -> Amounts | None:
    """The two amounts that differ; also when one sentence sets its own amount against the other's ("although ...")."""
    for one, other in ((first, second), (second, first)):
        if CONTRAST.search(one.quote):
            own = [amount for amount in one.amounts if not facts.differ([amount], other.amounts)]
            rest = [amount for amount in one.amounts if amount not in own]
            pair = facts.differ(rest, own)
            if pair:
                return (pair[1], pair[0]) if one is second else pair
    return facts.differ(first.amounts, second.amounts)


def _disagreement(first: Claim, second: Claim, conflict: Amounts) -> Disagreement:
    about = f"{conflict[0].shown} or {conflict[1].shown}"
    return Disagreement(
        about=about, first=first.quote, first_cite=first.cite, second=second.quote, second_cite=second.cite
    )

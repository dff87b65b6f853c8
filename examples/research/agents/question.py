"""Reads a question: its parts, its terms, the kind of answer it wants. Called by plan, widen, approve and ranking."""

from __future__ import annotations

import regex

from agents import text
from agents.index import Index
from agents.state import Inquiry, Past

PARTS = 3
OPENERS = "how|what|why|when|where|who|whom|whose|which|is|are|was|were|does|do|did|can|could|should|will|has|have"
CUT = regex.compile(rf"[?;？；]\s*|,?\s+(?:and|or|but)\s+(?=(?:{OPENERS})\b)|,\s+(?=(?:{OPENERS})\b)", regex.IGNORECASE)
BACK = regex.compile(r"\b(?:it|its|they|them|their|this|these|those)\b|^(?:and|but|so|also|then)\b", regex.IGNORECASE)
WANTS = {
    "duration": regex.compile(r"\bhow (?:long|quickly|fast|often)\b|\bduration\b|\btime-?out\b", regex.IGNORECASE),
    "date": regex.compile(r"\bwhen\b|\bwhat (?:day|date|month|year|time)\b|\bsince\b", regex.IGNORECASE),
    "money": regex.compile(r"\bcosts?\b|\bexpensive\b|\bprice\b|\bmoney\b|\bspen[dt]\b", regex.IGNORECASE),
    "size": regex.compile(r"\bhow (?:large|big|small)\b|\bsize\b", regex.IGNORECASE),
    "number": regex.compile(r"\bhow (?:many|much)\b|\bnumber of\b|\bcount\b", regex.IGNORECASE),
    "reason": regex.compile(r"\bwhy\b|\bcaused?\b|\breasons?\b|\broot cause\b", regex.IGNORECASE),
}


def wants(question: str) -> list[str]:
    """The kinds of answer a question asks for: duration, date, money, size, number, reason."""
    return [kind for kind, pattern in WANTS.items() if pattern.search(question)]


def parts(question: str, index: Index) -> list[str]:
    """The questions that one sentence asks at once, none when it is only one."""
    found = [part.strip() for part in CUT.split(question) if text.terms(part, index.language)]
    return found[:PARTS] if len(found) > 1 else []


def inquiries(question: str, parts: list[str], index: Index, past: list[Past]) -> list[Inquiry]:
    """The lines of inquiry: the question, its parts, what a follow-up carries on, or else terms related to it."""
    own = dict.fromkeys(text.terms(question, index.language), 1.0)
    lines = [Inquiry(query=question, why="the question", terms=own)]
    if past and (not own or BACK.search(question)):
        own = dict.fromkeys(past[-1]["terms"], 0.8) | own
        lines = [Inquiry(query=f"{question} (after: {past[-1]['question']})", why="the question", terms=own)]
    lines += [_part(part, own, index) for part in parts]
    related = index.related(own) if len(lines) == 1 else {}
    if related:
        query = f"related: {', '.join(related.values())}"
        lines.append(Inquiry(query=query, why="related terms", terms=own | dict.fromkeys(related, 0.4)))
    return lines


def mended(question: str, index: Index) -> dict[str, dict[str, str]]:
    """For each word of the question that no document has: the words spelled alike that they do have, by term."""
    unknown = {word for term, word in text.terms(question, index.language).items() if not index.knows(term)}
    return {word: index.alike(word) for word in sorted(unknown)}


def wider(asked: Inquiry, question: str, index: Index) -> Inquiry:
    """A second, more forgiving look: words spelled alike for those the documents do not have, and related terms."""
    known = {term: factor for term, factor in asked["terms"].items() if index.knows(term)}
    alike = {term: word for words in mended(question, index).values() for term, word in words.items()}
    unknown = {
        term: 1.0
        for word, words in mended(question, index).items()
        if not words
        for term in [text.stem(word, index.language)]
    }
    terms = known | dict.fromkeys(alike, 0.8) | unknown
    related = index.related(terms, 6)
    own = [word for term, word in text.terms(question, index.language).items() if term in known]
    query = ", ".join([*own, *alike.values(), *related.values()])
    return Inquiry(query=query or question, why="a wider search", terms=terms | dict.fromkeys(related, 0.4))


def noted(note: str, question: str, index: Index) -> Inquiry:
    """What a reader asked to be added to the draft; the question's own terms only tip the balance."""
    asked = dict.fromkeys(text.terms(note, index.language), 1.0)
    own = {term: 0.2 for term in text.terms(question, index.language) if term not in asked}
    return Inquiry(query=note, why="the reader's note", terms=asked | own)


def _part(part: str, own: dict[str, float], index: Index) -> Inquiry:
    """A part keeps a trace of the whole question, whose subject it often leaves out."""
    mine = dict.fromkeys(text.terms(part, index.language), 1.0)
    return Inquiry(query=part, why="a part of it", terms=dict.fromkeys(own, 0.35) | mine)

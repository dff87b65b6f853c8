"""Chooses answer and findings from the evidence, and judges whether it suffices. Called by weigh and summary."""

from __future__ import annotations

from agents import ranking
from agents.index import Index
from agents.state import Brief, Evidence, Inquiry, Summary

FINDINGS = 12
ANSWERS = 3
A_LIST = 4
ENOUGH = 0.6
BEARING = 0.4
WORTH = 0.45
ASIDE = ("a part of it", "the reader's note")


def enough(brief: Brief, evidence: list[Evidence], index: Index) -> bool:
    """Whether to go on: two pieces of evidence or more that together speak of most of what is asked."""
    met = {term for item in evidence for term in item["terms"]}
    return len(evidence) > 1 and _share(met, brief["inquiries"][0], index) >= ENOUGH


def bearing(brief: Brief, evidence: list[Evidence], index: Index) -> list[Evidence]:
    """The evidence that speaks of a good part of what its own line of inquiry, or the question, is about."""
    subject = _subject(brief)

    def bears(item: Evidence) -> bool:
        inquiry = brief["inquiries"][item["inquiry"]]
        met = set(item["terms"])
        return _share(met, subject, index) >= BEARING or (
            inquiry["why"] in ASIDE and _share(met, inquiry, index) >= BEARING
        )

    return [item for item in evidence if bears(item)]


def summary(brief: Brief, evidence: list[Evidence], index: Index) -> Summary:
    """The short answer, a group for each part of the question and each note, and the findings, best first.

    Sentences that hardly touch what was asked are findings at most, never an answer.
    """
    subject = _subject(brief)
    notes = {n for n, inquiry in enumerate(brief["inquiries"]) if inquiry["why"] == "the reader's note"}
    parts = [n for n, inquiry in enumerate(brief["inquiries"]) if inquiry["why"] == "a part of it"]
    near = [item for item in evidence if item["inquiry"] in notes or subject["terms"].keys() & set(item["terms"])]
    united = ranking.unite([item for item in near if item["inquiry"] not in notes])
    groups = {
        number: _best([item for item in evidence if item["inquiry"] == number], brief["inquiries"][number], index)
        for number in [*parts, *sorted(notes)]
    }
    chosen = [] if parts else _central(bearing(brief, united, index), index)
    chosen += [item for number, group in groups.items() for item in _own(number, group, groups)]
    rest = [item for item in ranking.unite(near) if not _told(item, chosen)]
    rest = [item for item in rest if item["score"] >= WORTH * max(item["score"] for item in [*rest, *united])]
    return Summary(answer=chosen, findings=rest[:FINDINGS])


def _own(number: int, group: list[Evidence], groups: dict[int, list[Evidence]]) -> list[Evidence]:
    """A group without what answers another part better; its best stays, for a part must not look unanswered."""
    best = max(group, key=lambda item: item["score"], default=None)

    def better(item: Evidence) -> bool:
        return any(
            other["text"] == item["text"] and (other["score"], -place) > (item["score"], -number)
            for place, others in groups.items()
            for other in others
        )

    return [item for item in group if item is best or not better(item)]


def _subject(brief: Brief) -> Inquiry:
    """What an answer must be about: the question, or the wider search where words of the question were mended."""
    mended = [inquiry for inquiry in brief["inquiries"] if inquiry["why"] == "a wider search"]
    own = brief["inquiries"][0]
    return Inquiry(**{**own, "terms": _pointed(mended[0])}) if mended else own


def _pointed(inquiry: Inquiry) -> dict[str, float]:
    """The terms that an inquiry is about, without those that only tip the balance."""
    return {term: factor for term, factor in inquiry["terms"].items() if factor > 0.5}


def _share(met: set[str], inquiry: Inquiry, index: Index) -> float:
    """How much of what an inquiry is about the terms `met` make up, 0 to 1, rare terms weighing more."""
    weights = {term: index.weight(term) for term in _pointed(inquiry)}
    return sum(weight for term, weight in weights.items() if term in met) / (sum(weights.values()) or 1.0)


def _central(items: list[Evidence], index: Index) -> list[Evidence]:
    """The best sentence, and the most central of the others that do not repeat it."""
    matrix = ranking.similarity([item["text"] for item in items], index.language)
    ranks = ranking.central(matrix, [item["score"] for item in items])
    order = ranking.choose(matrix, ranks, [item["heading"] for item in items], ANSWERS)
    found: list[Evidence] = []
    for item in [*items[:1], *(items[place] for place in order)]:
        if not _told(item, found):
            found.append(Evidence(**{**item, "inquiry": 0}))
    return found[:ANSWERS]


def _best(own: list[Evidence], inquiry: Inquiry, index: Index) -> list[Evidence]:
    """The best answer to one line of inquiry, and its equals: more items of a list, the same from another source."""
    own = sorted(own, key=lambda item: -item["score"])
    if not own or _share(set(own[0]["terms"]), inquiry, index) < BEARING:
        return []
    pointed = _pointed(inquiry).keys()
    met = pointed & set(own[0]["terms"])
    equals = [item for item in own if item["score"] >= 0.8 * own[0]["score"] and met <= set(item["terms"])]
    first = own[0]["cites"][0]["source"]

    def place(item: Evidence) -> tuple[bool, str, int]:
        cite = item["cites"][0]
        return cite["source"] != first, cite["source"], cite["line"]

    return sorted(equals[:A_LIST], key=place)


def _told(item: Evidence, chosen: list[Evidence]) -> bool:
    return any(item["text"] in other["text"] or other["text"] in item["text"] for other in chosen)

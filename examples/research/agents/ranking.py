"""Ranks sentences: what bears on a question, what is central, what repeats. Called by research and the choosing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import regex

from agents import facts, text
from agents.question import wants
from agents.state import Citation, Errand, Evidence, Passage, Sentence

EVIDENCE_AN_INQUIRY = 7
LEAST = 0.2
POINTING = regex.compile(
    r"(?:It|Its|This|That|These|Those|They|Their|He|She|Such|The same|None of them|Both|Then|But|So|And|Or|However)\b"
)
REASON = regex.compile(
    r"\b(?:because|root cause|caused?|due to|reason|so that|led to|therefore|since)\b", regex.IGNORECASE
)
Matrix = npt.NDArray[np.float64]


def extract(errand: Errand) -> list[Evidence]:
    """The sentences of an errand's passages that bear on its line of inquiry, best first."""
    kinds, months = wants(errand["inquiry"]["query"]), facts.months(errand["question"])
    total = sum(errand["weights"].values()) or 1.0
    found: list[Evidence] = []
    for passage in errand["passages"]:
        told = facts.months(passage["heading"])
        other_time = 0.5 if months and told and not months & told else 1.0
        *higher, nearest = passage["heading"].split(" › ")
        above = dict.fromkeys(_terms(" ".join([passage["source"], *higher]), errand), 0.4) | dict.fromkeys(
            _terms(nearest, errand), 0.7
        )
        for place, sentence in enumerate(passage["sentences"]):
            own = _terms(sentence["text"], errand)
            near = _terms(passage["sentences"][place - 1]["text"], errand) if place else set()
            shares = dict.fromkeys(near, 0.4) | above | dict.fromkeys(own, 1.0)
            match = sum(errand["weights"][term] * share for term, share in shares.items())
            if own or above:
                score = match / total * 0.7 + passage["score"] * 0.3
                score *= _answers(sentence["text"], kinds) * _shape(sentence["text"]) * other_time
                found.append(_evidence(passage, place, sorted(shares), round(score, 4), errand["number"]))
    found.sort(key=lambda evidence: -evidence["score"])
    return [evidence for evidence in found[:EVIDENCE_AN_INQUIRY] if evidence["score"] >= LEAST]


def _terms(words: str, errand: Errand) -> set[str]:
    """The terms looked for that occur in `words`."""
    return set(text.tokens(words, errand["language"])) & errand["weights"].keys()


def _answers(sentence: str, kinds: list[str]) -> float:
    """A bonus for a sentence that holds the kind of thing the question asks for."""
    amounts = facts.amounts(sentence)
    has = {
        "duration": any(amount.kind in ("time", "every time") for amount in amounts),
        "money": any(amount.kind in ("EUR", "USD", "GBP") for amount in amounts),
        "size": any(amount.kind == "size" for amount in amounts),
        "number": bool(amounts),
        "date": bool(facts.dates(sentence)),
        "reason": bool(REASON.search(sentence)),
    }
    return 1.0 + 0.3 * any(has[kind] for kind in kinds)


def _shape(sentence: str) -> float:
    """Table rows, scraps and very long sentences are worse to read; unspaced scripts are judged by letters."""
    if " · " in sentence:
        return 0.7
    words = max(len(sentence.split()), len(sentence) // 12)
    return 0.6 if words < 4 else 0.85 if words < 7 or words > 60 else 1.0


def _evidence(passage: Passage, place: int, terms: list[str], score: float, inquiry: int) -> Evidence:
    sentence: Sentence = passage["sentences"][place]
    quote, line = sentence["text"], sentence["line"]
    if place and POINTING.match(quote):
        before = passage["sentences"][place - 1]
        quote, line = f"{before['text']} {quote}", before["line"]
    cite = Citation(source=passage["source"], line=line, end=sentence["end"])
    return Evidence(text=quote, heading=passage["heading"], cites=[cite], terms=terms, score=score, inquiry=inquiry)


def unite(evidence: list[Evidence]) -> list[Evidence]:
    """Evidence without repetitions, best first; what several inquiries found counts a little more.

    A quotation that lies inside a longer one of the same place is dropped.
    """
    united: dict[tuple[str, str], Evidence] = {}
    for item in sorted(evidence, key=lambda item: (-item["score"], item["cites"][0]["line"])):
        key = (item["cites"][0]["source"], item["text"][-60:])
        kept = united.get(key, item)
        longer = kept if len(kept["text"]) >= len(item["text"]) else item
        score = kept["score"] if kept is item else round(kept["score"] + 0.05, 4)
        terms = sorted({*kept["terms"], *item["terms"]})
        united[key] = Evidence(**{**longer, "score": score, "terms": terms, "inquiry": kept["inquiry"]})
    items = sorted(united.values(), key=lambda item: -item["score"])
    return [item for item in items if not any(_inside(item, other) for other in items)]


def _inside(item: Evidence, other: Evidence) -> bool:
    return item is not other and len(item["text"]) < len(other["text"]) and item["text"] in other["text"]


def similarity(sentences: list[str], language: str) -> Matrix:
    """Cosine of every two sentences' content words, rare ones weighing more."""
    bags = [text.tokens(sentence, language) for sentence in sentences]
    places = {term: place for place, term in enumerate(sorted({term for bag in bags for term in bag}))}
    counts = np.zeros((len(bags), max(1, len(places))))
    for row, bag in enumerate(bags):
        for term in bag:
            counts[row, places[term]] += 1
    weights = counts * (np.log((1 + len(bags)) / (1 + (counts > 0).sum(axis=0))) + 1)
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    unit = weights / np.where(norms == 0, 1, norms)
    return np.asarray(unit @ unit.T, dtype=np.float64)


def central(matrix: Matrix, scores: list[float], damping: float = 0.6) -> list[float]:
    """TextRank: how much the sentences point to each other, pulled towards those that answer the question."""
    pull = np.asarray(scores, dtype=np.float64)
    pull = pull / pull.sum() if pull.sum() else np.full(len(scores), 1 / max(1, len(scores)))
    links = matrix.copy()
    np.fill_diagonal(links, 0.0)
    sums = links.sum(axis=1, keepdims=True)
    links = np.where(sums > 0, links / np.where(sums > 0, sums, 1), pull)
    rank = pull
    for _ in range(40):
        rank = (1 - damping) * pull + damping * (rank @ links)
    return [float(value) for value in rank]


def choose(matrix: Matrix, ranks: list[float], places: list[str], count: int, novelty: float = 0.35) -> list[int]:
    """Numbers of up to `count` sentences that rank high and do not repeat each other (maximal marginal relevance).

    `places` names where each stands: two from one place count as half alike, because two sources tell more than one.
    """
    top = max(ranks, default=1.0) or 1.0

    def worth(one: int) -> float:
        alike = max((max(float(matrix[one, two]), 0.5 * (places[one] == places[two])) for two in chosen), default=0.0)
        return (1 - novelty) * ranks[one] / top - novelty * alike

    chosen: list[int] = []
    while len(chosen) < min(count, len(ranks)):
        chosen.append(max((one for one in range(len(ranks)) if one not in chosen), key=worth))
    return chosen

"""Finds passages with BM25, and terms related to others. Called wherever lines of inquiry are made and sent out."""

from __future__ import annotations

import difflib
import logging
import math
from collections import Counter
from functools import lru_cache
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from bm25s import BM25

from agents import passages, text
from agents.facts import SMALL
from agents.state import Corpus, Passage

PASSAGES_AN_INQUIRY = 8
FEW = 20
logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG and tells of every index it builds
Scores = npt.NDArray[np.float64]


class Index:
    """All passages of a corpus. Read only once built, so any number of threads may use it."""

    def __init__(self, language: str, documents: tuple[tuple[str, str], ...]) -> None:
        self.language = language
        self.passages = [passage for name, body in documents for passage in passages.split(name, body)]
        if not self.passages:
            raise ValueError("The documents contain no readable text.")
        bodies = [" ".join(sentence["text"] for sentence in passage["sentences"]) for passage in self.passages]
        self._tokens = [
            text.tokens(f"{titles(passage)} {body}", language)
            for passage, body in zip(self.passages, bodies, strict=True)
        ]
        self._containing = Counter(token for tokens in self._tokens for token in set(tokens))
        self._words = {text.stem(word, language): word for body in bodies for word in text.surface(body)}
        self._bm25 = BM25(method="lucene", k1=1.2, b=0.6)
        self._bm25.index([tokens or [""] for tokens in self._tokens], show_progress=False)

    def weight(self, term: str) -> float:
        """How much a term tells: its inverse document frequency, highest for a term that one passage has, or none.

        Few passages are taken for FEW: in a corpus of one, every word it has would otherwise be worth nothing.
        """
        count = max(1, self._containing[term])
        return math.log(1 + (max(FEW, len(self.passages)) - count + 0.5) / (count + 0.5))

    def knows(self, term: str) -> bool:
        """Whether any passage contains the stemmed term."""
        return term in self._containing

    def search(
        self, terms: dict[str, float], focus: dict[str, float] | None = None, count: int = PASSAGES_AN_INQUIRY
    ) -> list[Passage]:
        """The best `count` passages for weighted terms, best first, scores from 0 to 1.

        `focus` holds the terms of the whole question: passages of documents that are about it come earlier.
        """
        scores = self._scores(terms)
        if focus:
            about = self._scores(focus)
            best_of: dict[str, float] = {}
            for passage, score in zip(self.passages, about, strict=True):
                best_of[passage["source"]] = max(best_of.get(passage["source"], 0.0), float(score))
            scores += np.where(scores > 0, [0.5 * best_of[passage["source"]] for passage in self.passages], 0.0)
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:count] if scores[i] > 0]
        return [Passage(**{**self.passages[i], "score": float(scores[i] / scores[best[0]])}) for i in best]

    def _scores(self, terms: dict[str, float]) -> Scores:
        scores = np.zeros(len(self.passages))
        for term, factor in terms.items():
            if self.knows(term):
                scores += factor * self._bm25.get_scores([term])
        return scores

    def related(self, terms: dict[str, float], count: int = 4) -> dict[str, str]:
        """Terms typical of the passages that match best but absent from the question: term -> a word for it."""
        best = self.search(terms, count=5)
        counts: Counter[str] = Counter()
        for passage in best:
            body = " ".join(sentence["text"] for sentence in passage["sentences"])
            counts.update(set(text.tokens(body, self.language)))
        fit = {
            term: seen * self.weight(term)
            for term, seen in counts.items()
            if seen > 1 and term not in terms and term not in SMALL and not term.isdigit() and len(term) > 1
        }
        chosen = sorted(fit, key=lambda term: (-fit[term], term))[:count]
        return {term: self._words.get(term, term) for term in chosen}

    def alike(self, word: str) -> dict[str, str]:
        """Words of the corpus spelled like one it does not have, or beginning like it: term -> word."""
        known = sorted({known for known in self._words.values() if not known.isdigit()})
        close = difflib.get_close_matches(word, known, n=3, cutoff=0.8)
        if len(word) >= 6:
            close += [other for other in known if other[:5] == word[:5]][:3]
        return {text.stem(other, self.language): other for other in close}


def titles(passage: Passage) -> str:
    """What stands above a passage: the words of its file's name, and its headings."""
    return f"{PurePosixPath(passage['source']).stem} {passage['heading']}"


def index_of(corpus: Corpus) -> Index:
    """The index of a session's documents, built at most once in a process while it is among the last few."""
    return _build(corpus["language"], tuple((document["name"], document["text"]) for document in corpus["documents"]))


@lru_cache(maxsize=4)
def _build(language: str, documents: tuple[tuple[str, str], ...]) -> Index:
    return Index(language, documents)

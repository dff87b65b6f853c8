"""Turns text of many languages and scripts into search terms. Called by the index, the questions and the ranking."""

from __future__ import annotations

import threading
import unicodedata
from functools import lru_cache

import regex
import snowballstemmer
from bm25s import stopwords

STOPWORDS: dict[str, frozenset[str]] = {
    "english": frozenset(stopwords.STOPWORDS_EN_PLUS)
    | {"another", "every", "again", "also", "ever", "almost", "fewer", "none"},
    "german": frozenset(stopwords.STOPWORDS_GERMAN),
    "dutch": frozenset(stopwords.STOPWORDS_DUTCH),
    "french": frozenset(stopwords.STOPWORDS_FRENCH),
    "spanish": frozenset(stopwords.STOPWORDS_SPANISH),
    "portuguese": frozenset(stopwords.STOPWORDS_PORTUGUESE),
    "italian": frozenset(stopwords.STOPWORDS_ITALIAN),
    "russian": frozenset(stopwords.STOPWORDS_RUSSIAN),
    "swedish": frozenset(stopwords.STOPWORDS_SWEDISH),
    "norwegian": frozenset(stopwords.STOPWORDS_NORWEGIAN),
    "danish": frozenset(stopwords.STOPWORDS_DANISH),
    "turkish": frozenset(stopwords.STOPWORDS_TURKISH),
}
ASKING = frozenset(
    "how what why when where who whom whose which does did do is are was were will would can could should shall may "
    "might must has have had many much long often old tell explain describe give list say please about after before "
    "later afterwards exactly actually really currently any there happen happens happened".split()
)
ASKING_ELSEWHERE = frozenset(
    "wie was wann warum wer wo welche welcher welches wieviel wieviele combien quand comment pourquoi quel quelle "
    "quels quelles cuánto cuánta cuántos cuántas cuándo cómo qué quién dónde quanto quanti quando perché сколько "
    "когда почему как кто что где какой какие".split()
)
ASKING_UNSPACED = regex.compile(
    "多少|几个|多长|多久|什么时候|为什么|什么|怎么样|怎么|如何|哪些|哪个|哪里|是否|谁|吗|呢"
    "|なぜ|どう|いつ|どこ|誰|何|ですか|ますか"
)
WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*")
UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]+")
_stemmers = threading.local()


def language_of(text: str) -> str:
    """The language whose small words are most frequent in the beginning of `text`; English when none is."""
    words = [word.casefold() for word in WORD.findall(text[:50_000])]
    counts = {language: sum(word in small for word in words) for language, small in STOPWORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] else "english"


@lru_cache(maxsize=100_000)
def stem(word: str, language: str) -> str:
    """The Snowball stem of a word. A stemmer keeps state while it works, hence one for each thread."""
    stemmer = getattr(_stemmers, language, None)
    if stemmer is None:
        stemmer = snowballstemmer.stemmer(language)
        setattr(_stemmers, language, stemmer)
    return str(stemmer.stemWord(word))


def surface(text: str) -> list[str]:
    """The words of `text`, case-folded; scripts written without spaces become pairs of letters."""
    words: list[str] = []
    for word in WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        at = 0
        for run in UNSPACED.finditer(word):
            if run.start() > at:
                words.append(word[at : run.start()])
            letters = run.group()
            words.extend(letters[i : i + 2] for i in range(max(1, len(letters) - 1)))
            at = run.end()
        if at < len(word):
            words.append(word[at:])
    return words


def terms(question: str, language: str) -> dict[str, str]:
    """The stemmed content words of a question, each with the word it came from, in order of appearance."""
    small = STOPWORDS[language] | (ASKING if language == "english" else ASKING_ELSEWHERE)
    found: dict[str, str] = {}
    for word in surface(ASKING_UNSPACED.sub(" ", question)):
        if word not in small:
            found.setdefault(stem(word, language), word)
    return found


def tokens(text: str, language: str) -> list[str]:
    """Every content word of `text`, stemmed, repeated as often as it occurs."""
    small = STOPWORDS[language]
    return [stem(word, language) for word in surface(text) if word not in small]

"""Finds numbers and dates in sentences and tells when two numbers differ. Called by the analysis agent and ranking."""

from __future__ import annotations

from dataclasses import dataclass

import regex

from agents.text import STOPWORDS

UNITS: dict[str, dict[str, float]] = {
    "time": {"ms": 0.001, "millisecond": 0.001, "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "hour": 3600}
    | {"h": 3600, "day": 86400, "week": 604800, "month": 2_592_000, "year": 31_536_000},
    "size": {"kb": 1e3, "kib": 1024, "mb": 1e6, "mib": 1024**2, "gb": 1e9, "gib": 1024**3, "tb": 1e12},
    "share": {"%": 1, "percent": 1},
    "EUR": {"eur": 1, "€": 1, "euro": 1},
    "USD": {"usd": 1, "$": 1, "dollar": 1},
    "GBP": {"gbp": 1, "£": 1},
}
KINDS = {unit: (kind, factor) for kind, units in UNITS.items() for unit, factor in units.items()}
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = regex.compile(
    rf"\b(?:\d{{1,2}}\.? (?:{MONTHS})(?: \d{{4}})?|(?:{MONTHS}) \d{{1,2}}(?:, \d{{4}})?|(?:{MONTHS}) \d{{4}})\b"
    r"|\b\d{4}-\d\d-\d\d\b"
    r"|\d{4}年\d{1,2}月(?:\d{1,2}日)?|\b\d{1,2}\.\d{1,2}\.\d{4}\b"
)
MONTH = regex.compile(rf"\b(?:{MONTHS})\b")
CLOCK = regex.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?: ?UTC)?\b")
SMALL = "two three four five six seven eight nine ten eleven twelve".split()
NUMBER = r"(?:\d{1,3}(?:[,\u202f]\d{3})+|\d+)(?:\.\d+)?"
AMOUNT = regex.compile(
    r"(?P<about>\b(?:about|around|roughly|nearly|almost|(?:fewer|less|more) than|up to|over|at most)\s)?"
    rf"(?P<sign>[€$£])?(?P<number>\b(?:{NUMBER}|{'|'.join(SMALL)}))(?P<scale> million| billion)?"
    rf"(?:\s?(?P<unit>%|€|per [^\W\d_]+|[^\W\d_]+))?",
    regex.IGNORECASE,
)
EVERY = regex.compile(r"\b(?:every|each)\s+$", regex.IGNORECASE)
RELATIVE = regex.compile(r"\s+(?:less|more|longer|shorter|earlier|later|ago|further)\b", regex.IGNORECASE)
SCALES = {"": 1.0, " million": 1e6, " billion": 1e9}


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity as written (`shown`), of a kind, in the kind's smallest usual unit."""

    shown: str
    kind: str
    value: float
    loose: bool
    span: tuple[int, int]


def amounts(text: str) -> list[Amount]:
    """Quantities and counts of things, in order; "3 hours and 10 minutes" is one."""
    taken = [match.span() for pattern in (DATE, CLOCK) for match in pattern.finditer(text)]
    found: list[Amount] = []
    for match in AMOUNT.finditer(text):
        kind, factor = _kind(match)
        dated = any(match.start() < end and start < match.end() for start, end in taken)
        if not kind or dated or RELATIVE.match(text, match.end()):
            continue
        if EVERY.search(text, endpos=match.start()):
            kind = f"every {kind}"
        number = match["number"].lower()
        value = SMALL.index(number) + 2 if number in SMALL else float(number.replace(",", "").replace("\u202f", ""))
        end = match.end("scale" if match["scale"] else "number") if match["sign"] else match.end()
        value *= SCALES[(match["scale"] or "").lower()] * factor
        shown = text[match.start() : end].strip()
        amount = Amount(shown, kind, value, loose=bool(match["about"]), span=(match.start(), end))
        found[-1:] = _joined(found[-1], amount, text) if found else [amount]
    return found


def _kind(match: regex.Match[str]) -> tuple[str, float]:
    """What the number measures, and the factor to its kind's smallest unit; a plain noun makes it a count of things."""
    unit = (match["sign"] or match["unit"] or "").lower()
    known = KINDS.get(unit) or KINDS.get(unit.removesuffix("s"))
    if known:
        return known
    if unit.startswith("per "):
        return unit, 1.0
    number = match["number"]
    noun = len(unit) > 3 and unit.endswith("s") and unit not in STOPWORDS["english"] and number.lower() not in SMALL
    year_or_label = number.startswith("0") or (len(number) == 4 and number[:2] in ("19", "20"))
    return (unit.removesuffix("s"), 1.0) if noun and not year_or_label else ("", 0.0)


def _joined(before: Amount, amount: Amount, text: str) -> list[Amount]:
    between = text[before.span[1] : amount.span[0]]
    if not (before.kind == amount.kind == "time" and between in (" and ", " ") and amount.value < before.value):
        return [before, amount]
    whole = (before.span[0], amount.span[1])
    return [Amount(text[whole[0] : whole[1]].strip(), "time", before.value + amount.value, before.loose, whole)]


def dates(text: str) -> list[str]:
    """Dates as written."""
    return [match.group() for match in DATE.finditer(text)]


def months(text: str) -> set[str]:
    """The months named in English, alone or in a date."""
    return set(MONTH.findall(text))


def bare(text: str) -> str:
    """The text without its numbers, dates and units: what the numbers are about."""
    for span in reversed([amount.span for amount in amounts(text)]):
        text = text[: span[0]] + " " + text[span[1] :]
    return str(regex.sub(r"\d+", " ", CLOCK.sub(" ", DATE.sub(" ", text))))


def differ(first: list[Amount], second: list[Amount]) -> tuple[Amount, Amount] | None:
    """Two amounts of one kind that cannot both be meant, when neither side also gives the other's value."""
    for kind in {amount.kind for amount in first} & {amount.kind for amount in second}:
        ours = [amount for amount in first if amount.kind == kind]
        theirs = [amount for amount in second if amount.kind == kind]
        if not any(_same(a, b) for a in ours for b in theirs):
            return ours[0], theirs[0]
    return None


def _same(first: Amount, second: Amount) -> bool:
    slack = 0.1 if first.loose or second.loose else 1e-9
    return abs(first.value - second.value) <= slack * max(abs(first.value), abs(second.value))

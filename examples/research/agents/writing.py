"""Writes the Markdown report from what the other agents found. Called by the report agent."""

from __future__ import annotations

import regex

from agents.choosing import ASIDE
from agents.state import Analysis, Brief, Citation, Evidence, Inquiry, Past, Source, Summary

LONGEST = 420
MARKUP = regex.compile(r"(`[^`]*`)|([<>])")
ESCAPES = {"<": "&lt;", ">": "&gt;"}


def cite(citation: Citation) -> str:
    """`file:line`, or `file:first-last` when the sentence runs over several lines."""
    lines = str(citation["line"]) if citation["line"] == citation["end"] else f"{citation['line']}-{citation['end']}"
    return f"`{citation['source'].replace('`', '')}:{lines}`"


def counted(number: int, noun: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def cites(citations: list[Citation]) -> str:
    """All citations of a statement, in brackets."""
    return f"({', '.join(cite(citation) for citation in citations)})"


def short_answer(brief: Brief, summary: Summary, analysis: Analysis, *, quoted: bool) -> str:
    """The answer alone: a paragraph, or one for each part of the question and each note of the reader."""
    disputed = {found[side] for found in analysis["disagreements"] for side in ("first", "second")}

    def said(item: Evidence) -> str:
        doubt = any(quote in item["text"] for quote in disputed)
        return _statement(item, quoted=quoted) + (" *(disputed, see below)*" if doubt else "")

    if not summary["answer"]:
        return "**The documents do not answer this question.**" + (
            " What comes nearest is listed below." if summary["findings"] else ""
        )
    groups: dict[int, list[Evidence]] = {}
    for item in summary["answer"]:
        groups.setdefault(_part(item, brief["inquiries"]), []).append(item)
    asked = [n for n, inquiry in enumerate(brief["inquiries"]) if inquiry["why"] in ASIDE]
    if not asked or not quoted:
        return " ".join(said(item) for item in summary["answer"])
    parts = [" ".join(said(item) for item in groups[0])] if 0 in groups else []
    parts += [_titled(brief["inquiries"][number], [said(item) for item in groups.get(number, [])]) for number in asked]
    return "\n\n".join(parts)


def report(
    brief: Brief,
    summary: Summary,
    analysis: Analysis,
    sources: list[Source],
    past: list[Past],
    *,
    groups: dict[str, list[Evidence]],
    method: str,
    quoted: bool,
) -> str:
    """The whole report. `groups` are the findings under their headings; `quoted` tells whether they are quotations."""
    sections = [
        f"# {_plain(brief['question'])}",
        _follow_up(brief, past, summary),
        short_answer(brief, summary, analysis, quoted=quoted),
        _disagreements(analysis),
        _findings(groups, answered=bool(summary["answer"]), quoted=quoted),
        _silences(brief, summary, analysis),
        _sources(sources),
        f"---\n\n*{method}*",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def by_section(findings: list[Evidence]) -> dict[str, list[Evidence]]:
    """Findings under the section they come from, best section first, in the order of the document within it."""
    groups: dict[str, list[Evidence]] = {}
    for item in findings:
        name = item["heading"] or item["cites"][0]["source"]
        groups.setdefault(name, []).append(item)
    return {name: sorted(group, key=lambda item: item["cites"][0]["line"]) for name, group in groups.items()}


def _part(item: Evidence, inquiries: list[Inquiry]) -> int:
    return item["inquiry"] if inquiries[item["inquiry"]]["why"] in ASIDE else 0


def _titled(inquiry: Inquiry, statements: list[str]) -> str:
    name = _plain(inquiry["query"]).strip(" ?.,")
    title = f"**{name[:1].upper()}{name[1:]}{'?' if inquiry['why'] == 'a part of it' else ':'}**"
    if len(statements) < 2:
        return f"{title} {''.join(statements) or 'Nothing was found on this.'}"
    return "\n".join([title, "", *(f"- {statement}" for statement in statements)])


def _follow_up(brief: Brief, past: list[Past], summary: Summary) -> str:
    """How the question stands to the earlier one it shares most with, or else to the last one."""
    if not past:
        return ""
    now = [citation for item in summary["answer"] + summary["findings"] for citation in item["cites"]]
    terms = brief["inquiries"][0]["terms"]

    def common(earlier: Past) -> tuple[int, int]:
        return sum(citation in earlier["cites"] for citation in now), sum(term in terms for term in earlier["terms"])

    nearest = max(reversed(past), key=common)
    passages, _ = common(nearest)
    before = {citation["source"] for citation in nearest["cites"]}
    names = list(dict.fromkeys(citation["source"] for citation in now))
    shared, fresh = [name for name in names if name in before], [name for name in names if name not in before]
    line = f"> Question {brief['turn'] + 1} of this session, after “{_plain(nearest['question'])}”"
    line += f" Both draw on {_names(shared)}" if shared else ""
    again = f"; {counted(passages, 'passage')} cited here stood there as well." if passages else "."
    line += again if shared else ""
    if fresh:
        line += f" {'New here' if shared else 'This one draws on other documents'}: {_names(fresh)}."
    return line


def _names(names: list[str]) -> str:
    shown = [f"`{name}`" for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more


def _findings(groups: dict[str, list[Evidence]], *, answered: bool, quoted: bool) -> str:
    if not groups:
        return ""
    parts = ["## What else the documents say" if answered else "## What comes nearest"]
    for name, items in groups.items():
        parts.append(f"### {_plain(name)}")
        parts.append("\n".join(f"- {_statement(item, quoted=quoted)}" for item in items))
    return "\n\n".join(parts)


def _disagreements(analysis: Analysis) -> str:
    if not analysis["disagreements"]:
        return ""
    lines = [
        f"- **{_plain(found['about'])}?** “{_quote(found['first'])}” ({cite(found['first_cite'])}), but "
        f"“{_quote(found['second'])}” ({cite(found['second_cite'])})"
        for found in analysis["disagreements"]
    ]
    return "\n".join(["## Where the documents do not agree", "", *lines])


def _silences(brief: Brief, summary: Summary, analysis: Analysis) -> str:
    found = {item["inquiry"] for item in summary["answer"] + summary["findings"]}
    lines = [
        f"- Nothing was found on “{_plain(inquiry['query'])}”."
        for number, inquiry in enumerate(brief["inquiries"])
        if inquiry["why"] in ASIDE and number not in found
    ]
    return (
        "\n".join(["## What the documents do not say", "", *lines, *(f"- {_plain(gap)}" for gap in analysis["silent"])])
        if (lines or analysis["silent"])
        else ""
    )


def _sources(sources: list[Source]) -> str:
    used = sorted((source for source in sources if source["cited"]), key=lambda source: -source["cited"])
    rest = [source["name"] for source in sources if not source["cited"]]
    parts = ["## Sources"]
    if used:
        rows = [f"| `{source['name']}` | {source['cited']} | {source['lines']} |" for source in used]
        parts.append("\n".join(["| Document | Times cited | Lines |", "|---|---|---|", *rows]))
    if rest:
        more = f" and {len(rest) - 12} more" if len(rest) > 12 else ""
        parts.append("Searched but not cited: " + ", ".join(f"`{name}`" for name in rest[:12]) + more + ".")
    return "\n\n".join(parts)


def _statement(item: Evidence, *, quoted: bool) -> str:
    words = f"“{_quote(item['text'])}”" if quoted else _plain(item["text"])
    return f"{words} {cites(item['cites'])}"


def _quote(words: str) -> str:
    if len(words) > LONGEST:
        words = words[:LONGEST].rsplit(" ", 1)[0] + " …"
    return _plain(words)


def _plain(words: str) -> str:
    """One line in which no HTML of a document or a model comes alive."""
    return str(MARKUP.sub(lambda match: match[1] or ESCAPES[match[2]], " ".join(words.split())))

"""Splits Markdown and plain text into passages whose sentences know their lines. Called by the index."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from agents.state import Passage, Sentence

WORDS_A_PASSAGE = 90
HEADING = regex.compile(r"#{1,6}\s+(.+?)\s*#*\s*$")
ITEM = regex.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?")
FENCE = regex.compile(r"\s*(```|~~~)")
RULE = regex.compile(r"\s*(?:[-*_]\s*){3,}$|\s*\|?(?:\s*:?-+:?\s*\|)+\s*:?-*:?\s*$|\s*<!--.*-->\s*$")
UNDERLINE = regex.compile(r"(?:=+|-+)\s*$")
LINK = regex.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
EMPHASIS = regex.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
END = regex.compile(r"""[.!?…]+["'”’»)\]`]*(?=\s+["'“‘«(\[`*]*[\p{Lu}\p{Lo}\p{N}])|[。！？]["'”’」』）]*""")
ABBREVIATION = regex.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Dr|Mr|Mrs|Ms|Prof|No|Nr|Fig|approx|ca|bzw|z\.B|St)|\b\p{Lu})\.$"
)

Line = tuple[int, str]


def split(source: str, text: str) -> list[Passage]:
    """All passages of a document, in order. Code blocks and front matter are left out: they are not sentences."""
    passages: list[Passage] = []
    words = 0
    for heading, block in _blocks(text, markdown=not source.lower().endswith(".txt")):
        sentences = list(_sentences(block))
        fresh = not passages or passages[-1]["heading"] != heading or words >= WORDS_A_PASSAGE
        if not sentences:
            continue
        if fresh:
            passages.append(Passage(source=source, heading=heading, score=0.0, sentences=[]))
            words = 0
        passages[-1]["sentences"].extend(sentences)
        words += sum(len(sentence["text"].split()) for sentence in sentences)
    return passages


def _blocks(text: str, *, markdown: bool) -> Iterator[tuple[str, list[Line]]]:
    """Paragraphs, list items and table rows, each with the headings it stands under."""
    path: list[tuple[int, str]] = []
    block: list[Line] = []
    for number, line in _prose(text, markdown=markdown):
        title = HEADING.match(line) if markdown else None
        underlined = markdown and len(block) == 1 and UNDERLINE.match(line) and not ITEM.match(line)
        if title or underlined:
            level = line.index(" ") if title else (1 if line.startswith("=") else 2)
            name = _plain(title.group(1) if title else block[0][1])
            if title and block:
                yield _path(path), block
            path = [*((depth, above) for depth, above in path if depth < level), (level, name)]
            block = []
            continue
        item = ITEM.match(line)
        row = markdown and line.lstrip().startswith("|")
        if block and (not line.strip() or item or row or (markdown and RULE.match(line))):
            yield _path(path), block
            block = []
        if row and not RULE.match(line):
            yield _path(path), [(number, " · ".join(cell.strip() for cell in line.strip().strip("|").split("|")))]
        elif line.strip() and not (markdown and RULE.match(line)):
            block.append((number, line[item.end() :] if item else line.strip().lstrip("> ")))
    if block:
        yield _path(path), block


def _prose(text: str, *, markdown: bool) -> Iterator[Line]:
    """The numbered lines outside front matter and code blocks; a blank line stands where a code block was."""
    lines = text.split("\n")
    start = 0
    if markdown and lines[0].strip() == "---" and "---" in [line.strip() for line in lines[1:50]]:
        start = [line.strip() for line in lines].index("---", 1) + 1
    fence = ""
    for number, line in enumerate(lines[start:], start + 1):
        mark = FENCE.match(line) if markdown else None
        if mark and (not fence or mark.group(1) == fence):
            fence = "" if fence else mark.group(1)
            yield number, ""
        elif not fence:
            yield number, line


def _sentences(block: list[Line]) -> Iterator[Sentence]:
    text, starts = "", []
    for number, line in block:
        text += " " if text else ""
        starts.append((len(text), number))
        text += line.strip()
    cuts = [end.end() for end in END.finditer(text) if not ABBREVIATION.search(text, endpos=end.end())]
    begin = 0
    for cut in [*cuts, len(text)]:
        piece = text[begin:cut]
        if piece.strip():
            first = begin + len(piece) - len(piece.lstrip())
            yield Sentence(text=_plain(piece), line=_line(starts, first), end=_line(starts, cut - 1))
        begin = cut


def _line(starts: list[tuple[int, int]], offset: int) -> int:
    return max((number for at, number in starts if at <= offset), default=starts[0][1])


def _path(path: list[tuple[int, str]]) -> str:
    return " › ".join(name for _, name in path)


def _plain(text: str) -> str:
    return str(EMPHASIS.sub(r"\2", LINK.sub(r"\1", text)).strip())

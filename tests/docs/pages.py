"""What can be wrong with a Markdown page, as functions that yield a sentence for each fault. Called by `test_docs`."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(
    r"^(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)(?P=marks) *$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)|(?:href|src)=\"([^\"]+)\"",
    re.MULTILINE,
)
DECISION_LINES = 80
DECISION_PARTS = ["Context", "Decision", "Consequences"]


@dataclass(frozen=True)
class Fence:
    """A code block: the language and flags of its first line, such as `python run`, and where its body begins."""

    info: list[str]
    body: str
    line: int


@dataclass(frozen=True)
class Page:
    path: Path
    root: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def fences(self) -> list[Fence]:
        found = []
        for match in FENCE.finditer(self.text):
            indent = len(match["indent"])
            body = "".join(line[indent:] if line.strip() else "\n" for line in match["body"].splitlines(keepends=True))
            found.append(Fence(match["info"].split(), body, self.text.count("\n", 0, match.start("body")) + 1))
        return found

    @cached_property
    def prose(self) -> str:
        """The text without code blocks and inline code, lines kept."""
        without = FENCE.sub(lambda match: "\n" * match[0].count("\n"), self.text)
        return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", lambda match: match[0].count("\n") * "\n", without, flags=re.DOTALL)

    @cached_property
    def links(self) -> list[str]:
        return [next(filter(None, groups)) for groups in LINK.findall(self.prose)]

    @cached_property
    def anchors(self) -> set[str]:
        """The fragments that headings give, as GitHub makes them, and explicit ones."""
        found = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", self.text))
        for title in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", self.text), re.MULTILINE):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            number = 1
            while slug in found:
                slug = f"{slug.removesuffix(f'-{number - 1}')}-{number}"
                number += 1
            found.add(slug)
        return found

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^## +(.+)$", self.prose, re.MULTILINE)


def pages(root: Path) -> list[Page]:
    """Every page a reader meets: those at the top, and all below docs, examples, benchmarks and deploy."""
    below = [path for folder in ("docs", "examples", "benchmarks", "deploy") for path in (root / folder).rglob("*.md")]
    hidden = [
        path
        for path in below
        if any(part.startswith(".") or part == "node_modules" for part in path.relative_to(root).parts)
    ]
    return [Page(path, root) for path in sorted({*root.glob("*.md"), *below} - {*hidden})]


def links(book: list[Page]) -> Iterator[str]:
    """A link inside the project leads to a file that exists, and to a heading that stands there."""
    known = {page.path.resolve(): page for page in book}
    for page in book:
        for link in page.links:
            if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
                continue
            target, _, fragment = unquote(link).partition("#")
            path = (page.path.parent / target).resolve() if target else page.path.resolve()
            if not path.exists() or not path.is_relative_to(page.root.resolve()):
                yield f"{page.name}: {link} leads nowhere"
            elif fragment and path in known and fragment not in known[path].anchors:
                yield f"{page.name}: {link}: no such heading"


def index(book: list[Page]) -> Iterator[str]:
    """docs/README.md lists every page below docs."""
    contents = next((page for page in book if page.name == "docs/README.md"), None)
    listed = (
        {(contents.path.parent / link.partition("#")[0]).resolve() for link in contents.links} if contents else set()
    )
    for page in book:
        if page.name.startswith("docs/") and page is not contents and page.path.resolve() not in listed:
            yield f"{page.name} is not listed in docs/README.md"


def samples(book: list[Page]) -> Iterator[str]:
    """What a fence calls Python, JSON or TOML is."""
    parsers: dict[str, Callable[[str], object]] = {"python": _python, "json": json.loads, "toml": tomllib.loads}
    for page in book:
        for fence in page.fences:
            if parse := parsers.get(fence.info[0] if fence.info else ""):
                try:
                    parse(fence.body)
                except (SyntaxError, ValueError) as error:
                    yield f"{page.name}:{fence.line}: no {fence.info[0]}: {error}"


def _python(text: str) -> object:
    return compile(text, "sample", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


def decisions(book: list[Page]) -> Iterator[str]:
    """A decision is one page with a number of its own, a date, and the parts that 0001 names."""
    numbers: dict[str, str] = {}
    for page in book:
        if not page.name.startswith("docs/decisions/"):
            continue
        match = re.fullmatch(r"(\d{4})-[a-z0-9-]+\.md", page.path.name)
        if match is None:
            yield f"{page.name}: a decision is named NNNN-what-was-decided.md"
            continue
        if (other := numbers.setdefault(match[1], page.name)) != page.name:
            yield f"{page.name}: the number is taken by {other}"
        if not page.text.startswith(f"# {int(match[1])}. "):
            yield f"{page.name}: begins with '# {int(match[1])}. ' and what was decided"
        if not re.search(r"^(?:Accepted|Superseded by .+), \d{4}-\d\d-\d\d\.$", page.text, re.MULTILINE):
            yield f"{page.name}: lacks a line such as 'Accepted, 2026-11-24.'"
        if page.headings != DECISION_PARTS:
            yield f"{page.name}: its parts are {', '.join(DECISION_PARTS)}"
        if (lines := page.text.count("\n")) > DECISION_LINES:
            yield f"{page.name}: {lines} lines, at most {DECISION_LINES}"


def translation(book: list[Page]) -> Iterator[str]:
    """README.zh-CN.md is as complete as README.md: as many chapters, the same code and the same links."""
    both = {page.name: page for page in book}
    if not (english := both.get("README.md")) or not (chinese := both.get("README.zh-CN.md")):
        yield "README.md or README.zh-CN.md is missing"
        return
    if len(english.headings) != len(chinese.headings):
        yield f"README.md has {len(english.headings)} chapters, README.zh-CN.md {len(chinese.headings)}"
    commands = [{fence.body for fence in page.fences if fence.info} for page in (english, chinese)]
    for body in commands[0] ^ commands[1]:
        yield f"only one README has this code:\n{body}"
    away = [{link for link in page.links if not link.startswith(("#", "README"))} for page in (english, chinese)]
    for link in away[0] ^ away[1]:
        yield f"only one README has the link {link}"


RULES: dict[str, Callable[[list[Page]], Iterator[str]]] = {
    rule.__name__: rule for rule in (links, index, samples, decisions, translation)
}

"""The house rules of src/langyard: each function yields a sentence for every place that breaks it. For `test_house`."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MODULE_LINES, FUNCTION_LINES, ROOM_LINES = 400, 60, 1500
FORBIDDEN_NOUNS = {
    "job",
    "task",
    "manager",
    "service",
    "handler",
    "helper",
    "util",
    "utility",
    "common",
    "core",
    "base",
    "misc",
}
USERS_OWN_NAMES = {"WorkflowManager", "MultiLevelCache"}
SQL = re.compile(
    r"""\s*(?:
        select\b.*\bfrom\b
        | select\s+(?:\d+|[\w.]+\()
        | insert\s+into\b
        | update\s+[\w".]+(?:\s+(?:as\s+)?\w+)?\s+set\b
        | delete\s+from\b
        | with\s+(?:recursive\s+)?\w+\s*(?:\([^)]*\)\s*)?as\s+(?:not\s+)?(?:materialized\s+)?\(
        | (?:create|alter|drop)\s+(?:unlogged\s+)?(?:unique\s+)?(?:table|index|schema|extension|database|role)\b
        | truncate\s+(?:table\s+)?\w+\s*$
        | (?:un)?listen\s+[\w"*]+\s*;?$
        | notify\s+\w+\s*(?:,|;|$)
        | copy\s+[\w".]+.*\b(?:from|to)\s+std(?:in|out)\b
    )""",
    re.DOTALL | re.VERBOSE,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """One source file; `name` is its path below the package, such as `runs/claim.py`."""

    name: str
    text: str

    @property
    def room(self) -> str:
        return self.name.split("/")[0].removesuffix(".py")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def comments(self) -> dict[int, str]:
        """Line number to comment, without directives to tools: what is left is addressed to the reader."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        words = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
        directive = re.compile(r"#\s*(?:noqa(?::\s*[A-Z0-9, ]+)?|type: ignore(?:\[[^\]]*\])?|pragma: no cover)|#")
        return {line: directive.sub("", comment).strip(" -:") for line, comment in words.items()}


def modules(package: Path) -> list[Module]:
    return [
        Module(path.relative_to(package).as_posix(), path.read_text("utf-8")) for path in sorted(package.rglob("*.py"))
    ]


def module_size(house: list[Module]) -> Iterator[str]:
    for module in house:
        if (lines := module.text.count("\n")) > MODULE_LINES:
            yield f"{module.name}: {lines} lines, at most {MODULE_LINES}"


def function_size(house: list[Module]) -> Iterator[str]:
    for module in house:
        for node in module.nodes:
            if isinstance(node, Function) and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
                yield f"{module.name}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def room_size(house: list[Module]) -> Iterator[str]:
    """A room that outgrows its size gets a room within, which counts for itself."""
    rooms: dict[str, int] = defaultdict(int)
    for module in house:
        rooms[module.name.rpartition("/")[0] or module.room] += module.text.count("\n")
    for room, lines in rooms.items():
        if lines > ROOM_LINES:
            yield f"{room}: {lines} lines in the room, at most {ROOM_LINES}"


def names(house: list[Module]) -> Iterator[str]:
    """Only LangGraph has tasks, and a function may read them; a module or a class of ours is none."""
    for module in house:
        for part in module.name.removesuffix(".py").split("/"):
            for noun in _forbidden(part):
                yield f"{module.name}: a module named with {noun!r}"
        for node in module.nodes:
            if isinstance(node, Definition) and node.name not in USERS_OWN_NAMES:
                for noun in _forbidden(node.name) - ({"task"} if isinstance(node, Function) else set()):
                    yield f"{module.name}:{node.lineno}: {node.name} is named with {noun!r}"


def _forbidden(name: str) -> set[str]:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    singular = {re.sub(r"ies$", "y", word.lower()) for word in words} | {
        word.lower().removesuffix("s") for word in words
    }
    return singular & FORBIDDEN_NOUNS


def docstrings(house: list[Module]) -> Iterator[str]:
    for module in house:
        if not ast.get_docstring(module.tree):
            yield f"{module.name}: the module says nothing of what it promises and who calls it"
        for node in module.tree.body:
            if (
                isinstance(node, Definition)
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
                and not _overload(node)
            ):
                yield f"{module.name}:{node.lineno}: {node.name} is public and has no docstring"


def _overload(node: Definition) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def broad_except(house: list[Module]) -> Iterator[str]:
    """A bare `except`, `except (Base)Exception`, `suppress(Exception)`: each gives its reason on the line."""
    for module in house:
        for node in module.nodes:
            if isinstance(node, ast.ExceptHandler):
                caught: list[ast.expr] = [] if node.type is None else [node.type]
                broad = node.type is None or _names_broad(caught)
            else:
                broad = (
                    isinstance(node, ast.Call)
                    and ast.unparse(node.func).endswith("suppress")
                    and _names_broad(node.args)
                )
            if broad and isinstance(node, ast.ExceptHandler | ast.Call) and not module.comments.get(node.lineno):
                yield f"{module.name}:{node.lineno}: a broad except without its reason on the line"


def _names_broad(caught: list[ast.expr]) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id in ("Exception", "BaseException")
        for each in caught
        for node in ast.walk(each)
    )


def environment(house: list[Module]) -> Iterator[str]:
    """Only config reads the environment. Others may write to it: a library's defaults, `env` of langgraph.json."""
    for module in house:
        if module.name == "config.py" or module.name.startswith("config/"):
            continue
        written = {
            id(node.value)
            for node in module.nodes
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
        }
        written |= {
            id(node.value)
            for node in module.nodes
            if isinstance(node, ast.Attribute) and node.attr in ("setdefault", "update")
        }
        for node in module.nodes:
            reads = (
                isinstance(node, ast.Attribute)
                and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv")
                and id(node) not in written
            )
            imports = (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and {"environ", "getenv"} & {alias.name for alias in node.names}
            )
            if isinstance(node, ast.Attribute | ast.ImportFrom) and (reads or imports):
                yield f"{module.name}:{node.lineno}: reads the environment, which only config does"


def no_print(house: list[Module]) -> Iterator[str]:
    for module in house:
        for node in module.nodes:
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "print"
                and module.room != "cli"
            ):
                yield f"{module.name}:{node.lineno}: prints, which only the command line does"


def sql_in_postgres(house: list[Module]) -> Iterator[str]:
    """A string in all-lower or all-upper SQL; a sentence that begins with `Select` is not one."""
    for module in house:
        if module.room == "postgres":
            continue
        prose = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
        for node in module.nodes:
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in prose
                and _is_sql(node.value)
            ):
                yield f"{module.name}:{node.lineno}: SQL, which lives in postgres"


def _is_sql(text: str) -> bool:
    first = text.split(maxsplit=1)[:1]
    return bool(first) and (first[0].islower() or first[0].isupper()) and bool(SQL.match(text.lower()))


def packages(house: list[Module]) -> Iterator[str]:
    """A folder without `__init__.py` is invisible to the import fence."""
    known = {module.name for module in house}
    folders = {module.name.rpartition("/")[0] for module in house}
    for folder in sorted(folders - {""}):
        if f"{folder}/__init__.py" not in known:
            yield f"{folder}: holds modules and no __init__.py"


RULES: dict[str, Callable[[list[Module]], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        module_size,
        function_size,
        room_size,
        names,
        docstrings,
        broad_except,
        environment,
        no_print,
        sql_in_postgres,
        packages,
    )
}

"""Imports what `./agent.py:graph` or `package.module:graph` names; says file, line and reason when it fails."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import keyword
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from langyard.model.errors import ConfigurationError

JAVASCRIPT = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
FOREIGN = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
OURS = str(Path(__file__).parents[1])


class LoadError(Exception):
    """A graph cannot be loaded; the text is a sentence for the operator, with file and line where there are any."""


class Export(NamedTuple):
    """What a target names, and where it is bound, for messages: `agent.py, line 12`."""

    value: object
    place: str


def load_export(target: str, root: Path) -> Export:
    """What `target` names, a file being meant from `root`. A module is imported once, however many graphs it exports.

    Runs user code. Raises LoadError.
    """
    source, _, name = target.rpartition(":")
    if not source or not name.isidentifier():
        raise LoadError(f"{target!r} is not written ./file.py:name or package.module:name.")
    if Path(source).suffix in JAVASCRIPT:
        raise LoadError(f"{source} is JavaScript or TypeScript; Langyard runs graphs written in Python.")
    try:
        module = _import_file(_absolute(root / source), root) if _is_file(source) else importlib.import_module(source)
    except LoadError:
        raise
    except (Exception, SystemExit) as wrong:  # user code runs here: whatever it raises is this graph's trouble alone
        raise LoadError(_traced(wrong, source, root)) from wrong
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, vars(module), n=1)
        raise LoadError(f"{source} has no {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}")
    return Export(getattr(module, name), _place(module, name, source, root))


def load_part(section: str, target: str, root: Path) -> Export:
    """What `target` of a section of `langgraph.json` names. Raises ConfigurationError: without it nothing is served."""
    try:
        return load_export(target, root)
    except LoadError as wrong:
        raise ConfigurationError(f"`{section}`: {wrong}") from wrong


def described(wrong: BaseException) -> str:
    """Type and message on one line."""
    message = wrong.msg if isinstance(wrong, SyntaxError) else " ".join(str(wrong).split())[:500]
    if isinstance(wrong, ModuleNotFoundError):
        message += " (install it where Langyard runs, or name its folder in `dependencies`)"
    return f"{type(wrong).__name__}{': ' if message else ''}{message}"


def _traced(wrong: BaseException, source: str, root: Path) -> str:
    """Where in the user's own code it came from, as deep as that goes, then what it was."""
    if isinstance(wrong, SyntaxError) and wrong.filename:
        return f"{_shown(wrong.filename, root)}, line {wrong.lineno}: {described(wrong)}"
    frames = [frame for frame in traceback.extract_tb(wrong.__traceback__) if _is_users(frame.filename)]
    place = f"{_shown(frames[-1].filename, root)}, line {frames[-1].lineno}" if frames else source
    return f"{place}: {described(wrong)}"


def _place(module: ModuleType, name: str, source: str, root: Path) -> str:
    """Where a module binds a name at its top level, as far as its text tells."""
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py"):
        return source
    lines = [
        statement.lineno
        for statement in ast.parse(Path(file).read_bytes()).body
        if any(name == bound for bound in _bound(statement))
    ]
    return f"{_shown(file, root)}, line {lines[-1]}" if lines else _shown(file, root)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in statement.names)
    else:
        yield from (
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )


def _is_file(source: str) -> bool:
    return "/" in source or source.endswith(".py")


def _is_users(filename: str) -> bool:
    """Neither Python's nor Langyard's nor an installed package's."""
    if filename.startswith("<") or {"site-packages", "dist-packages"} & set(Path(filename).parts):
        return False
    return not filename.startswith((*FOREIGN, OURS))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its name: what it leads to may move


def _shown(filename: str, root: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(root)) if path.is_relative_to(root) else filename


def _import_file(file: Path, root: Path) -> ModuleType:
    if not file.is_file():
        raise LoadError(f"There is no file {_shown(str(file), root)}.")
    if file.suffix != ".py":
        raise LoadError(f"{_shown(str(file), root)} is no Python file.")
    if (name := _own_name(file)) is not None:
        return importlib.import_module(name)
    name = _made_name(file, root)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:  # a half-made module must not be found by the next graph
        del sys.modules[name]
        raise
    return module


def _own_name(file: Path) -> str | None:
    """The name under which `import` finds this very file, if it does.

    Under that name the file's classes are the same as for the project's other modules, relative imports work, and a
    checkpoint that names one of its types opens in any process of the project. A name made up here could do none of it.
    """
    folders = {_absolute(Path(entry)) for entry in sys.path}
    for folder in sorted((f for f in folders if file.is_relative_to(f)), key=lambda f: len(f.parts), reverse=True):
        parts = file.relative_to(folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not parts or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
            continue
        name = ".".join(parts)
        try:
            spec = importlib.util.find_spec(name)
        except Exception:  # noqa: S112 - finding a module runs its packages, so user code; the import itself will tell
            continue
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file() and file.samefile(spec.origin):
            return name
    return None


def _made_name(file: Path, root: Path) -> str:
    """A name of its own for a file that `import` cannot find: the same on every machine, unless it is taken."""
    shown = _shown(str(file), root)
    name = "langyard_graph_" + re.sub(r"\W+", "_", shown.removesuffix(".py"))
    taken = sys.modules.get(name)
    if taken is not None and taken.__file__ != str(file):
        name += "_" + hashlib.sha256(str(file).encode()).hexdigest()[:8]
    return name

"""Reads `langgraph.json` as the official command line defines it (contract D.1), for `app`; runs no user code."""

from __future__ import annotations

import difflib
import importlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from langyard.config.reading import NOTHING, load
from langyard.config.settings import Settings
from langyard.model.errors import ConfigurationError

SECTIONS = (
    "store", "checkpointer", "auth", "encryption", "priority", "http", "webhooks", "ui", "ui_config", "langyard",
)  # fmt: skip
IMAGE_KEYS = frozenset(
    "python_version node_version api_version base_image image_distro pip_config_file pip_installer source "
    "dockerfile_lines keep_pkg_tools building_tools".split()
)
# No room acts on these yet, and who has written one must not believe that it holds. A room that does takes it out.
IDLE = frozenset(SECTIONS) - {"auth", "checkpointer", "http", "langyard", "priority", "store", "webhooks"}
KEYS = ("graphs", "dependencies", "env", *SECTIONS, *IMAGE_KEYS, "$schema")


@dataclass(frozen=True, slots=True)
class GraphEntry:
    """Where a graph is exported: `./file.py:name` or `package.module:name`."""

    target: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A read `langgraph.json`. `sections` holds what later rooms interpret, as written; `requirements` are packages
    that the environment must already hold; `warnings` are sentences to show at start-up."""

    path: Path
    graphs: Mapping[str, GraphEntry] = field(default_factory=dict)
    python_path: tuple[Path, ...] = ()
    requirements: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The folder of the file, from which its paths are meant."""
        return self.path.parent

    def section(self, name: str) -> Mapping[str, Any]:
        """One of SECTIONS as written, empty when the file has none."""
        return self.sections.get(name, {})

    def activate(self, environ: MutableMapping[str, str] | None = None) -> None:
        """Adds its variables to the environment, never over one that is set, and its folders to the import path."""
        environ = os.environ if environ is None else environ
        for name, value in self.env.items():
            environ.setdefault(name, value)
        sys.path[:0] = [str(folder) for folder in self.python_path if str(folder) not in sys.path]
        importlib.invalidate_caches()


def start(
    environ: MutableMapping[str, str] | None = None,
    *,
    overrides: Mapping[str, object] = NOTHING,
    project_required: bool = True,
) -> tuple[Settings, Project]:
    """Settings and project of this process, the project's variables counted among the settings and the project active.

    Where no file is and none is required, the project is one without graphs. Raises ConfigurationError.
    """
    environ = os.environ if environ is None else environ
    settings = load(environ, overrides=overrides)
    if not project_required and not settings.config.exists():
        return settings, Project(settings.config)
    project = read_project(settings.config)
    project.activate(environ)
    return load(environ, overrides=overrides), project


def read_project(path: Path) -> Project:
    """The project file at `path`, read but not yet active.

    Raises ConfigurationError naming line and column where it is no JSON, or listing all that is wrong in it.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its name
    return _Reader(path, _parse(path)).project()


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no {path}. `langyard init` writes a small working project; --config names another file."
        ) from None
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigurationError(f"{path} cannot be read: {wrong}.") from wrong
    try:
        content = json.loads(text)
    except json.JSONDecodeError as wrong:
        place = f"line {wrong.lineno}, column {wrong.colno}"
        raise ConfigurationError(f"{path} is not JSON at {place}: {wrong.msg}.") from wrong
    except RecursionError:
        raise ConfigurationError(f"{path} is nested too deeply.") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold a JSON object with a key `graphs`.")
    return content


class _Reader:
    """One pass over the content: collects what is wrong instead of stopping at the first."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.content = content
        self.problems: list[str] = []
        self.warnings: list[str] = list(_unknown(content))

    def project(self) -> Project:
        folders, requirements = self.dependencies()
        project = Project(
            path=self.path,
            graphs=self.graphs(),
            python_path=folders,
            requirements=requirements,
            env=self.env(),
            sections=dict(self.sections()),
            warnings=tuple(self.warnings),
        )
        if self.problems:
            raise ConfigurationError("\n- ".join([f"{self.path} is wrong:", *self.problems]))
        return project

    def graphs(self) -> dict[str, GraphEntry]:
        given = self.content.get("graphs")
        if not isinstance(given, dict) or not given:
            self.problems.append('`graphs` must name at least one graph, as in {"agent": "./agent.py:graph"}.')
            return {}
        found: dict[str, GraphEntry] = {}
        for name, entry in given.items():
            target, description = (entry, None) if isinstance(entry, str) else _parts(entry)
            if not name.strip() or not isinstance(target, str) or not isinstance(description, str | None):
                self.problems.append(
                    f'`graphs.{name}` must be "./file.py:name", or an object with `path` and perhaps `description`.'
                )
            else:
                found[name] = GraphEntry(target.strip(), description)
        return found

    def dependencies(self) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        given = self.content.get("dependencies", ["."])
        if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
            self.problems.append('`dependencies` must be a list of folders and packages, as in [".", "httpx"].')
            return (), ()
        local = [entry for entry in given if entry.startswith((".", "/", "~"))]
        folders = [Path(os.path.abspath(self.path.parent / Path(entry).expanduser())) for entry in local]  # noqa: PTH100 - a link keeps its name
        for entry, folder in zip(local, folders, strict=True):
            if not folder.is_dir():
                self.problems.append(f"`dependencies` names {entry!r}, but {folder} is no folder.")
        return tuple(dict.fromkeys(folders)), tuple(entry for entry in given if entry not in local)

    def env(self) -> dict[str, str]:
        given = self.content.get("env") or {}
        found = self.env_file(self.path.parent / given) if isinstance(given, str) else self.env_object(given)
        for name, value in found.items():
            if not name or "=" in name or "\0" in name + value:
                self.problems.append(f"`env` holds {name!r}, which no environment can take.")
        if "LANGGRAPH_STRICT_MSGPACK" in found:
            self.warnings.append(
                "LANGGRAPH_STRICT_MSGPACK comes too late from `env`; set it where Langyard is started."
            )
        return found

    def env_object(self, given: object) -> dict[str, str]:
        if not isinstance(given, dict):
            self.problems.append("`env` must be the path of a .env file or an object of variables.")
            return {}
        found: dict[str, str] = {}
        for name, value in given.items():
            if isinstance(value, bool):
                found[name] = str(value).lower()
            elif isinstance(value, str | int | float):
                found[name] = str(value)
            elif value is not None:
                self.problems.append(f"`env.{name}` must be a text, a number or true or false.")
        return found

    def env_file(self, file: Path) -> dict[str, str]:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as wrong:
            self.problems.append(f"`env` names {file}, which cannot be read: {wrong}.")
            return {}
        return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value is not None}

    def sections(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name in SECTIONS:
            given = self.content.get(name)
            if isinstance(given, dict):
                if given and name in IDLE:
                    self.warnings.append(f"langgraph.json: `{name}` has no effect in this version of Langyard.")
                if name == "store" and "path" in given:
                    self.warnings.append("langgraph.json: `store.path` has no effect in this version of Langyard.")
                if name == "checkpointer":
                    self.warnings.extend(
                        f"langgraph.json: `checkpointer.{key}` has no effect in this version of Langyard."
                        for key in given
                        if key != "ttl" and not (key == "backend" and given[key] == "default")
                    )
                yield name, given
            elif given is not None:
                self.problems.append(f"`{name}` must be an object.")
        cors = (self.content.get("http") or {}).get("cors") if isinstance(self.content.get("http"), dict) else None
        if isinstance(cors, dict) and cors.get("allow_credentials") and "*" in (cors.get("allow_origins") or ()):
            self.problems.append(
                "`http.cors` allows credentials to every origin (*): every web page a signed-in user opens could then "
                "act with that user's rights; name the origins, or leave credentials off."
            )


def _parts(entry: object) -> tuple[object, object]:
    return (entry.get("path"), entry.get("description")) if isinstance(entry, dict) else (None, None)


def _unknown(content: Mapping[str, Any]) -> Iterator[str]:
    for key in content:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.75)
            yield f"langgraph.json: nothing reads the key `{key}`." + (f" Did you mean `{near[0]}`?" if near else "")

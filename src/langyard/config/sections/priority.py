"""`priority` of `langgraph.json` (contract D.1), checked; `app` loads the object it names."""

from __future__ import annotations

from langyard.config.project import Project
from langyard.model.errors import ConfigurationError


def priority_path(project: Project | None) -> str | None:
    """Where the project's `Priority` object is exported, None where it has none. Raises ConfigurationError."""
    given = project.section("priority") if project is not None else {}
    if not given:
        return None
    path = given.get("path")
    if not isinstance(path, str) or not path.strip() or given.keys() - {"path"}:
        raise ConfigurationError(
            '`priority` needs a `path` and nothing else, as in {"path": "./priority.py:priority"}.'
        )
    return path.strip()

"""Loads what `store.index.embed` of `langgraph.json` names: the user's own function, or a model by its provider.

Called by `app` when the process is built; what comes back runs wherever items are stored and searched.
"""

from __future__ import annotations

from pathlib import Path

from langchain_core.embeddings import Embeddings
from langgraph.store.base import ensure_embeddings

from langyard.graphs.load import LoadError, load_export
from langyard.model.errors import ConfigurationError


def load_embeddings(target: str, root: Path) -> Embeddings:
    """`./file.py:function`, `package.module:function` or `provider:model`. Raises ConfigurationError."""
    source = target.rpartition(":")[0]
    own = "/" in source or "." in source
    try:
        return ensure_embeddings(load_export(target, root).value if own else target)  # type: ignore[arg-type]
    except LoadError as wrong:
        raise ConfigurationError(f"`store.index.embed`: {wrong}") from wrong
    except Exception as wrong:  # the provider's package: it may be missing, or lack its key
        raise ConfigurationError(f"`store.index.embed` names {target!r}, which cannot be had: {wrong}") from wrong

"""Keys that are the server's own: what a client sends under them is dropped in silence (contract section A.0).

Called by every rule that stores a client's configurable, context or metadata: nobody can pretend to be another user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONFIGURABLE = frozenset(
    {
        "langgraph_auth_user",
        "langgraph_auth_user_id",
        "langgraph_auth_permissions",
        "langgraph_request_id",
        "__langsmith_project__",
        "__langsmith_example_id__",
        "__request_start_time_ms__",
        "__after_seconds__",
        "__dd_trace_headers__",
        "__pregel_node_finished",
        "__context_provided__",
    }
)
_METADATA = frozenset({"thread_id", "assistant_id", "run_id", "cron_id", "counters_since_delta_snapshot"})


def own_configurable(given: Mapping[str, Any]) -> dict[str, Any]:
    """`configurable` or `context` without what only the server may say."""
    return {
        key: value for key, value in given.items() if key not in _CONFIGURABLE and not str(key).startswith("__otel_")
    }


def own_metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without the ids that only the server gives."""
    return {key: value for key, value in given.items() if key not in _METADATA}


def own_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose `configurable` and `metadata` are the client's own."""
    clean = dict(given)
    if isinstance(given.get("configurable"), Mapping):
        clean["configurable"] = own_configurable(given["configurable"])
    if isinstance(given.get("metadata"), Mapping):
        clean["metadata"] = own_metadata(given["metadata"])
    return clean

"""What a client may ask of a run, checked and turned into the rules' `Invocation` (contract A.4). Used by `runs`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from langyard.invocations import Invocation
from langyard.model.errors import Invalid

STREAM_MODES = (
    "values", "messages", "messages-tuple", "tasks", "checkpoints", "updates", "events", "debug", "custom",
    # Newer clients ask for these; a graph of ours has nothing to say under them.
    "tools", "lifecycle",
)  # fmt: skip
_CHECKPOINT = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
_KINDS: tuple[tuple[str, type, str], ...] = (
    ("tags", list, "an array"),
    ("recursion_limit", int, "a whole number"),
    ("configurable", dict, "an object"),
    ("metadata", dict, "an object"),
)
# Runs that one request makes.
MOST = 10_000
_LONGEST_URL = 65_536
_LONGEST_DELAY = 10 * 365 * 86_400


Priority = Annotated[
    int | None,
    Field(ge=-5, le=5, description="From -5, which goes first when runs wait, to 5; 0 if not given. Langyard's own."),
]


class RunBody(BaseModel):
    """Run an assistant. Fields that are not named here are ignored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"assistant_id": "research", "input": {"question": "…"}}]}
    )

    assistant_id: str = Field(min_length=1, description="An assistant's id, or a graph's name.")
    input: Any = Field(None, description="The graph's input; null goes on from where the thread stands.")
    command: dict[str, Any] | None = Field(None, description="`update`, `resume`, `goto`; goes before `input`.")
    checkpoint: dict[str, Any] | None = Field(None, description="The checkpoint to start from.")
    checkpoint_id: str | None = Field(None, description="The same, the older way.")
    config: dict[str, Any] | None = Field(None, description="`tags`, `recursion_limit`, `configurable`, `metadata`.")
    context: dict[str, Any] | None = Field(None, description="The graph's context; instead of `config.configurable`.")
    metadata: dict[str, Any] | None = None
    webhook: str | None = Field(None, min_length=1, max_length=_LONGEST_URL, description="Told of the run's end.")
    interrupt_before: Literal["*"] | list[str] | None = Field(None, description="Nodes to stop before.")
    interrupt_after: Literal["*"] | list[str] | None = Field(None, description="Nodes to stop after.")
    stream_mode: str | list[str] | None = Field(None, description=f"One or some of {', '.join(STREAM_MODES)}.")
    stream_subgraphs: bool | None = Field(None, description="Whether subgraphs are streamed too.")
    stream_resumable: bool | None = Field(None, description="Whether events get ids and are kept for readers to come.")
    feedback_keys: list[str] | None = None
    multitask_strategy: Literal["reject", "rollback", "interrupt", "enqueue"] | None = Field(
        None, description="What to do when the thread is busy; `enqueue` if not given."
    )
    if_not_exists: Literal["create", "reject"] | None = Field(None, description="What to do when there is no thread.")
    after_seconds: float | None = Field(None, ge=0, le=_LONGEST_DELAY, allow_inf_nan=False)
    durability: Literal["sync", "async", "exit"] | None = None
    checkpoint_during: bool | None = Field(None, description="The older form of `durability`.")
    on_disconnect: Literal["cancel", "continue"] | None = Field(None, description="For those who wait or stream.")
    on_completion: Literal["delete", "keep"] | None = Field(None, description="What becomes of a thread of its own.")
    priority: Priority = None
    thread_id: str | None = Field(None, description="In a batch: the thread to run on.")


class CancelBody(BaseModel):
    """Which runs are to stop: some of a thread's, or all of a status."""

    thread_id: str | None = None
    run_ids: list[str] | None = None
    status: Literal["pending", "running", "all"] | None = None


def invocation(body: RunBody) -> Invocation:
    """What the rules are asked. Raises `Invalid` for what no schema can say."""
    return Invocation(
        assistant_id=body.assistant_id,
        input=body.input,
        command=body.command,
        checkpoint=_checkpoint(body),
        config=_config(body.config or {}),
        context=body.context,
        metadata=body.metadata or {},
        webhook=body.webhook,
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        stream_mode=stream_modes(body.stream_mode),
        stream_subgraphs=bool(body.stream_subgraphs),
        stream_resumable=bool(body.stream_resumable),
        feedback_keys=body.feedback_keys,
        multitask_strategy=body.multitask_strategy or "enqueue",
        if_not_exists=body.if_not_exists or "reject",
        after_seconds=body.after_seconds or 0.0,
        durability=_durability(body),
        on_completion=body.on_completion or "delete",
        priority=body.priority or 0,
    )


def stream_modes(given: str | list[str] | None) -> tuple[str, ...]:
    """What is to be streamed. Raises `Invalid`."""
    asked = [given] if isinstance(given, str) else given or ["values"]
    for mode in asked:
        if mode not in STREAM_MODES:
            raise Invalid(f"stream_mode {mode[:50]!r} is none of {', '.join(STREAM_MODES)}.")
    return tuple(dict.fromkeys(asked))


def _checkpoint(body: RunBody) -> Mapping[str, Any] | None:
    given = body.checkpoint or ({"checkpoint_id": body.checkpoint_id} if body.checkpoint_id else None)
    if not given:
        return None
    found = {key: given[key] for key in _CHECKPOINT if given.get(key) is not None}
    if (wanted := found.get("checkpoint_id")) is not None:
        try:
            UUID(wanted)
        except (AttributeError, TypeError, ValueError):
            raise Invalid("Invalid checkpoint ID", code="invalid_id") from None
    return found


def check_config(given: Mapping[str, Any]) -> None:
    """Raises `Invalid` for a config, a run's or an assistant's, that no run could have."""
    for key, kind, words in _KINDS:
        value = given.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise Invalid(f"config.{key} must be {words}.")
    if not all(isinstance(tag, str) for tag in given.get("tags") or ()):
        raise Invalid("config.tags must be an array of strings.")
    limit = given.get("recursion_limit")
    if limit is not None and not 1 <= limit < math.pow(2, 31):
        raise Invalid("config.recursion_limit must be at least 1 and less than 2147483648.")


def _config(given: Mapping[str, Any]) -> dict[str, Any]:
    check_config(given)
    return {key: given[key] for key, _, _ in _KINDS if given.get(key) is not None}


def _durability(body: RunBody) -> Literal["sync", "async", "exit"] | None:
    if body.durability is None and body.checkpoint_during is not None:
        return "async" if body.checkpoint_during else "exit"
    return body.durability

"""The bodies of assistants and threads: what is checked on the way in, and what OpenAPI tells of both."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have a NUL character")
    return text


Json = dict[str, Any]
# What becomes a text of the database, which knows no NUL.
Text = Annotated[str, AfterValidator(_without_nul)]
# What an index holds too, which takes no entry of more than 2,704 bytes.
Name = Annotated[Text, Field(max_length=500)]
Limit = Annotated[int, Field(ge=1, le=1000, description="Most rows in one answer.")]
Offset = Annotated[int, Field(ge=0, le=2**31 - 1, description="How many rows to pass over.")]
SortOrder = Literal["asc", "desc"]
IfExists = Literal["raise", "do_nothing"]
AssistantField = Literal[
    "assistant_id", "graph_id", "name", "description", "config", "context", "created_at", "updated_at", "metadata",
    "version",
]  # fmt: skip
ThreadField = Literal[
    "thread_id", "created_at", "updated_at", "state_updated_at", "metadata", "config", "status", "values", "interrupts",
]  # fmt: skip
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


class CreateAssistantBody(BaseModel):
    """Make an assistant: a graph with a configuration."""

    graph_id: str = Field(examples=["research"])
    assistant_id: str | None = Field(None, description="A UUID; absent, the server makes one.")
    config: Json = Field(default_factory=dict)
    context: Json = Field(default_factory=dict, description="Stands in `config.configurable` too.")
    metadata: Json = Field(default_factory=dict)
    if_exists: IfExists = "raise"
    name: Name = "Untitled"
    description: Text | None = None


class PatchAssistantBody(BaseModel):
    """Make a new version. Metadata is merged, every other field given is replaced."""

    graph_id: str = ""
    config: Json = Field(default_factory=dict)
    context: Json = Field(default_factory=dict)
    metadata: Json = Field(default_factory=dict)
    name: Name = ""
    description: Text | None = None


class CountAssistantsBody(BaseModel):
    """Which assistants."""

    metadata: Json = Field(default_factory=dict, description="What theirs contains.")
    graph_id: Text = ""
    name: Text = Field("", description="A part of theirs, in upper or lower case.")


class SearchAssistantsBody(CountAssistantsBody):
    """Which assistants, and which page of them."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] = "created_at"
    sort_order: SortOrder = "desc"
    select: list[AssistantField] = Field(default_factory=list, description="Fields to answer; all when empty.")


class AssistantVersionsBody(BaseModel):
    """Which versions."""

    metadata: Json = Field(default_factory=dict)
    limit: Limit = 10
    offset: Offset = 0


class LatestVersionBody(BaseModel):
    """The version to make active again."""

    version: int = Field(ge=1, le=2**31 - 1)


class AssistantAnswer(BaseModel):
    """An assistant."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: Json
    context: Json
    metadata: Json
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


class SchemasAnswer(BaseModel):
    """JSON schemas, null where none can be made."""

    graph_id: str
    input_schema: Json | None
    output_schema: Json | None
    state_schema: Json | None
    config_schema: Json | None
    context_schema: Json | None


class TtlBody(BaseModel):
    """How long a thread is kept after its last change."""

    ttl: float = Field(gt=0, le=52_560_000, allow_inf_nan=False, description="Minutes.")
    strategy: Literal["delete", "keep_latest"] = Field("delete", description="What then happens to it.")


class StateUpdateEntry(BaseModel):
    """An update as if a node had made it."""

    values: Any = None
    command: Json | None = None
    as_node: str


class Superstep(BaseModel):
    """Updates that make one checkpoint."""

    updates: list[StateUpdateEntry] = Field(min_length=1)


class CreateThreadBody(BaseModel):
    """Make a thread, with `supersteps` one that has a history already."""

    thread_id: str | None = Field(None, description="A UUID; absent, the server makes one.")
    metadata: Json = Field(default_factory=dict)
    if_exists: IfExists = "raise"
    ttl: TtlBody | None = None
    supersteps: list[Superstep] = Field(default_factory=list, max_length=10_000)


class PatchThreadBody(BaseModel):
    """Merge keys into a thread's metadata, and set how long it is kept."""

    metadata: Json = Field(default_factory=dict)
    ttl: TtlBody | None = None


class CountThreadsBody(BaseModel):
    """Which threads."""

    metadata: Json = Field(default_factory=dict, description="What theirs contains.")
    values: Json = Field(default_factory=dict, description="What their values contain.")
    status: ThreadStatus | None = None


class SearchThreadsBody(CountThreadsBody):
    """Which threads, and which page of them."""

    ids: list[str] = Field(default_factory=list, max_length=1000)
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = "updated_at"
    sort_order: SortOrder = "desc"
    select: list[ThreadField] = Field(default_factory=list, description="Fields to answer; all when empty.")
    extract: dict[str, str] = Field(
        default_factory=dict, max_length=10, examples=[{"last": "values.messages[-1].content"}]
    )


class PruneThreadsBody(BaseModel):
    """Delete threads, or their history."""

    thread_ids: list[str] = Field(max_length=10_000)
    strategy: Literal["delete", "keep_latest"] = "delete"


class ThreadAnswer(BaseModel):
    """A thread."""

    thread_id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    state_updated_at: dt.datetime
    metadata: Json
    config: Json
    status: ThreadStatus
    values: Json | None = Field(description="As the last run or update left them; `/state` is live.")
    interrupts: dict[str, list[Json]]
    error: Json | None


class CheckpointPlace(BaseModel):
    """Where a checkpoint is."""

    checkpoint_id: Text | None = None
    checkpoint_ns: Text | None = None
    checkpoint_map: Json | None = None
    thread_id: str | None = None


class StateAtBody(BaseModel):
    """Which state."""

    checkpoint: CheckpointPlace
    subgraphs: bool = False


class UpdateStateBody(BaseModel):
    """Change a thread's state as if a node had done it."""

    values: Json | list[Any] | None = None
    as_node: str | None = None
    checkpoint: CheckpointPlace | None = None
    checkpoint_id: Text | None = None


class HistoryBody(BaseModel):
    """Which states."""

    limit: Limit = 1
    before: str | Json | None = Field(
        None, description="A checkpoint: its id, or an object with `checkpoint_id`, in `configurable` or by itself."
    )
    metadata: Json = Field(default_factory=dict)
    checkpoint: CheckpointPlace | None = None


class ThreadStateAnswer(BaseModel):
    """A thread's state at a checkpoint."""

    values: Any
    next: list[str]
    tasks: list[Json]
    metadata: Json | None
    created_at: str | None
    checkpoint: CheckpointPlace | None
    parent_checkpoint: CheckpointPlace | None
    interrupts: list[Json]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None

"""The bodies of requests and answers: what is checked on the way in, and what OpenAPI tells of both."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

UserId = Annotated[
    str | None,
    Field(
        description="Whose session it is: 1 to 200 printable characters. Where requests are authenticated it can be "
        "left out, and must not be another's.",
        examples=["ada"],
    ),
]
SessionId = Annotated[
    str,
    Field(
        description="1 to 200 printable characters of the client's choice; absent, the server makes one.",
        examples=["report-7"],
    ),
]
StreamMode = Literal["values", "updates", "custom", "messages", "tasks", "checkpoints", "debug"]
Timeout = Annotated[
    float | None,
    Field(gt=0, le=31_536_000, allow_inf_nan=False, description="Seconds of execution after which the run is stopped."),
]

Priority = Annotated[
    int | None, Field(ge=-5, le=5, description="From -5, which goes first when runs wait, to 5; 0 if not given.")
]


class Config(BaseModel):
    """How the workflow is run, as in LangGraph's own config."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"recursion_limit": 50, "tags": ["nightly"]}]})

    recursion_limit: int | None = Field(None, ge=1, le=10_000_000, description="Steps the run may take.")
    tags: list[str] | None = Field(None, description="Labels handed to the graph and its traces.")
    configurable: dict[str, Any] | None = Field(None, description="Values the graph reads from its config.")


class ExecuteBody(BaseModel):
    """Run a workflow."""

    workflow_type: str = Field(description="The workflow's name; `GET /workflows` lists them.", examples=["research"])
    input_data: dict[str, Any] = Field(
        description="The graph's input.", examples=[{"question": "What does the lease protect?"}]
    )
    user_id: UserId = None
    session_id: SessionId | None = None
    timeout: Timeout = None
    priority: Priority = None
    config: Config | None = None


class StreamBody(ExecuteBody):
    """Run a workflow and read its events as they come."""

    stream_mode: list[StreamMode] = Field(["updates", "custom"], description="What to read.")


class ResumeBody(BaseModel):
    """Answer an interrupt."""

    user_id: UserId = None
    answer: Any = Field(description="What the interrupt gives back to the node that waits; any JSON.", examples=["yes"])
    interrupt_id: str | None = Field(
        None,
        description="Which interrupt, when several are open. `answer` may then also be an object of answers by id.",
    )
    timeout: Timeout = None
    priority: Priority = None
    stream_mode: list[StreamMode] = Field(
        ["updates", "custom"], description="What to read when the answer is streamed."
    )


class Interrupt(BaseModel):
    """A question the workflow waits for an answer to."""

    id: str
    value: Any


class ExecuteAnswer(BaseModel):
    """How a workflow ended, or where it waits."""

    status: Literal["success", "interrupted"]
    result: dict[str, Any] = Field(
        description="The workflow's state.", examples=[{"report": "# What the lease protects"}]
    )
    interrupts: list[Interrupt] | None = Field(None, description="What waits for an answer; only when interrupted.")
    execution_time: float = Field(description="Seconds from the request to the end.", examples=[0.012])
    session_id: str = Field(examples=["report-7"])
    run_id: str = Field(examples=["019ab3f2-7d3c-7c1e-9f5a-2f6f3d1c8a44"])


class RunAnswer(BaseModel):
    """A run."""

    run_id: str
    status: Literal["pending", "running", "success", "error", "timeout", "interrupted"]
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    attempt: int = Field(description="How often it was begun; more than once when a worker died under it.")


class StatusAnswer(BaseModel):
    """Where a session's workflow stands."""

    session_id: str
    workflow_type: str | None = Field(description="That of the latest run.")
    status: Literal["idle", "busy", "interrupted", "error"]
    run: RunAnswer | None = Field(description="The latest run.")
    interrupts: list[Interrupt]
    last_accessed: dt.datetime
    expires_at: dt.datetime


class Schemas(BaseModel):
    """JSON schemas, null where none can be made."""

    input: dict[str, Any] | None
    output: dict[str, Any] | None
    state: dict[str, Any] | None
    config: dict[str, Any] | None
    context: dict[str, Any] | None


class WorkflowAnswer(BaseModel):
    """A workflow."""

    name: str = Field(examples=["research"])
    description: str | None
    available: bool = Field(description="False when it could not be loaded; the server's log says why.")
    schemas: Schemas | None


class WorkflowsAnswer(BaseModel):
    """The workflows there are."""

    workflows: list[WorkflowAnswer]


class CreateSessionBody(BaseModel):
    """Make a session."""

    user_id: UserId = None
    session_id: SessionId | None = None
    data: dict[str, Any] = Field(default_factory=dict, description="The client's own.", examples=[{"theme": "dark"}])
    ttl: float | None = Field(
        None, ge=1, le=315_360_000, allow_inf_nan=False, description="Seconds it lives after its last use."
    )


class UpdateSessionBody(BaseModel):
    """Change a session's data."""

    user_id: UserId = None
    data: dict[str, Any] = Field(description="Keys to set; the others stay.", examples=[{"theme": "light"}])


class SessionAnswer(BaseModel):
    """A live session."""

    session_id: str = Field(examples=["report-7"])
    user_id: str = Field(examples=["ada"])
    status: Literal["active"]
    data: dict[str, Any]
    created_at: dt.datetime
    last_accessed: dt.datetime
    expires_at: dt.datetime


class SessionsAnswer(BaseModel):
    """A page of sessions."""

    sessions: list[SessionAnswer]
    next_offset: int | None = Field(description="Where the next page begins; null on the last.")

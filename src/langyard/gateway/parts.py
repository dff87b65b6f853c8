"""What the gateway needs of the process it is served by: `app.App` has it. Types only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from langyard.assistants import Assistants
from langyard.auth import Gate
from langyard.conversations import Conversations
from langyard.crons import Crons
from langyard.graphs import Graphs
from langyard.invocations import Invocations
from langyard.items import Items
from langyard.postgres.database import Database
from langyard.runs import Runs
from langyard.sessions import Sessions
from langyard.streams import LocalBus
from langyard.streams.threads import ThreadReaders
from langyard.telemetry.metrics import Metrics
from langyard.telemetry.siblings import Siblings
from langyard.threads import States, Threads


class GatewaySettings(Protocol):
    """`config.GatewaySettings`, as far as it is read here."""

    @property
    def mount_prefix(self) -> str:
        """Path under which every route is served."""

    @property
    def max_body_bytes(self) -> int:
        """Largest body taken."""

    @property
    def max_json_depth(self) -> int:
        """Deepest nesting taken."""

    @property
    def heartbeat_seconds(self) -> float:
        """Silence on a stream after which a comment is sent."""

    @property
    def idempotency_retention_seconds(self) -> float:
        """How long answers are kept for replay."""

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """Origins whose pages may call."""

    @property
    def cors_credentials(self) -> bool:
        """Whether they may send cookies."""


class StreamSettings(Protocol):
    """`config.StreamSettings`, as far as it is read here."""

    @property
    def buffer_events(self) -> int:
        """Events a reader may lag behind."""


class Settings(Protocol):
    """`config.Settings`, as far as it is read here."""

    @property
    def streams(self) -> StreamSettings:
        """Events and their readers."""

    @property
    def gateway(self) -> GatewaySettings:
        """The HTTP side."""


class Headers(Protocol):
    """`config.http.HeaderSection`: patterns in which `*` stands for anything."""

    @property
    def includes(self) -> tuple[str, ...]:
        """Those that are let through."""

    @property
    def excludes(self) -> tuple[str, ...]:
        """Those that are not, whatever else says."""


class Cors(Protocol):
    """`config.http.CorsSection`. None where the file says nothing."""

    @property
    def allow_origins(self) -> tuple[str, ...] | None:
        """Whose pages may call."""

    @property
    def allow_methods(self) -> tuple[str, ...] | None:
        """With which methods."""

    @property
    def allow_headers(self) -> tuple[str, ...] | None:
        """With which headers."""

    @property
    def allow_credentials(self) -> bool | None:
        """Whether with cookies."""

    @property
    def allow_origin_regex(self) -> str | None:
        """Whose pages may call, said otherwise."""

    @property
    def expose_headers(self) -> tuple[str, ...]:
        """Which headers they may read, besides ours."""

    @property
    def max_age(self) -> int:
        """For how many seconds a browser may remember it."""


class Http(Protocol):
    """`config.HttpSection`: `http` of langgraph.json. `disabled` are features without their `disable_`."""

    @property
    def disabled(self) -> frozenset[str]:
        """What is not served: assistants, threads, runs, store, meta, webhooks, ui, mcp, a2a, event_streaming."""

    @property
    def cors(self) -> Cors | None:
        """Whose pages may call."""

    @property
    def configurable_headers(self) -> Headers | None:
        """Which headers a run sees."""

    @property
    def logging_headers(self) -> Headers | None:
        """Which headers are logged."""

    @property
    def enable_custom_route_auth(self) -> bool:
        """Whether custom routes are authenticated."""

    @property
    def middleware_order(self) -> str:
        """`middleware_first` or `auth_first`."""


class Working(Protocol):
    """`worker.Worker`, as far as it is looked at here."""

    counters: Any

    @property
    def slots(self) -> int:
        """Runs it may execute."""

    @property
    def running(self) -> int:
        """Runs it executes."""


class Parts(Protocol):
    """`app.App`: its rules are there once it is open. Without a `gate` everybody is let in; `custom` is the project's
    own application."""

    gate: Gate | None
    custom: object
    graphs: Graphs
    assistants: Assistants
    threads: Threads
    invocations: Invocations
    states: States
    runs: Runs
    readers: ThreadReaders
    database: Database
    sessions: Sessions
    items: Items
    crons: Crons
    conversations: Conversations
    draining: bool
    metrics: Metrics
    siblings: Siblings | None
    bus: LocalBus

    @property
    def worker(self) -> Working | None:
        """The worker of this process, if it has one."""

    def pools(self) -> dict[str, dict[str, int]]:
        """By pool: `size`, `available`, `max`."""

    @property
    def lesser(self) -> Mapping[str, float | None]:
        """What the process can do without, by name: milliseconds of its last answer, None while it gives none."""

    @property
    def settings(self) -> Settings:
        """All settings."""

    @property
    def http(self) -> Http:
        """What the project says of HTTP."""

    async def open(self) -> None:
        """Open everything."""

    async def close(self) -> None:
        """Drain and close everything."""

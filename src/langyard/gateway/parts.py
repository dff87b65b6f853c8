"""What the gateway needs of the process it is served by: `app.App` has it. Types only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from langyard.assistants import Assistants
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


class Settings(Protocol):
    """`config.Settings`, as far as it is read here."""

    @property
    def gateway(self) -> GatewaySettings:
        """The HTTP side."""


class Working(Protocol):
    """`worker.Worker`, as far as it is looked at here."""

    @property
    def slots(self) -> int:
        """Runs it may execute."""

    @property
    def running(self) -> int:
        """Runs it executes."""


class Parts(Protocol):
    """`app.App`: its rules are there once it is open."""

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

    async def open(self) -> None:
        """Open everything."""

    async def close(self) -> None:
        """Drain and close everything."""

"""Every setting, one entry in the dataclass of its room; `app` hands each room its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langyard.config import values
from langyard.config.afterwards import RetentionSettings, WebhookSettings
from langyard.config.entries import masked, setting
from langyard.config.execution import DAY, LimitSettings, RunSettings, WorkerSettings
from langyard.config.values import Kind

LOG_JSON = Kind(lambda text: "json" if values.flag().parse(text) else "text", values.flag().accepts)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The HTTP side."""

    host: str = setting("127.0.0.1", "LANGYARD_HOST", values.text(), "Address to listen on.")
    port: int = setting(8000, "LANGYARD_PORT", values.whole(0, 65535), "Port to listen on; 0 takes a free one.")
    processes: int = setting(
        1,
        "LANGYARD_PROCESSES",
        values.whole(1, 1024),
        "Processes that share the port, each with a gateway and a worker; one that dies is replaced.",
        unit="processes",
    )
    mount_prefix: str = setting(
        "",
        "LANGYARD_MOUNT_PREFIX",
        values.prefix(),
        "Path under which every route is served; empty for none.",
        also=("MOUNT_PREFIX",),
    )
    max_body_bytes: int = setting(
        8 * 2**20,
        "LANGYARD_MAX_REQUEST_BODY_BYTES",
        values.whole(1, 2**40),
        "Largest request body taken; a larger one is answered with 413.",
        unit="bytes",
        also=("HTTP_MAX_REQUEST_BODY_BYTES",),
    )
    max_json_depth: int = setting(
        100,
        "LANGYARD_MAX_JSON_DEPTH",
        values.whole(4, 500),
        "Deepest nesting of objects and lists taken in a request.",
        unit="levels",
    )
    heartbeat_seconds: float = setting(
        5.0,
        "LANGYARD_HEARTBEAT_SECONDS",
        values.number(0.05, 3600),
        "Silence on a stream or a waiting answer after which a byte is sent to keep the connection open.",
        unit="seconds",
    )
    idempotency_retention_seconds: float = setting(
        DAY,
        "LANGYARD_IDEMPOTENCY_RETENTION_SECONDS",
        values.number(1, 365 * DAY),
        "How long the answer to an `Idempotency-Key` is kept and replayed.",
        unit="seconds",
    )
    cors_origins: tuple[str, ...] = setting(
        (),
        "LANGYARD_CORS_ORIGINS",
        values.origins(),
        "Web origins whose pages may call this server from a browser; empty for none, * for all.",
        also=("CORS_ALLOW_ORIGINS",),
    )
    cors_credentials: bool = setting(
        False,
        "LANGYARD_CORS_CREDENTIALS",
        values.flag(),
        "Whether those pages may send cookies and credentials; not together with the origin *.",
    )


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """PostgreSQL. Without a `url` Langyard starts one of its own."""

    url: str | None = setting(
        None,
        "DATABASE_URL",
        values.postgres(),
        "PostgreSQL to use; unset, Langyard starts its own under `LANGYARD_HOME`.",
        secret=True,
        also=("DATABASE_URI", "POSTGRES_URI"),
    )
    direct_url: str | None = setting(
        None,
        "LANGYARD_DB_DIRECT_URL",
        values.postgres(),
        "The same database past its pooler, for notifications, leases and migrations; unset, `DATABASE_URL` serves.",
        secret=True,
    )
    pooler: str = setting(
        "none",
        "LANGYARD_DB_POOLER",
        values.one_of("none", "transaction"),
        "`transaction` when `DATABASE_URL` leads to a pooler in transaction mode; it needs `LANGYARD_DB_DIRECT_URL`.",
    )
    pool_max_size: int = setting(
        20,
        "LANGYARD_DB_POOL_MAX_SIZE",
        values.whole(2, 10_000),
        "Most connections one process opens for its work.",
        unit="connections",
        also=("LANGGRAPH_POSTGRES_POOL_MAX_SIZE",),
    )
    migrate: bool = setting(
        True, "LANGYARD_DB_MIGRATE", values.flag(), "Whether a server brings the schema up to date when it starts."
    )


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Redis or Valkey: never needed, faster when there."""

    url: str | None = setting(
        None,
        "REDIS_URL",
        values.redis(),
        "Redis or Valkey, 6.2 or newer, to carry events between processes at once; unset, PostgreSQL does.",
        secret=True,
        also=("REDIS_URI",),
    )


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Sessions of the workflow routes."""

    ttl_seconds: float = setting(
        3600.0,
        "LANGYARD_SESSION_TTL_SECONDS",
        values.number(1, 3650 * DAY),
        "Life of a session after its last use.",
        unit="seconds",
    )
    grace_seconds: float = setting(
        DAY,
        "LANGYARD_SESSION_GRACE_SECONDS",
        values.number(0, 3650 * DAY),
        "How long an expired session is kept before it is deleted together with its thread.",
        unit="seconds",
    )
    sweep_seconds: float = setting(
        60.0,
        "LANGYARD_SESSION_SWEEP_SECONDS",
        values.number(0.05, DAY),
        "How often expired sessions are looked for.",
        unit="seconds",
    )


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Events and their readers."""

    buffer_events: int = setting(
        10_000,
        "LANGYARD_STREAM_BUFFER",
        values.whole(16, 10_000_000),
        "Events a slow reader may lag behind before it is told of a gap.",
        unit="events",
    )
    event_retention_seconds: float = setting(
        600.0,
        "LANGYARD_EVENT_RETENTION_SECONDS",
        values.number(0, 365 * DAY),
        "How long a run's events can be read again after it ended.",
        unit="seconds",
        also=("RESUMABLE_STREAM_TTL_SECONDS",),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is written to standard error."""

    level: str = setting(
        "info",
        "LANGYARD_LOG_LEVEL",
        values.one_of("debug", "info", "warning", "error", "critical"),
        "The least severity that is written.",
        also=("LOG_LEVEL",),
    )
    format: str = setting(
        "auto",
        "LANGYARD_LOG_FORMAT",
        values.one_of("auto", "json", "text"),
        "`json` for one object a line, `text` for people; `auto` is text on a terminal and json elsewhere.",
        also=(("LOG_JSON", LOG_JSON),),
    )

    @property
    def json(self) -> bool:
        """Whether lines are JSON objects, `auto` decided by where standard error leads."""
        return self.format == "json" or (self.format == "auto" and not sys.stderr.isatty())


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process, read once by `langyard.config.load`. `warnings` are sentences to show at start-up."""

    home: Path = setting(  # noqa: RUF009 - paths do not change
        Path(),
        "LANGYARD_HOME",
        values.path(),
        "Folder that holds `.langyard`, where Langyard keeps its own PostgreSQL.",
    )
    config: Path = setting(  # noqa: RUF009
        Path("langgraph.json"),
        "LANGYARD_CONFIG",
        values.path(),
        "The project file, as LangGraph's own command line reads it.",
    )
    strict: bool = setting(
        False, "LANGYARD_STRICT", values.flag(), "Whether one graph that cannot be loaded stops the start of all."
    )
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    runs: RunSettings = field(default_factory=RunSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    streams: StreamSettings = field(default_factory=StreamSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    log: LogSettings = field(default_factory=LogSettings)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def data_dir(self) -> Path:
        """Where Langyard keeps what is its own."""
        return self.home / ".langyard"

    def masked(self) -> dict[str, Any]:
        """All values by room, ready for JSON and safe to print: a secret keeps its address and loses its password."""
        return masked(self)

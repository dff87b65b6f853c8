"""The settings of claiming and executing runs; a part of `settings`, where the whole table is put together."""

from __future__ import annotations

from dataclasses import dataclass

from langyard.config import values
from langyard.config.entries import setting

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Claiming and executing runs."""

    slots: int = setting(
        100,
        "LANGYARD_WORKER_SLOTS",
        values.whole(0, 100_000),
        "Runs one process executes at once; 0 executes none here.",
        unit="runs",
        also=("N_JOBS_PER_WORKER",),
    )
    lease_ttl_seconds: float = setting(
        4.0,
        "LANGYARD_LEASE_TTL_SECONDS",
        values.number(0.2, 600),
        "How long a worker's right to a run lasts without renewal, so how soon a dead worker's runs go on elsewhere.",
        unit="seconds",
    )
    lease_renew_seconds: float = setting(
        1.0,
        "LANGYARD_LEASE_RENEW_SECONDS",
        values.number(0.05, 300),
        "How often a lease is renewed; at most half of its life.",
        unit="seconds",
    )
    poll_seconds: float = setting(
        1.0,
        "LANGYARD_POLL_SECONDS",
        values.number(0.05, 60),
        "How often pending runs are looked for when no wake-up comes.",
        unit="seconds",
    )
    sweep_seconds: float = setting(
        0.5,
        "LANGYARD_SWEEP_SECONDS",
        values.number(0.05, 3600),
        "How often runs whose lease has lapsed are given back.",
        unit="seconds",
    )
    health_port: int | None = setting(
        None,
        "LANGYARD_HEALTH_PORT",
        values.whole(0, 65535),
        "Port on which `langyard worker` answers `/health`, `/health/ready` and `/metrics`; unset, it opens none.",
    )
    drain_grace_seconds: float = setting(
        30.0,
        "LANGYARD_DRAIN_GRACE_SECONDS",
        values.number(0, DAY),
        "How long runs may go on after a stop signal before they are handed back at their last checkpoint.",
        unit="seconds",
        also=("BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS",),
    )
    drain_delay_seconds: float = setting(
        0.0,
        "LANGYARD_DRAIN_DELAY_SECONDS",
        values.number(0, 3600),
        "How long a server that was told to stop goes on answering, as not ready, so that balancers turn away from it.",
        unit="seconds",
    )
    cancel_grace_seconds: float = setting(
        5.0,
        "LANGYARD_CANCEL_GRACE_SECONDS",
        values.number(0.05, DAY),
        "How long the node of a cancelled run may take to stop; after that the run ends without it.",
        unit="seconds",
    )
    watchdog_seconds: float = setting(
        1.0,
        "LANGYARD_WATCHDOG_SECONDS",
        values.number(0, 3600),
        "How long a node may block the worker's event loop before the log says where it stands; 0 for never.",
        unit="seconds",
    )


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The limits of one run."""

    timeout_seconds: float = setting(
        DAY,
        "LANGYARD_RUN_TIMEOUT_SECONDS",
        values.number(0, 365 * DAY),
        "Longest execution of a run, after which it ends as `timeout`; 0 for no limit.",
        unit="seconds",
        also=("BG_JOB_TIMEOUT_SECS",),
    )
    max_attempts: int = setting(
        3,
        "LANGYARD_RUN_MAX_ATTEMPTS",
        values.whole(1, 1000),
        "Workers that may die under a run before it goes into quarantine: it ends as `error`, not to be tried again.",
        unit="workers",
        also=("BG_JOB_MAX_RETRIES",),
    )
    retry_max_attempts: int = setting(
        3,
        "LANGYARD_RETRY_MAX_ATTEMPTS",
        values.whole(1, 1000),
        "How often a run is started when the infrastructure fails under it (a connection, a database); 1: once.",
        unit="attempts",
    )
    retry_backoff_seconds: float = setting(
        1.0,
        "LANGYARD_RETRY_BACKOFF_SECONDS",
        values.number(0, DAY),
        "Pause before the first such restart; it doubles with each.",
        unit="seconds",
    )
    retry_max_backoff_seconds: float = setting(
        30.0,
        "LANGYARD_RETRY_MAX_BACKOFF_SECONDS",
        values.number(0, DAY),
        "Longest pause before a restart.",
        unit="seconds",
    )
    recursion_limit: int | None = setting(
        None,
        "LANGYARD_RECURSION_LIMIT",
        values.whole(1, 10_000_000),
        "Steps a run may take when neither request nor assistant says; unset, LangGraph's own limit holds.",
        unit="steps",
        also=("LANGGRAPH_DEFAULT_RECURSION_LIMIT",),
    )


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What keeps some from having all, over all processes; each needs a limit only when it is wanted."""

    user_concurrency: int | None = setting(
        None,
        "LANGYARD_USER_CONCURRENCY",
        values.whole(1, 1_000_000),
        "Runs of one user that run at once, the others wait; unset, as many as there is room for.",
        unit="runs",
    )
    max_pending_runs: int | None = setting(
        None,
        "LANGYARD_MAX_PENDING_RUNS",
        values.whole(1, 100_000_000),
        "Runs that may wait before starting one more is answered with 429; unset, any number.",
        unit="runs",
    )

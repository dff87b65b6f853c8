"""The settings of what comes after a run's end: who is told of it, and what is thrown away when. Part of `settings`."""

from __future__ import annotations

from dataclasses import dataclass

from langyard.config import values
from langyard.config.entries import setting
from langyard.config.ttl import ThreadTtl, thread_ttl

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """What is thrown away, and when."""

    thread_ttl: ThreadTtl | None = setting(  # noqa: RUF009 - neither do times
        None,
        "LANGYARD_THREAD_TTL",
        thread_ttl(),
        "How long threads are kept after their last change; goes before `checkpointer.ttl` of langgraph.json.",
        also=("LANGGRAPH_THREAD_TTL",),
    )
    expire_paused_threads: bool = setting(
        False,
        "LANGYARD_EXPIRE_PAUSED_THREADS",
        values.flag(),
        "Whether threads that wait for an answer are deleted too when their time is over.",
    )
    run_seconds: float = setting(
        0.0,
        "LANGYARD_RUN_RETENTION_SECONDS",
        values.number(0, 3650 * DAY),
        "How long the row of an ended run is kept; 0 for as long as its thread.",
        unit="seconds",
    )
    sweep_seconds: float = setting(
        60.0,
        "LANGYARD_RETENTION_SWEEP_SECONDS",
        values.number(0.05, DAY),
        "How often events, runs and what is kept for readers are looked through for what has had its time.",
        unit="seconds",
    )
    values_index: bool = setting(
        False,
        "LANGYARD_THREAD_VALUES_INDEX",
        values.flag(),
        "Whether threads are found by their values through an index, which every end of a run then pays for.",
    )


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Telling an address that a run has ended."""

    secret: bytes | None = setting(
        None,
        "LANGYARD_WEBHOOK_SECRET",
        values.signing_secret(),
        "Signs each webhook as Standard Webhooks says; unset, they are not signed.",
        secret=True,
    )
    poll_seconds: float = setting(
        5.0,
        "LANGYARD_WEBHOOK_POLL_SECONDS",
        values.number(0.05, 3600),
        "How often webhooks are looked for that another process has left unsent.",
        unit="seconds",
    )

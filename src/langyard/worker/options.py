"""How a worker works; `app` makes it of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from langyard.model.retries import RetryPolicy
from langyard.model.runs import Caps


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker works; seconds throughout. `url` leads to the database, `direct_url` past any pooler."""

    url: str
    direct_url: str
    transaction_pooler: bool = False
    pool_size: int = 10
    slots: int = 100
    lease_ttl_s: float = 4.0
    lease_renew_s: float = 1.0
    poll_s: float = 1.0
    sweep_s: float = 1.0
    grace_s: float = 30.0
    run_timeout_s: float = 86400.0
    max_attempts: int = 3
    recursion_limit: int | None = None
    caps: Caps | None = None
    cancel_grace_s: float = 5.0
    watchdog_s: float = 1.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retries: Mapping[str, RetryPolicy] = field(default_factory=dict)

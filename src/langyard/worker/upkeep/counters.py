"""What a worker counts of itself, for whoever shows it: plain numbers that only grow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Since the process began. `blockages` of the worker's loop, and the seconds they took together; runs `retried`
    after an error of the infrastructure, `handed_back` by a drain, `lost` to another worker, taken from dead workers
    (`recovered`), `quarantined`, and `abandoned` since they would not stop; effects reused instead of done again."""

    blockages: int = 0
    blocked_seconds: float = 0.0
    retried: int = 0
    handed_back: int = 0
    lost: int = 0
    recovered: int = 0
    quarantined: int = 0
    abandoned: int = 0
    effects_reused: int = 0

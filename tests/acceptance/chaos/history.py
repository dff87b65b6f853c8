"""What the clients did and were told, as they saw it: the checker holds it against what the database says."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that a server said it had taken. `thread_id` is None for one on a thread of its own."""

    run_id: str
    thread_id: str | None
    way: str
    graph: str
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody who waited for a run was told: `status` as the stream's end says it, `runs` as the state does.

    `error` is a failure that was told; somebody whose connection broke was told nothing, and is not in here.
    """

    run_id: str
    way: str
    status: str | None = None
    runs: tuple[str, ...] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Somebody asked (and may have been heard) that a run, or all runs of a thread, leave no trace."""

    target: str
    at: float


@dataclass
class History:
    """All of it. `cancelled` are the cancellations that were accepted, with their action.

    `surprises` are answers that there must not be. `mutilated` are threads of which somebody asked to delete a run that
    may have ended: what stood on its checkpoints stands on nothing.
    """

    accepted: dict[str, Accepted] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    cancelled: dict[str, str] = field(default_factory=dict)
    mutilated: set[str] = field(default_factory=set)
    stuck: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def accept(self, run_id: str, thread_id: str | None, way: str, graph: str) -> None:
        """A server took a run."""
        self.accepted.setdefault(run_id, Accepted(run_id, thread_id, way, graph, time.time()))

    def remove(self, target: str) -> None:
        """Somebody is about to ask for a removal."""
        self.removals.append(Removal(target, time.time()))

    def may_be_gone(self, run_id: str, thread_id: str) -> bool:
        """Whether anybody ever asked for this run, or its thread, to leave no trace."""
        return any(removal.target in (run_id, thread_id) for removal in self.removals)

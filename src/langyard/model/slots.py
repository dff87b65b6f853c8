"""What a worker in this process offers to the rules of runs, and the offer of a process without one."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from langyard.model.runs import ClaimedRun


class Slots(Protocol):
    """What a worker in this process offers to the rules. All methods may be called from any thread."""

    def reserve(self) -> UUID | None:
        """Take a slot: the worker's id, or None when there is none free."""

    def release(self) -> None:
        """Give an unused slot back."""

    def accept(self, claimed: ClaimedRun) -> None:
        """Run it in the slot reserved before."""

    def wake(self) -> None:
        """There may be something to claim."""

    def look(self) -> None:
        """Somebody may want something of the runs held here: that they stop, or that their events are stored."""

    def holds(self, run_id: UUID) -> bool:
        """Whether the run executes here."""

    def follow(self, run_id: UUID) -> bool:
        """Store its events from now on, if it executes here; False when that is so already."""

    def cancel(self, run_id: UUID, action: str, reason: str) -> bool:
        """Stop a run that runs here; False when it does not."""

    async def settle(self) -> None:
        """Wait until what runs here have published so far is stored, where it is to be stored at all."""


class NoSlots:
    """The offer of a process without a worker."""

    def reserve(self) -> UUID | None:
        """Never a slot."""
        return None

    def release(self) -> None:
        """Nothing to give back."""

    def accept(self, claimed: ClaimedRun) -> None:
        """Cannot happen: no slot was ever reserved."""
        raise AssertionError(claimed.run_id)

    def wake(self) -> None:
        """Nobody to wake."""

    def look(self) -> None:
        """Nothing is held."""

    def holds(self, run_id: UUID) -> bool:
        """Nothing is held."""
        return False

    def follow(self, run_id: UUID) -> bool:
        """Nothing is held."""
        return False

    def cancel(self, run_id: UUID, action: str, reason: str) -> bool:
        """Nothing runs here."""
        return False

    async def settle(self) -> None:
        """Nothing is published."""

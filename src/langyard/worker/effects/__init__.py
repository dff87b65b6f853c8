"""Effects once: what a node does outside is recorded before it is used, and not done again. For users' nodes."""

from __future__ import annotations

from langyard.worker.effects.effect import Effect, effect
from langyard.worker.effects.record import Effects, bind, settle

__all__ = ["Effect", "Effects", "bind", "effect", "settle"]

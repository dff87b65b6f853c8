"""How much of the whole anybody may have. Called by the rules in `runs`."""

from langyard.limits.queue import QueueBound

__all__ = ["QueueBound"]

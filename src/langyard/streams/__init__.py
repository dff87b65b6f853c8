"""Reading a run's events: the port, its adapters, and their contract.

The worker publishes; the gateway subscribes before the run is inserted, so that nothing can be missed.
"""

from __future__ import annotations

from langyard.streams.local import LocalBus, Subscription
from langyard.streams.remote import RemoteEvents

__all__ = ["LocalBus", "RemoteEvents", "Subscription"]

"""Reading a run's events: the port, its adapters, and their contract.

The worker publishes; the gateway subscribes before the run is inserted, so that nothing can be missed.
"""

from __future__ import annotations

from langyard.streams.local import LocalBus, Subscription
from langyard.streams.outlet import Outlet
from langyard.streams.port import Ended, Heard, NoRelay, Part, Relay
from langyard.streams.postgres import RemoteEvents

__all__ = ["Ended", "Heard", "LocalBus", "NoRelay", "Outlet", "Part", "Relay", "RemoteEvents", "Subscription"]

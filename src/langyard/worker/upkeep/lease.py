"""The lease keeper: a thread that renews the worker's lease, whatever the worker's event loop is doing."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from langyard.postgres.rows.workers import Heartbeat

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Registers a worker and renews it every `renew_s`; `on_lost` is called (on this thread) when it was buried."""

    def __init__(
        self, heartbeat: Heartbeat, worker_id: UUID, *, renew_s: float, ttl_s: float, on_lost: Callable[[], None]
    ) -> None:
        self.worker_id = worker_id
        self._heartbeat = heartbeat
        self._renew_s = renew_s
        self._ttl_s = ttl_s
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="langyard lease", daemon=True)
        # Never: who is not registered is taken for dead, and so is whatever it claims.
        self.renewed_at = -math.inf

    def start(self, *, host: str, pid: int, version: str, slots: int, graphs: Sequence[str]) -> None:
        """Register and begin to renew. Raises the driver's error when the database cannot be reached."""
        began = time.monotonic()
        try:
            self._heartbeat.register(host=host, pid=pid, version=version, slots=slots, graphs=graphs)
        except BaseException:  # this keeper is of no more use: its connection is given back
            self._heartbeat.close()
            raise
        self.renewed_at = began
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing and leave."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._heartbeat.leave()

    @property
    def overdue(self) -> bool:
        """Whether the last renewal is older than the lease, or there was none: others may take what is ours."""
        return time.monotonic() - self.renewed_at > self._ttl_s

    def _run(self) -> None:
        pause = self._renew_s
        while not self._stop.wait(pause):
            began = time.monotonic()
            renewed = self._heartbeat.renew()
            if renewed:
                # The lease counts from before the statement was sent: we never believe in it longer than others.
                self.renewed_at = began
            elif renewed is None:
                log.warning("the lease could not be renewed: the database does not answer")
            else:
                log.error(
                    "this worker was away for longer than its lease and has lost its runs",
                    extra={"worker_id": str(self.worker_id)},
                )
                self.renewed_at = -math.inf
                self._on_lost()
                return
            # A database that is away is asked more often, to be back before others take our runs.
            pause = self._renew_s if renewed else min(self._renew_s, 0.25)

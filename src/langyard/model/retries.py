"""When a run is tried again after an error of the infrastructure. For `config`, `app` and the worker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `max_attempts` starts (1: never again), with a pause before each that doubles up to `max_backoff_s`."""

    max_attempts: int = 3
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0

    def delay_s(self, retries: int, chance: float) -> float | None:
        """Seconds until the next start after `retries` earlier ones, None when there is none.

        `chance`, from 0 to 1, spreads the pause between half and the whole of it, so that what failed together does not
        come back together.
        """
        if retries + 1 >= self.max_attempts:
            return None
        pause = min(self.max_backoff_s, self.backoff_s * 2.0 ** min(retries, 60))
        return pause * (0.5 + chance / 2)

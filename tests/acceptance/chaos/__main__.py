"""`make chaos`: a storm of faults, its seed printed to have it again. Ends with 1 if a promise is broken."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.acceptance.chaos.storm import storm


def main() -> int:
    """Read the arguments, storm, report."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="which storm (default: another each time)")
    parser.add_argument("--rounds", type=int, default=None, help="end after so many")
    parser.add_argument("--minutes", type=float, default=2.0, help="end after so long (default: 2)")
    parser.add_argument("--round-seconds", type=float, default=20.0, help="how long one round storms (default: 20)")
    parser.add_argument(
        "--lease", type=float, default=2.0, help="the lease, in seconds (default: 2; Langyard's own: 4)"
    )
    parser.add_argument("--faults", default="", help="only these, with commas between: kill,freeze,drain,...")
    parser.add_argument("--redis", choices=("yes", "no"), default=None, help="default: with every even seed")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="langyard-chaos-"))
    report = asyncio.run(
        storm(
            folder,
            seed,
            rounds=asked.rounds,
            minutes=None if asked.rounds is not None else asked.minutes,
            round_s=asked.round_seconds,
            faults=[kind for kind in asked.faults.split(",") if kind],
            lease_s=asked.lease,
            with_redis=asked.redis == "yes" if asked.redis else seed % 2 == 0,
            say=lambda text: print(text, flush=True),
        )
    )
    print(report, flush=True)
    if report.violations:
        print(f"the servers' logs and the database are in {folder}", flush=True)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

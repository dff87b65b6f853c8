"""`make differential`: one conversation with the reference server and with us; where the answers differ, and why.

`python -m tests.differential [--reference URL] [--ours URL] [--only WORD] [--verbose]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.serving import Served
from tests.differential import reference
from tests.differential.asking import Side
from tests.differential.comparing import Difference, differences, masked
from tests.differential.conversation import assistants, crons, meta, runs, store, streams, threads
from tests.differential.intended import INTENDED

CHAPTERS = (meta, assistants, threads, runs, streams, crons, store)


def main() -> int:
    """0 when every difference is intended."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="langyard-differential-") as scratch:
        with (
            _theirs(asked.reference, Path(scratch) / "reference") as theirs,
            _ours(asked.ours, Path(scratch) / "ours") as ours,
        ):
            sides = asyncio.run(_talk(theirs, ours, asked.only))
    return _report(*sides, verbose=asked.verbose)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--reference", help="a reference server that runs already")
    parser.add_argument("--ours", help="a server of ours that runs already, with the same project")
    parser.add_argument("--only", default="", help=f"one of {', '.join(_name(one) for one in CHAPTERS)}")
    parser.add_argument("--verbose", action="store_true", help="intended differences too")
    return parser.parse_args()


def _name(chapter: Any) -> str:
    return str(chapter.__name__.rpartition(".")[2])


@contextmanager
def _theirs(address: str | None, folder: Path) -> Iterator[str]:
    if address:
        yield address
        return
    folder.mkdir()
    with reference.running(folder) as found:
        yield found


@contextmanager
def _ours(address: str | None, folder: Path) -> Iterator[str]:
    if address:
        yield address
        return
    shutil.copytree(reference.PROJECT, folder)
    served = Served(folder)
    try:
        yield served.address
    finally:
        served.stop()


async def _talk(theirs: str, ours: str, only: str) -> tuple[Side, Side]:
    async def one(name: str, address: str) -> Side:
        limits = httpx.Limits(max_keepalive_connections=0)  # the reference drops connections after a 500
        async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False, limits=limits) as http:
            side = Side(name, http)
            for chapter in CHAPTERS:
                if only in _name(chapter):
                    try:
                        await chapter.talk(side)
                    except Exception:
                        print(f"{name}, {_name(chapter)}: broke off after {list(side.answers)[-1:]}", file=sys.stderr)
                        raise
            return side

    first, second = await asyncio.gather(one("reference", theirs), one("ours", ours))
    return first, second


def _report(theirs: Side, ours: Side, *, verbose: bool) -> int:
    counted: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    shown: dict[str, list[str]] = {}
    for label, answer in theirs.answers.items():
        found = list(differences(label, masked(answer.plain()), masked(ours.answers[label].plain())))
        left = [one for one in found if not any(kind.covers(one) for kind in INTENDED)]
        counted["unexplained" if left else "intended" if found else "equal"] += 1
        for one in found if verbose else left:
            shown.setdefault(_words(one), []).append(label)
        for one in found:
            kinds.update(kind.name for kind in INTENDED if kind.covers(one))
    for words, labels in shown.items():
        print(f"{words}\n    in {len(labels)}: {'; '.join(list(dict.fromkeys(labels))[:6])}\n")
    for kind in INTENDED:
        print(f"{kinds[kind.name]:6} {kind.name}: {kind.reason}")
    compared = len(theirs.answers)
    print(
        f"{compared} compared, " + ", ".join(f"{counted[word]} {word}" for word in ("equal", "intended", "unexplained"))
    )
    return 1 if counted["unexplained"] or not compared else 0


def _words(found: Difference) -> str:
    def short(value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return text if len(text) < 300 else f"{text[:300]}…"

    path = re.sub(r"\[\d+\]", "[]", found.path)
    return f"{path}\n    theirs {short(found.theirs)}\n    ours   {short(found.ours)}"


if __name__ == "__main__":
    sys.exit(main())

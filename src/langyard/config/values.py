"""How the text of a variable becomes a value: one `Kind` for each sort of setting, with words for what it accepts."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langyard.config import urls

TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")
_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True)
class Kind:
    """`parse` gives the value or raises ValueError, whose text (a clause, may be empty) goes before `accepts`."""

    parse: Callable[[str], Any]
    accepts: str


def whole(at_least: int, at_most: int) -> Kind:
    """A whole number between two bounds, both allowed."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError
        return int(_between(int(text), at_least, at_most))

    return Kind(parse, f"a whole number from {at_least} to {at_most}")


def number(at_least: float, at_most: float) -> Kind:
    """A decimal number between two bounds, both allowed."""

    def parse(text: str) -> float:
        return _between(float(text), at_least, at_most)

    return Kind(parse, f"a number from {at_least:g} to {at_most:.10g}")


def flag() -> Kind:
    """Yes or no."""

    def parse(text: str) -> bool:
        if text.lower() not in TRUE + FALSE:
            raise ValueError
        return text.lower() in TRUE

    return Kind(parse, "true or false (also 1/0, yes/no, on/off)")


def one_of(*choices: str) -> Kind:
    """One of a few words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError
        return text.lower()

    return Kind(parse, "one of " + ", ".join(choices))


def text() -> Kind:
    """Any text without control characters."""

    def parse(text: str) -> str:
        if not text.isprintable():
            raise ValueError("it holds control characters")
        return text

    return Kind(parse, "a text")


def path() -> Kind:
    """A path of this machine; `~` is the home folder."""
    return Kind(lambda text: Path(text).expanduser(), "a path")


def prefix() -> Kind:
    """A URL path under which everything is served; the closing slash is dropped."""

    def parse(text: str) -> str:
        text = text.rstrip("/")
        if text and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text):
            raise ValueError
        return text

    return Kind(parse, "a path such as /langyard")


def origins() -> Kind:
    """A list of web origins, or `*`."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(part.strip().rstrip("/") for part in text.split(",") if part.strip()))
        for origin in found:
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin):
                raise ValueError(f"{origin!r} is no origin")
        return found

    return Kind(parse, "* or origins such as https://app.example.com, separated by commas")


def postgres() -> Kind:
    """A PostgreSQL address."""
    return Kind(urls.postgres_url, "postgresql://user:password@host:5432/database?sslmode=require")


def redis() -> Kind:
    """A Redis or Valkey address."""
    return Kind(urls.redis_url, "redis://:password@host:6379/0, or one of " + ", ".join(urls.REDIS_SCHEMES[1:]))


def signing_secret() -> Kind:
    """A key to sign with: `whsec_` and base64, or any other text, whose bytes it then is."""

    def parse(text: str) -> bytes:
        if text.startswith("whsec_"):
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        else:
            key = text.encode()
        if len(key) < _SHORTEST_KEY:
            raise ValueError(f"it is shorter than {_SHORTEST_KEY} bytes")
        return key

    return Kind(parse, "whsec_ and base64, or a text of at least 16 bytes")


def _between(value: float, at_least: float, at_most: float) -> float:
    if math.isnan(value) or not at_least <= value <= at_most:
        raise ValueError
    return value

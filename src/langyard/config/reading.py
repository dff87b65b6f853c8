"""Reads the environment into `Settings` and says all that is wrong in one error; `app` and `cli` call it once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from langyard.config.entries import Setting, build, walk
from langyard.config.settings import Settings
from langyard.config.values import Kind
from langyard.model.errors import ConfigurationError

NOTHING: Mapping[str, object] = MappingProxyType({})


@cache
def catalogue() -> Mapping[str, Setting]:
    """Every setting by its dotted key (`gateway.port`), in the order of the dataclasses."""
    return MappingProxyType(dict(walk(Settings)))


def load(environ: Mapping[str, str] | None = None, *, overrides: Mapping[str, object] = NOTHING) -> Settings:
    """The settings from the environment (an empty variable counts as unset), under `overrides` from the command line by
    dotted key (None counts as not given).

    Raises ConfigurationError that lists all that is wrong at once.
    """
    environ = os.environ if environ is None else environ
    reading = _Reading(environ)
    for key in overrides.keys() - catalogue().keys():
        raise KeyError(f"there is no setting {key!r}")
    found = {key: reading.value(known, overrides.get(key)) for key, known in catalogue().items()}
    settings: Settings = build(Settings, found)
    reading.problems.extend(_conflicts(settings))
    if reading.problems:
        count = len(reading.problems)
        head = "A setting is wrong:" if count == 1 else f"{count} settings are wrong:"
        raise ConfigurationError("\n- ".join([head, *reading.problems]))
    return replace(
        settings,
        home=settings.home.absolute(),
        config=settings.config.absolute(),
        warnings=(*reading.warnings, *_unknown(environ)),
    )


class _Reading:
    """One pass over the environment: collects what is wrong instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def value(self, known: Setting, override: object) -> Any:
        """The value of one setting, or its default where there is none or a wrong one."""
        if override is not None:
            written = ",".join(map(str, override)) if isinstance(override, tuple | list) else str(override)
            return self._parse(f"{known.env}, given on the command line,", written, known.kind, known)
        given = [(name, text, kind) for name, kind in known.names if (text := self._text(name, known))]
        if not given:
            return known.default
        name, text, kind = given[0]
        for other, differing, _ in given[1:]:
            if differing != text and kind is known.kind:
                self.warnings.append(f"{name} and {other} are both set and differ; {name} holds.")
        return self._parse(name, text, kind, known)

    def _text(self, name: str, known: Setting) -> str | None:
        text = self.environ.get(name, "").strip()
        file = self.environ.get(f"{name}_FILE", "").strip() if known.secret else ""
        if not file:
            return text or None
        if text:
            self.problems.append(f"{name} and {name}_FILE are both set; set one of them.")
            return None
        try:
            return Path(file).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as wrong:
            self.problems.append(f"{name}_FILE is {file!r}, which cannot be read: {wrong}.")
            return None

    def _parse(self, name: str, text: str, kind: Kind, known: Setting) -> Any:
        try:
            return kind.parse(text)
        except ValueError as wrong:
            # int() and float() word their own errors; only a clause of ours is fit to be shown.
            reason = str(wrong) if str(wrong) and "could not convert" not in str(wrong) else ""
            shown = "set (not shown)" if known.secret else repr(text)
            self.problems.append(f"{name} is {shown}{': ' + reason if reason else ''}; accepted: {kind.accepts}.")
            return known.default


def _conflicts(settings: Settings) -> Iterator[str]:
    """Values that are right alone and wrong together."""
    gateway, worker = settings.gateway, settings.worker
    if gateway.cors_credentials and "*" in gateway.cors_origins:
        yield (
            "LANGYARD_CORS_CREDENTIALS is true and LANGYARD_CORS_ORIGINS is '*': every web page a signed-in user opens "
            "could then act with that user's rights; name the origins, or leave credentials off."
        )
    if settings.database.pooler == "transaction" and settings.database.direct_url is None:
        yield (
            "LANGYARD_DB_POOLER is transaction and LANGYARD_DB_DIRECT_URL is unset: notifications, leases and "
            "migrations need a session of their own, which such a pooler does not give; name the database past it."
        )
    if worker.lease_renew_seconds > worker.lease_ttl_seconds / 2:
        yield (
            f"LANGYARD_LEASE_RENEW_SECONDS is {worker.lease_renew_seconds:g} and LANGYARD_LEASE_TTL_SECONDS is "
            f"{worker.lease_ttl_seconds:g}: one late renewal would lose the run; accepted: at most half of it."
        )


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    """A warning for every LANGYARD_ variable that nothing reads: most are misspelled."""
    known = {name for entry in catalogue().values() for name, _ in entry.names}
    known |= {f"{name}_FILE" for entry in catalogue().values() if entry.secret for name, _ in entry.names}
    for name in sorted(environ):
        if name.startswith("LANGYARD_") and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
            yield f"{name} is set but is no setting." + (f" Did you mean {near[0]}?" if near else "")

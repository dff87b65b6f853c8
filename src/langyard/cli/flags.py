"""Options that are settings: named, explained and defaulted by the settings catalogue, so that they cannot drift."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from langyard.config import Setting, catalogue


def option(key: str, *names: str, metavar: str | None = None) -> Any:
    """An option for the setting `key`. Without the flag it is None, and the environment holds."""
    return typer.Option(*names, metavar=metavar, help=described(catalogue()[key]), show_default=False)


def described(known: Setting) -> str:
    """What the setting means, its variable and its default."""
    return f"{known.help} [{known.env}; default {_shown(known.default)}]"


def _shown(default: object) -> str:
    if default is None:
        return "unset"
    return str(default).lower() if isinstance(default, bool) else str(default)


Config = Annotated[str | None, option("config", "--config", metavar="FILE")]
Home = Annotated[str | None, option("home", "--home", metavar="DIR")]
Strict = Annotated[bool | None, option("strict", "--strict/--no-strict")]
LogLevel = Annotated[str | None, option("log.level", "--log-level", metavar="LEVEL")]
LogFormat = Annotated[str | None, option("log.format", "--log-format", metavar="FORMAT")]

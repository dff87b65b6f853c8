"""`webhooks` of `langgraph.json` (contract D.1), checked, variables put into its headers; for `app`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langyard.config.project import Project
from langyard.model.errors import ConfigurationError

_PREFIX = "LG_WEBHOOK_"
_LONGEST = 2048
_REFERENCE = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What a request says of itself; whoever sets these by hand breaks it.
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type", "x-langyard-delivery"})


@dataclass(frozen=True, slots=True)
class WebhookSection:
    """The whole section; with `require_https` and the shorter length only where it has a `url`."""

    require_https: bool = False
    allowed_domains: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = ()
    max_url_length: int = 2 * _LONGEST
    disable_loopback: bool = True
    disable_private_ips: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_fields: tuple[str, ...] = ()


def webhook_section(project: Project | None, environ: Mapping[str, str] | None = None) -> WebhookSection:
    """The section of the project's file, its defaults where it says nothing. Raises ConfigurationError."""
    given = project.section("webhooks") if project is not None else {}
    if not given:
        return WebhookSection()
    headers = _headers(given, os.environ if environ is None else environ)
    fields = _texts(given, "allowed_fields", "webhooks.allowed_fields")
    url = given.get("url")
    if url is None:
        return WebhookSection(headers=headers, allowed_fields=fields)
    if not isinstance(url, dict):
        raise ConfigurationError("`webhooks.url` must be an object.")
    return WebhookSection(
        require_https=_flag(url, "require_https", True),
        allowed_domains=tuple(_domain(text) for text in _texts(url, "allowed_domains", "webhooks.url.allowed_domains")),
        allowed_ports=_ports(url),
        max_url_length=_length(url),
        disable_loopback=_flag(url, "disable_loopback", True),
        disable_private_ips=_flag(url, "disable_private_ips", False),
        headers=headers,
        allowed_fields=fields,
    )


def _headers(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    headers, prefix = given.get("headers", {}), given.get("env_prefix", _PREFIX)
    if not isinstance(prefix, str) or not prefix:
        raise ConfigurationError("`webhooks.env_prefix` must be the beginning of a variable's name.")
    if not isinstance(headers, dict):
        raise ConfigurationError("`webhooks.headers` must be an object of texts.")
    found: dict[str, str] = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or name.lower() in _OWN:
            raise ConfigurationError(f"`webhooks.headers` has {name!r}, which cannot be set.")
        if not isinstance(value, str):
            raise ConfigurationError(f"`webhooks.headers.{name}` must be a text.")

        def value_of(match: re.Match[str], name: str = name) -> str:
            wanted = match[1]
            if not wanted.startswith(prefix):
                raise ConfigurationError(
                    f"`webhooks.headers.{name}` refers to {wanted}; only variables that begin with {prefix} may be "
                    "sent. `webhooks.env_prefix` says which do."
                )
            if wanted not in environ:
                raise ConfigurationError(f"`webhooks.headers.{name}` refers to {wanted}, which is not set.")
            return environ[wanted]

        text = _REFERENCE.sub(value_of, value)
        if not text.isprintable() or not text.isascii():
            raise ConfigurationError(f"`webhooks.headers.{name}` has characters that no header can carry.")
        found[name] = text
    return found


def _domain(text: str) -> str:
    try:
        wild, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
        return wild + name.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ConfigurationError(f"`webhooks.url.allowed_domains` has {text!r}, which is no name of a host.") from None


def _ports(url: Mapping[str, Any]) -> tuple[int, ...]:
    found = url.get("allowed_ports") or []
    fits = isinstance(found, list) and all(type(port) is int and 0 < port < 65536 for port in found)
    if not fits:
        raise ConfigurationError("`webhooks.url.allowed_ports` must be a list of numbers from 1 to 65535.")
    return tuple(found)


def _length(url: Mapping[str, Any]) -> int:
    found = url.get("max_url_length", _LONGEST)
    if type(found) is not int or not 0 < found <= 65_536:
        raise ConfigurationError("`webhooks.url.max_url_length` must be a whole number from 1 to 65536.")
    return found


def _flag(url: Mapping[str, Any], name: str, default: bool) -> bool:
    found = url.get(name, default)
    if not isinstance(found, bool):
        raise ConfigurationError(f"`webhooks.url.{name}` must be true or false.")
    return found


def _texts(given: Mapping[str, Any], name: str, shown: str) -> tuple[str, ...]:
    found = given.get(name) or []
    if not isinstance(found, list) or not all(isinstance(text, str) and text for text in found):
        raise ConfigurationError(f"`{shown}` must be a list of texts.")
    return tuple(found)

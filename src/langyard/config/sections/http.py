"""`http` and `auth` of `langgraph.json` (contract D.1), checked; `app` makes of them what the gateway is given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from langyard.config.project import Project
from langyard.config.values import prefix
from langyard.model.errors import ConfigurationError

FEATURES = (
    "assistants", "threads", "runs", "store", "meta", "webhooks", "ui", "mcp", "a2a", "event_streaming",
)  # fmt: skip
_HTTP = frozenset(
    {"app", "cors", "mount_prefix", "configurable_headers", "logging_headers", "enable_custom_route_auth",
     "middleware_order", *(f"disable_{name}" for name in FEATURES)}
)  # fmt: skip
_CORS = frozenset(
    "allow_origins allow_methods allow_headers allow_credentials allow_origin_regex expose_headers max_age".split()
)
_AUTH = frozenset("path disable_studio_auth allow_langsmith_api_keys openapi cache".split())
_PATTERNS = ("includes", "excludes")


@dataclass(frozen=True, slots=True)
class HeaderSection:
    """Which headers are let through: patterns in which `*` stands for anything."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CorsSection:
    """Whose pages may call. None: as the settings say, or all."""

    allow_origins: tuple[str, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_headers: tuple[str, ...] | None = None
    allow_credentials: bool | None = None
    allow_origin_regex: str | None = None
    expose_headers: tuple[str, ...] = ()
    max_age: int = 600


@dataclass(frozen=True, slots=True)
class HttpSection:
    """The whole of `http`. `disabled` are those of FEATURES that are not served."""

    app: str | None = None
    mount_prefix: str | None = None
    disabled: frozenset[str] = frozenset()
    cors: CorsSection | None = None
    configurable_headers: HeaderSection | None = None
    logging_headers: HeaderSection | None = None
    enable_custom_route_auth: bool = False
    middleware_order: Literal["middleware_first", "auth_first"] = "middleware_first"


@dataclass(frozen=True, slots=True)
class AuthCache:
    """By which headers an authentication is believed again, for how long, and how many are kept."""

    keys: tuple[str, ...]
    ttl_s: float = 60.0
    size: int = 1000


@dataclass(frozen=True, slots=True)
class AuthSection:
    """The whole of `auth`."""

    path: str
    openapi: Mapping[str, Any] = field(default_factory=dict)
    cache: AuthCache | None = None


def http_section(project: Project | None) -> HttpSection:
    """`http` of the project's file. Raises ConfigurationError."""
    given = project.section("http") if project is not None else {}
    _known(given, _HTTP, "http")
    order: Any = given.get("middleware_order") or "middleware_first"
    if order not in ("middleware_first", "auth_first"):
        raise ConfigurationError("`http.middleware_order` must be middleware_first or auth_first.")
    return HttpSection(
        app=_text(given, "app", "http"),
        mount_prefix=_prefix(_text(given, "mount_prefix", "http")),
        disabled=frozenset(name for name in FEATURES if _flag(given, f"disable_{name}", "http")),
        cors=_cors(_object(given, "cors", "http")),
        configurable_headers=_headers(given, "configurable_headers"),
        logging_headers=_headers(given, "logging_headers"),
        enable_custom_route_auth=_flag(given, "enable_custom_route_auth", "http"),
        middleware_order=order,
    )


def auth_section(project: Project | None) -> AuthSection | None:
    """`auth` of the project's file, None where there is none. Raises ConfigurationError."""
    given = project.section("auth") if project is not None else {}
    if not given:
        return None
    _known(given, _AUTH, "auth")
    path = _text(given, "path", "auth")
    if path is None:
        raise ConfigurationError('`auth` needs a `path`, as in {"path": "./auth.py:auth"}.')
    cache = _object(given, "cache", "auth")
    return AuthSection(path, _object(given, "openapi", "auth") or {}, _cache(cache) if cache else None)


def _cache(given: Mapping[str, Any]) -> AuthCache:
    _known(given, frozenset({"cache_keys", "ttl_seconds", "max_size"}), "auth.cache")
    keys = _texts(given, "cache_keys", "auth.cache")
    if not keys:
        raise ConfigurationError(
            '`auth.cache.cache_keys` must name the headers a user is known by, as in ["authorization"].'
        )
    ttl_s, size = given.get("ttl_seconds", 60), given.get("max_size", 1000)
    if not isinstance(ttl_s, int | float) or isinstance(ttl_s, bool) or not 0 < ttl_s <= 86_400:
        raise ConfigurationError("`auth.cache.ttl_seconds` must be a number from 0 to 86400.")
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 10_000_000:
        raise ConfigurationError("`auth.cache.max_size` must be a whole number from 1 to 10000000.")
    return AuthCache(tuple(key.lower() for key in keys), float(ttl_s), size)


def _cors(given: Mapping[str, Any] | None) -> CorsSection | None:
    if given is None:
        return None
    _known(given, _CORS, "http.cors")
    regex = _text(given, "allow_origin_regex", "http.cors")
    if regex is not None:
        _check_regex(regex, credentials=_flag(given, "allow_credentials", "http.cors"))
    age = given.get("max_age", 600)
    if not isinstance(age, int) or isinstance(age, bool) or not 0 <= age <= 86_400:
        raise ConfigurationError("`http.cors.max_age` must be a whole number of seconds from 0 to 86400.")
    credentials = _flag(given, "allow_credentials", "http.cors") if "allow_credentials" in given else None
    return CorsSection(
        allow_origins=_texts(given, "allow_origins", "http.cors"),
        allow_methods=_texts(given, "allow_methods", "http.cors"),
        allow_headers=_texts(given, "allow_headers", "http.cors"),
        allow_credentials=credentials,
        allow_origin_regex=regex,
        expose_headers=_texts(given, "expose_headers", "http.cors") or (),
        max_age=age,
    )


def _check_regex(regex: str, *, credentials: bool) -> None:
    try:
        anyone = re.fullmatch(regex, f"https://{uuid4().hex}.invalid") is not None
    except re.error as wrong:
        raise ConfigurationError(f"`http.cors.allow_origin_regex` is no regular expression: {wrong}.") from None
    if anyone and credentials:
        raise ConfigurationError(
            "`http.cors.allow_origin_regex` fits every origin and credentials are allowed: every web page a signed-in "
            "user opens could then act with that user's rights; name the origins, or leave credentials off."
        )


def _headers(given: Mapping[str, Any], name: str) -> HeaderSection | None:
    found = _object(given, name, "http")
    if found is None:
        return None
    # The official file also says `include` and `exclude`.
    short = {"include": "includes", "exclude": "excludes"}
    found = {short.get(key, key): value for key, value in found.items()}
    _known(found, frozenset(_PATTERNS), f"http.{name}")
    includes, excludes = (_texts(found, key, f"http.{name}") or () for key in _PATTERNS)
    return HeaderSection(includes, excludes)


def _prefix(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        found: str = prefix().parse(given)
    except ValueError:
        raise ConfigurationError("`http.mount_prefix` must be a path such as /langyard.") from None
    if found.startswith("/noauth"):
        raise ConfigurationError("`http.mount_prefix` must not be /noauth: that is the way from within.")
    return found


def _known(given: Mapping[str, Any], names: frozenset[str], section: str) -> None:
    """A key that is misspelled must not be one that silently does not hold."""
    if unknown := sorted(given.keys() - names):
        raise ConfigurationError(f"`{section}` has no key `{unknown[0]}`; known are {', '.join(sorted(names))}.")


def _flag(given: Mapping[str, Any], name: str, section: str) -> bool:
    found = given.get(name, False)
    if found is not None and not isinstance(found, bool):
        raise ConfigurationError(f"`{section}.{name}` must be true or false.")
    return bool(found)


def _text(given: Mapping[str, Any], name: str, section: str) -> str | None:
    found = given.get(name)
    if found is not None and not isinstance(found, str):
        raise ConfigurationError(f"`{section}.{name}` must be a text.")
    return found or None


def _texts(given: Mapping[str, Any], name: str, section: str) -> tuple[str, ...] | None:
    found: Sequence[Any] | None = given.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ConfigurationError(f"`{section}.{name}` must be a list of texts.")
    return tuple(found)


def _object(given: Mapping[str, Any], name: str, section: str) -> Mapping[str, Any] | None:
    found = given.get(name)
    if found is not None and not isinstance(found, dict):
        raise ConfigurationError(f"`{section}.{name}` must be an object.")
    return found

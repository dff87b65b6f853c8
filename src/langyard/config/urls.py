"""Database and Redis addresses: checked, brought to one form, the password hidden on demand; for the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
REDIS_SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster")

_PASSWORD_IN_AUTHORITY = re.compile(r"(://[^/?#@:]*:)[^@]*(@)")
_PASSWORD_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A PostgreSQL address in its parts. No `hosts` means the local socket; port None is libpq's default."""

    hosts: tuple[tuple[str, int | None], ...]
    user: str | None
    password: str | None
    database: str | None
    params: dict[str, str]
    text: str


def parse_postgres_url(text: str) -> PostgresUrl:
    """The parts of a libpq URL (PostgreSQL manual, 32.1.1.2). `postgres://` and `postgresql+driver://` become
    `postgresql://`, and asyncpg's `ssl=` becomes `sslmode=`.

    Raises ValueError with a clause that says what is wrong and never quotes the password.
    """
    scheme, marks, rest = text.strip().partition("://")
    dialect, _, driver = scheme.lower().partition("+")
    if not marks or dialect not in ("postgres", "postgresql"):
        raise ValueError("it does not begin with postgresql://")
    if re.search(r"\s", rest):
        raise ValueError("it holds white space")
    if _STRAY_PERCENT.search(rest):
        raise ValueError("a % in it is not followed by two hexadecimal digits (write % itself as %25)")
    before, _, query = rest.partition("?")
    authority, slash, database = before.partition("/")
    if "@" in database:
        raise ValueError("the user or password holds a / (write it as %2F)")
    userinfo, at, hosts = authority.rpartition("@")
    if "@" in userinfo:
        raise ValueError("the user or password holds an @ (write it as %40)")
    user, colon, password = userinfo.partition(":")
    params = _params(query, driver)
    text = f"postgresql://{authority}{slash}{database}"
    if params:
        text += "?" + "&".join(f"{key}={value}" for key, value in params.items())
    return PostgresUrl(
        hosts=tuple(_host(part) for part in hosts.split(",")) if hosts else (),
        user=unquote(user) if at and user else None,
        password=unquote(password) if colon else None,
        database=unquote(database) or None,
        params={key: unquote(value) for key, value in params.items()},
        text=text,
    )


def postgres_url(text: str) -> str:
    """The address in the one form the driver is given."""
    return parse_postgres_url(text).text


def redis_url(text: str) -> str:
    """The address as it is, when its scheme is one that Redis clients know. Raises ValueError otherwise."""
    scheme, marks, rest = text.strip().partition("://")
    if not marks or scheme.lower() not in REDIS_SCHEMES:
        raise ValueError("it does not begin with redis:// or another accepted scheme")
    if not rest:
        raise ValueError("it names no server")
    return f"{scheme.lower()}://{rest}"


def mask_url(url: str) -> str:
    """The address with its passwords replaced by ***."""
    return _PASSWORD_IN_QUERY.sub(r"\1***", _PASSWORD_IN_AUTHORITY.sub(r"\1***\2", url))


def _host(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError("an IPv6 address in it lacks its closing bracket")
        port = port[1:]
    else:
        name, _, port = text.partition(":")
        if ":" in port:
            raise ValueError("an IPv6 address in it needs brackets, as in [::1]:5432")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(
            "a port in it is not a number from 1 to 65535 (or the password holds a character to be escaped)"
        )
    return unquote(name), int(port) if port else None


def _params(query: str, driver: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"its parameter {key!r} has no value")
        params["sslmode" if key == "ssl" and driver == "asyncpg" else key] = value
    if (mode := params.get("sslmode")) is not None and mode not in SSL_MODES:
        raise ValueError(f"its sslmode is not one of {', '.join(SSL_MODES)}")
    return params

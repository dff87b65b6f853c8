"""Connections to the Redis that an address names: one server, the master that sentinels know, or a node of a cluster.

    redis://[user:password@]host:port/db         rediss:// with TLS, unix:///path for a socket; also valkey(s)://
    redis+sentinel://[user:password@]host:port,host:port/master[/db]     rediss+sentinel:// with TLS
    redis+cluster://[user:password@]host:port,host:port                  ?ssl=true with TLS

What follows ? goes to the client as it is, such as `ssl_ca_certs`; `sentinel_username` and `sentinel_password` are for
the sentinels. A cluster hands what is published to one of its nodes to all, so one is enough; another is taken when it
fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from langyard.model.errors import ConfigurationError

CONNECT_S = 1.0
"""How long a connection may take to be made."""

_SENTINEL_PORT, _PORT = 26379, 6379
Dial = Callable[[], Awaitable[AbstractConnection]]


def dialer(url: str, *, answer_s: float) -> Dial:
    """Makes a connection whenever it is called; a command on it fails after `answer_s` seconds without an answer.

    Raises ConfigurationError when the address cannot be read.
    """
    options: dict[str, Any] = {
        "protocol": 2,  # as Redis 6.2 speaks without being asked
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": answer_s,
        "client_name": "langyard",
        "driver_info": None,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme, _, rest = url.partition("://")
    try:
        if scheme in ("redis+sentinel", "rediss+sentinel"):
            pools = [_sentinel(rest, scheme == "rediss+sentinel", options)]
        elif scheme == "redis+cluster":
            pools = _cluster(rest, options)
        else:
            plain = {"valkey": "redis", "valkeys": "rediss"}.get(scheme, scheme)
            pools = [ConnectionPool.from_url(f"{plain}://{rest}", **options)]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"REDIS_URL cannot be read: {error}.") from error
    turns = itertools.cycle(pools)

    async def dial() -> AbstractConnection:
        connection: AbstractConnection = next(turns).make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    return dial


def _sentinel(rest: str, secure: bool, options: Mapping[str, Any]) -> ConnectionPool:
    hosts, path, given = _parts(rest, _SENTINEL_PORT)
    master, _, db = path.partition("/")
    if not master:
        raise ValueError("it names no master, as in redis+sentinel://host:26379/mymaster")
    # Without retries of its own: the next sentinel is asked at once.
    known = {name: options[name] for name in ("socket_connect_timeout", "socket_timeout", "driver_info", "retry")}
    for name in ("username", "password"):
        if (value := given.pop(f"sentinel_{name}", None)) is not None:
            known[name] = value
    sentinel = Sentinel(hosts, sentinel_kwargs=known)  # type: ignore[no-untyped-call]
    return SentinelConnectionPool(master, sentinel, ssl=secure, **{**options, **given, "db": int(db or 0)})  # type: ignore[no-untyped-call]


def _cluster(rest: str, options: Mapping[str, Any]) -> list[ConnectionPool]:
    hosts, _, given = _parts(rest, _PORT)
    scheme = "rediss" if given.pop("ssl", "false").lower() in ("true", "1", "yes") else "redis"
    return [
        ConnectionPool.from_url(f"{scheme}://{_shown(host)}:{port}", **{**options, **given}) for host, port in hosts
    ]


def _parts(rest: str, port: int) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Hosts, path and options of `[user:password@]host:port,host:port/path?options`."""
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    given: dict[str, Any] = dict(parse_qsl(query))
    if user:
        given["username"] = unquote(user)
    if colon:
        given["password"] = unquote(password)
    found = []
    for part in filter(None, hosts.split(",")):
        name, colon, number = part.rpartition(":") if part.rfind(":") > part.rfind("]") else (part, "", "")
        if colon and not number.isdigit():
            raise ValueError("a port in it is no number")
        found.append((name.strip("[]"), int(number) if number else port))
    if not found:
        raise ValueError("it names no server")
    return found, unquote(path).strip("/"), given


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""Which errors of a node are the infrastructure's, so that the same run may succeed a moment later; for executions.

Told by the names of their classes: no library is imported to ask whether an error is its own. What the user's code
raises by itself is never among them, whatever it derives from.
"""

from __future__ import annotations

RETRIABLE = frozenset(
    {
        "builtins.ConnectionError",
        "socket.gaierror",
        "langyard.model.errors.Unavailable",
        "psycopg.OperationalError",
        "psycopg.InterfaceError",
        "psycopg_pool.PoolTimeout",
        "httpx.ConnectError",
        "httpx.ConnectTimeout",
        "httpx.ReadError",
        "httpx.ReadTimeout",
        "httpx.WriteError",
        "httpx.WriteTimeout",
        "httpx.PoolTimeout",
        "httpx.RemoteProtocolError",
        "httpx.ProxyError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "aiohttp.client_exceptions.ClientConnectionError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "openai.APIConnectionError",
        "anthropic.APIConnectionError",
        "botocore.exceptions.EndpointConnectionError",
        "botocore.exceptions.ConnectTimeoutError",
        "botocore.exceptions.ReadTimeoutError",
    }
)
"""Classes, by module and name, with those of the same package that derive from them."""

# Derived from one of those, and no fault of a connection: the same statement takes as long again.
_NOT = frozenset({"psycopg.errors.QueryCanceled"})


def is_retriable(error: BaseException) -> bool:
    """Whether the error is one of RETRIABLE. A class of another package that derives from one is its author's own."""
    own = type(error)
    package = own.__module__.partition(".")[0]
    if _name(own) in _NOT:
        return False
    return any(_name(each) in RETRIABLE and _package(each) == package for each in own.__mro__)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]

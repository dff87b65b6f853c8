"""The sockets of a server, bound before anything else is started; `serve` calls it."""

from __future__ import annotations

import errno
import os
import socket

from langyard.model.errors import ConfigurationError


def bind(host: str, port: int) -> list[socket.socket]:
    """A bound socket for every address of `host`, all on one port; nothing listens yet. Raises ConfigurationError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"There is no address {host!r} to listen on: {error.strerror}.") from error
    bound: list[socket.socket] = []
    failure: OSError | None = None
    for family, address in dict.fromkeys((entry[0], entry[4][0]) for entry in found):
        try:
            made = _bound(family, str(address), bound[0].getsockname()[1] if bound else port)
        except OSError as error:
            # `localhost` may mean ::1 on a machine without IPv6; one address is enough, a port in use is not.
            failure = error
            if error.errno == errno.EADDRINUSE:
                break
        else:
            bound.append(made)
    if failure is not None and (not bound or failure.errno == errno.EADDRINUSE):
        for made in bound:
            made.close()
        raise refused(host, port, failure) from failure
    return bound


def refused(host: str, port: int, error: OSError) -> ConfigurationError:
    """Why a port cannot be had, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"Port {port} on {host} is in use by another program. Choose another with --port (0 takes a free one)."
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(f"Port {port} needs more rights than this user has. Choose one from 1024 on.")
    return ConfigurationError(f"Cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}.")


def address(host: str, bound: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{bound.getsockname()[1]}"


def _bound(family: int, host: str, port: int) -> socket.socket:
    # Named, the protocol makes asyncio send small answers at once, as uvloop does in any case.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # the IPv4 address has a socket of its own
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made

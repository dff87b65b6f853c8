"""Which network addresses a webhook may reach, and a transport that reaches no other. Used within the room.

A name is resolved once for each request; every address it has is judged, and the connection goes to one that was:
whoever owns the name cannot answer the check with one address and the connection with another (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

RESOLVE_S = 5.0
_AT_ONCE = 64
# Where clouds tell a machine its own credentials. The link-local one, the best known, is refused with all its kind.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
)
# What Python does not count as private: between a carrier and its customers, and IPv6's site-local of old.
_PRIVATE_TOO = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("fec0::/10"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Blocked(Exception):
    """The host may not be called; the text is the reason. `passing`: a later try may find it allowed."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class Guard:
    """What is let through; `close` ends the threads that resolve names."""

    def __init__(self, *, loopback: bool = False, private: bool = True) -> None:
        self._loopback = loopback
        self._private = private
        # Of its own: a name server that is silent must not keep the process's other threads. Many: who was given up
        # waiting for keeps its thread until the system gives up too, and names are whatever clients say.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="langyard names")

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, every one of them allowed. Raises `Blocked`."""
        try:
            found: Sequence[Address] = [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            found = await self._resolve(host, port)
        for address in found:
            if (reason := self.reason(address)) is not None:
                raise Blocked(reason)
        return [str(address) for address in found]

    def reason(self, address: Address) -> str | None:
        """Why this address may not be called; None when it may."""
        address = _inner(address)
        if address in _METADATA:
            return "metadata address"
        if address.is_loopback:
            return None if self._loopback else "loopback address"
        if address.is_link_local:
            return "link-local address"
        if address.is_multicast or address.is_unspecified or _is_reserved(address):
            return "reserved address"
        if address.is_private or any(address in network for network in _PRIVATE_TOO):
            return None if self._private else "private address"
        return None

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_S):
                rows = await loop.run_in_executor(
                    self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                )
        except (OSError, UnicodeError, TimeoutError):
            raise Blocked("DNS resolution failed", passing=True) from None
        # A scope, as in fe80::1%eth0, is no part of the address.
        return [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to addresses the guard has judged; name and certificate stay those of the URL."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        # Kept connections would be known by their address: of two names on one address, the second would be sent over a
        # connection whose certificate was checked for the first.
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `Blocked`, and httpx's own errors."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        allowed = await self._guard.addresses(host, port)
        extensions = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
        for number, address in enumerate(allowed, 1):
            aimed = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(aimed)
            except httpx.ConnectError:
                if number == len(allowed):
                    raise
        raise Blocked("DNS resolution failed", passing=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _inner(address: Address) -> Address:
    """What an IPv6 address leads to that only wraps one of IPv4."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_reserved(address: Address) -> bool:
    # Python counts IPv6's unique local addresses and much else as private, these it counts as reserved or neither.
    return address.is_reserved or (isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK)


_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")

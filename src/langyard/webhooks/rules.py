"""What a webhook's URL may be, asked before a run or a cron is made with it, and again before it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx

from langyard.model.errors import Invalid
from langyard.model.stopping import stop
from langyard.webhooks.addresses import Blocked, Guard

# Of the names of one request so many are asked for side by side: others' are asked for besides.
_AT_ONCE = 16
_TOGETHER_S = 10.0
_LAST_PORT = 65_535
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """`webhooks` of `langgraph.json`. Empty collections mean: any. `headers` are sent with each; `fields` are what the
    body is cut down to; `secret` signs it."""

    require_https: bool = False
    domains: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    max_length: int = 4096
    loopback: bool = False
    private: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    fields: tuple[str, ...] = ()
    secret: bytes | None = field(default=None, repr=False)


class Webhooks:
    """The rules as they are asked for. `close` when done."""

    def __init__(self, rules: WebhookRules | None = None) -> None:
        self.rules = rules or WebhookRules()
        self._guard = Guard(loopback=self.rules.loopback, private=self.rules.private)
        self.sending = Guard(loopback=self.rules.loopback, private=self.rules.private)
        """For who calls: names that clients have checked, however many and slow, do not hold up what is to be sent."""

    def close(self) -> None:
        """Wait for nobody."""
        self._guard.close()
        self.sending.close()

    async def check(self, url: str | None) -> None:
        """Raises `Invalid` (`invalid_webhook`) when the URL may not be called; None is always right."""
        if url is not None:
            await self.check_many([url])

    async def check_many(self, urls: Iterable[str]) -> None:
        """The same of several, each host asked for once and some side by side; all of them have a time together."""
        found = {url: self.parse(url) for url in dict.fromkeys(urls)}
        hosts = dict.fromkeys((one.host, one.port or _PORTS[one.scheme]) for one in found.values())
        turns = asyncio.Semaphore(_AT_ONCE)
        asking = [asyncio.create_task(self._ask(turns, host, port)) for host, port in hosts]
        try:
            if asking:
                await asyncio.wait(asking, timeout=_TOGETHER_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in asking:
                if task.done():
                    task.result()
            if not all(task.done() for task in asking):
                raise _refused("Webhook host blocked: DNS resolution failed")
        finally:
            await stop(asking)

    async def _ask(self, turns: asyncio.Semaphore, host: str, port: int) -> None:
        try:
            async with turns:
                await self._guard.addresses(host, port)
        except Blocked as blocked:
            raise _refused(f"Webhook host blocked: {blocked}") from None

    def parse(self, url: str) -> httpx.URL:
        """The URL, right in all that can be seen without asking a name server. Raises `Invalid`."""
        rules = self.rules
        if len(url) > rules.max_length:
            raise _refused("Webhook URL too long")
        try:
            parsed = httpx.URL(url)
            host = parsed.raw_host.decode("ascii").lower().rstrip(".")
            _ = parsed.host  # what claims to be an international name need not be one
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise _refused("Webhook URL is not valid") from None
        if url.startswith("/") or not parsed.scheme:
            raise _refused("Webhook URL must be absolute")
        if parsed.scheme not in _PORTS:
            raise _refused(f"Webhook host blocked: scheme {parsed.scheme[:50]!r} not allowed")
        if not host or not 0 < (parsed.port or 1) <= _LAST_PORT:
            raise _refused("Webhook URL is not valid")
        if rules.require_https and parsed.scheme != "https":
            raise _refused("Webhook must use https")
        if rules.domains and not any(_matches(host, domain) for domain in rules.domains):
            raise _refused("Webhook domain not allowed")
        port = parsed.port or _PORTS[parsed.scheme]
        if rules.ports and port not in rules.ports:
            raise _refused(f"Webhook port {port} not allowed")
        return parsed


def _matches(host: str, domain: str) -> bool:
    """`*.example.com` stands for every name below it, not for itself."""
    return host.endswith(domain[1:]) and host != domain[2:] if domain.startswith("*.") else host == domain


def _refused(text: str) -> Invalid:
    return Invalid(text, code="invalid_webhook")

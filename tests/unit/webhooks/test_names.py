"""Names of webhooks' hosts, which clients choose and name servers of theirs answer, or do not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import Any

import pytest

from langyard.model.errors import Invalid
from langyard.webhooks import WebhookRules, Webhooks


async def test_names_that_are_not_answered_hold_up_no_webhook_that_is_to_be_sent(monkeypatch: pytest.MonkeyPatch):
    answered, asked = threading.Event(), threading.Semaphore(0)

    def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        if host == "silent.example":
            asked.release()
            answered.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.2.3.4", port))]

    monkeypatch.setattr("langyard.webhooks.addresses.socket.getaddrinfo", getaddrinfo)
    webhooks = Webhooks()
    checks = [asyncio.create_task(webhooks.check("http://silent.example/")) for _ in range(200)]
    try:
        await asyncio.to_thread(asked.acquire)
        assert await webhooks.sending.addresses("receiver.example", 80) == ["1.2.3.4"]
    finally:
        answered.set()
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
        webhooks.close()


@pytest.mark.parametrize("host", ["xn--", "xn--a.example"])
def test_a_name_that_claims_to_be_international_and_is_none_is_refused(host: str):
    with pytest.raises(Invalid):
        Webhooks().parse(f"http://{host}/")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fec0::1", "private address"),
        ("fd00::1", "private address"),
        ("100.64.0.1", "private address"),
        ("198.18.0.1", "private address"),
        ("::ffff:169.254.169.254", "link-local address"),
        ("64:ff9b::7f00:1", "loopback address"),
        ("2002:7f00:1::", "loopback address"),
        ("::7f00:1", "reserved address"),
        ("1.2.3.4", None),
        ("2606:4700::1111", None),
    ],
)
def test_no_way_of_writing_an_address_leads_within(text: str, reason: str | None):
    webhooks = Webhooks(WebhookRules(private=False))
    try:
        assert webhooks.sending.reason(ipaddress.ip_address(text)) == reason
    finally:
        webhooks.close()

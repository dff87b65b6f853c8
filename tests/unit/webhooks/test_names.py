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
from tests.unit.gateway.serving import serve


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


async def test_the_names_of_a_request_are_asked_for_side_by_side_and_each_once(monkeypatch: pytest.MonkeyPatch):
    together, asked = threading.Barrier(16), list[str]()

    def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        together.wait(20)  # nobody is answered before all of these are asked for
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.2.3.4", port))]

    monkeypatch.setattr("langyard.webhooks.addresses.socket.getaddrinfo", getaddrinfo)
    webhooks = Webhooks()
    try:
        await webhooks.check_many(f"http://host{number % 32}.example/{number}" for number in range(96))
        assert sorted(asked) == sorted(f"host{number}.example" for number in range(32))
        await webhooks.check_many([])
    finally:
        together.abort()
        webhooks.close()


async def test_the_names_of_a_request_have_a_time_together(monkeypatch: pytest.MonkeyPatch):
    answered = threading.Event()

    def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        answered.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.2.3.4", port))]

    monkeypatch.setattr("langyard.webhooks.addresses.socket.getaddrinfo", getaddrinfo)
    monkeypatch.setattr("langyard.webhooks.addresses.RESOLVE_S", 60.0)
    monkeypatch.setattr("langyard.webhooks.rules._TOGETHER_S", 0.2)
    webhooks = Webhooks()
    try:
        async with asyncio.timeout(30):
            with pytest.raises(Invalid, match="DNS resolution failed"):
                await webhooks.check_many(f"http://host{number}.example/" for number in range(1000))
        with pytest.raises(Invalid, match="loopback address"):
            await webhooks.check_many(["http://1.2.3.4/", "http://127.0.0.1/"])
    finally:
        answered.set()
        webhooks.close()


async def test_a_batch_asks_for_a_name_once(database: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.2.3.4", port))]

    async with serve(database, sections={"http": {"disable_webhooks": True}}) as served:
        monkeypatch.setattr("langyard.webhooks.addresses.socket.getaddrinfo", getaddrinfo)
        run = {"assistant_id": "echo", "input": {"x": 1}}
        hooks = [f"http://receiver{number % 3}.example/{number}" for number in range(30)]
        for headers in ({}, {"Idempotency-Key": "batch"}):
            asked.clear()
            made = await served.http.post(
                "/runs/batch", json=[{**run, "webhook": hook} for hook in hooks], headers=headers
            )
            assert made.status_code == 200
            assert sorted(asked) == [f"receiver{number}.example" for number in range(3)]
        wrong = await served.http.post("/runs/batch", json=[run, {**run, "webhook": "http://169.254.169.254/"}])
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_webhook")


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

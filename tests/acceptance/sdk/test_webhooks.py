"""Webhooks by the official SDK, to a real receiver: contract A.9 and of section I number 39."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from langyard.postgres.rows import runs as rows
from tests.acceptance.receiving import Received, Receiver, receiving
from tests.acceptance.sdk.agents import Agents, serving
from tests.acceptance.sdk.test_assistants import detail
from tests.unit.gateway.serving import until

OPEN: dict[str, Any] = {"require_https": False, "disable_loopback": False}
FIELDS = {
    "run_id", "thread_id", "assistant_id", "metadata", "status", "kwargs", "multitask_strategy", "created_at",
    "updated_at", "langsmith_session_name", "run_started_at", "run_ended_at", "webhook_sent_at", "values",
}  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


async def came(receiver: Receiver) -> Received:
    return await asyncio.to_thread(receiver.next)


async def unsent(agents: Agents) -> int:
    rows = await agents.app.database.fetch("select 1 from langyard.runs where webhook_at is not null")
    return len(rows)


async def settled(agents: Agents) -> None:
    async with asyncio.timeout(30):
        while await unsent(agents):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)


async def test_i39_every_final_status_goes_out_with_the_whole_run(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        runs = agents.sdk.runs
        thread_id = (await agents.sdk.threads.create())["thread_id"]

        made = await runs.create(thread_id, "echo", input={"x": 1}, metadata={"m": "é"}, webhook=receiver.url)
        told = (await came(receiver)).body
        assert set(told) == FIELDS
        assert (told["run_id"], told["status"], told["values"]) == (made["run_id"], "success", {"x": 2, "log": ["x=1"]})
        assert told["metadata"]["m"] == "é"
        assert told["kwargs"]["webhook"] == receiver.url
        times = [
            dt.datetime.fromisoformat(told[name]) for name in ("run_started_at", "run_ended_at", "webhook_sent_at")
        ]
        assert times == sorted(times)

        await runs.create(thread_id, "fail", input={"x": 1}, webhook=receiver.url)
        told = (await came(receiver)).body
        assert set(told) == FIELDS | {"error"}
        assert told["status"] == "error"
        assert set(told["error"]) == {"error", "message"}

        await runs.create(thread_id, "ask", input={}, webhook=receiver.url)
        told = (await came(receiver)).body
        assert (told["status"], "error" in told) == ("success", False)

        running = await runs.create(thread_id, "hang", input={}, webhook=receiver.url)
        pending = await runs.create(thread_id, "echo", input={}, webhook=receiver.url)
        await runs.cancel(thread_id, pending["run_id"])
        never_begun = (await came(receiver)).body
        await runs.cancel(thread_id, running["run_id"], wait=True)
        stopped = (await came(receiver)).body
        reason = "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel"
        for told, run in ((never_begun, pending), (stopped, running)):
            assert told["run_id"] == run["run_id"]
            assert told["status"] == "interrupted"
            assert told["error"] == {"error": "UserInterrupt", "message": reason}
        assert never_begun["run_started_at"] is None


async def test_a_timeout_is_told_too(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}, runs={"timeout_seconds": 0.2}) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await agents.sdk.runs.create(thread_id, "hang", input={}, webhook=receiver.url)
        told = (await came(receiver)).body
        assert (told["status"], told["error"]["error"]) == ("timeout", "TimeoutError")


async def test_a_run_without_a_thread_is_kept_until_it_was_told_of_and_then_leaves_nothing(
    database: str, receiver: Receiver
):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        held = threading.Event()
        receiver.answers = [held]
        made = await agents.sdk.runs.create(None, "echo", input={"x": 1}, webhook=receiver.url)
        told = (await came(receiver)).body
        assert (told["status"], told["values"]) == ("success", {"x": 2, "log": ["x=1"]})
        assert await unsent(agents) == 1
        held.set()
        await settled(agents)
        await rows.sweep(agents.app.database, grace_s=0)
        for table, column in (("runs", "run_id"), ("threads", "thread_id")):
            sql = f"select 1 from langyard.{table} where {column} = %(id)s"
            assert await agents.app.database.fetch(sql, {"id": UUID(made[column])}) == []

        await agents.sdk.runs.create(None, "fail", input={"x": 1}, webhook=receiver.url)
        told = (await came(receiver)).body
        assert (told["status"], told["values"]) == ("error", None)


async def test_the_state_is_that_of_the_run_not_of_the_next_one(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        receiver.answers = [500]
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await agents.sdk.runs.create(thread_id, "echo", input={"x": 1}, webhook=receiver.url)
        assert (await came(receiver)).body["values"]["x"] == 2
        await agents.sdk.runs.wait(thread_id, "echo", input={"x": 10})
        assert (await came(receiver)).body["values"]["x"] == 2


async def test_three_tries_and_no_more(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        agents.app.sender.pauses_s = (0.01, 0.01)
        for answers, tries in (([500, 429, 200], 3), ([500, 503, 500, 200], 3), ([404, 200], 1), ([302, 200], 1)):
            receiver.answers = list(answers)
            made = await agents.sdk.runs.create(None, "echo", input={}, webhook=receiver.url)
            for _ in range(tries):
                got = await came(receiver)
                # The same mark each time: a receiver knows a repetition by it.
                assert got.headers["x-langyard-delivery"] == made["run_id"]
            await settled(agents)
            assert receiver.came.empty()


async def test_an_answer_that_does_not_come_is_not_waited_for(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        agents.app.sender.total_s = 0.3
        agents.app.sender.pauses_s = (0.01, 0.01)
        silent = threading.Event()
        receiver.answers = [silent, 200]
        await agents.sdk.runs.create(None, "echo", input={}, webhook=receiver.url)
        await came(receiver)
        await came(receiver)
        await settled(agents)
        silent.set()


async def test_a_redirect_is_not_followed(database: str, receiver: Receiver):
    with receiving() as elsewhere:
        async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
            receiver.answers = [elsewhere.url]
            await agents.sdk.runs.create(None, "echo", input={}, webhook=receiver.url)
            await came(receiver)
            await settled(agents)
            assert elsewhere.came.empty()


async def test_headers_fields_and_signature(database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LG_WEBHOOK_TOKEN", "s3cret")
    section = {
        "url": OPEN,
        "headers": {"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}", "X-Plain": "p"},
        "allowed_fields": ["run_id", "status", "values"],
    }
    secret = b"0123456789abcdef0123456789abcdef"
    async with serving(database, sections={"webhooks": section}, webhooks={"secret": secret}) as agents:
        made = await agents.sdk.runs.create(None, "echo", input={"x": 1}, webhook=f"{receiver.url}?a=1")
        got = await came(receiver)
    assert got.path == "/hook?a=1"
    assert got.body == {"run_id": made["run_id"], "status": "success", "values": {"x": 2, "log": ["x=1"]}}
    assert got.headers["authorization"] == "Bearer s3cret"
    assert got.headers["x-plain"] == "p"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == made["run_id"]
    signed = b"%b.%b.%b" % (made["run_id"].encode(), got.headers["webhook-timestamp"].encode(), got.content)
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"


async def test_what_a_dead_process_left_is_sent_by_another(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        held = threading.Event()
        receiver.answers = [held]
        await agents.sdk.runs.create(None, "echo", input={"x": 1}, webhook=receiver.url)
        first = await came(receiver)
    # It ended before there was an answer; its claim lapses.
    async with serving(database, sections={"webhooks": {"url": OPEN}}, webhooks={"poll_seconds": 0.05}) as agents:
        assert await unsent(agents) == 1
        await agents.app.database.execute("update langyard.runs set webhook_at = now()")
        again = await came(receiver)
        assert again.headers["x-langyard-delivery"] == first.headers["x-langyard-delivery"]
        await settled(agents)
        held.set()
        await until(lambda: not receiver.answers)


async def test_with_webhooks_off_nothing_is_sent_and_nothing_stays(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        agents.app.sender.enabled = False
        await agents.sdk.runs.create(None, "echo", input={}, webhook=receiver.url)
        await settled(agents)
        await rows.sweep(agents.app.database, grace_s=0)
        assert await agents.app.database.fetch("select 1 from langyard.runs") == []
        assert receiver.came.empty()


REFUSED = {
    "http://127.0.0.1:1/x": "Webhook host blocked: loopback address",
    "http://localhost/x": "Webhook host blocked: loopback address",
    "http://[::1]/x": "Webhook host blocked: loopback address",
    "http://[::ffff:127.0.0.1]/x": "Webhook host blocked: loopback address",
    "http://[64:ff9b::7f00:1]/x": "Webhook host blocked: loopback address",
    "http://2130706433/x": "Webhook host blocked: loopback address",
    "http://0x7f.1/x": "Webhook host blocked: loopback address",
    "http://169.254.169.254/latest": "Webhook host blocked: link-local address",
    "http://[fe80::1]/": "Webhook host blocked: link-local address",
    "http://100.100.100.200/": "Webhook host blocked: metadata address",
    "http://[fd00:ec2::254]/": "Webhook host blocked: metadata address",
    "http://0.0.0.0/": "Webhook host blocked: reserved address",
    "http://224.0.0.1/": "Webhook host blocked: reserved address",
    "http://nowhere.invalid/x": "Webhook host blocked: DNS resolution failed",
    "ftp://example.com/x": "Webhook host blocked: scheme 'ftp' not allowed",
    "/hook": "Webhook URL must be absolute",
    "//example.com/hook": "Webhook URL must be absolute",
    "hook": "Webhook URL must be absolute",
    "http:///x": "Webhook URL is not valid",
    "http://10.0.0.1:99999/": "Webhook URL is not valid",
    f"http://10.0.0.1/{'x' * 5000}": "Webhook URL too long",
}  # fmt: skip


async def test_what_may_not_be_called_is_refused_on_every_way_to_make_a_run(agents: Agents):
    sdk = agents.sdk
    thread_id = (await sdk.threads.create())["thread_id"]
    for url, sentence in REFUSED.items():
        with pytest.raises(UnprocessableEntityError) as wrong:
            await sdk.runs.create(thread_id, "echo", input={}, webhook=url)
        assert detail(wrong) == sentence, url
    wrong_url = "http://127.0.0.1/x"
    for call in (
        sdk.runs.create(None, "echo", webhook=wrong_url),
        sdk.runs.create_batch([{"assistant_id": "echo"}, {"assistant_id": "echo", "webhook": wrong_url}]),
        sdk.crons.create("echo", schedule="0 0 1 1 *", webhook=wrong_url),
        sdk.crons.create_for_thread(thread_id, "echo", schedule="0 0 1 1 *", webhook=wrong_url),
    ):
        with pytest.raises(UnprocessableEntityError):
            await call
    for path in ("/runs/wait", "/runs/stream", f"/threads/{thread_id}/runs/wait", f"/threads/{thread_id}/runs/stream"):
        answer = await agents.served.http.post(path, json={"assistant_id": "echo", "webhook": wrong_url})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_webhook")
    cron = await sdk.crons.create("echo", schedule="0 0 1 1 *")
    with pytest.raises(UnprocessableEntityError):
        await sdk.crons.update(cron["cron_id"], webhook=wrong_url)
    assert await agents.app.database.fetch("select 1 from langyard.runs") == []


async def test_the_rules_of_the_project_file(database: str):
    url = {
        "allowed_domains": ["*.example.com", "10.1.1.1", "10.1.1.2"],
        "allowed_ports": [443, 8443],
        "max_url_length": 60,
        "disable_private_ips": True,
    }
    async with serving(database, sections={"webhooks": {"url": url}}) as agents:
        for wrong, sentence in {
            "http://a.example.com/": "Webhook must use https",
            "https://example.com/": "Webhook domain not allowed",
            "https://a.example.com.evil.org/": "Webhook domain not allowed",
            "https://evil-example.com/": "Webhook domain not allowed",
            "https://a.example.com:22/": "Webhook port 22 not allowed",
            "https://10.1.1.1:8443/": "Webhook host blocked: private address",
            f"https://10.1.1.1/{'x' * 60}": "Webhook URL too long",
        }.items():
            with pytest.raises(UnprocessableEntityError) as refused:
                await agents.sdk.runs.create(None, "echo", input={}, webhook=wrong)
            assert detail(refused) == sentence, wrong


async def test_a_name_that_leads_elsewhere_by_the_time_of_the_call_is_not_called(
    database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    """DNS rebinding: the name was harmless when the run was made."""
    names = {"rebound.test": "10.1.2.3"}
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])

    def getaddrinfo(host: str, wanted: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (names[host], wanted))]

    monkeypatch.setattr("langyard.webhooks.addresses.socket.getaddrinfo", getaddrinfo)
    async with serving(database) as agents:
        held = await agents.sdk.threads.create()
        waiting = await agents.sdk.runs.create(
            held["thread_id"], "echo", input={}, webhook=f"http://rebound.test:{port}/hook", after_seconds=3600
        )
        names["rebound.test"] = "127.0.0.1"
        await agents.sdk.runs.cancel(held["thread_id"], waiting["run_id"])
        await settled(agents)
        assert receiver.came.empty()


async def test_the_host_header_keeps_the_name_though_the_connection_goes_to_the_address(
    database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    monkeypatch.setattr(
        "langyard.webhooks.addresses.socket.getaddrinfo",
        lambda host, wanted, **_: [(2, 1, 6, "", ("127.0.0.1", wanted))],
    )
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        await agents.sdk.runs.create(None, "echo", input={}, webhook=f"http://hooks.test:{port}/hook")
        assert (await came(receiver)).headers["host"] == f"hooks.test:{port}"


async def test_deleting_a_thread_takes_its_webhooks_with_it(database: str, receiver: Receiver):
    async with serving(database, sections={"webhooks": {"url": OPEN}}) as agents:
        receiver.answers = [500] * 9
        thread_id = str(uuid4())
        await agents.sdk.threads.create(thread_id=thread_id)
        await agents.sdk.runs.create(thread_id, "echo", input={}, webhook=receiver.url)
        await came(receiver)
        await agents.sdk.threads.delete(thread_id)
        assert await unsent(agents) == 0

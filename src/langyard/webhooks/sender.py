"""Sends the webhooks of ended runs, from whichever process comes first; `app` opens one in each process.

The table of runs is the queue: a row is due when its run has ended and `webhook_at` has come. Whoever claims it moves
that time beyond the longest a call may take, so that a sender that dies is followed by another: at least once, never
lost. Off the path of runs: whoever ends one only wakes the sender.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx

from langyard import __version__, serde
from langyard.model.errors import Invalid, LangyardError
from langyard.model.runs import shown_error
from langyard.model.stopping import stop
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import webhooks as rows
from langyard.webhooks.addresses import Blocked, GuardedTransport
from langyard.webhooks.rules import Webhooks
from langyard.webhooks.signing import signed

log = logging.getLogger(__name__)

TRIES = 3
# Seconds until the second and the third try, give or take a quarter.
PAUSES_S = (1.0, 5.0)
_CONNECT_S = 5.0
_TOTAL_S = 30.0
_AT_ONCE = 16
_TOO_MANY = 429
_WRONG = 500
_DELIVERY = "X-Langyard-Delivery"


class Sender:
    """`start` on the loop that is to send, `close` on the same; `wake` from any thread.

    `shape` makes of a run's row what clients know as a run. Not `enabled`, it sends nothing and lets what is due go.
    """

    def __init__(
        self,
        database: Database,
        webhooks: Webhooks,
        shape: Callable[[Row], Mapping[str, Any]],
        *,
        enabled: bool = True,
        poll_s: float = 5.0,
        pauses_s: tuple[float, ...] = PAUSES_S,
        total_s: float = _TOTAL_S,
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._shape = shape
        self.enabled = enabled
        self._poll_s = poll_s
        self.pauses_s = pauses_s
        self.total_s = total_s
        self._sending: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None
        self._awake = asyncio.Event()

    def start(self) -> None:
        """Begin to look."""
        self._loop = asyncio.get_running_loop()
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(self._webhooks.sending),
            timeout=httpx.Timeout(self.total_s, connect=min(_CONNECT_S, self.total_s)),
            follow_redirects=False,
            trust_env=False,
        )
        self._watching = asyncio.create_task(self._watch(), name="langyard webhooks")

    def wake(self) -> None:
        """A run with a webhook may have ended."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: another process sends it
                self._loop.call_soon_threadsafe(self._awake.set)

    async def close(self) -> None:
        """Leave what is under way to others."""
        if self._watching is None:
            return
        await stop([self._watching, *self._sending])
        await self._client.aclose()

    async def _watch(self) -> None:
        while True:
            wait_s = self._poll_s
            try:
                wait_s = min(wait_s, await self._send_due())
            except LangyardError as error:
                log.warning("cannot look for webhooks: %s", error.detail)
            except Exception:  # a sender that dies is noticed days later: whatever it was, it goes on
                log.exception("webhooks could not be sent")
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._awake.wait()
            self._awake.clear()

    async def _send_due(self) -> float:
        """Take what is due; seconds until more may be."""
        room = _AT_ONCE - len(self._sending)
        if room <= 0:
            return self._poll_s
        due, wait_s = await rows.claim(self._database, limit=room, hold_s=self.total_s * 2)
        for row in due:
            task = asyncio.create_task(self._deliver(row))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return 0.0 if len(due) == room else wait_s

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._awake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its time comes again when the claim has lapsed.
            log.error("a webhook could not be dealt with", exc_info=error)

    async def _deliver(self, row: Row) -> None:
        facts: dict[str, Any] = {"run_id": str(row["run_id"]), "tries": row["webhook_tries"] + 1}
        again = False
        if self.enabled:
            outcome, again = await self._try(row)
            # The address may hold a secret in its path or its query; the log has the host's name only.
            facts["outcome"] = outcome
            (log.info if outcome == "delivered" else log.warning)("webhook", extra=facts)
        if again and row["webhook_tries"] + 1 < TRIES:
            pause = self.pauses_s[min(row["webhook_tries"], len(self.pauses_s) - 1)]
            await rows.postpone(self._database, row["run_id"], pause * random.uniform(0.75, 1.25))
        else:
            await rows.finish(self._database, row["run_id"])

    async def _try(self, row: Row) -> tuple[str, bool]:
        """Call once: what came of it, and whether to try again."""
        try:
            url = self._webhooks.parse(row["kwargs"]["webhook"])
            body = self.body(row)
            async with asyncio.timeout(self.total_s):
                async with self._client.stream("POST", url, content=body, headers=self._headers(row, body)) as answer:
                    status = answer.status_code
        except (Invalid, Blocked) as refused:
            # The rules, or where the name leads, have changed since the run was made.
            return f"refused: {refused}", isinstance(refused, Blocked) and refused.passing
        except (httpx.TransportError, TimeoutError) as failed:
            return f"failed: {type(failed).__name__}", True
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as failed:
            return f"failed: {type(failed).__name__}", False
        if 200 <= status < 300:
            return "delivered", False
        return f"answered {status}", status >= _WRONG or status == _TOO_MANY

    def body(self, row: Row) -> bytes:
        """The whole run, how it ended, and the state it left."""
        status, fields = row["status"], self._webhooks.rules.fields
        failed = status in ("error", "timeout", "interrupted")
        told: dict[str, Any] = {
            **self._shape(row),
            "status": status,
            "run_started_at": row["started_at"],
            "run_ended_at": row["finished_at"],
            "webhook_sent_at": dt.datetime.now(dt.UTC),
        }
        if failed:
            stopped = {"error": "UserInterrupt", "message": row["cancel_reason"] or ""}
            told["error"] = shown_error(row["error"] or stopped)
        if fields:
            told = {name: value for name, value in told.items() if name in fields}
        head = serde.dumps(told)
        if fields and "values" not in fields:
            return head
        # The state is passed on as the bytes it is. A run without a thread of its client's leaves none when it fails.
        values = b"null" if row["values"] is None or (row["temporary"] and failed) else row["values"].encode()
        return head[:-1] + (b"," if told else b"") + b'"values":' + values + b"}"

    def _headers(self, row: Row, body: bytes) -> dict[str, str]:
        run_id, rules = str(row["run_id"]), self._webhooks.rules
        return {
            "User-Agent": f"langyard/{__version__}",
            **rules.headers,
            "Content-Type": "application/json",
            _DELIVERY: run_id,
            **(signed(rules.secret, run_id, int(time.time()), body) if rules.secret else {}),
        }

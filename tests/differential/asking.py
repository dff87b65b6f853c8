"""One side of the differential test: a server that is asked, and all it answered, by the name of the question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

HEADERS = (
    "content-type", "location", "content-location", "x-pagination-total", "x-pagination-next", "cache-control", "allow",
    "x-accel-buffering", "access-control-allow-origin", "access-control-allow-methods", "access-control-expose-headers",
)  # fmt: skip
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What a server said: a status, the headers clients read, and a body as JSON, events or text."""

    status: int
    headers: dict[str, str]
    body: Any = None
    events: list[dict[str, Any]] | None = None

    def __getitem__(self, key: Any) -> Any:
        return self.body[key]

    def plain(self) -> dict[str, Any]:
        """As what is compared."""
        events = {} if self.events is None else {"events": self.events}
        return {"status": self.status, "headers": self.headers, "body": self.body, **events}


@dataclass
class Side:
    """A server and its answers."""

    name: str
    http: httpx.AsyncClient
    answers: dict[str, Answer] = field(default_factory=dict)

    async def ask(self, label: str, method: str, path: str, body: Any = ..., **more: Any) -> Answer:
        """Ask and note the answer under a name that no other question has."""
        assert label not in self.answers, f"two questions are called {label!r}"
        answer = await self.quietly(method, path, body, **more)
        self.answers[label] = answer
        return answer

    async def quietly(self, method: str, path: str, body: Any = ..., **more: Any) -> Answer:
        """Ask without noting the answer: what only prepares a question."""
        if body is not ...:
            more["json"] = body
        return _answer(await self.http.request(method, path, **more))

    async def until(self, method: str, path: str, holds: Callable[[Answer], Any], body: Any = ...) -> Answer:
        """Ask until the answer is as wanted. For what no event tells."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(answer := await self.quietly(method, path, body)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return answer

    async def thread(self, **body: Any) -> str:
        """A new thread."""
        return str((await self.quietly("POST", "/threads", body))["thread_id"])

    async def run(self, thread_id: str, graph: str, input: Any = None, **more: Any) -> Answer:
        """A run waited for, quietly; all is settled when this returns."""
        asked = {"assistant_id": graph, "input": input, **more}
        answer = await self.quietly("POST", f"/threads/{thread_id}/runs/wait", asked)
        await self.idle(thread_id)
        return answer

    async def idle(self, thread_id: str) -> None:
        """Wait until nothing is open on a thread."""
        await self.until("GET", f"/threads/{thread_id}", lambda answer: answer["status"] != "busy")


def _answer(response: httpx.Response) -> Answer:
    headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
    if "allow" in headers:  # a set, in whatever order
        headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
    kind = headers.get("content-type", "")
    text = response.text
    if kind.startswith("text/event-stream"):
        return Answer(response.status_code, headers, events=_events(text))
    body: Any = text
    if kind.startswith("application/json"):
        body = json.loads(text) if text.strip() else None
    return Answer(response.status_code, headers, body)


def _events(text: str) -> list[dict[str, Any]]:
    """The events of a stream, without its comments; of an id only whether there is one."""
    found = []
    for block in text.split("\r\n\r\n"):
        event: dict[str, Any] = {}
        for line in block.split("\r\n"):
            name, _, value = line.partition(": ")
            if name in ("event", "data", "id"):
                event[name] = value if name == "event" else bool(value) if name == "id" else json.loads(value)
        if event:
            found.append(event)
    return found

"""A task's changes as server-sent events: what the agent has said so far, what it gave, how it ended. For `agent`."""

from __future__ import annotations

from typing import Any

from starlette.types import Send

from langyard import serde
from langyard.gateway.agent.lasting import Lasting, chunk
from langyard.gateway.protocols import rpc
from langyard.gateway.protocols.a2a import messages, shapes
from langyard.gateway.protocols.a2a.shapes import Ref
from langyard.gateway.protocols.rpc import Json
from langyard.gateway.sse import HEADERS, HEARTBEAT, frame
from langyard.model.events import Event
from langyard.model.runs import RunEnd
from langyard.streams import Subscription


class AgentStream(Lasting):
    """From the task as it was sent to its end; `output` are the fields that the graph gives out, if not all."""

    media_type = "text/event-stream"

    def __init__(
        self,
        reader: Subscription,
        ref: Ref,
        call_id: Any,
        heartbeat_s: float,
        *,
        output: frozenset[str] | None,
        old: bool,
    ) -> None:
        super().__init__(HEADERS, heartbeat_s, None)
        self._reader = reader
        self._ref = ref
        self._call_id = call_id
        self._output = output
        self._old = old
        self._said: dict[str, str] = {}

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    async def write(self, send: Send) -> None:
        """Events, and comments in silence."""
        ref, old, reader = self._ref, self._old, self._reader
        begun = shapes.task_event(shapes.open_task(ref, "pending", old=old), old=old)
        await chunk(send, self._frame(begun))
        while True:
            if not await reader.wait(self._heartbeat_s):
                await chunk(send, HEARTBEAT)
                continue
            end = reader.end
            heard = [self._hear(event) for event in reader.take()]
            if any(heard) and end is None:
                status = shapes.working(ref, "\n".join(self._said.values()), old=old)
                await chunk(send, self._frame(shapes.status_event(ref, status, final=False, old=old)))
            if end is not None:
                await chunk(send, self._last(end))
                return
            if reader.left:
                # Cut, and not ended: the client subscribes to the task again, at another server.
                self.cut = True
                return

    def _hear(self, event: Event) -> bool:
        """Whether there is something new to tell: the run has begun, or its agent has said more."""
        if event.name == "metadata":
            self._said.clear()  # another attempt says it all again
            return True
        if event.name != "messages":
            return False
        message, _ = serde.loads(event.data)
        kind, text = str(message.get("type", "")), messages.text_of(message.get("content"))
        if not text or not kind.lower().startswith("ai"):
            return False
        name = str(message.get("id"))
        self._said[name] = self._said.get(name, "") + text if kind == "AIMessageChunk" else text
        return True

    def _last(self, end: RunEnd) -> bytes:
        ref, old = self._ref, self._old
        given = shapes.artifacts_of(ref, end, shapes.values_of(end, self._output), old=old)
        told = [shapes.artifact_event(ref, artifact, old=old) for artifact in given]
        told.append(shapes.status_event(ref, shapes.status_of(ref, end, old=old), final=True, old=old))
        return b"".join(map(self._frame, told))

    def _frame(self, value: Json) -> bytes:
        return frame("message", rpc.result(self._call_id, value))

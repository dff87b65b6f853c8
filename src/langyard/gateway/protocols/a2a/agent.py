"""What can be asked of an agent: send it a message, look at a task, stop it, list them. For the routes.

The run goes on when its client leaves; the task can be asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from starlette.responses import Response

from langyard.assistants import Assistant
from langyard.gateway.access import Access
from langyard.gateway.agent.pictures import Pictures
from langyard.gateway.agent.runs.streams import Waited
from langyard.gateway.parts import Parts
from langyard.gateway.protocols import rpc
from langyard.gateway.protocols.a2a import messages, shapes
from langyard.gateway.protocols.a2a.shapes import NOT_CANCELABLE, NOT_FOUND, UNSUPPORTED, Ref
from langyard.gateway.protocols.a2a.streams import AgentStream
from langyard.gateway.protocols.rpc import INVALID_PARAMS, Call, Json, RpcError
from langyard.gateway.wire import answer
from langyard.invocations import Invocation, Invoked
from langyard.model.errors import GraphFailed, NotFound

_MODES = ("values", "messages-tuple")
_MOST = 100


class Agents:
    """Assistants, asked through the protocol. `old` is version 0.3 throughout."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pictures = Pictures(parts.graphs)

    async def send(self, access: Access, assistant: Assistant, call: Call, *, old: bool) -> Response:
        """Answer with the task once it has ended or asks; at once if the client does not want to wait."""
        made = await self._start(access, assistant, call.params, events=False)
        ref = Ref(made.run.thread_id, made.run.run_id)
        asked = call.params.get("configuration")
        configuration: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
        if configuration.get("returnImmediately") is True or configuration.get("blocking") is False:
            made.reader.close()
            task = shapes.open_task(ref, made.run.status, old=old)
            return answer(rpc.result(call.id, shapes.task_event(task, old=old)))
        output, length = self._output(made.run.graph_id), _length(configuration)

        async def ending() -> bytes:
            end = await made.reader.wait_end()
            task = shapes.ended_task(ref, end, output, length, old=old)
            return rpc.result(call.id, shapes.task_event(task, old=old))

        return Waited(ending, {}, self._parts.settings.gateway.heartbeat_seconds, reader=made.reader)

    async def stream(self, access: Access, assistant: Assistant, call: Call, *, old: bool) -> Response:
        """Answer with the task's changes as they come."""
        made = await self._start(access, assistant, call.params, events=True)
        ref = Ref(made.run.thread_id, made.run.run_id)
        return self._streamed(made.reader, ref, made.run.graph_id, call, old=old)

    async def subscribe(self, access: Access, assistant: Assistant, call: Call, *, old: bool) -> Response:
        """The changes of a task that is under way, from now on."""
        ref, row = await self._find(access, call.params, "read")
        if row["finished_at"] is not None:
            raise RpcError(UNSUPPORTED, "The task has ended; get it instead.")
        started = await self._parts.runs.join(ref.run_id, after=None)
        return self._streamed(started.reader, ref, row["graph_id"], call, old=old)

    async def get(self, access: Access, assistant: Assistant, call: Call, *, old: bool) -> Response:
        """A task as it stands."""
        ref, row = await self._find(access, call.params, "read")
        return answer(rpc.result(call.id, await self._task(ref, row, _length(call.params), old=old)))

    async def cancel(self, access: Access, assistant: Assistant, call: Call, *, old: bool) -> Response:
        """Stop a task; answers when it has stopped."""
        ref, row = await self._find(access, call.params, "update")
        try:
            await self._parts.invocations.cancel([ref.run_id], action="interrupt")
        except NotFound:
            raise RpcError(NOT_CANCELABLE, "The task has ended and cannot be cancelled.") from None
        end = await self._parts.runs.wait(ref.run_id)
        task = shapes.ended_task(ref, end, self._output(row["graph_id"]), None, old=old)
        return answer(rpc.result(call.id, task))

    async def tasks_of(self, access: Access, assistant: Assistant, call: Call, *, old: bool) -> Response:
        """The tasks of a context, newest first."""
        params = call.params
        size, offset = params.get("pageSize") or 50, params.get("pageToken") or "0"
        if not isinstance(size, int) or not 1 <= size <= _MOST:
            raise RpcError(INVALID_PARAMS, f"pageSize must be between 1 and {_MOST}.")
        if not isinstance(offset, str) or not offset.isdecimal() or len(offset) > 9:
            raise RpcError(INVALID_PARAMS, "pageToken must be one that an earlier answer gave.")
        thread_id, skipped = _context(params, required=True), int(offset)
        try:
            await access.thread(thread_id, "read")
            rows = await self._parts.invocations.search(thread_id, status=None, limit=size + 1, offset=skipped)
        except NotFound:
            rows = []
        length = _length(params)
        found = [await self._task(Ref(thread_id, row["run_id"]), row, length, old=old) for row in rows[:size]]
        more = len(rows) > size
        told = {
            "tasks": found,
            "totalSize": skipped + len(found) + int(more),
            "pageSize": size,
            "nextPageToken": str(skipped + size) if more else "",
        }
        return answer(rpc.result(call.id, told))

    async def _start(self, access: Access, assistant: Assistant, params: Mapping[str, Any], *, events: bool) -> Invoked:
        message = params.get("message")
        if not isinstance(message, dict):
            raise RpcError(INVALID_PARAMS, "message must be an object.")
        blocks, values = messages.input_of(message)
        task = shapes.ref_of(message["taskId"]) if message.get("taskId") else None
        thread_id = task.thread_id if task is not None else _context(message)
        asked = Invocation(
            assistant_id=str(assistant.assistant_id),
            input=None if task is not None else await self._input(assistant, message, blocks, values),
            command={"resume": await self._resume(access, task, message, blocks, values)} if task is not None else None,
            if_not_exists="reject" if task is not None else "create",
            stream_mode=_MODES,
        )
        return await self._parts.invocations.start(asked, thread_id, events=events, behalf=access)

    async def _input(self, assistant: Assistant, message: Json, blocks: list[Json], values: Json) -> Json:
        if not blocks:
            return values
        try:
            schema = (await self._pictures.schemas(assistant)).get("input_schema")
        except GraphFailed:
            schema = None
        if schema is not None and "messages" not in (schema.get("properties") or {}):
            raise RpcError(INVALID_PARAMS, "This agent takes no messages; send its input as a data part.")
        said = {"role": "user", "content": messages.content_of(blocks)}
        if isinstance(name := message.get("messageId"), str) and name:
            said["id"] = name
        return {**values, "messages": [said]}

    async def _resume(self, access: Access, task: Ref, message: Json, blocks: list[Json], values: Json) -> object:
        """The answer to what a task asks. Raises `RpcError` when it asks nothing."""
        _, row = await self._find(access, {"id": str(task)}, "read")
        if row["finished_at"] is None:
            raise RpcError(UNSUPPORTED, "The task is under way and asks nothing.")
        thread = await self._parts.threads.get(task.thread_id)
        if thread.status != "interrupted":
            raise RpcError(UNSUPPORTED, "The task has ended; send a message without taskId to go on in its context.")
        command = message.get("command")
        if isinstance(command, dict) and "resume" in command:
            return command["resume"]
        if "resume" in values:
            return values["resume"]
        return messages.content_of(blocks) if blocks else values

    async def _find(self, access: Access, params: Mapping[str, Any], action: str) -> tuple[Ref, Mapping[str, Any]]:
        ref = shapes.ref_of(params.get("id"))
        try:
            await access.run(ref.run_id, ref.thread_id, action)
            return ref, await self._parts.invocations.get(ref.run_id, ref.thread_id)
        except NotFound:
            raise RpcError(NOT_FOUND, "Task not found.") from None

    async def _task(self, ref: Ref, row: Mapping[str, Any], length: int | None, *, old: bool) -> Json:
        if row["finished_at"] is None:
            return shapes.open_task(ref, row["status"], old=old)
        try:
            end = await self._parts.runs.wait(ref.run_id)
        except NotFound:
            raise RpcError(NOT_FOUND, "Task not found.") from None
        return shapes.ended_task(ref, end, self._output(row["graph_id"]), length, old=old)

    def _streamed(self, reader: Any, ref: Ref, graph_id: str, call: Call, *, old: bool) -> Response:
        heartbeat_s = self._parts.settings.gateway.heartbeat_seconds
        return AgentStream(reader, ref, call.id, heartbeat_s, output=self._output(graph_id), old=old)

    def _output(self, graph_id: str) -> frozenset[str] | None:
        return self._parts.graphs.get(graph_id).output


def _context(given: Mapping[str, Any], *, required: bool = False) -> UUID:
    wanted = given.get("contextId")
    if not wanted and not required:
        return uuid4()
    try:
        return UUID(wanted)
    except (ValueError, TypeError, AttributeError):
        raise RpcError(INVALID_PARAMS, "contextId must be a UUID.") from None


def _length(given: Mapping[str, Any]) -> int | None:
    length = given.get("historyLength")
    if length is None:
        return None
    if not isinstance(length, int) or length < 0:
        raise RpcError(INVALID_PARAMS, "historyLength must be a whole number.")
    return length

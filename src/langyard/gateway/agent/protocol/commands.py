"""Commands of the event protocol: start a run, answer an interrupt, see what runs (contract A.14 Commands).

An answer is an envelope, whatever went wrong; nothing is raised. Used over HTTP and over WebSockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from langyard.gateway.access import Access
from langyard.gateway.agent.protocol.deriving import tree_of
from langyard.gateway.agent.protocol.envelopes import number_of
from langyard.gateway.agent.protocol.feeds import Feeds
from langyard.gateway.agent.runs.bodies import RunBody, invocation
from langyard.gateway.errors import of_any, status_of
from langyard.gateway.parts import Parts
from langyard.gateway.wire import as_model
from langyard.invocations import Invocation
from langyard.model.errors import Conflict, LangyardError, NotFound
from langyard.threads import Thread

Json = dict[str, Any]
MALFORMED = "Protocol commands must include an integer id and string method."
_MODES = ["values", "updates", "messages", "tools", "lifecycle", "custom", "tasks", "checkpoints"]
_STRATEGIES = ("multitaskStrategy", "multitask_strategy")
_PATIENCE_S = 5.0


class Refused(Exception):
    """A command that cannot be done; `code` is the protocol's."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.more = more


def succeeded(command_id: int, result: Json, seq: int | None = None) -> Json:
    """The answer to a command that was done; events up to number `seq` were there before it."""
    meta = {} if seq is None else {"meta": {"applied_through_seq": seq}}
    return {"type": "success", "id": command_id, "result": result, **meta}


def failed(command_id: int | None, code: str, message: str, **more: Any) -> Json:
    """The answer to a command that was not done."""
    return {"type": "error", "id": command_id, "error": code, "message": message, **more}


def is_command(given: Any) -> bool:
    """Whether this is a command, known or not."""
    if not isinstance(given, dict) or not isinstance(given.get("method"), str):
        return False
    return isinstance(given.get("id"), int) and not isinstance(given["id"], bool)


class Commands:
    """Does what clients command of a thread."""

    def __init__(self, parts: Parts, feeds: Feeds) -> None:
        self._parts = parts
        self._feeds = feeds
        self._known = {
            "run.start": self._start,
            "input.respond": self._respond,
            "agent.getTree": self._tree,
        }

    async def answer(self, access: Access, thread_id: UUID, command: Any) -> Json:
        """Do it, as far as `access` permits. `command` has an `id` and a `method`."""
        command_id, method, params = command["id"], command["method"], command.get("params")
        try:
            if method.startswith("subscription."):
                raise Refused(
                    "unsupported", f"{method[:50]} needs a WebSocket; over HTTP there is POST /stream/events."
                )
            known = self._known.get(method)
            if known is None:
                raise Refused("unknown_command", f"Unknown protocol command: {method[:100]}")
            if params is not None and not isinstance(params, dict):
                raise Refused("invalid_argument", "params must be an object.")
            result, seq = await known(access, thread_id, params or {})
            return succeeded(command_id, result, seq)
        except Refused as refused:
            return failed(command_id, refused.code, refused.message, **refused.more)
        except LangyardError as wrong:
            return failed(command_id, "unknown_error", f"{status_of(wrong)}: {wrong.detail}")
        except Exception as wrong:  # whatever it was, the client of a socket is answered, and the log has the rest
            of_any(wrong, f"/threads/{thread_id}/commands")
            return failed(command_id, "unknown_error", "500: Internal Server Error")

    async def _start(self, access: Access, thread_id: UUID, params: Json) -> tuple[Json, int]:
        """A run; on a thread that waits for an answer, its input is the answer."""
        asked = _invocation(params)
        thread = await self._thread(thread_id)
        if thread is not None and asked.input is not None and not asked.checkpoint and _waiting(thread):
            asked = replace(asked, input=None, command={"resume": asked.input})
        seq = await self._seq(thread_id)
        return {"run_id": await self._run(access, asked, thread_id)}, seq

    async def _respond(self, access: Access, thread_id: UUID, params: Json) -> tuple[Json, int]:
        """Answers to interrupts, taken once."""
        answers = _answers(params)
        await access.thread(thread_id, "read")
        thread = await self._settled(thread_id)
        known = _waiting(thread)
        for interrupt_id in answers:
            if interrupt_id not in known:
                raise _consumed(interrupt_id)
        assistant_id = thread.metadata.get("assistant_id") or thread.metadata.get("graph_id")
        if not assistant_id:
            raise Refused("no_such_run", "No run has been made on this thread.")
        # Only what is there is said: an empty `update` would be one.
        command = {"resume": answers, **{key: params[key] for key in ("update", "goto") if params.get(key) is not None}}
        asked = _invocation({"assistant_id": str(assistant_id), "config": params.get("config")}, params.get("metadata"))
        asked = replace(asked, command=command, multitask_strategy="reject")
        seq = await self._seq(thread_id)
        # Of several who answer at once the first makes the thread busy, and the others' revision is past when it ends.
        try:
            await self._run(
                access,
                replace(asked, command=command, multitask_strategy="reject"),
                thread_id,
                revision=thread.revision,
            )
        except Conflict:
            raise _consumed(next(iter(answers))) from None
        return {}, seq

    async def _tree(self, access: Access, thread_id: UUID, params: Json) -> tuple[Json, int]:
        """The graphs of the thread's last run, and how they are."""
        await access.thread(thread_id, "read")
        viewer = await self._feeds.view(thread_id)
        try:
            derived = viewer.feed.derived
            if not derived.tree:
                raise Refused("no_such_run", "Nothing is kept of any run on this thread.")
            return {"tree": tree_of(derived.tree)}, derived.seen
        finally:
            viewer.close()

    async def _run(self, access: Access, asked: Invocation, thread_id: UUID, *, revision: int | None = None) -> str:
        made = await self._parts.invocations.start(asked, thread_id, events=False, behalf=access, revision=revision)
        made.reader.close()
        return str(made.run.run_id)

    async def _thread(self, thread_id: UUID) -> Thread | None:
        with suppress(NotFound):
            return await self._parts.threads.get(thread_id)
        return None

    async def _settled(self, thread_id: UUID) -> Thread:
        """The thread once nothing runs on it; an answer may come sooner than the end of the run that asks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while runs := await self._parts.threads.open_runs([thread_id]):
                    with suppress(NotFound):
                        await self._parts.runs.wait(runs[0])
        return await self._parts.threads.get(thread_id)

    async def _seq(self, thread_id: UUID) -> int:
        return number_of(await self._parts.readers.last(thread_id))


def _invocation(params: Json, metadata: Any = None) -> Invocation:
    if not isinstance(params.get("assistant_id"), str) or not params["assistant_id"]:
        raise Refused("invalid_argument", "run.start needs an assistant_id.")
    config = dict(params["config"]) if isinstance(params.get("config"), dict) else None
    checkpoint: Json | None = None
    if config is not None and isinstance(config.get("configurable"), dict):
        configurable = dict(config["configurable"])
        place = {key: configurable.pop(key, None) for key in ("checkpoint_id", "checkpoint_ns", "checkpoint_map")}
        checkpoint = (
            {key: value for key, value in place.items() if value is not None} if place["checkpoint_id"] else None
        )
        config["configurable"] = configurable
    body = {
        "assistant_id": params["assistant_id"],
        "input": params.get("input"),
        "config": config,
        "context": params.get("context"),
        "metadata": metadata if metadata is not None else params.get("metadata"),
        "checkpoint": checkpoint,
        "multitask_strategy": next((params[key] for key in _STRATEGIES if params.get(key)), None),
        "stream_mode": _MODES,
        "stream_subgraphs": True,
        "stream_resumable": True,
        "if_not_exists": "create",
    }
    try:
        asked = invocation(as_model(body, RunBody))
    except LangyardError as wrong:
        raise Refused("invalid_argument", wrong.detail) from None
    return replace(asked, event_streaming=True)


def _answers(params: Json) -> dict[str, Any]:
    given = params.get("responses") if "responses" in params else [params]
    if not isinstance(given, list) or not given:
        raise Refused("invalid_argument", "responses must be a non-empty array.")
    answers: dict[str, Any] = {}
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("interrupt_id"), str) or "response" not in one:
            raise Refused("invalid_argument", "input.respond needs an interrupt_id and a response.")
        answers[one["interrupt_id"]] = one["response"]
    return answers


def _waiting(thread: Thread) -> Mapping[str, Any]:
    """The interrupts the thread waits at, by their ids."""
    if thread.status != "interrupted":
        return {}
    return {one["id"]: one for found in thread.interrupts.values() for one in found}


def _consumed(interrupt_id: str) -> Refused:
    return Refused("no_such_interrupt", f"Unknown or already-consumed interrupt: {interrupt_id[:100]}")

"""Messages as content blocks. Runs of the protocol stream them so already; those of other runs are put together here.

Used by `deriving`. A block is begun, grows by deltas and is finished; a message is finished after its last block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Json = dict[str, Any]
Key = tuple[tuple[str, ...], str]
_CHUNK = "AIMessageChunk"


@dataclass(slots=True)
class _Message:
    """A message under way: its blocks by what they are called in the chunks."""

    message_id: str
    blocks: dict[Any, Json] = field(default_factory=dict)
    usage: Json | None = None


class Talk:
    """The messages of one run."""

    def __init__(self) -> None:
        self._open: dict[Key, _Message] = {}

    def take(self, namespace: tuple[str, ...], message: Json, metadata: Mapping[str, Any]) -> Iterator[Json]:
        """The protocol's events that one event of a run becomes."""
        if "event" in message:
            yield self._named((namespace, str(metadata.get("run_id", ""))), message)
        elif message.get("type") == _CHUNK:
            yield from self._chunk((namespace, str(message.get("id"))), message)
        elif message.get("type") == "ai":
            key = (namespace, str(message.get("id")))
            yield from self._chunk(key, {**message, "chunk_position": "last", "tool_call_chunks": _calls(message)})

    def broken_off(self, error: str | None) -> Iterator[tuple[tuple[str, ...], Json]]:
        """What is to be said of messages that will not be finished."""
        for (namespace, _), message in self._open.items():
            yield namespace, {"event": "error", "message": error or "broken off", "message_id": message.message_id}
        self._open.clear()

    def _named(self, key: Key, told: Json) -> Json:
        """With the message's id: several may be under way at once."""
        kind = told["event"]
        if kind == "message-start":
            self._open[key] = _Message(str(told.get("id") or ""))
            return told
        message = self._open.get(key)
        if kind in ("message-finish", "error"):
            self._open.pop(key, None)
        return told if message is None else {**told, "message_id": message.message_id}

    def _chunk(self, key: Key, chunk: Json) -> Iterator[Json]:
        message = self._open.get(key)
        if message is None:
            message = self._open[key] = _Message(str(chunk.get("id") or ""))
            yield {"event": "message-start", "role": "ai", "id": message.message_id}
        mark = {"message_id": message.message_id}
        for text in _texts(chunk.get("content")):
            yield from self._grow(message, "text", {"type": "text", "text": ""}, {"type": "text-delta", "text": text})
        for call in chunk.get("tool_call_chunks") or ():
            begun = {"type": "tool_call_chunk", "id": call.get("id"), "name": call.get("name"), "args": ""}
            delta = {"type": "tool-call-delta", "args": call.get("args") or ""}
            yield from self._grow(message, ("call", call.get("index")), begun, delta)
        message.usage = chunk.get("usage_metadata") or message.usage
        if chunk.get("chunk_position") != "last":
            return
        del self._open[key]
        for index, block in enumerate(message.blocks.values()):
            yield {"event": "content-block-finish", "index": index, "content": _finished(block), **mark}
        usage = {"usage": message.usage} if message.usage else {}
        yield {"event": "message-finish", **usage, **mark}

    def _grow(self, message: _Message, name: Any, begun: Json, delta: Json) -> Iterator[Json]:
        mark = {"message_id": message.message_id}
        block = message.blocks.get(name)
        if block is None:
            block = message.blocks[name] = dict(begun)
            yield {"event": "content-block-start", "index": len(message.blocks) - 1, "content": begun, **mark}
        part = "text" if block["type"] == "text" else "args"
        if delta[part]:
            block[part] += delta[part]
            index = list(message.blocks).index(name)
            yield {"event": "content-block-delta", "index": index, "delta": delta, **mark}


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        if content:
            yield content
        return
    for block in content or ():
        if isinstance(block, str):
            yield block
        elif isinstance(block, Mapping) and isinstance(block.get("text"), str) and block["text"]:
            yield block["text"]


def _calls(message: Json) -> list[Json]:
    """A whole message's tool calls, as chunks."""
    return [
        {
            "index": index,
            "id": call.get("id"),
            "name": call.get("name"),
            "args": orjson.dumps(call.get("args")).decode(),
        }
        for index, call in enumerate(message.get("tool_calls") or ())
    ]


def _finished(block: Json) -> Json:
    if block["type"] == "text":
        return block
    known = {"id": block["id"], "name": block["name"]}
    try:
        return {"type": "tool_call", **known, "args": orjson.loads(block["args"] or "{}")}
    except orjson.JSONDecodeError:
        error = "Failed to parse tool call arguments as JSON"
        return {"type": "invalid_tool_call", **known, "args": block["args"], "error": error}

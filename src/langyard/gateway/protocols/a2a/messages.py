"""Messages between the protocol's two forms and LangChain's. Pure functions, for `shapes` and `agent`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langyard.gateway.protocols.rpc import INVALID_PARAMS, Json, RpcError

_TYPES = {"image": "image", "audio": "audio", "video": "video"}


def input_of(message: Mapping[str, Any]) -> tuple[list[Json], Json]:
    """What a client's message says: content blocks, and the values of its data parts. Raises `RpcError`."""
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise RpcError(INVALID_PARAMS, "message.parts must be a list of at least one part.")
    blocks: list[Json] = []
    values: Json = {}
    for part in parts:
        if isinstance(text := part.get("text"), str):
            blocks.append({"type": "text", "text": text})
        elif "data" in part:
            if not isinstance(part["data"], dict):
                raise RpcError(INVALID_PARAMS, "The data of a part must be an object.")
            values |= part["data"]
        else:
            blocks.append(_file(part))
    return blocks, values


def content_of(blocks: Sequence[Json]) -> Any:
    """The content of one message: a text alone as it is."""
    if all(block["type"] == "text" for block in blocks):
        return "\n".join(block["text"] for block in blocks)
    return list(blocks)


def text_of(content: object) -> str:
    """The text of a LangChain message's content."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(block if isinstance(block, str) else str(block.get("text") or "") for block in content if block)


def said(values: object) -> list[Json]:
    """The messages of a state that people and agents have said, as plain JSON."""
    found = values.get("messages") if isinstance(values, dict) else None
    if not isinstance(found, list):
        return []
    return [one for one in found if isinstance(one, dict) and one.get("type") in ("human", "ai", "user", "assistant")]


def text_part(text: str, *, old: bool) -> Json:
    """A part that is a text."""
    return {"kind": "text", "text": text} if old else {"text": text}


def data_part(data: object, *, old: bool) -> Json:
    """A part that is JSON."""
    shown = data if isinstance(data, dict) or not old else {"value": data}
    return {"kind": "data", "data": shown} if old else {"data": shown}


def shown(found: Iterable[Mapping[str, Any]], thread_id: str, task_id: str, *, old: bool) -> list[Json]:
    """LangChain's messages as the protocol's."""
    told: list[Json] = []
    for number, one in enumerate(found):
        text = text_of(one.get("content"))
        if text:
            user = one.get("type") in ("human", "user")
            name = str(one.get("id") or f"{task_id}:{number}")
            told.append(message(name, [text_part(text, old=old)], thread_id, task_id, user=user, old=old))
    return told


def message(
    name: str, parts: Sequence[Json], thread_id: str, task_id: str, *, user: bool = False, old: bool = False
) -> Json:
    """One message of the protocol."""
    who = "user" if user else "agent"
    return {
        **({"kind": "message"} if old else {}),
        "messageId": name,
        "contextId": thread_id,
        "taskId": task_id,
        "role": who if old else f"ROLE_{who.upper()}",
        "parts": list(parts),
    }


def _file(part: Mapping[str, Any]) -> Json:
    """A file, by address or whole. Raises `RpcError`."""
    file = part.get("file") if isinstance(part.get("file"), dict) else part
    assert isinstance(file, Mapping)
    url, raw = file.get("uri") or file.get("url"), file.get("bytes") or file.get("raw")
    kind = file.get("mimeType") or file.get("mediaType") or "application/octet-stream"
    if not isinstance(kind, str) or not (isinstance(url, str) or isinstance(raw, str)):
        raise RpcError(INVALID_PARAMS, "A part must have text, data, or a file by address or as base64.")
    found: Json = {"type": _TYPES.get(kind.partition("/")[0], "file"), "mime_type": kind}
    return {**found, "url": url} if isinstance(url, str) else {**found, "base64": raw}

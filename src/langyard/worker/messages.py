"""The older form of streamed messages: each chunk comes as the whole text so far. Called by the execution of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import BaseMessageChunk, message_chunk_to_message


class Messages:
    """`messages/metadata` once for each message, then `messages/partial`, cumulative, or `messages/complete`."""

    def __init__(self) -> None:
        self._growing: dict[str, BaseMessageChunk] = {}
        self._introduced: set[str] = set()

    def take(self, message: Any, metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The events that one item of LangGraph's stream becomes, as name and data."""
        key = str(message.id)
        if key not in self._introduced:
            self._introduced.add(key)
            shown = {name: value for name, value in metadata.items() if not name.startswith("__")}
            yield "messages/metadata", {key: {"metadata": shown}}
        if isinstance(message, BaseMessageChunk):
            before = self._growing.get(key)
            whole = message if before is None else before + message
            self._growing[key] = whole
            yield "messages/partial", [message_chunk_to_message(whole)]
        else:
            yield "messages/complete", [message]

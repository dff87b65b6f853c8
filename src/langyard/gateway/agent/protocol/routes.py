"""The routes of the event protocol (contract A.14)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from langyard.gateway.access import access_of
from langyard.gateway.agent.admitting import admit
from langyard.gateway.agent.protocol.asking import CHANNELS, wanted
from langyard.gateway.agent.protocol.commands import MALFORMED, Commands, failed, is_command
from langyard.gateway.agent.protocol.feeds import Feeds
from langyard.gateway.agent.protocol.sockets import Conversation
from langyard.gateway.agent.protocol.streaming import EnvelopeStream
from langyard.gateway.agent.reading import path_id
from langyard.gateway.agent.runs.streams import ErrorStream
from langyard.gateway.openapi import problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits, answer_json, read_json
from langyard.model.errors import BadRequest, Invalid, LangyardError, NotFound, Unavailable

_NO_SUCH_ID = 4422
_AWAY = 4429
_ASKS: dict[str, Any] = {
    "type": "object",
    "required": ["channels"],
    "properties": {
        "channels": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string"},
            "description": f"{', '.join(CHANNELS)}, or any custom:<name>.",
        },
        "namespaces": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "string"}},
            "description": "Only events of these graphs and what is below them.",
        },
        "depth": {"type": "integer", "minimum": 0, "description": "At most so many levels below."},
        "since": {"type": "integer", "minimum": 0, "description": "Only events with a higher number."},
        "since_event_id": {"type": "string", "description": "Only events after this one."},
    },
}
_COMMAND: dict[str, Any] = {
    "type": "object",
    "required": ["id", "method"],
    "properties": {
        "id": {"type": "integer"},
        "method": {"type": "string", "examples": ["run.start", "input.respond", "agent.getTree"]},
        "params": {"type": "object", "additionalProperties": True},
    },
}
_ANSWER = {
    "description": "What came of it: `type` is `success` or `error`.",
    "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
}
_MALFORMED = {**_ANSWER, "description": "It is no command."}
_STREAM = {
    "description": "Envelopes, each an event named after its method; the stream stays open.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_AFTER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Read from after the event with this `event_id` on.",
    "schema": {"type": "string"},
}


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["event protocol"])
    feeds = Feeds(parts)
    commands = Commands(parts, feeds)
    heartbeat_s = parts.settings.gateway.heartbeat_seconds

    @router.post(
        "/threads/{thread_id}/stream/events",
        openapi_extra={**_takes(_ASKS), "parameters": [_AFTER]},
        responses={200: _STREAM, **problems(400, 413, 415, 422, 503)},
    )
    async def stream(request: Request, thread_id: str) -> Response:
        """Read what happens on a thread as envelopes of the event protocol: what is kept of it, then what comes."""
        place = path_id(thread_id, "thread")
        try:
            body = await read_json(request, limits)
        except Invalid as wrong:
            if wrong.code == "invalid_json":
                raise BadRequest("Invalid JSON body", code="invalid_json") from None
            raise
        asked = wanted(body, request.headers.get("last-event-id", "").strip())
        try:
            admitted = await admit(parts, access_of(request), place)
        except NotFound:
            return ErrorStream(silent=True)
        viewer = await feeds.view(place)
        try:
            return EnvelopeStream(viewer, await viewer.start(asked), heartbeat_s, admitted)
        except BaseException:  # the database is away, or the client: nobody will view
            viewer.close()
            raise

    @router.post(
        "/threads/{thread_id}/commands",
        openapi_extra=_takes(_COMMAND),
        responses={200: _ANSWER, 400: _MALFORMED, **problems(413, 415, 422)},
    )
    async def command(request: Request, thread_id: str) -> Response:
        """Start a run, answer an interrupt, see the tree of graphs. What goes wrong is told with status 200."""
        place = path_id(thread_id, "thread")
        try:
            body = await read_json(request, limits)
        except Invalid as wrong:
            if wrong.code != "invalid_json":
                raise
            body = None
        if not is_command(body):
            return answer_json(failed(None, "invalid_argument", MALFORMED), 400)
        return answer_json(await commands.answer(access_of(request), place, body))

    _add_socket(router, parts, feeds, commands, limits)
    return router


def _add_socket(router: APIRouter, parts: Parts, feeds: Feeds, commands: Commands, limits: Limits) -> None:
    @router.websocket("/threads/{thread_id}/stream/events")
    async def converse(socket: WebSocket, thread_id: str) -> None:
        """The same in both directions: commands, subscriptions among them, and envelopes."""
        try:
            place = UUID(thread_id)
            admitted = await admit(parts, access_of(socket), place)
            viewer = await feeds.view(place)
        except ValueError:
            await _refuse(socket, _NO_SUCH_ID, "Invalid thread ID: must be a UUID")
            return
        except Unavailable as wrong:
            await _refuse(socket, _AWAY, wrong.detail)
            return
        except LangyardError:  # not before it is accepted: the handshake is answered with 403
            await socket.close()
            return
        try:
            await socket.accept()
            await Conversation(socket, viewer, commands, admitted, limits).hold()
        except WebSocketDisconnect:
            pass
        finally:
            viewer.close()


async def _refuse(socket: WebSocket, code: int, reason: str) -> None:
    """With a code of its own a client knows whether to come back; before the handshake there is only 403."""
    await socket.accept()
    await socket.close(code, reason[:100])


def _takes(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

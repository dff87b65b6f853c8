"""The routes of A2A: an agent's card and its one address for calls (contract A.12)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard.assistants import Assistant
from langyard.gateway.access import Access, access_of
from langyard.gateway.openapi import problems
from langyard.gateway.parts import Parts
from langyard.gateway.protocols import rpc
from langyard.gateway.protocols.a2a.agent import Agents
from langyard.gateway.protocols.a2a.cards import card_of
from langyard.gateway.protocols.a2a.shapes import NO_PUSH
from langyard.gateway.protocols.rpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Call,
    RpcError,
)
from langyard.gateway.wire import Limits, answer, answer_json
from langyard.model.errors import Invalid, LangyardError, NotFound

Method = Callable[..., Awaitable[Response]]
# Version 1.0's name and version 0.3's of the same.
_NAMES = {
    "SendMessage": "message/send",
    "SendStreamingMessage": "message/stream",
    "GetTask": "tasks/get",
    "CancelTask": "tasks/cancel",
    "ListTasks": "tasks/list",
    "SubscribeToTask": "tasks/resubscribe",
    "GetExtendedAgentCard": "agent/getAuthenticatedExtendedCard",
}
_STREAMS = ("SendStreamingMessage", "message/stream", "SubscribeToTask", "tasks/resubscribe")


class Calls:
    """Answers calls: the method's name says which version is spoken."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        agents = Agents(parts)
        known = (agents.send, agents.stream, agents.get, agents.cancel, agents.tasks_of, agents.subscribe)
        self._methods: Mapping[str, tuple[Method, bool]] = {
            name: (method, old)
            for (new, former), method in zip(_NAMES.items(), known, strict=False)
            for name, old in ((new, False), (former, True))
        }

    async def answer(self, request: Request, assistant: Assistant, call: Call, url: str) -> Response:
        """The response to a call, whatever became of it."""
        try:
            if call.method in ("GetExtendedAgentCard", _NAMES["GetExtendedAgentCard"]):
                return answer(rpc.result(call.id, card_of(assistant, url)))
            if "ushNotification" in call.method:
                raise RpcError(NO_PUSH, "Push notifications are not offered; give runs a webhook instead.")
            if call.method not in self._methods:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {call.method[:200]}")
            method, old = self._methods[call.method]
            return await method(access_of(request), assistant, call, old=old)
        except RpcError as error:
            return answer(rpc.failure(call.id, error))
        except LangyardError as error:
            return answer(rpc.failure(call.id, rpc.of_family(error)))

    async def find(self, access: Access, wanted: str) -> Assistant:
        """The assistant by its id or its graph's name. Raises `NotFound`."""
        nobody = NotFound("There is no such agent.", code="assistant_not_found")
        try:
            found = await self._parts.assistants.resolve(wanted)
        except (Invalid, NotFound) as unknown:
            raise nobody from unknown
        await access.assistant(found.assistant_id, "read", otherwise=nobody)
        return found


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["a2a"])
    calls = Calls(parts)
    document = {"application/json": {"schema": {"type": "object"}}}
    message: dict[str, Any] = {"requestBody": {"required": True, "content": document}}
    told = {"description": "The answer to a call, an error too.", "content": {**document, "text/event-stream": {}}}

    def url_of(request: Request, assistant: Assistant) -> str:
        base = str(request.base_url).rstrip("/")
        return f"{base}{parts.settings.gateway.mount_prefix}/a2a/{assistant.assistant_id}"

    async def card(request: Request, wanted: str) -> Response:
        assistant = await calls.find(access_of(request), wanted)
        return answer_json(card_of(assistant, url_of(request, assistant)))

    described = {200: {"description": "The agent's card.", "content": document}, **problems(404, 503)}

    @router.get("/a2a/{assistant_id}", responses=described)
    @router.get("/a2a/{assistant_id}/.well-known/agent-card.json", responses=described)
    @router.get("/a2a/{assistant_id}/.well-known/agent.json", responses=described)
    async def get_card(request: Request, assistant_id: str) -> Response:
        """What the agent can do, and where it is called."""
        return await card(request, assistant_id)

    missing = {"description": "Which agent is not said.", "content": document}

    @router.get("/.well-known/agent-card.json", responses={**described, 400: missing})
    async def get_default_card(request: Request, assistant_id: str | None = None) -> Response:
        """The same, the agent named in the query."""
        if not assistant_id:
            error = RpcError(INVALID_PARAMS, "assistant_id is missing: which agent's card is wanted?")
            return answer(rpc.failure(None, error), 400)
        return await card(request, assistant_id)

    @router.post(
        "/a2a/{assistant_id}", openapi_extra=message, responses={200: told, **problems(400, 404, 413, 415, 503)}
    )
    async def post(request: Request, assistant_id: str) -> Response:
        """A call of the Agent2Agent protocol."""
        try:
            found = await rpc.read_message(request, limits)
        except RpcError as error:
            return answer(rpc.failure(None, error))
        if not isinstance(found, dict) or found.get("jsonrpc") != "2.0" or not isinstance(found.get("method"), str):
            return answer(rpc.failure(None, RpcError(INVALID_REQUEST, "Invalid JSON-RPC request.")))
        if not isinstance(found.get("id"), str | int | None):
            return answer(rpc.failure(None, RpcError(INVALID_REQUEST, "id must be a text or a number.")))
        wanted = "text/event-stream" if found["method"] in _STREAMS else "application/json"
        accepted = request.headers.get("accept", "*/*")
        if wanted not in accepted and "*/*" not in accepted:
            return answer_json({"error": f"Accept header must include {wanted}"}, 400)
        assistant = await calls.find(access_of(request), assistant_id)
        try:
            call = Call(found.get("id"), found["method"], rpc.params_of(found))
        except RpcError as error:
            return answer(rpc.failure(found.get("id"), error))
        return await calls.answer(request, assistant, call, url_of(request, assistant))

    return router

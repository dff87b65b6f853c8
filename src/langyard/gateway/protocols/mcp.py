"""The Model Context Protocol at `/mcp`: every assistant is a tool (contract A.11).

Streamable HTTP without sessions: a POST, one JSON document back, nothing kept between two calls. A call of a tool is a
run on a thread of its own, and its answer keeps the connection open with line ends, as every waiting answer does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard import __version__, serde
from langyard.assistants import Assistant, Search
from langyard.gateway.access import Access, access_of
from langyard.gateway.agent.pictures import Pictures
from langyard.gateway.agent.runs.streams import Waited
from langyard.gateway.openapi import problems
from langyard.gateway.parts import Parts
from langyard.gateway.protocols import rpc
from langyard.gateway.protocols.rpc import INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, Call, Json, RpcError
from langyard.gateway.wire import Limits, answer
from langyard.invocations import Invocation
from langyard.model.errors import GraphFailed, LangyardError
from langyard.model.runs import RunEnd, shown_error

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
_PAGE = 100
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 128
_ACCEPTED = ("application/json", "text/event-stream", "application/*", "*/*")
_HINTS = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True}
_MESSAGE = {"type": "string", "description": "The user message to send to the agent."}


class Tools:
    """Assistants as tools."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pictures = Pictures(parts.graphs)

    async def page(self, access: Access, offset: int) -> Json:
        """Up to a page of tools, each name once. An assistant whose input has no schema is no tool."""
        found = await self._search(access, _PAGE + 1, offset)
        tools: dict[str, Json] = {}
        for assistant in found[:_PAGE]:
            name = tool_name(assistant.name)
            if name and name not in tools and (tool := await self._tool(name, assistant)) is not None:
                tools[name] = tool
        more = {"nextCursor": str(offset + _PAGE)} if len(found) > _PAGE else {}
        return {"tools": list(tools.values()), **more}

    async def find(self, access: Access, name: str) -> Assistant:
        """The assistant that is called so. Raises `RpcError` for a name that none or more than one has."""
        found: Sequence[Assistant] = ()
        if name == tool_name(name):
            allowed = await access.searching("assistants", {"limit": 2, "offset": 0})
            found = await self._parts.assistants.tools(name, allowed)
        if len(found) != 1:
            problem = "More than one tool is named" if found else "There is no tool named"
            raise RpcError(INVALID_PARAMS, f"{problem} {name[:_LONGEST_NAME]!r}.")
        return found[0]

    async def takes_text(self, assistant: Assistant) -> bool:
        """Whether its messages are offered as one text."""
        schema = (await self._pictures.schemas(assistant)).get("input_schema")
        return schema is not None and _messages(schema)

    async def _search(self, access: Access, limit: int, offset: int) -> Sequence[Assistant]:
        allowed = await access.searching("assistants", {"limit": limit, "offset": offset})
        return await self._parts.assistants.search(Search(allowed, limit=limit, offset=offset))

    async def _tool(self, name: str, assistant: Assistant) -> Json | None:
        try:
            schema = (await self._pictures.schemas(assistant)).get("input_schema")
        except GraphFailed:
            return None
        if schema is None:
            return None
        return {
            "name": name,
            "title": assistant.name,
            "description": assistant.description or "",
            "inputSchema": offered(schema),
            "annotations": _HINTS,
        }


class Protocol:
    """Answers calls, by method."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tools = Tools(parts)
        self._methods: Mapping[str, Callable[[Access, Call], Awaitable[Json]]] = {
            "initialize": self._initialize,
            "ping": self._ping,
            "tools/list": self._list,
        }

    async def answer(self, access: Access, call: Call) -> Response:
        """The response to a call, whatever became of it."""
        try:
            if call.method == "tools/call":
                return await self._call(access, call)
            method = self._methods.get(call.method)
            if method is None:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {call.method[:200]}")
            return answer(rpc.result(call.id, await method(access, call)))
        except RpcError as error:
            return answer(rpc.failure(call.id, error))
        except LangyardError as error:
            return answer(rpc.failure(call.id, rpc.of_family(error)))

    async def _initialize(self, access: Access, call: Call) -> Json:
        wanted = call.params.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": "Langyard", "version": __version__},
        }

    async def _ping(self, access: Access, call: Call) -> Json:
        return {}

    async def _list(self, access: Access, call: Call) -> Json:
        cursor = call.params.get("cursor")
        if cursor is None:
            return await self._tools.page(access, 0)
        if not isinstance(cursor, str) or not re.fullmatch(r"\d{1,9}", cursor):
            raise RpcError(INVALID_PARAMS, "cursor must be one that an earlier answer gave.")
        return await self._tools.page(access, int(cursor))

    async def _call(self, access: Access, call: Call) -> Response:
        assistant = await self._tools.find(access, rpc.text_of(call.params, "name"))
        given, context = call.params.get("arguments"), call.params.get("context")
        if not isinstance(given, dict | None) or not isinstance(context, dict | None):
            raise RpcError(INVALID_PARAMS, "arguments and context must be objects.")
        values = dict(given or {})
        if isinstance(text := values.get("messages"), str) and await self._tools.takes_text(assistant):
            values["messages"] = [{"role": "user", "content": text}]
        asked = Invocation(assistant_id=str(assistant.assistant_id), input=values, context=context)
        made = await self._parts.invocations.start(asked, None, events=False, behalf=access)
        output = self._parts.graphs.get(made.run.graph_id).output

        async def ending() -> bytes:
            return rpc.result(call.id, told(await made.reader.wait_end(), output))

        return Waited(ending, {}, self._parts.settings.gateway.heartbeat_seconds, reader=made.reader)


def tool_name(name: str) -> str:
    """An assistant's name as the protocol lets tools be called. `postgres/rows/assistants` says the same in SQL."""
    return _NOT_IN_A_NAME.sub("_", name)[:_LONGEST_NAME]


def offered(schema: Mapping[str, Any]) -> Json:
    """The schema of what a tool takes: an object, in which a list of messages is the text of one."""
    shown: Json = {"type": "object", **schema}
    if _messages(schema):
        shown["properties"] = {**schema["properties"], "messages": _MESSAGE}
        if '"$ref"' not in serde.dumps({**shown, "$defs": None}).decode():
            shown.pop("$defs", None)  # what described the messages
    return shown


def _messages(schema: Mapping[str, Any]) -> bool:
    found = (schema.get("properties") or {}).get("messages")
    return isinstance(found, dict) and found.get("type") == "array" and "Message" in str(found)


def told(end: RunEnd, output: frozenset[str] | None) -> Json:
    """What a tool gave: JSON as a text, and as it is for clients that read it; an error by its class and sentence."""
    if end.status in ("error", "timeout", "interrupted"):
        error = shown_error(end.error or {"error": "Cancelled", "message": "The run was stopped."})
        return {"isError": True, "content": [{"type": "text", "text": f"{error['error']}: {error['message']}"}]}
    values = serde.loads(end.values or b"{}")
    if isinstance(values, dict) and output is not None:
        values = {key: value for key, value in values.items() if key in output}
    if end.interrupts:
        values = {**(values if isinstance(values, dict) else {}), "__interrupt__": list(end.interrupts)}
    found: Json = {"isError": False, "content": [{"type": "text", "text": serde.dumps(values).decode()}]}
    return {**found, "structuredContent": values} if isinstance(values, dict) else found


def routes(parts: Parts, limits: Limits) -> APIRouter:
    """The router; `parts` need not be open yet."""
    router = APIRouter(tags=["mcp"])
    protocol = Protocol(parts)
    document = {"application/json": {"schema": {"type": "object"}}}
    message = {"requestBody": {"required": True, "content": document}}

    @router.post(
        "/mcp",
        openapi_extra=message,
        responses={
            200: {"description": "The answer to a call.", "content": document},
            202: {"description": "Nothing to answer."},
            400: {"description": "No message of this protocol.", "content": document},
            **problems(413, 415),
        },
    )
    async def post(request: Request) -> Response:
        """A message of the Model Context Protocol."""
        accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")]
        if not any(kind in _ACCEPTED for kind in accepted):
            return _refused("Accept header must include application/json or text/event-stream")
        try:
            found = await rpc.read_message(request, limits)
        except RpcError as error:
            return _refused("Invalid JSON" if error.code == PARSE_ERROR else error.message)
        if not isinstance(found, dict):
            return _refused("Invalid message format.")
        if found.get("jsonrpc") != "2.0":
            return _refused("Invalid JSON-RPC message. Missing or invalid jsonrpc version.")
        if found.get("id") is None or "method" not in found:
            return Response(status_code=202)
        if not isinstance(found["method"], str) or not isinstance(found["id"], str | int):
            return _refused("Invalid message format.")
        try:
            call = Call(found["id"], found["method"], rpc.params_of(found))
        except RpcError as error:
            return answer(rpc.failure(found["id"], error))
        return await protocol.answer(access_of(request), call)

    @router.get("/mcp", status_code=405, responses={405: {"description": "There is no stream to listen to."}})
    async def get() -> Response:
        """Streams from the server are not offered."""
        return Response(status_code=405, headers={"Allow": "POST"})

    @router.delete("/mcp", status_code=404, responses={404: {"description": "There are no sessions."}})
    async def delete() -> Response:
        """Sessions are not kept."""
        return Response(status_code=404)

    return router


def _refused(sentence: str) -> Response:
    return answer(serde.dumps({"error": sentence}), 400)

"""JSON-RPC 2.0 as MCP and A2A use it over HTTP: reading a call, answering it. For the routes of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from langyard import serde
from langyard.gateway.errors import UnsupportedMedia
from langyard.gateway.wire import Limits, read_json
from langyard.model.errors import Invalid, LangyardError, Limited, Unavailable

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603

Json = dict[str, Any]


class RpcError(Exception):
    """Answered as `{"error": {"code", "message"}}`; never HTTP's matter."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A request that wants an answer."""

    id: Any
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


async def read_message(request: Request, limits: Limits) -> Any:
    """The body as JSON, held to what every other body is held to.

    Raises `RpcError` for what is no JSON and for JSON that nobody takes; `TooLarge` and `UnsupportedMedia` are HTTP's.
    """
    try:
        return await read_json(request, limits)
    except UnsupportedMedia:
        raise
    except Invalid as wrong:
        if wrong.code == "invalid_json":
            raise RpcError(PARSE_ERROR, "Invalid JSON payload") from None
        raise RpcError(INVALID_REQUEST, wrong.detail) from None


def params_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters, by name. Raises `RpcError`."""
    params = message.get("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object.")
    return params


def result(call_id: Any, value: object) -> bytes:
    """The answer to a call that went well."""
    return serde.dumps({"jsonrpc": "2.0", "id": call_id, "result": value})


def failure(call_id: Any, error: RpcError) -> bytes:
    """The answer to one that did not."""
    told: Json = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return serde.dumps({"jsonrpc": "2.0", "id": call_id, "error": told})


def of_family(found: LangyardError) -> RpcError:
    """An error of ours in this protocol's words: the caller's fault, or a passing one."""
    if isinstance(found, Limited | Unavailable):
        return RpcError(INTERNAL_ERROR, found.detail, {"code": found.code, "retry_after": found.retry_after})
    code = INVALID_PARAMS if isinstance(found, Invalid) else INTERNAL_ERROR
    return RpcError(code, found.detail, {"code": found.code})


def text_of(arguments: Mapping[str, Any], name: str) -> str:
    """A parameter that must be a text. Raises `RpcError`."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} must be a text.")
    return value

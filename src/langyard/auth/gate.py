"""The project's `Auth` object, held to its contract (F): authenticates requests and asks its handlers for permission.

Made by `app`, which has loaded the object; asked by the gateway. It fails closed: what a handler does beyond the
contract is an error, never a permission.
"""

from __future__ import annotations

import inspect
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from langgraph_sdk import Auth

from langyard.auth.loop import Loop, Threads
from langyard.auth.users import principal_of
from langyard.model.errors import ConfigurationError, Forbidden, LangyardError, Unauthenticated
from langyard.model.filters import Filter, filter_of
from langyard.model.principal import Principal

INJECTED = frozenset(
    "request body user path method scopes path_params query_params headers authorization scope".split()
)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_CODES = {400: "bad_request", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 409: "conflict"}


class Refused(LangyardError):
    """A handler's own answer. `status` and `headers` are as the handler has them; they are not ours to judge."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, code=_CODES.get(status, "refused"))
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Cache:
    """For how long, how many and by which headers (in lower case) an authentication is believed again."""

    keys: tuple[str, ...]
    ttl_s: float = 60.0
    size: int = 1000


class Gate:
    """Raises ConfigurationError when the object cannot be what lets people in. `threads` run functions that block."""

    def __init__(
        self,
        auth: object,
        place: str,
        threads: Threads,
        *,
        cache: Cache | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(auth, Auth):
            raise ConfigurationError(f"`auth.path`: {place} is a {type(auth).__name__}, not a langgraph_sdk.Auth.")
        authenticate = auth._authenticate_handler
        if authenticate is None:
            raise ConfigurationError(f"`auth.path`: {place} has no @auth.authenticate; nobody could be let in.")
        self._auth = auth
        self._authenticate = authenticate
        self._loop = Loop(threads)
        self._cache = cache
        self.document = document or {}
        """What the project wants said of it in `/openapi.json`."""
        self._known: OrderedDict[tuple[bytes | None, ...], tuple[float, Principal]] = OrderedDict()
        self.wants = frozenset(_wanted(authenticate, place))
        """What `authenticate` is to be given, some of INJECTED."""

    async def authenticate(self, arguments: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Principal:
        """Who is asking; `arguments` are what it `wants`.

        Raises `Unauthenticated` and `Forbidden` where the user's function does, and whatever else it raises.
        """
        key = self._key(headers)
        if key is not None and (known := self._known.get(key)) is not None:
            if known[0] > time.monotonic():
                self._known.move_to_end(key)
                return known[1]
            del self._known[key]
        try:
            found = principal_of(await self._loop.call(self._authenticate, **arguments))
        except Exception as refusal:  # user code: 401 and 403 are its answers, everything else is its failure
            status = getattr(refusal, "status_code", None)
            if status == 401:
                raise Unauthenticated(str(getattr(refusal, "detail", "Unauthorized"))) from None
            if status == 403:
                raise Forbidden(str(getattr(refusal, "detail", "Forbidden"))) from None
            raise
        if key is not None and self._cache is not None:
            self._known[key] = (time.monotonic() + self._cache.ttl_s, found)
            while len(self._known) > self._cache.size:
                self._known.popitem(last=False)
        return found

    async def authorize(self, principal: Principal, resource: str, action: str, value: dict[str, Any]) -> Filter | None:
        """Ask the most specific handler; it may change `value`. The filter it wants applied, if any.

        Raises `Forbidden`, `Refused` with the handler's own status, and whatever else the handler raises.
        """
        ask = self._find(resource, action)
        if ask is None:
            return None
        context = Auth.types.AuthContext(
            permissions=list(principal.permissions),
            user=cast(Any, principal.user),
            resource=cast(Any, resource),
            action=cast(Any, action),
        )
        try:
            said = await self._loop.call(ask, ctx=context, value=value)
        except AssertionError as refusal:
            raise Forbidden(str(refusal) or "Forbidden") from None
        except Exception as refusal:  # user code: an HTTPException is its answer, everything else is its failure
            status = getattr(refusal, "status_code", None)
            if not isinstance(status, int) or not 400 <= status <= 599:
                raise
            detail, headers = getattr(refusal, "detail", None), getattr(refusal, "headers", None)
            raise Refused(status, str(detail), headers) from None
        if said is None or said is True:
            return None
        if said is False:
            raise Forbidden("Forbidden")
        if not isinstance(said, Mapping):
            raise TypeError(
                f"the handler of {resource}.{action} gave a {type(said).__name__}; a bool or a filter may be"
            )
        return filter_of(said) if said else None

    def asks(self, resource: str, action: str) -> bool:
        """Whether any handler is asked about this."""
        return self._find(resource, action) is not None

    def close(self) -> None:
        """Let go of the loop."""
        self._loop.close()

    def _find(self, resource: str, action: str) -> Any:
        known = self._auth._handlers
        for place in ((resource, action), (resource, "*"), ("*", action)):
            if found := known.get(place):
                return found[-1]
        return self._auth._global_handlers[-1] if self._auth._global_handlers else None

    def _key(self, headers: Mapping[bytes, bytes]) -> tuple[bytes | None, ...] | None:
        """What an authentication is remembered by; None when nothing is to be, as for one that has none of the headers:
        whatever vouched for it then, the next one need not have."""
        if self._cache is None:
            return None
        key = tuple(headers.get(name.encode("latin-1")) for name in self._cache.keys)
        return key if any(part is not None for part in key) else None


def _wanted(authenticate: Any, place: str) -> list[str]:
    wanted = []
    for parameter in inspect.signature(authenticate).parameters.values():
        default = parameter.default
        if type(default).__module__.startswith("fastapi."):
            raise ConfigurationError(
                f"`auth.path`: {place}: the parameter {parameter.name!r} of @auth.authenticate is a FastAPI "
                "dependency, which Langyard does not resolve; call the function within."
            )
        if parameter.name in INJECTED and parameter.kind not in _BY_POSITION:
            wanted.append(parameter.name)
        elif default is parameter.empty and parameter.kind not in _BY_POSITION[1:]:
            raise ConfigurationError(
                f"`auth.path`: {place}: nothing is known to pass for the parameter {parameter.name!r} of "
                f"@auth.authenticate; known are {', '.join(sorted(INJECTED))}."
            )
    return wanted

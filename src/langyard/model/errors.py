"""The one family of errors Langyard raises on purpose: what a caller can do decides the class, `code` names the case.

The gateway alone turns a family into an HTTP status (`gateway/errors.py`).
A failing user graph is data, not one of these.
"""

from __future__ import annotations


class LangyardError(Exception):
    """Root. `detail` is a sentence fit for the client; `code` is stable (`docs/reference/errors.md`)."""

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code


class Invalid(LangyardError):
    """The request itself is wrong; sending it again unchanged cannot succeed."""

    code = "invalid_request"


class BadRequest(Invalid):
    """What is asked cannot be: each part is well-formed, together they make no sense. 400 over HTTP."""

    code = "bad_request"


class Unauthenticated(LangyardError):
    """Nobody in particular is asking."""

    code = "unauthenticated"


class Forbidden(LangyardError):
    """The principal is known and may not do this."""

    code = "forbidden"


class NotFound(LangyardError):
    """There is no such thing, or the principal may not know of it."""

    code = "not_found"


class Conflict(LangyardError):
    """The present state forbids it: a duplicate, a busy thread, a reused idempotency key."""

    code = "conflict"


class TooLarge(LangyardError):
    """The request is larger than this server takes."""

    code = "request_too_large"


class Limited(LangyardError):
    """Too much, too soon. `retry_after` is seconds."""

    code = "rate_limited"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Unavailable(LangyardError):
    """A dependency is away; the same request may succeed later. `retry_after` is seconds."""

    code = "unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float = 2.0) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class GraphFailed(LangyardError):
    """The user's own code gave no graph where one was asked for; the log has its words."""

    code = "graph_failed"


class ConfigurationError(LangyardError):
    """A setting or `langgraph.json` is wrong: said at start-up, on the terminal, never over HTTP."""

    code = "configuration"


class LeaseLost(LangyardError):
    """A write came from a worker whose lease on the run is gone; nothing of it was stored."""

    code = "lease_lost"

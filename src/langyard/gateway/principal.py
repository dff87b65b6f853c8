"""Who is asking. `principal_of` is the single place that decides it, for every route."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from langyard.model.errors import Invalid
from langyard.sessions import check_id


@dataclass(frozen=True, slots=True)
class Principal:
    """The one on whose behalf a request is served."""

    user_id: str


def principal_of(request: Request, user_id: str | None = None) -> Principal:
    """Until there is authentication, whom the body names (`user_id`), or else the query parameter of that name.

    Raises `Invalid` when neither names anybody.
    """
    claimed = user_id if user_id is not None else request.query_params.get("user_id")
    if claimed is None:
        raise Invalid("user_id is missing: give it as a query parameter.")
    return Principal(check_id(claimed, "user_id"))

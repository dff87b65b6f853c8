"""Who is asking. `principal_of` is the single place that decides it, for every route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request

from langyard.model.errors import Invalid
from langyard.sessions import check_id


@dataclass(frozen=True, slots=True)
class Principal:
    """The one on whose behalf a request is served."""

    user_id: str


def principal_of(request: Request, user_id: str | None) -> Principal:
    """Until there is authentication, whom the body or the query names. Raises `Invalid` when neither names anybody."""
    if user_id is None:
        raise Invalid("user_id is missing: give it as a query parameter.")
    return Principal(check_id(user_id, "user_id"))


async def _asking(
    request: Request, user_id: Annotated[str | None, Query(description="Whose session it is.", examples=["ada"])] = None
) -> Principal:
    return principal_of(request, user_id)


Asking = Annotated[Principal, Depends(_asking)]
"""The parameter of routes whose request has no body."""

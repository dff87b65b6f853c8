"""Who a workflow route acts for: who was authenticated, or, where nobody authenticates, whom the request names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request

from langyard.gateway.access.access import access_of
from langyard.model.errors import Forbidden, Invalid
from langyard.model.principal import Principal
from langyard.sessions import check_id


def asking_of(request: Request, user_id: str | None, *, where: str = "in the body") -> Principal:
    """The principal. Where requests are authenticated, a `user_id` may be left out and must not be another's.

    Raises `Invalid` when nobody is named, `Forbidden` (`user_mismatch`).
    """
    known = access_of(request).principal
    if known is None:
        if user_id is None:
            raise Invalid(f"user_id is missing: give it {where}.")
        return Principal(check_id(user_id, "user_id"))
    if user_id is not None and user_id != known.user_id:
        raise Forbidden(
            f"user_id {where} is not the user who is authenticated; it can be left out.", code="user_mismatch"
        )
    check_id(known.user_id, "The authenticated identity")
    return known


async def _asking(
    request: Request,
    user_id: Annotated[
        str | None,
        Query(description="Whose session it is; not needed where requests are authenticated.", examples=["ada"]),
    ] = None,
) -> Principal:
    return asking_of(request, user_id, where="as a query parameter")


Asking = Annotated[Principal, Depends(_asking)]
"""The parameter of routes whose request has no body."""

"""What `@auth.authenticate` gave, as a `Principal` (contract F.1). Called by `gate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langyard import serde
from langyard.model.principal import Principal, User

_ATTRIBUTES = ("identity", "display_name", "is_authenticated", "permissions")


def principal_of(given: Any) -> Principal:
    """A text is an identity, a mapping or an object has one, a pair is (permissions, user). Raises `TypeError`."""
    scopes: Any = None
    if isinstance(given, tuple):
        if len(given) != 2:
            raise TypeError("authenticate gave a tuple that is no pair of permissions and user")
        scopes, given = given
    if given is None:
        raise TypeError("authenticate gave nobody: return a user, or raise Auth.exceptions.HTTPException")
    facts = _facts(given)
    identity = facts.get("identity")
    if not isinstance(identity, str) or not identity:
        raise TypeError("authenticate gave a user without an identity, which must be a text")
    permissions = _permissions(facts.get("permissions") if scopes is None else scopes)
    facts["permissions"] = list(permissions)
    return Principal(identity, permissions, User(facts, None if isinstance(given, str | Mapping) else given))


def remembered(facts: Mapping[str, Any]) -> User:
    """A user as a run's row has it."""
    return User(facts)


def shown(principal: Principal) -> dict[str, Any]:
    """What a run is told of its user, as it will be read back from the database."""
    facts = principal.user.facts() if principal.user is not None else {"identity": principal.user_id}
    plain: dict[str, Any] = serde.plain(facts)
    return plain


def _facts(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return {"identity": given}
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    found = {name: getattr(given, name) for name in _ATTRIBUTES if hasattr(given, name)}
    if callable(dump := getattr(given, "model_dump", None)):
        return {**dump(), **found}
    own = getattr(given, "__dict__", {})
    return {**{name: value for name, value in own.items() if not name.startswith("_")}, **found}


def _permissions(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError("authenticate gave permissions that are no list of texts")
    return tuple(str(one) for one in given)

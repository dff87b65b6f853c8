"""Who is asking: made by `auth` or by a rule that acts for somebody, read by every rule that asks on whose behalf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


class User:
    """A user as handlers and graphs see it: attributes and items alike, over whatever `authenticate` gave.

    `facts` are what is known by name; `origin` is the object it came from, whose attributes are its own.
    """

    def __init__(self, facts: Mapping[str, Any], origin: object = None) -> None:
        identity = str(facts["identity"])
        known = {"identity": identity, "is_authenticated": True, "display_name": identity, "permissions": []}
        self._facts: dict[str, Any] = {**known, **facts}
        self._origin = origin

    @property
    def identity(self) -> str:
        """Who it is, the same at every request."""
        return str(self._facts["identity"])

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody vouched for it."""
        return bool(self._facts["is_authenticated"])

    @property
    def display_name(self) -> str:
        """What to call it."""
        return str(self._facts["display_name"])

    @property
    def permissions(self) -> Sequence[str]:
        """What it was said to be allowed."""
        return list(self._facts["permissions"])

    def facts(self) -> dict[str, Any]:
        """All that is known of it by name."""
        return dict(self._facts)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_facts" not in self.__dict__:
            raise AttributeError(name)
        if name in self._facts:
            return self._facts[name]
        if self._origin is not None:
            return getattr(self._origin, name)
        raise AttributeError(f"the user has no {name!r}")

    def __getitem__(self, key: str) -> Any:
        return self._facts[key]

    def __contains__(self, key: object) -> bool:
        return key in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def keys(self) -> list[str]:
        """What it has items for, so that `dict(user)` is all of them."""
        return list(self._facts)

    def get(self, key: str, default: Any = None) -> Any:
        """An item, or the default."""
        return self._facts.get(key, default)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, User) and other._facts == self._facts

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        # Facts may be secrets of the user's, and this ends up in logs.
        return f"User(identity={self.identity!r})"


ASKING: ContextVar[User | None] = ContextVar("the user who asks", default=None)
"""The user whose request is being served, for user code that is asked on the way: graph factories."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The one on whose behalf something is done. `user` is None where nobody authenticates and a name was just said."""

    user_id: str
    permissions: tuple[str, ...] = ()
    user: User | None = field(default=None, compare=False)

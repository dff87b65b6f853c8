"""What settings dataclasses are made of: `setting` declares a field, the rest walks, builds and prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from langyard.config.urls import mask_url
from langyard.config.values import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a setting before it has a value. `also` are older or official names, read after `env`, in order;
    one that is written differently brings its own Kind."""

    env: str
    kind: Kind
    help: str
    unit: str | None = None
    secret: bool = False
    also: tuple[str | tuple[str, Kind], ...] = ()
    default: Any = None

    @property
    def names(self) -> tuple[tuple[str, Kind], ...]:
        """Every variable that sets it, the first that is set wins, each with how it is written."""
        others = ((other, self.kind) if isinstance(other, str) else other for other in self.also)
        return (self.env, self.kind), *others


def setting(
    default: T,
    env: str,
    kind: Kind,
    help: str,
    *,
    unit: str | None = None,
    secret: bool = False,
    also: tuple[str | tuple[str, Kind], ...] = (),
) -> T:
    """A field of a settings dataclass. A secret stays out of its `repr`."""
    known = Setting(env, kind, help, unit, secret, also, default)
    return field(default=default, repr=not secret, metadata={"setting": known})


def walk(room: type[Any], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Every setting of a dataclass and of the rooms within it, by dotted key, in the order of the fields."""
    hints = get_type_hints(room)
    for part in fields(room):
        inner = hints[part.name]
        if (known := part.metadata.get("setting")) is not None:
            yield prefix + part.name, known
        elif is_dataclass(inner):
            assert isinstance(inner, type)
            yield from walk(inner, f"{prefix}{part.name}.")


def build(room: type[T], found: Mapping[str, Any], prefix: str = "") -> T:
    """The dataclass with its rooms, from values by dotted key."""
    hints = get_type_hints(room)
    given: dict[str, Any] = {}
    for part in fields(room):  # type: ignore[arg-type]
        inner = hints[part.name]
        if "setting" in part.metadata:
            given[part.name] = found[prefix + part.name]
        elif is_dataclass(inner):
            assert isinstance(inner, type)
            given[part.name] = build(inner, found, f"{prefix}{part.name}.")
    return room(**given)


def masked(settings: object) -> dict[str, Any]:
    """Values by room, ready for JSON, secrets without their passwords."""
    shown: dict[str, Any] = {}
    for part in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, part.name)
        known = part.metadata.get("setting")
        if known is not None:
            shown[part.name] = _masked(value) if known.secret and value else _plain(value)
        elif is_dataclass(value):
            shown[part.name] = masked(value)
    return shown


def _masked(value: object) -> str:
    """An address without its password; of a key, only that there is one."""
    return mask_url(value) if isinstance(value, str) else "***"


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return list(value) if isinstance(value, tuple) else value

"""What the flow keeps: types that a strict checkpointer revives only when it is told of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypedDict

from pydantic import BaseModel


class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


@dataclass
class Note:
    text: str
    mood: Mood = Mood.CALM


class Sheet(BaseModel):
    title: str = ""
    notes: list[Note] = field(default_factory=list)


class Inner(BaseModel):
    hidden: str


class State(TypedDict):
    notes: list[Note]
    sheet: Sheet


class InnerState(TypedDict):
    notes: list[Note]
    inner: Inner

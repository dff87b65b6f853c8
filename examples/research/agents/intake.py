"""Checks what a caller sent and answers what is wrong with it in a sentence. Called by the plan and approve nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.state import Text

QUESTION_LETTERS = 2000
NOTE_LETTERS = 2000


def question(state: Mapping[str, Any]) -> str:
    """The question, in one line."""
    given = state.get("question")
    if given is None:
        raise ValueError("The input has no question; send {'question': '...'}.")
    if not isinstance(given, str):
        raise ValueError(f"The question must be text, not {type(given).__name__}.")
    return _line(given, "question", QUESTION_LETTERS)


def documents(state: Mapping[str, Any]) -> list[str]:
    """Paths of files and folders, possibly none."""
    given = state.get("documents")
    if not (given is None or isinstance(given, list)) or any(not isinstance(path, str) for path in given or []):
        raise ValueError("documents must be a list of paths, such as ['corpus', 'notes/today.md'].")
    return list(given or [])


def texts(state: Mapping[str, Any]) -> list[Text]:
    """Documents sent along as text, possibly none."""
    given = state.get("texts")
    if given is not None and not isinstance(given, list):
        raise ValueError("texts must be a list of {'name': '...', 'text': '...'}.")
    found: list[Text] = []
    for entry in given or []:
        name, text = (entry.get("name"), entry.get("text")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str) or not name.strip():
            raise ValueError("Each of texts must be {'name': '...', 'text': '...'} with a name that is not empty.")
        found.append(Text(name=_line(name, "name of a text", 200), text=text))
    return found


def approval(state: Mapping[str, Any]) -> bool:
    """Whether the caller wants to see the draft first."""
    given = state.get("approval")
    if not (given is None or isinstance(given, bool)):
        raise ValueError("approval must be true or false.")
    return bool(given)


def verdict(answer: Any) -> tuple[str, str] | str:
    """A reader's answer to the draft as ("approve", "") or ("revise", note); else a sentence that asks again."""
    if answer is True or answer == "approve":
        return "approve", ""
    if isinstance(answer, dict) and answer.get("decision") == "approve":
        return "approve", ""
    if isinstance(answer, dict) and answer.get("decision") == "revise":
        note = answer.get("note")
        if isinstance(note, str) and note.strip():
            try:
                return "revise", _line(note, "note", NOTE_LETTERS)
            except ValueError as error:
                return str(error)
        return "To revise, add a note: {'decision': 'revise', 'note': 'what to add'}."
    return "Answer 'approve', or {'decision': 'revise', 'note': 'what to add'}."


def _line(text: str, what: str, longest: int) -> str:
    line = " ".join(text.split())
    if not line:
        raise ValueError(f"The {what} is empty.")
    if len(line) > longest:
        raise ValueError(f"The {what} is longer than {longest} characters.")
    if "\0" in line:
        raise ValueError(f"The {what} contains NUL characters.")
    return line

"""Reads the documents a caller names, and no other file of the machine. Called by the plan node, in a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agents.state import Text

SUFFIXES = (".md", ".txt")
FILE_BYTES = 1024 * 1024
ALL_BYTES = 4 * 1024 * 1024
FILES = 500
PROJECT = Path(__file__).resolve().parents[1]


def research_root() -> Path:
    """The only folder documents may be read from: RESEARCH_ROOT, or else this project."""
    root = Path(os.environ.get("RESEARCH_ROOT") or PROJECT).resolve()
    if not root.is_dir():
        raise ValueError("RESEARCH_ROOT is not a folder.")
    return root


def load(documents: list[str], texts: list[Text], root: Path) -> list[Text]:
    """The documents as named texts, folders walked in order of name; names are paths relative to `root`.

    Raises ValueError with a sentence for the caller: a path outside the root or missing, nothing to read, a file
    that is not UTF-8 text, two documents of one name, or more than FILE_BYTES, ALL_BYTES or FILES allow.
    """
    found: dict[str, str] = {}
    size = 0
    for name, text in _texts(documents, texts, root):
        if name in found:
            raise ValueError(f"Two documents are called {name!r}; give each its own name.")
        found[name] = text
        if len(found) > FILES:
            raise ValueError(f"More than {FILES} documents were given; give fewer.")
        size += len(text.encode(errors="replace"))
        if size > ALL_BYTES:
            raise ValueError(f"The documents are larger than {ALL_BYTES // 1024} KiB together; give fewer.")
    if not any(text.strip() for text in found.values()):
        raise ValueError("The documents contain no readable text.")
    return [Text(name=name, text=text) for name, text in found.items()]


def _texts(documents: list[str], texts: list[Text], root: Path) -> Iterator[tuple[str, str]]:
    for path in dict.fromkeys(_files(documents, root)):
        name = path.relative_to(root).as_posix()
        yield name, _read(path, name)
    for text in texts:
        yield text["name"], _clean(text["text"], text["name"])


def _files(documents: list[str], root: Path) -> Iterator[Path]:
    for given in documents:
        try:
            path = (root / given).resolve()
            inside, folder, file = path.is_relative_to(root), path.is_dir(), path.is_file()
        except (OSError, ValueError):  # a NUL or a name too long for the file system
            raise ValueError(f"{given[:200]!r} is not a usable path.") from None
        if not inside:
            raise ValueError(f"{given!r} is outside the folder that documents may be read from (RESEARCH_ROOT).")
        if file and path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{given!r} is not a .md or .txt file.")
        if file:
            yield path
        elif folder:
            yield from _walk(path, given, root)
        else:
            raise ValueError(f"There is no file or folder {given!r} below RESEARCH_ROOT.")


def _walk(folder: Path, given: str, root: Path) -> list[Path]:
    """Readable files of a folder; hidden ones and links that lead out of the root are passed over."""
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = (Path(place) / name).resolve()
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_relative_to(root):
                files.append(path)
        if len(files) > FILES:
            raise ValueError(f"The folder {given!r} holds more than {FILES} documents; name a smaller one.")
    if not files:
        raise ValueError(f"The folder {given!r} holds no .md or .txt file.")
    return files


def _read(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{name!r} cannot be read: {error.strerror}.") from None
    if len(data) > FILE_BYTES:
        raise ValueError(f"{name!r} is larger than {FILE_BYTES // 1024} KiB; split it or leave it out.")
    try:
        return _clean(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        raise ValueError(f"{name!r} is not UTF-8 text; convert it or leave it out.") from None


def _clean(text: str, name: str) -> str:
    if "\0" in text:
        raise ValueError(f"{name!r} is not text: it contains NUL bytes.")
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""The database of a command: started if it is ours, migrated, and named in the settings that are handed on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from langyard.cli.progress import Progress
from langyard.config import Settings
from langyard.config.urls import mask_url

if TYPE_CHECKING:
    from langyard.postgres.embedded import EmbeddedServer


class Storage:
    """`settings` lead to a database that runs. Close it after everything that uses the database."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        """Raises ConfigurationError and Unavailable."""
        self.settings = settings
        self.server: EmbeddedServer | None = None
        if settings.database.url is None:
            from langyard.postgres import embedded

            folder = settings.data_dir / "postgres"
            with progress.step(f"{_doing(folder / 'data')} PostgreSQL in {folder}"):
                self.server = embedded.start(settings.home)
            self.settings = _with_database(settings, url=self.server.url)

    @property
    def url(self) -> str:
        """Where the database is reached by its own name, past any pooler."""
        database = self.settings.database
        assert database.url is not None
        return database.direct_url or database.url

    @property
    def place(self) -> str:
        """Where the data lie, for people."""
        if self.server is not None:
            return str(self.server.data.parent)
        return mask_url(self.settings.database.url or "")

    def migrate(self, progress: Progress) -> list[str]:
        """Bring the schema up to date; what was applied. Raises ConfigurationError and Unavailable."""
        from langyard.postgres.migrations import migrate

        with progress.step("Bringing the database up to date"):
            return asyncio.run(migrate(self.url))

    def close(self) -> None:
        """Give up our own server, which stops it if nobody else uses it."""
        if self.server is not None:
            self.server.close()


def _doing(data: Path) -> str:
    if not data.exists():
        return "Setting up"
    # Another process of this folder has it running, most likely; after a crash it is started all the same.
    return "Reaching" if os.access(data / "postmaster.pid", os.F_OK) else "Starting"


@contextlib.contextmanager
def opened(settings: Settings, progress: Progress) -> Iterator[Storage]:
    """A database that is up to date, unless the settings leave that to others."""
    with contextlib.closing(Storage(settings, progress)) as storage:
        if settings.database.migrate:
            storage.migrate(progress)
            storage.settings = _with_database(storage.settings, migrate=False)
        yield storage


def _with_database(settings: Settings, **changes: object) -> Settings:
    return replace(settings, database=replace(settings.database, **changes))  # type: ignore[arg-type]

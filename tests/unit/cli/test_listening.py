"""Where a server listens, and the sentences when it cannot."""

from __future__ import annotations

import contextlib
import socket

import pytest

from langyard.cli import listening
from langyard.model.errors import ConfigurationError


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_free_port_is_found_and_held():
    with contextlib.ExitStack() as stack:
        (bound,) = (stack.enter_context(each) for each in listening.bind("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert port > 0
        assert listening.address("127.0.0.1", bound) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_every_address_of_a_name_is_on_one_port(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    bound = listening.bind("localhost", 0)
    assert [each.getsockname()[0] for each in bound] == ["127.0.0.1", "127.0.0.2"]
    assert len({each.getsockname()[1] for each in bound}) == 1
    for each in bound:
        each.close()


def test_an_address_this_machine_lacks_is_passed_over_when_there_is_another(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("192.0.2.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    (bound,) = listening.bind("both", 0)
    assert bound.getsockname()[0] == "127.0.0.1"
    bound.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found[:1])
    with pytest.raises(ConfigurationError, match=r"Cannot listen on both, port 0: "):
        listening.bind("both", 0)


def test_a_port_in_use_is_a_sentence(taken):
    with pytest.raises(ConfigurationError) as raised:
        listening.bind("127.0.0.1", taken)
    assert raised.value.detail == (
        f"Port {taken} on 127.0.0.1 is in use by another program. Choose another with --port (0 takes a free one)."
    )


def test_a_port_in_use_on_one_address_of_many_is_one_in_use(taken, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, taken)) for host in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ConfigurationError, match="is in use"):
        listening.bind("localhost", taken)
    with socket.socket() as free:
        free.bind(("127.0.0.2", taken))  # what was bound before the failure was given back


def test_a_name_that_is_none_is_a_sentence():
    with pytest.raises(ConfigurationError, match=r"There is no address 'no\.such\.host\.invalid' to listen on"):
        listening.bind("no.such.host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")]
)
def test_the_address_shown_can_be_opened(host, shown):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert listening.address(host, bound) == f"http://{shown}:{bound.getsockname()[1]}"

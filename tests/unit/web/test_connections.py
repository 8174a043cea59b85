"""Clients that hold a connection and ask for nothing: each costs a file descriptor of the process that trades."""

from __future__ import annotations

import contextlib
import socket

import pytest

from adapters.web import connections
from tests.unit.web.conftest import Site

HALF = b"GET /live HTTP/1.1\r\nHost: localh"
REST = b"ost\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, site: Site) -> Site:
    monkeypatch.setattr(connections, "ASKING_S", 0.1)
    return site


def opened(site: Site, said: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", site.port), timeout=10)
    client.sendall(said)
    return client


def is_let_go(client: socket.socket) -> bool:
    """Waits until the server has closed it; TimeoutError: it has not."""
    with contextlib.suppress(ConnectionResetError):
        return client.recv(1 << 16) == b""
    return True


@pytest.mark.parametrize("said", [b"", HALF])
def test_who_says_nothing_whole_is_let_go(impatient: Site, said: bytes) -> None:
    with opened(impatient, said) as client:
        assert is_let_go(client)


def test_so_is_who_stops_in_the_middle_of_a_second_request(impatient: Site) -> None:
    with opened(impatient, HALF + REST + HALF) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        while client.recv(1 << 16):
            pass


def test_an_open_page_is_left_alone(impatient: Site) -> None:
    with opened(impatient, b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n") as page, opened(impatient) as idle:
        assert is_let_go(idle)
        told = b""
        while told.count(b"event: ") < 2:  # a picture, and a step a second later
            told += page.recv(1 << 16)


def test_beyond_so_many_nobody_is_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 4)
    with contextlib.ExitStack() as them:
        for _ in range(8):
            them.enter_context(opened(site))
        assert is_let_go(them.enter_context(opened(site)))
    assert site.get("/live").status == 200

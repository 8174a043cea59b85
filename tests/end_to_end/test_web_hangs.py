"""The loop of the web server hangs: it is noticed, the server replaced, and nothing that protects waits for it."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess

pytestmark = pytest.mark.chaos
PORTS = range(20_000, 32_000)
"""None that a system gives to outgoing connections."""


@pytest.fixture
def port() -> int:
    """A free one."""
    while True:
        number = random.choice(PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", number)):
            return number


@pytest.fixture
def service(tmp_path: Path, port: int) -> Iterator[ServiceProcess]:
    settings = {"web": {"enabled": True, "port": port}}
    service = ServiceProcess(tmp_path, settings, program=("-m", "tests.end_to_end.hanging_web"))
    try:
        service.start()
        yield service
    finally:
        service.clean_up()


def asked(port: int, path: str) -> socket.socket:
    """A connection on which a question has been asked."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return connection


def served(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=2) as answer:
            return bool(json.loads(answer.read())["status"] == "alive")
    except OSError:
        return False


def crashes(service: ServiceProcess) -> list[dict[str, Any]]:
    return [each for each in service.events(type="actor_crashed") if each["data"]["name"] == "web"]


def test_a_hanging_loop_is_replaced_and_protection_does_not_wait(service: ServiceProcess, port: int) -> None:
    opened = service.open("BTCUSDT")
    service.wait_for(lambda: served(port), 30, "the page")
    with contextlib.ExitStack() as connections:
        page = connections.enter_context(asked(port, "/api/stream"))
        assert page.recv(100), "the page is told something"
        connections.enter_context(asked(port, "/hang"))
        service.wait_for(lambda: not served(port), 30, "the loop to hang")

        service.move_mark("BTCUSDT", "2")
        moved = service.wait_event("trailing_moved", position=opened["id"])
        other = service.open("ETHUSDT")
        crash = service.wait_for(lambda: crashes(service), 60, "somebody to notice it")[0]
        assert "hangs" in str(crash)
        assert moved["ts"] < crash["ts"], "the stop did not wait for a browser"
        service.wait_for(lambda: served(port), 60, "another server on the same port")
        (row,) = [each for each in service.ctl("actors")["actors"] if each["name"] == "web"]
        assert row["restarts"] >= 1
        assert {each["id"] for each in service.positions()} == {opened["id"], other["id"]}
        judge(service)

        connections.enter_context(asked(port, "/hang"))
        service.wait_for(lambda: not served(port), 30, "the loop to hang again")
        assert service.interrupt() == 0, "it ends in order, whatever hangs there"

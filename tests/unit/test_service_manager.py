"""What systemd hears, on a real datagram socket; and that its deafness costs nothing."""

from __future__ import annotations

import configparser
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.service_manager import ServiceManager

UNIT = Path(__file__).parents[2] / "deploy" / "holdfast.service"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(str(tmp_path / "notify"))
        yield listening


def test_it_hears_the_three_words(systemd: socket.socket) -> None:
    manager = ServiceManager.of({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "10000000"})
    manager.ready("mode paper")
    manager.alive()
    manager.stopping("asked to")
    heard = [systemd.recv(1000).decode() for _ in range(3)]
    assert heard == ["READY=1\nSTATUS=mode paper", "WATCHDOG=1", "STOPPING=1\nSTATUS=asked to"]


def test_an_abstract_name_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind("\0holdfast-notify-test")
        ServiceManager("@holdfast-notify-test", 10).alive()
        assert listening.recv(1000) == b"WATCHDOG=1"


def test_whoever_stood_by_begins_in_peace() -> None:
    """It has been ready, so the watchdog counts already while the tree is started."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind("\0holdfast-patience-test")
        manager = ServiceManager("@holdfast-patience-test", 10)
        manager.patience(120)
        manager.ready("x")
        manager.ready("x")
        heard = [listening.recv(1000).decode() for _ in range(3)]
    assert heard[0] == "WATCHDOG=1\nWATCHDOG_USEC=120000000"
    assert heard[1:] == ["READY=1\nSTATUS=x\nWATCHDOG_USEC=10000000", "READY=1\nSTATUS=x"]


def test_nobody_to_tell_and_nobody_who_listens_are_no_errors(tmp_path: Path) -> None:
    ServiceManager.of({}).alive()
    deaf = ServiceManager(str(tmp_path / "nobody"), 10)
    deaf.alive()
    deaf.alive()


@pytest.mark.parametrize(
    ("environ", "every_s"),
    [
        ({}, 0.5),
        ({"WATCHDOG_USEC": "10000000"}, 0.5),
        ({"WATCHDOG_USEC": "1000000"}, 0.25),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 0.25),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, 0.5),
        ({"WATCHDOG_USEC": "0"}, 0.5),
        ({"WATCHDOG_USEC": "soon"}, 0.5),
    ],
)
def test_it_looks_as_often_as_systemd_wants_to_hear(environ: dict[str, str], every_s: float) -> None:
    assert ServiceManager.of(environ).watch_every_s(0.5) == every_s


def test_who_keeps_no_watch_is_told_nothing(systemd: socket.socket) -> None:
    manager = ServiceManager.of({"NOTIFY_SOCKET": systemd.getsockname()})
    manager.alive()
    manager.stopping("asked to")
    assert systemd.recv(1000).startswith(b"STOPPING=1")


def test_the_unit_file_says_what_the_service_does() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 5, "several times the pause between two signs of life"
    assert service["RestartPreventExitStatus"].split() == ["2", "3"]
    assert "main.py run" in service["ExecStart"]

"""The launcher with a real program: found again, started again on its port, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adapters.paper_launcher import PaperExchangeFailed, PaperLauncher

# A program that announces itself as the paper exchange does, and obeys or not.
PROGRAM = """
import json, os, signal, socket, sys, time
options = sys.argv[sys.argv.index("paper-exchange") + 1:]
directory, port = options[options.index("--state-dir") + 1], int(options[options.index("--port") + 1])
if "--refuse" in options:
    sys.exit("the port is taken")
if "--deaf" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("127.0.0.1", port))
listening.listen()
port = listening.getsockname()[1]
with open(os.path.join(directory, "started"), "a") as started:
    started.write(str(os.getpid()) + "\\n")
if "--silent" not in options:
    told = {"pid": os.getpid(), "port": port, "rest_url": f"http://127.0.0.1:{port}", "ws_url": f"ws://127.0.0.1:{port}"}
    if "--dialect" in options:
        told["dialect"] = options[options.index("--dialect") + 1]
    file = os.path.join(directory, "endpoint.json")
    with open(file + ".new", "w") as out:
        json.dump(told, out)
    os.replace(file + ".new", file)
time.sleep(60)
"""
Launch = Callable[..., PaperLauncher]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Launchers of one directory; whatever they started is gone afterwards."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    directory = tmp_path / "exchange"

    def make(*options: str) -> PaperLauncher:
        return PaperLauncher(directory, (sys.executable, "-S", str(program), "paper-exchange"), options)

    yield make
    for pid in started(directory):
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def started(directory: Path) -> list[int]:
    file = directory / "started"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_one_that_speaks_another_dialect_makes_way(launch: Launch) -> None:
    first = launch("--dialect", "binanceusdm").start()
    assert launch("--dialect", "binanceusdm").start() == first
    assert launch().start() == first, "who asks for no dialect takes any"
    second = launch("--dialect", "bybit").start()
    assert (second.dialect, second.port) == ("bybit", first.port)
    assert gone(first.pid)
    assert launch("--dialect", "bybit").start() == second


def test_a_living_exchange_is_used_again(launch: Launch) -> None:
    first = launch()
    endpoint = first.start()
    second = launch()
    assert second.start() == endpoint
    assert second.ensure() is False
    second.stop()
    assert gone(endpoint.pid)
    assert second.running() is None
    first.stop()


def test_a_dead_one_is_started_on_the_port_it_had(launch: Launch) -> None:
    launcher = launch()
    first = launcher.start()
    os.kill(first.pid, signal.SIGKILL)
    psutil.Process(first.pid).wait(5)
    assert launcher.ensure() is True
    again = launcher.running()
    assert again is not None
    assert again.pid != first.pid
    assert (again.port, again.rest_url, again.ws_url) == (first.port, first.rest_url, first.ws_url)
    launcher.stop()


def test_it_has_a_session_of_its_own(launch: Launch) -> None:
    launcher = launch()
    endpoint = launcher.start()
    assert os.getsid(endpoint.pid) == endpoint.pid
    launcher.stop()


def test_one_that_does_not_obey_is_ended_all_the_same(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.paper_launcher.STOP_LIMIT_S", 0.3)
    launcher = launch("--deaf")
    endpoint = launcher.start()
    launcher.stop()
    assert gone(endpoint.pid)


def test_why_it_ended_is_told(launch: Launch) -> None:
    with pytest.raises(PaperExchangeFailed, match="ended with 1: the port is taken"):
        launch("--refuse").start()


def test_one_that_never_comes_up_is_not_left_behind(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.paper_launcher.START_LIMIT_S", 1.0)
    launcher = launch("--silent")
    with pytest.raises(PaperExchangeFailed, match="did not come up in 1 s"):
        launcher.start()
    (pid,) = started(launcher.endpoint_file.parent)
    assert gone(pid)


def test_a_stranger_with_the_announced_pid_is_left_alone(launch: Launch) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        launcher = launch()
        launcher.endpoint_file.parent.mkdir()
        launcher.endpoint_file.write_text(
            f'{{"pid": {stranger.pid}, "port": 1, "rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1"}}'
        )
        assert launcher.running() is None
        launcher.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x", "port": 1, "rest_url": "", "ws_url": ""}'])
def test_a_broken_announcement_is_none(launch: Launch, text: str) -> None:
    launcher = launch()
    launcher.endpoint_file.parent.mkdir()
    launcher.endpoint_file.write_text(text)
    assert launcher.running() is None

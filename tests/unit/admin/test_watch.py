"""`ctl watch`: on a terminal it draws until q, elsewhere it prints one picture."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adapters.admin import ctl, watch
from adapters.admin.protocol import METHOD_NOT_FOUND, AdminError, Caller
from adapters.admin.server import AdminServer

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def position(number: int) -> dict[str, Any]:
    return {"id": number, "symbol": f"S{number}USDT", "state": "ACTIVE", "stop_price": "1.5", "quantity": "10"}


def event(number: int) -> dict[str, Any]:
    return {"seq": number, "ts": "2026-03-04T11:00:00Z", "type": f"event_{number}", "severity": "INFO", "data": {}}


class Answers:
    """A small service; what it owns may change."""

    def __init__(self) -> None:
        self.positions = 2

    def __call__(self, method: str, params: dict[str, object], caller: Caller) -> object:
        match method:
            case "status":
                return {
                    "mode": "paper", "uptime_s": 7, "unprotected_now": 0, "unprotected_seconds_today": "0.031",
                    "entries": {"open": False, "why": {"main": "lunch"}},
                    "components": [{"name": "database", "state": "down"}],
                }  # fmt: skip
            case "positions":
                return {"positions": [position(n) for n in range(self.positions)]}
            case "actors":
                return {
                    "actors": [
                        {"name": "journal", "state": "RUNNING", "restarts": 0, "parent": "root"},
                        {"name": "gateway/main", "state": "RUNNING", "restarts": 3, "parent": "root"},
                    ]
                }
            case "events":
                return {"events": [event(n) for n in range(5)], "next_since": 5}
        raise AdminError(METHOD_NOT_FOUND, method)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def server(tmp_path: Path, answers: Answers) -> Iterator[AdminServer]:
    server = AdminServer(tmp_path / "s.sock", answers)
    server.start()
    yield server
    server.stop()


def test_without_a_terminal_one_picture_is_printed(server: AdminServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["watch"], lambda _: server.path) == 0
    out = capsys.readouterr().out
    for words in (
        "2 positions, 2 stops", "unprotected now 0, today 0.031 s", "ENTRIES CLOSED", "lunch", "database down",
        "S0USDT", "S1USDT", "gateway/main", "event_4",
    ):  # fmt: skip
        assert words in out
    assert "journal" not in out, "who is well needs no line"
    assert out.index("event_4") < out.index("event_0"), "the newest event stands first"


def test_no_service_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["watch"], lambda _: tmp_path / "none.sock") == 3
    assert "no service" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("watch", "every=0"), ("watch", "every=x"), ("watch", "symbol=BTC")])
def test_wrong_words_are_exit_2(
    server: AdminServer, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert ctl.main(words, lambda _: server.path) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(("positions", "height"), [(0, 10), (3, 24), (40, 24), (40, 8), (1, 3)])
def test_a_picture_fits_its_screen(answers: Answers, positions: int, height: int) -> None:
    picture = watch.Picture(
        status={"entries": {"open": True}, "components": []},
        positions=[position(n) for n in range(positions)],
        actors=[],
        events=[event(n) for n in range(60)],
    )
    console = Console(file=io.StringIO(), width=200, highlight=False)
    with console.capture() as taken:
        console.print(watch.draw(picture, NOW, height))
    lines = taken.get().splitlines()
    assert len(lines) <= max(height, 12)
    assert any("event_59" in line for line in lines), "the newest event is never left out"
    if positions == 40:
        assert any("more" in line for line in lines), "what is left out is said"


def drawn(terminal: int, wanted: str, limit_s: float = 20) -> str:
    """What the terminal shows until the words are there."""
    seen, deadline = "", time.monotonic() + limit_s
    while wanted not in seen:
        assert time.monotonic() < deadline, f"{wanted!r} is not shown: {seen[-2000:]!r}"
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 1 << 16).decode(errors="replace")
    return seen


def test_on_a_terminal_it_draws_until_q_follows_its_size_and_outlives_the_service(
    server: AdminServer, answers: Answers
) -> None:
    program = (
        "import sys; from pathlib import Path; from adapters.admin import ctl; "
        "sys.exit(ctl.main(['watch', 'every=0.05'], lambda _: Path(sys.argv[1])))"
    )
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 160, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    before = termios.tcgetattr(inside)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(server.path)], stdin=inside, stdout=inside, stderr=inside, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    try:
        drawn(terminal, "S1USDT")
        answers.positions = 3
        drawn(terminal, "S2USDT")
        answers.positions = 40
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 14, 160, 0, 0))
        drawn(terminal, "more")
        server.stop()
        drawn(terminal, "asking again")
        server.start()
        drawn(terminal, "positions")
        os.write(terminal, b"q")
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.05)[0]:
                os.read(terminal, 1 << 16)
        assert process.poll() == 0
        assert termios.tcgetattr(inside) == before, "the terminal is as it was"
    finally:
        process.kill()
        process.wait(10)
        os.close(terminal)
        os.close(inside)

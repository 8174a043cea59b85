"""No secret in any log line, wherever it comes from."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loguru import logger

from actors.recording import log, plain_event
from config.log import set_up
from config.settings import Log
from domain.catalogue import EventType

SECRET = "s3cr3t-k3y-of-the-account"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What stands on the terminal."""
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    return terminal


@pytest.fixture
def log_file(tmp_path: Path, terminal: io.StringIO) -> Iterator[Path]:
    set_up(Log(), tmp_path, [SECRET])
    yield tmp_path / "holdfast.jsonl"
    logger.remove()
    logger.configure(patcher=lambda record: None)


def test_the_state_directory_is_private_from_its_first_file_on(tmp_path: Path, terminal: io.StringIO) -> None:
    before = os.umask(0o022)
    try:
        set_up(Log(), tmp_path / "state" / "logs", [])
    finally:
        os.umask(before)
        logger.remove()
        logger.configure(patcher=lambda record: None)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state", tmp_path / "state" / "logs")]
    assert modes == [0o700, 0o700]


def test_a_secret_in_a_message_is_hidden(log_file: Path, terminal: io.StringIO) -> None:
    logger.warning("REFUSED key={}", SECRET)
    assert SECRET not in terminal.getvalue() + log_file.read_text()
    assert "REFUSED key=***" in log_file.read_text()


def test_a_secret_in_an_error_is_hidden(log_file: Path, terminal: io.StringIO) -> None:
    try:
        try:
            raise ValueError(f"GET /fapi/v1/order?signature=1&apiKey={SECRET}")
        except ValueError as cause:
            raise RuntimeError("the request failed") from cause
    except RuntimeError as error:
        logger.opt(exception=error).critical("GATEWAY_ERROR")
    shown = terminal.getvalue() + log_file.read_text()
    assert SECRET not in shown
    assert shown.count("the request failed") >= 2
    assert "apiKey=***" in shown


def test_other_errors_are_shown_whole(log_file: Path, terminal: io.StringIO) -> None:
    try:
        raise RuntimeError("nothing to hide")
    except RuntimeError as error:
        logger.opt(exception=error).error("BROKE")
    assert "Traceback" in terminal.getvalue()
    assert '"exception": {"type": "RuntimeError"' in log_file.read_text()


def test_half_of_a_surrogate_pair_loses_no_line(log_file: Path, terminal: io.StringIO) -> None:
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    log([plain_event(EventType.SIGNAL_MALFORMED, at, {"signal": "s-\ud83d"}, error="cut")])
    assert "signal=s-?" in log_file.read_text()
    assert "signal=s-?" in terminal.getvalue()

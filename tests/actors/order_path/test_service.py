"""The service's own start and stop, as a process: whatever goes wrong, nothing stays behind that should not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from actors.service import Service
from tests.actors.order_path.stage import until
from tests.end_to_end.agreement import conninfo
from tests.end_to_end.command import ROOT, environment, run_main
from tests.end_to_end.service import ServiceProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def processes_of(state_dir: Path) -> list[list[str]]:
    """The command lines of everything that works in or on a state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            here = process.cwd().startswith(str(state_dir)) or any(str(state_dir) in word for word in process.cmdline())
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def spawn(service: ServiceProcess) -> subprocess.Popen[bytes]:
    """Start a service without waiting for it."""
    with service.output.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "main.py", "run", "--settings", str(service.settings)],
            cwd=ROOT,
            env=environment({}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(service: ServiceProcess, text: str) -> bool:
    return service.output.exists() and text in service.output.read_text(errors="replace")


def test_a_start_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """The database is up when the paper exchange refuses its command line."""
    service = ServiceProcess(tmp_path, {"paper": {"tape": ["BTCUSDT=/nonexistent.csv"]}})
    process = spawn(service)
    try:
        assert process.wait(60) == 1, service.log_tail()
        assert said(service, "START_FAILED")
        assert said(service, "SHUTDOWN_DONE")
        assert (service.state_dir / "pg" / "pgdata").exists()
        assert processes_of(service.state_dir) == []
    finally:
        process.kill()
        service.clean_up()


def test_locked_out_then_stopped_twice(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path)
    try:
        service.start()
        second = run_main("run", "--settings", str(service.settings))
        assert second.returncode == 3
        assert "RUN_LOCKED" in second.stdout + second.stderr
        assert service.alive
        assert service.ctl("status")["mode"] == "paper"
        process = psutil.Process(service.pid)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert service._process is not None
        assert service._process.wait(30) == 0
        assert said(service, "SHUTDOWN_DONE")
        assert processes_of(service.state_dir) == []
        assert "Unclosed" not in service.output.read_text(errors="replace")
    finally:
        service.clean_up()


def test_asked_to_stop_while_starting(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path)
    process = spawn(service)
    try:
        until(lambda: said(service, "PAPER_EXCHANGE") or process.poll() is not None, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, service.log_tail()
        assert processes_of(service.state_dir) == []
    finally:
        process.kill()
        service.clean_up()


def test_a_higher_term_ends_it_with_3(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path)
    try:
        service.start()
        with psycopg.connect(conninfo(service.state_dir), autocommit=True) as conn:
            conn.execute("UPDATE monitoring.account_terms SET term = term + 1, holder = 'another machine'")
        assert service._process is not None
        assert service._process.wait(30) == 3, service.log_tail()
        assert said(service, "another machine")
        assert processes_of(service.state_dir) == []
    finally:
        service.clean_up()


class Settings:
    """As much of the settings as a service reads before it does anything."""


def test_the_first_reason_to_stop_counts() -> None:
    service = Service(Settings(), "0", load_settings=Settings)  # type: ignore[arg-type]
    service.request_stop("superseded", 3)
    service.request_stop("SIGTERM", 0)
    assert service.wait() == 3


def test_what_is_below_is_closed_whatever_the_tree_does() -> None:
    service = Service(Settings(), "0", load_settings=Settings)  # type: ignore[arg-type]
    closed: list[str] = []
    service._below.callback(closed.append, "database")

    class Broken:
        root: Any = None
        sound = True
        owners = None

    service._tree = Broken()  # type: ignore[assignment]

    def fails(_: object) -> str:
        raise RuntimeError("the table of owners is broken")

    with pytest.raises(RuntimeError, match="table of owners"):
        service.stop(fails)
    assert closed == ["database"]


def test_a_tree_that_does_not_stop_in_time_gives_no_account_back() -> None:
    """Its gateway may live: a successor that is told 'given back in order' would send at once, beside it (S8)."""
    service = Service(Settings(), "0", load_settings=Settings)  # type: ignore[arg-type]
    closed: list[str] = []
    service._below.callback(closed.append, "locks")

    class Overdue:
        root: Any = None
        sound = True
        done = False

        def stop(self) -> bool:
            return self.done

    overdue = Overdue()
    service._tree = overdue  # type: ignore[assignment]
    service.stop(lambda _: "nothing")
    assert closed == []

    service._below.callback(closed.append, "locks")
    overdue.done = True
    service.stop(lambda _: "nothing")
    assert closed == ["locks"]

"""Two machines in one test: a database server and a paper exchange that both reach, and a service on each.

Rules of this file: server and exchange belong to the test and outlive every service; each service has a state directory
of its own; what was sent is judged from the exchange's timeline alone.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from adapters.paper_launcher import PaperLauncher
from persistence.embedded import EmbeddedPostgres
from tests.end_to_end import produced
from tests.end_to_end.command import ROOT, environment
from tests.end_to_end.service import START_LIMIT_S, Sections, ServiceProcess, end_process

PROGRAM = (sys.executable, str(ROOT / "main.py"), "paper-exchange")
OPTIONS = ("--dialect", "binanceusdm", "--volatility", "0.001", "--seed", "7", "--control", "--balance", "10000")
KEYS = ("--key", "paper", "--secret", "paper")


class Common:
    """What both machines reach."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.server = EmbeddedPostgres(base / "pg")
        self.url = _as_url(self.server.start())
        self.exchange = PaperLauncher(base / "exchange", PROGRAM, [*OPTIONS, *KEYS])
        self.endpoint = self.exchange.start()
        self.machines: list[Machine] = []

    def machine(self, name: str, *, standby: bool = False, **sections: Any) -> Machine:
        """A machine that is not started yet."""
        machine = Machine(self, name, standby=standby, **sections)
        self.machines.append(machine)
        return machine

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.url) as conn:
            return conn.execute(query.encode()).fetchall()

    def lines(self) -> list[dict[str, Any]]:
        """The exchange's timeline."""
        text = (self.base / "exchange" / "timeline.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def close(self) -> None:
        """Leave nothing running."""
        for machine in self.machines:
            machine.clean_up()
        produced.note_database(self.server.conninfo)
        self.exchange.stop()
        self.server.stop()


class Machine(ServiceProcess):
    """A service with a state directory of its own, at the common exchange and database."""

    def __init__(self, common: Common, name: str, *, standby: bool, **sections: Any) -> None:
        base = common.base / name
        base.mkdir()
        self.common = common
        overrides: Sections = {
            "service": {"standby": standby},
            "accounts.main": {"rest_url": common.endpoint.rest_url, "ws_url": common.endpoint.ws_url},
            **sections,
        }
        keys = {
            "HOLDFAST_DATABASE__URL": common.url,
            "HOLDFAST_ACCOUNTS__MAIN__API_KEY": "paper",
            "HOLDFAST_ACCOUNTS__MAIN__SECRET": "paper",
        }
        super().__init__(base, overrides, keys)

    @property
    def _exchange_dir(self) -> Path:
        return self.common.base / "exchange"

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for anything."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "main.py", "run", "--settings", str(self.settings)],
                cwd=ROOT,
                env=environment(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def wait_exit(self, limit_s: float = START_LIMIT_S) -> int:
        """The exit code, waited for."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def pause(self) -> None:
        """Stop the whole process where it stands."""
        self._running().send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def said(self, text: str) -> bool:
        """Whether it has printed this."""
        return self.output.exists() and text in self.output.read_text(errors="replace")

    def wait_said(self, text: str, limit_s: float = 30) -> None:
        """Wait until it has printed this."""
        self._await(lambda: self.said(text), limit_s, f"{text!r} in the log")

    def leads(self) -> bool:
        """Whether it has the accounts: it no longer stands by, and knows a price."""
        shown = self.ctl("status")
        return "standby" not in shown and shown["accounts"][0]["term"] is not None

    def wait_leads(self, limit_s: float = START_LIMIT_S) -> float:
        """Wait until it has the accounts; returns how long that took (s)."""
        begun = time.monotonic()
        self.wait_for(lambda: self.leads() or None, limit_s, "the accounts")
        return time.monotonic() - begun

    def wait_for(self, ready: Any, limit_s: float, what: str) -> Any:
        from adapters.admin.client import NoService

        def careful() -> Any:
            try:
                return ready()
            except NoService:
                return None

        return super().wait_for(careful, limit_s, what)

    def clean_up(self) -> None:
        """Leave nothing of it running; exchange and server are the test's."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        end_process(process.pid if process.poll() is None else None)


def _as_url(conninfo: str) -> str:
    """What `database.url` takes, for a server on a local socket."""
    known = psycopg.conninfo.conninfo_to_dict(conninfo)
    passwords = Path(str(known["passfile"])).read_text().splitlines()
    password = next(line.split(":")[4] for line in passwords if line.split(":")[3] == known["user"])
    return f"postgresql://{known['user']}:{password}@/{known['dbname']}?host={known['host']}&sslmode=disable"


@contextlib.contextmanager
def common_ground(base: Path) -> Iterator[Common]:
    """Server and exchange, and every machine made on them, closed afterwards."""
    ground = Common(base)
    try:
        yield ground
    finally:
        ground.close()

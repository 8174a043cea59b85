"""The whole house that the monkey lives in: exchanges, fault proxy, signals, the service with its database.

    service ──▶ fault proxy ──▶ paper exchange of each account        signals ──▶ service

Rules of this file: the exchanges belong to the monkey and not to the service, so that the proxy can stand between them;
hands on an exchange (control) go past the proxy; it ends only processes that it started or that the state directory
names.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import psutil

from adapters.paper_launcher import PaperLauncher
from tests.chaos.proxy_process import ProxyProcess
from tests.chaos.signal_flow import SignalFlow
from tests.end_to_end.command import ROOT
from tests.end_to_end.fault_stage import Venue, Watch
from tests.end_to_end.service import Sections, ServiceProcess, now_ms
from tests.oracle.__main__ import filters_of
from tests.oracle.court import Absence, Disturbance, Filters

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "LTCUSDT", "AVAXUSDT")
TAPE = "binance-spot_BTCUSDT_1m_2021-04-20_2021-05-20.json"
MOST_STARTS = 5
# Of this tape: the day of the crash.
TAPE_BARS = slice(-2_400, -400)
SETTINGS: Sections = {
    "entries": {"cooldown_s": 0, "max_positions": 12, "wave_window_s": 0},
    "sizing": {"position_size_usd": 300},
    "protection": {
        "stop_pct": Decimal("1.6"),
        "take_profits": [{"pct": Decimal("1.5"), "fraction": Decimal("0.4")}],
    },
    "trailing": {
        "activation_pct": Decimal("0.4"),
        "callback_pct": Decimal("0.5"),
        "breakeven_pct": Decimal("0.3"),
        "min_interval_s": Decimal("0.5"),
    },
    "reconciler": {"interval_s": 20},
    "chaos": {"enabled": True},
    "log": {"level": "DEBUG", "terminal": True},
}


class Exchange:
    """The exchange of one account: a paper exchange as a process of its own, and the hands on it."""

    def __init__(self, directory: Path, account: str, venue: Venue, options: list[str]) -> None:
        self.account = account
        self.venue = venue
        self._launcher = PaperLauncher(directory, (sys.executable, str(ROOT / "main.py"), "paper-exchange"), options)
        endpoint = self._launcher.start()
        self.port = endpoint.port
        self.rest_url = endpoint.rest_url
        self.timeline = directory / "timeline.jsonl"
        self.watch = Watch(self.timeline)
        listed = "/v5/market/instruments-info?category=linear&limit=1000" if venue.attaches else "/fapi/v1/exchangeInfo"
        self.filters: Mapping[str, Filters] = filters_of(self.request("GET", listed))

    def request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Past the proxy. Raises AssertionError when it refuses or is not there."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.rest_url + path, data=data, method=method)  # noqa: S310 - on localhost
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path} {body}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            raise AssertionError(f"{method} {path}: {error}") from error

    def control(self, command: str, **body: object) -> dict[str, Any]:
        """Do something to the exchange. Raises AssertionError when it refuses or is not there."""
        done: dict[str, Any] = self.request("POST", f"/control/{command}", body)
        return done

    def kill9(self) -> None:
        """Its process ends at this instant."""
        running = self._launcher.running()
        if running is not None:
            os.kill(running.pid, signal.SIGKILL)
            psutil.wait_procs([psutil.Process(running.pid)] if psutil.pid_exists(running.pid) else [], timeout=5)

    def ensure(self) -> None:
        """It runs (again), on the same port and from what it had written."""
        self._launcher.ensure()

    def stop(self) -> None:
        """End it in order."""
        self._launcher.stop()


class House:
    """All of it, started; `close` leaves nothing behind."""

    def __init__(self, base: Path, seed: int, venues: Mapping[str, Venue], tapes: Path | None) -> None:
        self.base = base
        self.seed = seed
        self.disturbances: dict[str, list[Disturbance]] = {name: [] for name in venues}
        self.absences: list[Absence] = []
        self.self_exits: list[str] = []
        self.complaints: list[str] = []
        self.starts_s: list[float] = []
        self.failed_starts: list[str] = []
        self.hung: list[str] = []
        self.frozen: list[psutil.Process] = []
        self._paused_at: int | None = None
        state_dir = base / "state"
        state_dir.mkdir(mode=0o700, parents=True)
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self.exchanges = {
                name: self._exchange(state_dir, name, venue, tapes, seed + number)
                for number, (name, venue) in enumerate(venues.items())
            }
            upstreams = {name: ("127.0.0.1", each.port) for name, each in self.exchanges.items()}
            self.proxy = self._stack.enter_context(ProxyProcess(base / "proxy", upstreams, seed))
            markets = [(name, venue.exchange, symbol) for name, venue in venues.items() for symbol in SYMBOLS]
            self.flow = self._stack.enter_context(SignalFlow(seed, markets, (0.2, 0.7)))
            self.service = ServiceProcess(base, self._settings(venues), self._keys(venues))
            self._stack.callback(self.service.clean_up)
            self.service.start()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def _exchange(self, state_dir: Path, name: str, venue: Venue, tapes: Path | None, seed: int) -> Exchange:
        options = ["--dialect", venue.exchange, "--seed", str(seed), "--volatility", "2.5", "--balance", "100000"]
        options += ["--control", "--symbols", ",".join(SYMBOLS)]
        if venue.hedged:
            options.append("--hedge-mode")
        tape = None if tapes is None else tapes / TAPE
        if tape is not None and tape.exists():
            excerpt = self.base / f"{name}-BTCUSDT.json"
            excerpt.write_text(json.dumps(json.loads(tape.read_bytes())[TAPE_BARS]))
            options += ["--tape", f"BTCUSDT={excerpt}", "--speed", "2", "--loop"]
        exchange = Exchange(state_dir / "paper" / name, name, venue, options)
        self._stack.callback(exchange.stop)
        return exchange

    def _settings(self, venues: Mapping[str, Venue]) -> Sections:
        accounts = {
            f"accounts.{name}": {
                **venue.account,
                "rest_url": f"http://{self.proxy.address(name)}",
                "ws_url": f"ws://{self.proxy.address(name)}",
            }
            for name, venue in venues.items()
        }
        return {**SETTINGS, **accounts, "signals": {"url": self.flow.url}}

    def _keys(self, venues: Mapping[str, Venue]) -> dict[str, str]:
        names = [f"HOLDFAST_ACCOUNTS__{name.upper()}__{part}" for name in venues for part in ("API_KEY", "SECRET")]
        return dict.fromkeys(names, "paper")

    # What the oracle has to be told.

    def disturb(self, account: str, why: str) -> None:
        """Something befalls an account that leaves no line in its timeline."""
        self.disturbances[account].append(Disturbance(at=now_ms(), why=why))

    def absent(self, since: int, why: str) -> None:
        """The service could do nothing from then until now."""
        self.absences.append(Absence(since=since, until=now_ms(), why=why))

    # The service.

    @property
    def can_be_asked(self) -> bool:
        """Whether the service runs and is not paused."""
        return self.service.alive and self._paused_at is None

    def start_again(self) -> bool:
        """Start the service, if it does not run; whether it answers. It may end by itself again while much is away."""
        if self.service.alive:
            return True
        self.hung.clear()
        try:
            self.starts_s.append(self.service.restart())
        except AssertionError:
            if self.service.alive:
                raise  # it runs and does not answer
            self.failed_starts.append(f"exit {self.service.exit_code}: {self._last_words()}")
            return False
        return True

    def _last_words(self) -> str:
        said = self.service.output.read_text(errors="replace").splitlines()
        return next((line for line in reversed(said) if "START_FAILED" in line or "RUN_LOCKED" in line), "nothing")

    def keep_alive(self) -> None:
        """What systemd does: a service that ended by itself is started again."""
        if self.service.alive:
            return
        since = now_ms()
        for _ in range(MOST_STARTS):
            if self.start_again():
                self.absent(since, "our process had ended by itself")
                return
        raise AssertionError(f"the service does not come up though all is well:\n{self.service.log_tail()}")

    def pause(self) -> None:
        """The whole process stands still."""
        self._paused_at = now_ms()
        self.service.send(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        if self._paused_at is not None:
            if self.service.alive:
                self.service.send(signal.SIGCONT)
            self.absent(self._paused_at, "our process was paused")
            self._paused_at = None

    # The database.

    def postgres(self) -> list[psutil.Process]:
        """The embedded server's processes, the postmaster first; none while there is none."""
        for file in (self.service.state_dir / "pg").glob("*/postmaster.pid"):
            with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
                postmaster = psutil.Process(int(file.read_text().split()[0]))
                return [postmaster, *postmaster.children(recursive=True)]
        return []

    @staticmethod
    def is_backend(process: psutil.Process) -> bool:
        """Whether it serves one connection of ours."""
        with contextlib.suppress(psutil.Error, IndexError):
            return bool(process.cmdline()[0].startswith("postgres: holdfast"))
        return False

    def database_socket(self) -> Path:
        """The file that clients of the embedded server connect to."""
        pg = self.service.state_dir / "pg"
        elsewhere = pg / "run.elsewhere"
        return (Path(elsewhere.read_text().strip()) if elsewhere.exists() else pg / "run") / ".s.PGSQL.5432"


def send(process: psutil.Process, what: signal.Signals) -> None:
    """A signal to a process that may be gone by now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(what)

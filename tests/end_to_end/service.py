"""The service as a process of its own, as an operator runs it, with everything that a test does to it.

Rules of this file: it speaks to the service through its command line, its control socket and its database only, and to
the exchange through its HTTP port; it ends only processes that its own state directory names.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from adapters.admin.client import AdminClient, NoService
from adapters.admin.protocol import AdminError
from tests.end_to_end import produced
from tests.end_to_end.command import ROOT, environment, run_main
from tests.oracle.__main__ import filters_of
from tests.oracle.court import Absence, Disturbance, OperatorAct, Terms
from tests.oracle.judge import Verdict, judge_file
from tests.oracle.report import breach_text

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
ANSWER_LIMIT_S = 90.0  # longer than the service itself waits for anything before it answers
POLL_S = 0.05
LOG_TAIL = 60

# By which event the journal tells that a life is over.
ENDS = {phase: f"position_{phase.lower()}" for phase in ("CLOSED", "FAILED", "ROLLED_BACK", "LIQUIDATED", "RELEASED")}

Sections = Mapping[str, Mapping[str, Any]]

# A market that hardly moves by itself, no cooldown, quick moves: what tests want unless they say otherwise.
QUIET: Sections = {
    "service": {"mode": "paper"},
    "accounts.main": {"exchange": "binanceusdm"},
    "entries": {"cooldown_s": 0, "wave_window_s": 0, "max_per_wave": 1000},
    "trailing": {"min_interval_s": 0.2},
    "reconciler": {"interval_s": 10},
    "strategy": {"enabled": False},
    "web": {"enabled": False},
    "paper": {"control": True, "demo_signals": False, "volatility": Decimal("0.001"), "seed": 7},
}


class ServiceProcess:
    """One state directory, and the service on it: started, killed and started again as the test says."""

    def __init__(
        self,
        base: Path,
        overrides: Sections | None = None,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = ("main.py",),
    ) -> None:
        """`program` is what Python runs: `main.py`, or something that becomes it."""
        self.base = base
        self.state_dir = base / "state"
        self.settings = base / "settings.toml"
        self.output = base / "output.log"
        self._environ = dict(environ or {})
        self._program = tuple(program)
        self._process: subprocess.Popen[bytes] | None = None
        self._killed_at: int | None = None
        merged: dict[str, dict[str, Any]] = {name: dict(values) for name, values in QUIET.items()}
        for name, values in (overrides or {}).items():
            merged.setdefault(name, {}).update(values)
        merged["service"]["state_dir"] = str(self.state_dir)
        self.bybit = merged["accounts.main"]["exchange"] == "bybit"
        self.terms = Terms(adopt_stops=bool(merged["accounts.main"].get("adopt_stops")))
        self.settings.write_text(settings_text(merged))

    # Life

    def start(self, limit_s: float = START_LIMIT_S) -> float:
        """Start the service and wait for its control socket; returns how long that took (s)."""
        begun = time.monotonic()
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self._program, "run", "--settings", str(self.settings)],
                cwd=ROOT,
                env=environment(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._await(self._answers, limit_s, "the control socket")
        if self._killed_at is not None:
            absence = Absence(since=self._killed_at, until=now_ms())
            self.terms = replace(self.terms, absences=(*self.terms.absences, absence))
            self._killed_at = None
        if not self.terms.filters:
            listed = "/v5/market/instruments-info?category=linear&limit=1000" if self.bybit else "/fapi/v1/exchangeInfo"
            self.terms = replace(self.terms, filters=filters_of(self.exchange("GET", listed)))
        return time.monotonic() - begun

    def kill9(self) -> None:
        """Kill the service at this instant; exchange and database server live on."""
        process = self._running()
        self._killed_at = now_ms()
        process.kill()
        process.wait(STOP_LIMIT_S)

    def died(self, at: int | None = None) -> int:
        """It has ended without our doing, at this time (ms) if that is known; returns the exit code, once."""
        assert self._process is not None
        code = self._process.wait(STOP_LIMIT_S)
        self._killed_at = at or now_ms()
        return code

    def kill_database(self) -> None:
        """Kill the embedded database server at this instant."""
        pid = self._postmaster_pid()
        assert pid is not None, "no database server runs"
        psutil.Process(pid).kill()

    def database_processes(self) -> list[psutil.Process]:
        """The processes of the embedded database server, the first of them its parent."""
        pid = self._postmaster_pid()
        assert pid is not None, "no database server runs"
        postmaster = psutil.Process(pid)
        return [postmaster, *postmaster.children(recursive=True)]

    @contextlib.contextmanager
    def database_hung(self) -> Iterator[None]:
        """Every process of the database server stands still: connections stay, answers do not come."""
        processes = self.database_processes()
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def pause_for(self, seconds: float, meanwhile: Callable[[], object] | None = None) -> None:
        """Stop the whole process for a while, as a machine that sleeps would; `meanwhile` is done then."""
        process = self._running()
        since = now_ms()
        process.send_signal(signal.SIGSTOP)
        try:
            if meanwhile is not None:
                meanwhile()
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)
        absence = Absence(since=since, until=now_ms(), why="our process was paused")
        self.terms = replace(self.terms, absences=(*self.terms.absences, absence))

    def restart(self, limit_s: float = START_LIMIT_S) -> float:
        """Start it again after `kill9` or `interrupt`; returns how long until the control socket answered (s)."""
        return self.start(limit_s)

    def interrupt(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, or another signal that ends it in order; returns the exit code."""
        process = self._running()
        self._killed_at = now_ms()
        process.send_signal(how)
        return process.wait(STOP_LIMIT_S)

    def send(self, what: signal.Signals) -> None:
        """A signal to the service."""
        self._running().send_signal(what)

    def clean_up(self) -> None:
        """Leave nothing running: service, exchange, database server; what it wrote is noted (`produced`)."""
        produced.note_service(self.state_dir)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_LIMIT_S)
        for pid in (self._exchange_pid(), self._postmaster_pid()):
            end_process(pid)

    @property
    def alive(self) -> bool:
        """Whether the service's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the service's process ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        """The service's process id."""
        return self._running().pid

    # Questions

    def ctl(self, method: str, **params: object) -> Any:
        """Ask over the control socket. Raises AdminError, NoService."""
        with AdminClient(self.state_dir / "admin.sock", timeout_s=ANSWER_LIMIT_S) as client:
            return client.call(method, params)

    def main(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run another `python main.py …` with this service's settings, to its end."""
        return run_main(*words, "--settings", str(self.settings), environ={**self._environ, **(environ or {})})

    def positions(self, **params: object) -> list[dict[str, Any]]:
        """The open positions, as `ctl positions` gives them."""
        found: list[dict[str, Any]] = self.ctl("positions", **params)["positions"]
        return found

    def position(self, position_id: int) -> dict[str, Any]:
        """One position, open or closed."""
        shown: dict[str, Any] = self.ctl("position.show", id=position_id)
        return shown

    def events(self, **filters: object) -> list[dict[str, Any]]:
        """All events that fit, oldest first."""
        found: list[dict[str, Any]] = []
        since: object = 0
        while True:
            page = self.ctl("events", since=since, limit=500, **filters)
            found += page["events"]
            if not page["events"] or page["next_since"] == since:
                return found
            since = page["next_since"]

    def wait_for(self, ready: Callable[[], Any], limit_s: float, what: str) -> Any:
        """The first true answer of `ready`; fails with the end of the log. An unknown id is not ready yet."""

        def careful() -> Any:
            try:
                return ready()
            except AdminError:
                return None

        return self._await(careful, limit_s, what)

    def wait_event(self, type_: str, limit_s: float = 20, **filters: object) -> dict[str, Any]:
        """The first event of a type, waited for."""
        event: dict[str, Any] = self.wait_for(
            lambda: next(iter(self.events(type=type_, **filters)), None), limit_s, f"event {type_} {filters}"
        )
        return event

    def wait_position(
        self, position_id: int, ready: Callable[[dict[str, Any]], bool], limit_s: float, what: str
    ) -> dict[str, Any]:
        """The position once it is as `ready` says; the failure names what was shown last."""
        last: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            nonlocal last
            last = self.position(position_id)
            return last if ready(last) else None

        try:
            found: dict[str, Any] = self.wait_for(look, limit_s, f"position {position_id}: {what}")
        except AssertionError as failure:
            failure.add_note(f"shown last: {last}")
            raise
        return found

    def wait_trailed(self, position_id: int, best: Decimal, within_pct: Decimal = Decimal(1)) -> dict[str, Any]:
        """The position once its stop rests within so many percent of the best price: only then a way back passes it.

        What comes back before that finds a stop of earlier, and is answered with an exit at market.
        """

        def near(p: dict[str, Any]) -> bool:
            return p["stop_price"] is not None and abs(Decimal(p["stop_price"]) - best) < best * within_pct / 100

        return self.wait_position(position_id, near, 20, f"a stop within {within_pct} % of {best}")

    def wait_state(self, position_id: int, *states: str, limit_s: float = 20) -> dict[str, Any]:
        """The position once it is in one of these states; the end of a life counts once the journal has written it.

        Its owner shows the end a moment earlier: who read events, rows or the position right then would miss it.
        """
        found = self.wait_position(position_id, lambda p: p["state"] in states, limit_s, " or ".join(states))
        if found["state"] in ENDS:
            self.wait_event(ENDS[found["state"]], position=position_id)
            found = self.position(position_id)
        return found

    def log_tail(self) -> str:
        """The end of what the service printed."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-LOG_TAIL:])

    # Acts

    def open(self, symbol: str = "BTCUSDT", side: str = "long", usd: str = "500", **more: object) -> dict[str, Any]:
        """Open a position, as soon as there is a price to open it at; wait until it is filled whole and protected."""
        self.wait_price(symbol)
        opened = self.ctl("position.open", account="main", symbol=symbol, side=side, usd=usd, **more)
        self.wait_state(opened["id"], "ACTIVE")
        self.wait_event("entry_filled", position=opened["id"])
        return self.wait_state(opened["id"], "ACTIVE")

    def wait_price(self, symbol: str, limit_s: float = 40) -> None:
        """Wait until the service knows the mark price and hears of the account: then it refuses so tiny a position for
        its size. A stream that broke several times is dialled again after pauses of up to 18 s.
        """

        def known() -> bool:
            try:
                self.ctl("position.open", account="main", symbol=symbol, side="long", usd="0.001")
            except AdminError as refusal:
                deaf = ("no_mark_price", "stale_mark_price", "stream is down", "since its stream came back")
                return not any(words in refusal.message for words in deaf)
            raise AssertionError("a position of a thousandth of a dollar was opened")

        self._await(known, limit_s, f"a price of {symbol}")

    def control(self, command: str, **body: object) -> dict[str, Any]:
        """Do something to the exchange; what leaves no line of its own is told to the oracle."""
        if command in ("drop_reply", "drop_request", "cut_streams", "reject"):
            self.disturb(f"control {command}", str(body["symbol"]) if "symbol" in body else None)
            body.pop("symbol", None)
        done: dict[str, Any] = self.exchange("POST", f"/control/{command}", body)
        return done

    def disturb(self, why: str, symbol: str | None = None) -> None:
        """Tell the oracle of an outsider's act."""
        act = Disturbance(at=now_ms(), why=why, symbol=symbol)
        self.terms = replace(self.terms, disturbances=(*self.terms.disturbances, act))

    def operator_acts(self, symbol: str) -> None:
        """Tell the oracle that an operator is about to ask for something that a law else forbids."""
        act = OperatorAct(at=now_ms(), symbol=symbol)
        self.terms = replace(self.terms, operator_acts=(*self.terms.operator_acts, act))

    def move_mark(self, symbol: str, percent: Decimal | str, steps: int = 1, pause_s: float = 0.0) -> Decimal:
        """Move the mark price by so many percent of where it is now, in equal steps; returns the last mark."""
        begin = self.mark(symbol)
        mark = begin
        for step in range(1, steps + 1):
            mark = self.on_tick(symbol, begin * (1 + Decimal(percent) * step / steps / 100))
            self.control("price", symbol=symbol, mark=str(mark))
            if step < steps:
                time.sleep(pause_s)
        return mark

    def mark(self, symbol: str) -> Decimal:
        """The mark price at the exchange."""
        if self.bybit:
            shown = self.exchange("GET", f"/v5/market/tickers?category=linear&symbol={symbol}")
            return Decimal(shown["result"]["list"][0]["markPrice"])
        return Decimal(self.exchange("GET", f"/fapi/v1/premiumIndex?symbol={symbol}")["markPrice"])

    def on_tick(self, symbol: str, price: Decimal) -> Decimal:
        """The price rounded to the symbol's tick."""
        tick = self.terms.filters[symbol].tick
        return (price / tick).quantize(Decimal(1)) * tick

    def exchange(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """A request to the exchange's HTTP port. Raises AssertionError with its answer when it refuses."""
        url = self.endpoint()["rest_url"] + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - our own exchange on localhost
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path} {body}: {error.code} {error.read().decode()}") from error

    def endpoint(self) -> dict[str, Any]:
        """Where the exchange listens."""
        announced: dict[str, Any] = json.loads((self._exchange_dir / "endpoint.json").read_text())
        return announced

    # Judgement

    @property
    def timeline(self) -> Path:
        """The exchange's own log."""
        return self._exchange_dir / "timeline.jsonl"

    def verdict(self) -> Verdict:
        """The oracle's verdict on the timeline so far."""
        return judge_file(self.timeline, self.terms)

    def assert_lawful(self) -> Verdict:
        """No law is broken."""
        verdict = self.verdict()
        assert verdict.clean, "\n".join(["laws broken:", *map(breach_text, verdict.breaches), "", self.log_tail()])
        return verdict

    # Inside

    @property
    def _exchange_dir(self) -> Path:
        return self.state_dir / "paper" / "main"

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        assert self._process.poll() is None, f"the service ended by itself:\n{self.log_tail()}"
        return self._process

    def _answers(self) -> bool:
        self._running()
        try:
            self.ctl("status")
        except (NoService, AdminError):
            return False
        return True

    def _await(self, ready: Callable[[], Any], limit_s: float, what: str) -> Any:
        deadline = time.monotonic() + limit_s
        while True:
            answer = ready()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"waited {limit_s} s in vain for {what}\n{self.log_tail()}"
            time.sleep(POLL_S)

    def _exchange_pid(self) -> int | None:
        try:
            return int(self.endpoint()["pid"])
        except (OSError, ValueError):
            return None

    def _postmaster_pid(self) -> int | None:
        for file in (self.state_dir / "pg").glob("*/postmaster.pid"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int(file.read_text().split()[0])
        return None


@contextlib.contextmanager
def running(
    base: Path, overrides: Sections | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[ServiceProcess]:
    """A started service that leaves nothing behind."""
    service = ServiceProcess(base, overrides, environ)
    try:
        service.start()
        yield service
    finally:
        service.clean_up()


def settings_text(sections: Sections) -> str:
    """TOML of plain sections."""
    return "\n".join(
        line
        for name, values in sections.items()
        for line in (f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), "")
    )


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(str(value))


def end_process(pid: int | None) -> None:
    """End a process that a killed service left behind, and wait until it is gone."""
    if pid is None:
        return
    try:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_LIMIT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT_S)
    except psutil.NoSuchProcess:
        return


def now_ms() -> int:
    """Wall time, which is the exchange's time."""
    return time.time_ns() // 1_000_000

"""One service that is killed at one point after another, on one state directory; what has to be true after each.

Rules of this file: while the service may die it is looked at through the exchange's timeline only; nothing is asked of
a process that is about to be killed. After each death the next process has to own, cover or close everything, every
signal ever sent is stored once, answered once and acted on once, and database and exchange agree to the last decimal.
"""

from __future__ import annotations

import contextlib
import signal as signals
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from adapters.admin.client import NoService
from adapters.admin.protocol import AdminError
from tests.chaos.aftermath import not_whole, outcomes, signals_wrong, unanswered
from tests.chaos.crash_page import CrashPage
from tests.chaos.crash_points import Point, all_points
from tests.end_to_end.agreement import differences
from tests.end_to_end.fault_stage import Watch
from tests.end_to_end.service import ServiceProcess
from tests.end_to_end.signal_source import SignalSource, signal_row
from tests.oracle.facts import By, Order
from tests.oracle.report import breach_text

SYMBOLS = ("ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT")
ENTRY, STOP, MOVES, END, BETWEEN, START = "entry", "first stop", "moves", "end", "between lives", "start"
OWNED_AGAIN_LIMIT_S = 15.0  # L5, from the start of the new process
STEP_LIMIT_S = 15.0
START_DIES_S = 20.0
AGREEMENT_LIMIT_S = 10.0
LIVES_LIMIT = 3
IN_FLIGHT = 3
# Each start reads the account whole, a dozen times a minute: how often is not what is tried here.
NO_LIMITS = {"weight": 24 * 10**5, "per_second": 10**6}
NO_WEIGHT_LIMIT = 10**6
POLL_S = 0.01
SETTINGS: dict[str, dict[str, Any]] = {
    "signals": {"max_age_s": 10_000_000},
    "trailing": {
        "activation_pct": 1, "breakeven_pct": 0, "callback_pct": Decimal("0.5"), "min_interval_s": 0,
    },
    "reconciler": {"interval_s": 30},
}  # fmt: skip


class When(StrEnum):
    """In what the process dies."""

    LIFE = "a life"
    START = "a start with a position open"
    AWAY = "a life with the database killed in it"


class Died(Exception):
    """The process is gone."""


class NotReached(Exception):
    """The armed point was not reached by so many lives: nothing has been shown of it."""


@dataclass(slots=True, kw_only=True)
class Crash:
    """What was seen of one point."""

    when: When
    point: Point
    nth: int
    stage: str = ""
    socket_s: float = 0.0
    whole_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Chain:
    """A service and its deaths. Use `chained`."""

    def __init__(self, service: ServiceProcess, page: CrashPage, source: SignalSource) -> None:
        self.service = service
        self.page = page
        self.crashes: list[Crash] = []
        self._watch = Watch(service.timeline)
        self._source = source
        self._number = 0
        self._stage = BETWEEN
        self._sent: list[dict[str, object]] = []
        self._again: list[dict[str, object]] = []
        self._events_seen = 0

    # Points

    def census(self, when: When) -> list[int]:
        """How often each point is reached when nobody dies there."""
        if when is When.START:
            self._open_one()
            self.service.kill9()
        before = self.page.counts()
        if when is When.START:
            self._recover(Crash(when=when, point=all_points()[0], nth=0))
        else:
            self._live(away=when is When.AWAY)
        return [after - earlier for earlier, after in zip(before, self.page.counts(), strict=True)]

    def kill_at(self, point: Point, nth: int = 1, when: When = When.LIFE) -> Crash:
        """Die at the point; start again; see that all is well. Raises NotReached, AssertionError for what is wrong."""
        crash = Crash(when=when, point=point, nth=nth)
        if when is When.START:
            self._open_one()
            self.service.kill9()
        self.page.arm(point.number, nth)
        try:
            if when is When.START:
                self._start_and_die(crash)
            for _ in range(LIVES_LIMIT):
                self._live(away=when is When.AWAY)
        except Died:
            self._bury(crash)
        else:
            self.page.disarm()
            raise NotReached(f"{point} was not reached for the {nth}. time in {LIVES_LIMIT} lives")
        self._meanwhile()
        self._recover(crash)
        self._judge(crash)
        return crash

    def _start_and_die(self, crash: Crash) -> None:
        """A start that dies before its control socket answers, or soon afterwards. Raises Died, NotReached."""
        with contextlib.suppress(AssertionError):
            self.service.restart()
        deadline = time.monotonic() + START_DIES_S
        while self.service.alive:
            if time.monotonic() > deadline:
                self.page.disarm()
                raise NotReached(f"{crash.point} was not reached for the {crash.nth}. time by a start")
            time.sleep(POLL_S)
        self._stage = START
        raise Died

    # A life

    def _live(self, *, away: bool = False) -> None:
        """Signal, entry, stop, moves, end; whatever an earlier life left open is closed beside it. Raises Died.

        `away`: the database server is killed once there is a stop; when all is over it is back.
        """
        symbol, side = self._next_place()
        leftovers = [s for s in SYMBOLS if self._resting(s)[0]]
        rows = [self._row(each, "CLOSE") for each in leftovers]
        opening = self._row(symbol, "BUY" if side > 0 else "SELL")
        self._stage = ENTRY
        self._send(*self._again, *rows, opening)
        self._again = []
        self._await(lambda: self._resting(symbol)[0] != 0, f"a position on {symbol}")
        self._stage = STOP
        self._await(lambda: self._covered(symbol), f"a stop on {symbol}")
        if away:
            self.service.kill_database()
        self._stage = MOVES
        for percent in ("1.5", "0.6", "0.6"):
            before = self._trigger(symbol)
            self.service.move_mark(symbol, Decimal(percent) * side)
            self._await(partial(self._moved, symbol, side, before), f"a move of the stop on {symbol}")
        self._stage = END
        if self._number % 2:
            self._send(self._row(symbol, "CLOSE"))
        else:
            self.service.move_mark(symbol, Decimal(-3 * side))
        for each in (*leftovers, symbol):
            self._await(partial(self._over, each), f"the end of the position on {each}")
        if away:
            self._await(self._written_up, "the database and an empty spool")
        self._stage = BETWEEN

    def _open_one(self) -> None:
        symbol, side = self._next_place()
        self._send(self._row(symbol, "BUY" if side > 0 else "SELL"))
        self._await(lambda: self._covered(symbol), f"a stop on {symbol}")

    def _next_place(self) -> tuple[str, int]:
        """A symbol without a position, and a side."""
        while True:
            self._number += 1
            symbol = SYMBOLS[self._number % len(SYMBOLS)]
            if not self._resting(symbol)[0]:
                return symbol, 1 if self._number // len(SYMBOLS) % 2 else -1

    def _meanwhile(self) -> None:
        """What the market does while nobody watches: nothing, a run ahead, or a fall through the stop."""
        what = len(self.crashes) % 3
        for symbol in SYMBOLS:
            held, _ = self._resting(symbol)
            if held and what:
                favour = 1 if held > 0 else -1
                self.service.move_mark(symbol, Decimal("0.8" if what == 1 else "-3") * favour)

    # Deaths

    def _bury(self, crash: Crash) -> None:
        crash.stage = self._stage
        self.page.disarm()
        code = self.service.died(self.page.killed_at)
        assert code == -signals.SIGKILL, f"it ended by itself, exit {code}:\n{self.service.log_tail()}"
        assert self.page.killed_at is not None, f"something else than {crash.point} killed it"

    def _recover(self, crash: Crash) -> None:
        """Start again and wait until everything is owned and covered, or over, and every signal is answered."""
        began = time.monotonic()
        crash.socket_s = self.service.restart()
        found = ["nothing was looked at"]
        while found:
            found = self._not_whole()
            crash.whole_s = time.monotonic() - began
            if crash.whole_s > OWNED_AGAIN_LIMIT_S:
                raise AssertionError(f"{OWNED_AGAIN_LIMIT_S} s after the start: {found}\n{self.service.log_tail()}")
            time.sleep(POLL_S)
        # What was under way is sent once more when the next life begins: nothing may come of it.
        self._again = self._sent[-IN_FLIGHT:]
        self._stage = BETWEEN

    def _not_whole(self) -> list[str]:
        """What is not yet as it has to be, in words."""
        last = self._sent[-IN_FLIGHT:]
        return not_whole(self.service, self._watch, SYMBOLS) + unanswered(self.service, last)

    # Judgement

    def _judge(self, crash: Crash) -> None:
        """No law broken, the two books agree, each signal acted on once; what is wrong is noted and raised."""
        deadline = time.monotonic() + AGREEMENT_LIMIT_S
        while True:
            verdict = self.service.verdict()
            different = differences(self.service.state_dir, verdict, same_ids=not self.service.bybit, over_only=True)
            if not different or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        ours = [i for i in verdict.measures.intervals if i.cause is By.US or (self.service.bybit and i.owner)]
        crash.wrong = [breach_text(breach) for breach in verdict.breaches]
        crash.wrong += different + [f"unprotected by us: {each}" for each in ours] + self._signals_wrong()
        self.crashes.append(crash)
        assert not crash.wrong, "\n".join([f"after {crash.point}:", *crash.wrong, self.service.log_tail()])

    def _signals_wrong(self) -> list[str]:
        """A signal is acted on once, and none is refused for the death of the process."""
        wrong = signals_wrong(self.service, self._sent)
        answers = outcomes(self.service)
        for row in self._sent:
            good = ("closing", "no_position") if row["action"] == "CLOSE" else ("opened",)
            if answers.get(row["id"]) not in good:
                wrong.append(f"signal {row['id']} {row['action']}: {answers.get(row['id'])}")
        return wrong

    def finish(self) -> None:
        """Close what is open; now the books agree to the last execution, and nothing waits in the spool."""
        self._live()
        self._await(self._written_up, "an empty spool")

        def disagreement() -> list[str]:
            return differences(self.service.state_dir, self.service.verdict(), same_ids=not self.service.bybit)

        self.service.wait_for(lambda: not disagreement(), AGREEMENT_LIMIT_S, f"agreement, still: {disagreement()}")
        self.service.assert_lawful()

    # Inside

    def _row(self, symbol: str, action: str) -> dict[str, object]:
        """A signal of a minute of its own: two of one minute would be taken for one."""
        name = f"crash-{len(self._sent):05}"
        row = signal_row(name, symbol, action, age_s=60 * (1_000 - len(self._sent) % 1_000))
        row["exchange"] = "bybit" if self.service.bybit else "binanceusdm"
        self._sent.append(row)
        return row

    def _send(self, *rows: dict[str, object]) -> None:
        self._source.signals(*rows)

    def _resting(self, symbol: str) -> tuple[Decimal, list[Order]]:
        return self._watch.resting((symbol, "BOTH"))

    def _covered(self, symbol: str) -> bool:
        held, stops = self._resting(symbol)
        return held != 0 and [s.closing_quantity(abs(held)) for s in stops] == [abs(held)]

    def _trigger(self, symbol: str) -> Decimal:
        return self._resting(symbol)[1][0].trigger

    def _moved(self, symbol: str, side: int, before: Decimal) -> bool:
        return self._covered(symbol) and (self._trigger(symbol) - before) * side > 0

    def _over(self, symbol: str) -> bool:
        held, stops = self._resting(symbol)
        return not held and not stops

    def _written_up(self) -> bool:
        """Whether the database is back and nothing waits in the spool; the process may die while it is asked."""
        with contextlib.suppress(NoService, AdminError, OSError):
            components = {each["name"]: each for each in self.service.ctl("status")["components"]}
            return components["database"]["state"] == "healthy" and not list(self._spool.glob("*.jsonl"))
        return False

    @property
    def _spool(self) -> Path:
        return self.service.state_dir / "spool"

    def _await(self, ready: Callable[[], bool], what: str) -> None:
        """Raises Died, or AssertionError if the process lives and nothing comes of it."""
        deadline = time.monotonic() + STEP_LIMIT_S
        while not ready():
            if not self.service.alive:
                raise Died
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self.service.log_tail()}"
            time.sleep(POLL_S)


@contextlib.contextmanager
def chained(base: Path, exchange: str) -> Iterator[Chain]:
    """A started service with hooks in it, its page and its signals; nothing is left behind."""
    page = base / "page"
    with SignalSource(resumes=True) as source:
        settings = {**SETTINGS, "accounts.main": {"exchange": exchange}}
        settings["signals"] = {**SETTINGS["signals"], "url": source.url}
        service = ServiceProcess(base, settings, program=("-m", "tests.chaos.crash_at", str(page)))
        chain = Chain(service, CrashPage(page, len(all_points())), source)
        try:
            service.start()
            service.wait_price(SYMBOLS[0])
            service.terms = replace(service.terms, weight_limit=NO_WEIGHT_LIMIT)
            name = "per_second" if service.bybit else "weight"
            service.control("limits", **{name: NO_LIMITS[name]})
            yield chain
        finally:
            service.clean_up()

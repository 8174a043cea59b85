"""A world of one account: exchange, network, database, disk, and one Holdfast process after another.

`World` lets time pass second by second and does nothing by itself but what a world does: prices move, dead processes
are started again. What befalls it is the business of `weather` and `workload`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from actors.owners import Place
from adapters.paper_exchange.contracts import listed_contracts
from config.settings import Settings
from domain.identity import PositionId
from domain.position import ledger
from domain.position.state import OrderState, Position
from tests.oracle.court import GRACE_MS, OperatorAct
from tests.oracle.reader import FillLine
from tests.simulation import reports
from tests.simulation.faults import Fault, Faults, Step
from tests.simulation.market import POINT_S, Market
from tests.simulation.network import Network
from tests.simulation.pace import Pace
from tests.simulation.process import ACCOUNT, Process
from tests.simulation.scheduler import SECOND, Fiber, Host, Scheduler
from tests.simulation.signals import SignalServer, SimulatedSignalClient
from tests.simulation.stage import set_up
from tests.simulation.store import Database, Disk, MemorySpool, StoreWriter
from tests.simulation.venue import START_MS, SimulatedExchange

RESTART_S = (0.3, 3.0)
WORK_S = 0.25
READY_GRACE_MS = 1_000


@dataclass(slots=True)
class Violation:
    """Something that must not be: which law, when (seconds since the beginning), what."""

    law: str
    at: float
    text: str


@dataclass(eq=False)
class World:
    """Everything there is. `enter` it before time passes."""

    seed: int
    faults: Faults
    markets: Mapping[str, Market]
    settings: Settings
    say: Callable[[str], object] | None = None
    violations: list[Violation] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    paused_markets: bool = False
    deaths: int = 0
    slowest: dict[str, tuple[float, float]] = field(default_factory=dict)
    """For each law that speaks of a time: the longest it took until it was kept, and the limit, in seconds."""
    clock_ahead: timedelta = timedelta(0)
    """How far the machine's clock is ahead of the venue's: a process that starts takes it as it is."""
    rivals: bool = False
    """Whether a stand-by stands in the settings of every process."""

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.seed)
        self.pace = Pace(self.scheduler)
        self.chance = random.Random(f"world {self.seed}")
        self.database = Database()
        self.disk = Disk()
        self.other_disks: list[Disk] = []
        self.signals = SignalServer()
        contracts = {symbol: contract for symbol, contract in listed_contracts().items() if symbol in self.markets}
        self.exchange = SimulatedExchange(contracts, self.seed, self.faults, self._venue_ms)
        self.exchange.accepted = self._accepted
        if self.say is not None:
            self.exchange.tell = self.tell
        self.network = Network(
            scheduler=self.scheduler,
            exchange=self.exchange,
            faults=self.faults,
            chance=random.Random(f"network {self.seed}"),
            start=reports.instant(START_MS),
        )
        self.network.point = self._point
        self.faults.step_of = self.step_of
        self.faults.told = self._struck
        self.scheduler.starve = self._starve if self.faults.has(Fault.STARVED) else None
        for symbol, contract in contracts.items():
            self.exchange.price(symbol, contract.start_price)
        self._down_since: int | None = None
        self._ticked_at = 0

    # Time.

    def live(self, script: Callable[[World], None]) -> None:
        """Run `script` with the actors' world replaced; everything is dead and gone at the end."""
        with set_up(
            self.scheduler,
            self._host,
            writer=lambda _conninfo, **_: StoreWriter(self._process_of(self._host()).access),
            aside=lambda _directory: MemorySpool(self.scheduler, self._host(), self.disk.aside),
            signals=self._signal_client,
            load_open=_load_open,
            pace=self.pace,
            seed=self.seed,
        ):
            try:
                self._absent_since()
                self.start_process()
                self._tick_prices()
                self._tick_work()
                script(self)
            finally:
                for process in self.processes:
                    if process.host.alive:
                        self.scheduler.kill(process.host)

    def pass_time(self, seconds: float) -> None:
        """Let everything happen that happens within so many seconds. Raises Livelock."""
        self.scheduler.run(self.scheduler.now + round(seconds * SECOND))

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self.scheduler.now / SECOND

    def _venue_ms(self) -> int:
        return START_MS + self.scheduler.now // 1000

    def arm(self, chances: Mapping[Fault, float]) -> None:
        """From now on these faults may strike, and no others."""
        self.faults.turn(chances)
        self.scheduler.starve = self._starve if self.faults.has(Fault.STARVED) else None
        self.paused_markets = False

    def tell(self, text: str) -> None:
        """One line of the history."""
        if self.say is not None:
            self.say(f"{self.now_s:10.4f}  {text}")

    def violate(self, law: str, text: str) -> None:
        """Something must not be."""
        self.violations.append(Violation(law=law, at=self.now_s, text=text))
        self.tell(f"VIOLATION {law}: {text}")

    def note_slowest(self, law: str, took_s: float, limit_s: float) -> None:
        """How long it took until a law that speaks of a time was kept, and how long it may take."""
        if took_s > self.slowest.get(law, (0.0, 0.0))[0]:
            self.slowest[law] = (took_s, limit_s)

    def _struck(self, fault: Fault, symbol: str | None) -> None:
        self.tell(f"FAULT {fault} {symbol or ''}")

    def _starve(self) -> float:
        if self.faults.strikes(Fault.STARVED):
            return self.chance.uniform(0.001, 0.3)
        return 0.0

    # The process.

    @property
    def process(self) -> Process | None:
        """The one that has the account now, or had it last."""
        return next((p for p in reversed(self.processes) if p.host.alive and not p.waiting), None)

    def start_process(self) -> None:
        """A new life begins."""
        self._watch_start(self._new_process(self.disk))

    def start_standby(self) -> Process:
        """Another machine begins to wait for the account."""
        disk = Disk()
        self.other_disks.append(disk)
        return self._new_process(disk, waiting=True)

    def _new_process(self, disk: Disk, *, waiting: bool = False) -> Process:
        process = Process(
            len(self.processes) + 1,
            self.scheduler,
            self.network,
            self.database,
            disk,
            self.settings,
            self._ended,
            self.clock_ahead,
            self.pace,
            rivals=self.rivals,
            waiting=waiting,
        )
        self.processes.append(process)
        self.tell(f"PROCESS {process.number} {'stands by' if waiting else 'starts'}")
        return process

    def kill_process(self) -> None:
        """kill -9, from the hub; it is started again in a while."""
        process = self.process
        if process is None:
            return
        self.tell(f"PROCESS {process.number} killed")
        self._absent_since()
        self.deaths += 1
        self.scheduler.kill(process.host)
        self.scheduler.after(self.chance.uniform(*RESTART_S), self.start_process)

    def pause_process(self, seconds: float) -> None:
        """The process stands still."""
        process = self.process
        if process is not None:
            process.host.paused_until = self.scheduler.now + round(seconds * SECOND)
            now = self._venue_ms()
            self.absences.append((now, now + round(seconds * 1000) + GRACE_MS, "our process was paused"))

    @property
    def absences(self) -> list[tuple[int, int, str]]:
        """The oracle's own list: an absence that goes on is made longer as it does."""
        return self.exchange.judge.court._absences

    def _ended(self, process: Process, reason: str) -> None:
        self.tell(f"PROCESS {process.number} ended: {reason}")
        if not process.host.alive:
            return
        self.deaths += 1
        if any(p.host.alive and p is not process for p in self.processes):  # another has the account
            self.scheduler.kill(process.host)
            return
        self._absent_since()
        self.scheduler.kill(process.host)
        self.scheduler.after(self.chance.uniform(*RESTART_S), self.start_process)

    def _absent_since(self) -> None:
        if self._down_since is None:
            self._down_since = self._venue_ms()
            self.absences.append((self._down_since, self._down_since + GRACE_MS, "our process was down"))

    def _watch_start(self, process: Process) -> None:
        """Until the tree is up nobody can be expected to act (LAWS L5 gives 15 s in all)."""
        if self._down_since is None or not process.host.alive:
            return
        since = self._down_since
        place = next(i for i, absence in enumerate(self.absences) if absence[0] == since)
        self.absences[place] = (since, self._venue_ms() + READY_GRACE_MS + GRACE_MS, "our process was down")
        if process.ready_at is not None:
            self._down_since = None
        else:
            self.scheduler.after(0.25, lambda: self._watch_start(process))

    def _host(self) -> Host:
        current = self.scheduler.current
        if isinstance(current, Fiber):
            return current.host
        process = self.process
        if process is None:
            raise RuntimeError("nobody lives to whom it could belong")
        return process.host

    def _process_of(self, host: Host) -> Process:
        return next(p for p in self.processes if p.host is host)

    def _signal_client(self, _url: str, _token: str, last_id: object) -> SimulatedSignalClient:
        return SimulatedSignalClient(self.signals, self._host(), cast("Callable[[], str | None]", last_id))

    def _point(self, _what: str) -> None:
        if self.faults.strikes(Fault.PROCESS_KILLED):
            self.scheduler.soon(self.kill_process)

    # The market.

    def _tick_prices(self) -> None:
        self.pace.after(1.0, self._tick_prices, leap_s=POINT_S)
        seconds, self._ticked_at = (self.scheduler.now - self._ticked_at) / SECOND, self.scheduler.now
        if self.paused_markets:
            for symbol in self.markets:
                self.exchange.price(symbol, self.exchange.engine.book.prices[symbol].mark)
            return
        for symbol, market in self.markets.items():
            self.exchange.price(symbol, market.following(self.exchange.engine.book.prices[symbol].mark, seconds))

    def _tick_work(self) -> None:
        self.pace.after(WORK_S, self._tick_work, leap_s=POINT_S)
        self.exchange.work()

    # What is believed, for comparison.

    def owners(self) -> tuple[Position, ...]:
        """The positions that the running process has an owner for."""
        process = self.process
        return () if process is None or process.tree is None else process.tree.owners.all(ACCOUNT)

    def owner_of(self, symbol: str) -> PositionId | None:
        """Who owns a symbol in the running process."""
        process = self.process
        return None if process is None or process.tree is None else process.tree.owners.owner(Place(ACCOUNT, symbol))

    def is_ours(self, symbol: str) -> bool:
        """Whether the position began with an entry of ours: what a human opened is ours only once it is adopted."""
        life = self.exchange.judge.book.lives.get((symbol, "BOTH"))
        if life is None or life.owner is None:
            return False
        return not isinstance(life.began, FillLine) or life.began.client_id.startswith("hf")

    def operator_acts(self, symbol: str) -> None:
        """Tell the oracle that an operator asked for something."""
        court = self.exchange.judge.court
        act = OperatorAct(at=self._venue_ms(), symbol=symbol)
        object.__setattr__(court.terms, "operator_acts", (*court.terms.operator_acts[-50:], act))

    def step_of(self, symbol: str | None) -> Step:
        """Where the position of a symbol (None: the newest) is in the protocol."""
        owned = [p for p in self.owners() if symbol in (None, p.symbol)]
        return step_of(owned[-1]) if owned else Step.NOBODY

    def _accepted(self, client_id: str) -> None:
        """LAWS S10: what the exchange takes was written before."""
        if client_id in self.database.intents:
            return
        disks = (self.disk, *self.other_disks)
        spooled = (order for disk in disks for record in disk.spooled.values() for order in record.orders)
        if not any(order.client_id == client_id and order.intent is not None for order in spooled):
            self.violate("S10", f"{client_id} was accepted, and its intent is neither in the database nor spooled")


def step_of(p: Position) -> Step:
    """Where a position is in the protocol."""
    if any(not x.state.over for x in p.exits):
        return Step.EXITING
    if any(s.state is OrderState.TRIGGERED for s in p.stops):
        return Step.TRIGGERED
    if ledger.exposure(p) <= 0:
        return _before(p) if not ledger.has_history(p) else Step.SETTLING
    sending = any(s.state in (OrderState.SENDING, OrderState.UNKNOWN) for s in p.stops)
    resting = any(s.covers for s in p.stops)
    if any(s.state is OrderState.CANCELLING for s in p.stops):
        return Step.CANCELLING
    if sending:
        return Step.MOVING if resting else Step.FIRST_STOP
    return Step.COVERED if resting else Step.BARE


def _before(p: Position) -> Step:
    if p.entry is None:
        return Step.DECIDED
    return Step.ENTRY_SENT if p.entry.state in (OrderState.SENDING, OrderState.UNKNOWN) else Step.ENTRY_KNOWN


def _load_open(pool: Any, account: str) -> list[Position]:
    found: list[Position] = pool.load_open(account)
    return found


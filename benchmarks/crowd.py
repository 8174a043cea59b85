"""A thousand owners in one process: real feeds, position actors, journal, database and gateways; a venue in memory.

Its venue answers at once and its price streams yield what `Crowd` says, so that what remains is ours: threads, rules,
records and the commit of the intent. The log is written as the service writes it, into a file instead of a terminal.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from loguru import logger

from actors import gateway, journal, market_feed, messages
from actors import position as owner
from actors.clock import SystemClock
from actors.control import answering
from actors.directory import Directory
from actors.guard import ActorContext, GuardedActor, configure_threads
from actors.healths import Healths
from actors.marks import Marks
from actors.messages import EntriesState, Perform, Show
from actors.owners import Owners, Place
from actors.recording import Recorder
from actors.restarts import Roster
from actors.root import start_root, stop_root
from actors.ruling import Ruling
from actors.standing import Standing
from actors.supervision import ChildSpec, StartChild
from actors.web import component as web
from adapters.web.server import Address
from benchmarks.crowd_venue import PRICE, QUANTITY, Prices, Venue
from benchmarks.stopwatch import Stopwatch
from config.log import set_up
from config.settings import Log, Settings
from domain.accounts import Expected, Realm
from domain.entries.opening import new_position
from domain.identity import Epoch, PositionId, mint_position_id
from domain.instrument import Instrument, PositionSide
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import OrderState, Phase, Position, TrailState
from persistence.database import migrate
from persistence.embedded import EmbeddedPostgres
from persistence.partitions import ensure_partitions
from persistence.reader import Reader
from persistence.spool import Spool
from tests.actors.order_path.leases import held_lease

TICK = Decimal("0.01")
ACTIVATES = Decimal("1.02")
TRAILING = TrailingRules(activation_pct=Decimal(1), min_interval_s=Decimal(0))
WAVE = 25
LIMIT_S = 60.0


class TimedGateway(gateway.Gateway):
    """The gateway, with a stopwatch at its door."""

    def __init__(self, context: ActorContext, wiring: gateway.Wiring, watch: Stopwatch) -> None:
        """See `gateway.Wiring`."""
        super().__init__(context, wiring)
        self._watch = watch

    def receive(self, message: object) -> None:
        """Note when a request came."""
        if isinstance(message, Perform):
            self._watch.heard(message)
        super().receive(message)


class Deaf(GuardedActor):
    """Takes whatever it is told: in place of those that are not measured."""

    def receive(self, message: Any) -> object:
        """Forget it; who asks for the page hears that nothing is closed and nothing waits."""
        match message:
            case EntriesState():
                return {}
            case Show():
                return {"channels": {}, "waiting": 0}
        return None


class Crowd:
    """Accounts with so many protected, trailing positions each."""

    def __init__(self, folder: Path, conninfo: str, accounts: int, each: int) -> None:
        """Start everybody but the owners."""
        self.clock = SystemClock()
        self.clock.start()
        self.watch = Stopwatch(self.clock)
        self._directory = Directory()
        self._owners = Owners()
        self._marks = Marks()
        self._spool = Spool(folder / "spool")
        self._recorder = Recorder(self.clock.now())
        self._numbers = itertools.count()
        self._folder, self._conninfo = folder, conninfo
        self._accounts = [f"acc{number}" for number in range(accounts)]
        self._standings = {account: Standing() for account in self._accounts}
        self.homes = {f"A{a}N{n:03}USDT": account for a, account in enumerate(self._accounts) for n in range(each)}
        self._markets = {symbol: _instrument(symbol) for symbol in self.homes}
        self.prices = {account: Prices(self.watch) for account in self._accounts}
        self.marks = dict.fromkeys(self.homes, PRICE)
        self._ids: list[PositionId] = []
        roster = Roster()
        self._build(roster, folder, conninfo)
        self._root = start_root(
            "root", roster=roster, directory=self._directory, clock=self.clock, report_down=lambda _: None
        )

    def begin(self) -> None:
        """Open all positions; returns when they trail and nothing is under way."""
        _until(lambda: all(stream.open for stream in self.prices.values()), "the price streams")
        self.tick(self.homes)
        _until(lambda: all(self._marks.get(self.homes[s], s) for s in self.homes), "all marks")
        symbols, ids = list(self.homes), []
        for first in range(0, len(symbols), WAVE):
            ids += [self._open(symbol) for symbol in symbols[first : first + WAVE]]
            self._wait(ids[first:], lambda p: p.phase is Phase.ACTIVE, "protected positions")
        for first in range(0, len(symbols), WAVE):
            self.rise(symbols[first : first + WAVE], ACTIVATES)
            self._wait(ids[first : first + WAVE], _at_rest, "trailing positions")
        self._ids = ids

    def tick(self, symbols: Sequence[str] | Mapping[str, str]) -> None:
        """Say the marks again, one frame an account."""
        for account, stream in self.prices.items():
            stream.say([(s, self.marks[s], False) for s in symbols if self.homes[s] == account])

    def rise(self, symbols: Sequence[str], factor: Decimal = Decimal("1.002")) -> None:
        """Raise the marks of some symbols, one frame an account, timed."""
        for symbol in symbols:
            self.marks[symbol] = (self.marks[symbol] * factor / TICK).quantize(Decimal(1)) * TICK
        for account, stream in self.prices.items():
            frame = [(s, self.marks[s], True) for s in symbols if self.homes[s] == account]
            if frame:
                stream.say(frame)

    def wander(self, fall: Callable[[], Decimal]) -> None:
        """Say other marks, each so much of its price lower: inside the bands while that is less than the callback."""
        for account, stream in self.prices.items():
            mine = [(s, self.marks[s] * (1 - fall())) for s, home in self.homes.items() if home == account]
            stream.say([(s, price.quantize(TICK), False) for s, price in mine])

    def show(self) -> str:
        """Start the real web actor on a free port; returns the page's address once it is served."""
        settings = Settings.model_validate({"accounts": {name: {"exchange": "binanceusdm"} for name in self._accounts}})
        reader = Reader(self._conninfo)
        markets = dict.fromkeys(self._accounts, self._markets)
        house = answering.Wiring(
            socket=self._folder / "admin.sock", max_clients=1, mode="paper", version="0", dry_run=False, chaos=False,
            started_at=self.clock.now(), accounts=dict.fromkeys(self._accounts, "binanceusdm"), instruments=markets,
            owners=self._owners, marks=self._marks, healths=Healths(), reader=reader, recorder=self._recorder,
            terms=dict.fromkeys(self._accounts, 1), request_stop=lambda _reason: None,
            ruling=Ruling(
                settings, lambda: settings, markets, reader, self.clock, self._owners, self._directory, _forget
            ),
        )  # fmt: skip
        announce = self._folder / "web.json"
        wiring = web.Wiring(
            house=house, address=Address(host="127.0.0.1", port=0), audit_key="", announce=announce,
            standings=self._standings, conninfo=self._conninfo, away_because=lambda: None,
        )  # fmt: skip
        spec = ChildSpec(name=web.NAME, factory=lambda context: web.Web.start(context, wiring))
        self._directory.ask("root", StartChild(spec=spec), LIMIT_S)
        _until(announce.exists, "the page's address")
        return str(json.loads(announce.read_text())["url"])

    def settle(self) -> None:
        """Wait until nothing is under way."""
        self._wait(self._ids, _at_rest, "positions at rest")

    def stop(self) -> None:
        """End everybody. Raises RuntimeError for one who does not end."""
        done = stop_root(self._root, self._directory, LIMIT_S)
        if not (self.clock.stop() and done):
            raise RuntimeError("the actors did not end in time")
        self._spool.close()

    def _build(self, roster: Roster, folder: Path, conninfo: str) -> None:
        for name in (messages.ENTRY_DESK, messages.NOTIFIER, *map(messages.reconciler, self._accounts)):
            roster.add(ChildSpec(name=name, factory=Deaf.start))
        gateways = tuple(map(messages.gateway, self._accounts))
        book = journal.Wiring(
            conninfo=conninfo, spool=self._spool, refused_dir=folder / "refused", recorder=self._recorder,
            gateways=gateways, away_because=lambda: None, durable=lambda _: None,
        )  # fmt: skip
        roster.add(ChildSpec(name=messages.JOURNAL, factory=lambda context: journal.Journal.start(context, book)))
        for account in self._accounts:
            self._build_account(roster, account)

    def _build_account(self, roster: Roster, account: str) -> None:
        expected = Expected(account=account, mode="paper", realm=Realm.LOCAL)
        mine = {symbol: self._markets[symbol] for symbol, home in self.homes.items() if home == account}
        requests = gateway.Wiring(
            account=account, open_client=lambda: Venue(mine, self.watch, self._directory), expected=lambda: expected,
            standing=self._standings[account], lease=held_lease(self.clock), instruments={}, owners=self._owners,
            marks=self._marks, spool=self._spool,
            recorder=self._recorder, leverage=lambda _symbol: 0, max_stop_distance_pct=Decimal(60), dry_run=False,
        )  # fmt: skip
        feed = market_feed.Wiring(
            account=account, open_stream=lambda: self.prices[account], symbols=lambda: tuple(mine),
            owners=self._owners, marks=self._marks, recorder=self._recorder,
        )  # fmt: skip
        roster.add(
            ChildSpec(name=messages.gateway(account), factory=lambda c: TimedGateway.start(c, requests, self.watch))
        )
        roster.add(
            ChildSpec(name=messages.market_feed(account), factory=lambda c: market_feed.MarketFeed.start(c, feed))
        )

    def _open(self, symbol: str) -> PositionId:
        account = self.homes[symbol]
        now = self.clock.now()
        position_id = mint_position_id(now, next(self._numbers))
        position = new_position(
            position_id=position_id, account=account, exchange="binanceusdm", instance="ab12",
            instrument=self._markets[symbol], side=PositionSide.LONG,
            plan=Plan(quantity=QUANTITY, protection=Protection(), trailing=TRAILING, reference_price=PRICE),
            epoch=Epoch(1, 1), now=now, correlation_id=f"crowd-{position_id}",
        )  # fmt: skip
        self._owners.claim(Place(account, symbol), position)
        wiring = owner.Wiring(
            account=account, term=1, owners=self._owners, marks=self._marks, recorder=self._recorder,
            hang_after_s=10, base_backoff_s=0.1, max_backoff_s=1,
        )  # fmt: skip
        spec = owner.position_spec(wiring, position_id)
        self._directory.ask("root", StartChild(spec=spec), LIMIT_S)
        return position_id

    def _wait(self, ids: Sequence[PositionId], ready: Callable[[Position], bool], what: str) -> None:
        def all_ready() -> bool:
            states = [self._owners.state(position_id) for position_id in ids]
            return all(state is not None and ready(state) for state in states)

        _until(all_ready, what)


@contextlib.contextmanager
def gathered(folder: Path, accounts: int, each: int) -> Iterator[Crowd]:
    """A crowd on a database of its own, fsync on; leaves nothing behind."""
    folder.chmod(0o755)
    configure_threads()  # as main does
    server = EmbeddedPostgres(folder / "pg")
    with contextlib.ExitStack() as ending:
        terminal = ending.enter_context((folder / "terminal.log").open("w"))
        with contextlib.redirect_stderr(terminal):
            set_up(Log(), folder / "logs", ())
        ending.callback(logger.remove)
        ending.callback(server.stop)
        conninfo = server.start()
        migrate(conninfo)
        ensure_partitions(conninfo, datetime.now(UTC))
        crowd = Crowd(folder, conninfo, accounts, each)
        ending.callback(crowd.stop)
        crowd.begin()
        yield crowd


def _forget(_type: object, _data: object) -> None:
    """Nobody reloads the settings of a crowd."""


def _at_rest(p: Position) -> bool:
    """Whether it trails behind one live stop."""
    return p.trail.state is TrailState.TRAILING and [s.state for s in p.stops if not s.state.over] == [OrderState.LIVE]


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol, base=symbol.removesuffix("USDT"), quote="USDT", tick=TICK, step=TICK, min_quantity=TICK,
        max_market_quantity=Decimal(1_000_000), min_notional=Decimal(5),
    )  # fmt: skip


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {LIMIT_S} s in vain for {what}")
        time.sleep(0.02)

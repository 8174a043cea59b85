"""The entry desk with a real journal over a real database; ears stand where positions, gateway and reconciler would be.

The database is taken away for real: its server ends our connections and takes no new ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from actors import messages
from actors.entry_desk import AccountDesk, EntryDesk, Wiring
from actors.guard import ActorContext, GuardedActor
from actors.journal import Journal
from actors.journal import Wiring as JournalWiring
from actors.marks import Mark, Marks
from actors.messages import EntriesState, OpenByHand, Reconciled, SignalsStored, Write
from actors.position import Wiring as PositionWiring
from actors.signal_feed import SignalFeed
from actors.signal_feed import Wiring as FeedWiring
from actors.standing import Standing
from actors.symbol_lists import Spellings
from domain.accounts import AccountFacts, MarginMode
from domain.entries.funds import Funds
from domain.entries.signal import Signal, parse_signal
from domain.entries.situation import Rules
from domain.entries.sizing import Sizing
from domain.entries.terms import Terms
from domain.entries.waves import WaveRules
from domain.identity import PositionId
from domain.instrument import Instrument, PositionSide
from domain.position.plan import Protection, TrailingRules
from domain.position.state import Phase, Position
from domain.records import Record, StoredSignal, Trade
from persistence.embedded import EmbeddedPostgres
from persistence.reader import Reader
from persistence.spool import Spool
from persistence.writer import Writer
from tests.actors.order_path.stage import WAIT_S, Heard, Stage
from tests.persistence import samples

T = TypeVar("T")
D = Decimal
RULES = Rules(
    max_age_s=600,
    cooldown_s=300,
    max_positions=50,
    max_exposure_usd=D(0),
    max_symbol_usd=D(0),
    daily_loss_usd=D(0),
    margin_reserve_pct=D(5),
    balance_good_s=90,
    spread_pct=D(0),
    spread_warns=False,
    sessions=((0, 24),),
    stop_list=frozenset(),
    allow_list=frozenset(),
)
TERMS = Terms(rules=RULES, protection=Protection(), trailing=TrailingRules(), sizing=Sizing())
BALANCE = D(10_000)
PRICES = {
    "BTCUSDT": D(50_000),
    "BTCBUSD": D(50_010),
    "ETHUSDT": D(2_000),
    "PEPEUSDT": D("0.00001"),
    "1000PEPEUSDT": D("0.01"),
}


def instrument(symbol: str) -> Instrument:
    """An instrument of the tests' venue."""
    price = PRICES[symbol]
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USDT").removesuffix("BUSD"),
        quote=symbol[-4:],
        tick=price / 100_000,
        step=D("0.001") if price > 1 else D(1),
        min_quantity=D("0.001") if price > 1 else D(1),
        max_market_quantity=D(10) if price > 1 else D(10) ** 9,
        min_notional=D(5),
    )


class Warden(GuardedActor):
    """Answers as the warden does."""

    def __init__(self, context: ActorContext, lost: dict[str, str]) -> None:
        super().__init__(context)
        self._lost = lost

    def receive(self, message: Any) -> object:
        return {"locks_lost": dict(self._lost), "failing": {}}


class Scene:
    """Put the desk on with `desk`, then the signal feed with `feed`."""

    def __init__(self, stage: Stage, server: EmbeddedPostgres, conninfo: str, folder: Path) -> None:
        self.stage = stage
        self.marks = Marks()
        self.reader = Reader(conninfo)
        self.spool = Spool(folder / "spool")
        self._folder = folder
        self.locks_lost: dict[str, str] = {}
        self._server = server
        self._conninfo = conninfo
        self.heard: dict[str, Heard] = {}
        self.wiring: Wiring
        self.terms: dict[str, Terms] = {}

    # Who is on.

    def desk(
        self, *, read: bool = True, journal: bool = True, hang_after_s: float | None = None, **changes: Any
    ) -> Scene:
        """The desk of account `main` (and of `second`, if `accounts` names it) with everybody around it."""
        accounts: dict[str, dict[str, Any]] = changes.pop("accounts", {"main": {}})
        excluded = {name: more.pop("exclude", frozenset()) for name, more in accounts.items()}
        for name in accounts:
            for place in (messages.positions(name), messages.gateway(name), messages.reconciler(name)):
                self.heard[place] = self.stage.ear(place)
        self.heard[messages.NOTIFIER] = self.stage.ear(messages.NOTIFIER)
        self.stage.add(messages.WARDEN, lambda context: Warden.start(context, self.locks_lost))
        if journal:
            self.add_journal()
        else:
            self.heard[messages.JOURNAL] = self.stage.ear(messages.JOURNAL)
        desks = {name: self._account(name, **more) for name, more in accounts.items()}
        self.wiring = Wiring(
            accounts=desks,
            spellings=Spellings({name: desk.instruments for name, desk in desks.items()}, dict),
            owners=self.stage.owners,
            marks=self.marks,
            reader=self.reader,
            recorder=self.stage.recorder,
            terms=lambda account, _symbol: self.terms[account],
            dry_run=changes.pop("dry_run", False),
            waves=changes.pop("waves", WaveRules()),
        )
        common = replace(TERMS, rules=replace(RULES, **changes.pop("rules", {})), **changes)
        self.terms = {name: replace(common, exclude=excluded[name]) for name in accounts}
        self.stage.add(
            messages.ENTRY_DESK, lambda context: EntryDesk.start(context, self.wiring), hang_after_s=hang_after_s
        )
        self.stage.start()
        if read:
            self.prices()
            for name in accounts:
                self.stage.tell(messages.ENTRY_DESK, Reconciled(account=name))
        return self

    def add_journal(self) -> None:
        wiring = JournalWiring(
            conninfo=self._conninfo,
            spool=self.spool,
            refused_dir=self._folder / "refused",
            recorder=self.stage.recorder,
            gateways=(messages.gateway("main"),),
            away_because=lambda: None,
            durable=lambda position: None,
        )
        self.stage.add(messages.JOURNAL, lambda context: Journal.start(context, wiring))

    def feed(self, url: str, token: str = "") -> Scene:
        """The signal feed, listening to `url`."""
        wiring = FeedWiring(
            url=url, token=token, demo=None, last_id=self.reader.last_signal_id, recorder=self.stage.recorder
        )
        self.stage.add(messages.SIGNAL_FEED, lambda context: SignalFeed.start(context, wiring))
        return self

    def prices(self, *, age_s: float = 0) -> None:
        """A price of each symbol, heard `age_s` ago."""
        at = self.stage.clock.now() - timedelta(seconds=age_s)
        for name in ("main", "second"):
            for symbol, price in PRICES.items():
                self.marks.put(name, symbol, Mark(price=price, at=at, heard_at=at))

    def close(self) -> None:
        self.reader.close()
        self.spool.close()

    # The database.

    def database_away(self) -> None:
        """Our connections are ended and new ones refused."""
        name = conninfo_to_dict(self._conninfo)["dbname"]
        with psycopg.connect(self._server.admin_conninfo, autocommit=True) as conn:
            conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(str(name))))
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    def database_back(self) -> None:
        """As it was."""
        name = conninfo_to_dict(self._conninfo)["dbname"]
        with psycopg.connect(self._server.admin_conninfo, autocommit=True) as conn:
            conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(str(name))))

    # What is done and seen.

    def store(self, *raw: dict[str, object], tell: bool = True) -> None:
        """Have signals stored, and the desk told unless the process is to die between the two."""
        now = datetime.now(UTC)
        signals = tuple(as_signal(each) for each in raw)
        then = (messages.ENTRY_DESK, SignalsStored(signals=signals)) if tell else None
        record = self.stage.recorder.record(now, signals=_stored(signals, now))
        self.stage.tell(messages.JOURNAL, Write(record=record, then=then))

    def add_rows(self, *raw: dict[str, object]) -> None:
        """Have signals stored where no journal is on."""
        now = datetime.now(UTC)
        signals = tuple(as_signal(each) for each in raw)
        self._write(self.stage.recorder.record(now, signals=_stored(signals, now)))

    def add_facts(self, facts: dict[str, object]) -> None:
        """What an earlier life kept."""
        self._write(self.stage.recorder.record(datetime.now(UTC), facts=facts))

    def add_position(self, position: Position) -> None:
        """One of an earlier life."""
        self._write(self.stage.recorder.record(datetime.now(UTC), position=position))

    def add_trades(self, *trades: Trade) -> None:
        """Executions of a position that is over."""
        over = samples.position(7, phase=Phase.CLOSED)
        self._write(self.stage.recorder.record(datetime.now(UTC), position=over))
        self._write(self.stage.recorder.record(datetime.now(UTC), trades=trades))

    def _write(self, record: Record) -> None:
        writer = Writer(self._conninfo)
        assert writer.write([record]) == []
        writer.close()

    def entries(self) -> Any:
        """Why entries are closed, by account."""
        return self.stage.ask(messages.ENTRY_DESK, EntriesState())

    def change(self, position_id: PositionId, **changes: Any) -> None:
        """What its owner would hand over next."""
        state = self.stage.owners.state(position_id)
        assert state is not None
        self.stage.owners.handed_over(replace(state, **changes))

    def outcome(self, signal_id: str, seconds: float = WAIT_S) -> dict[str, Any]:
        """The row of a signal once it is answered for."""

        def look() -> dict[str, Any] | None:
            row = self.reader.signal(signal_id)
            return row if row is not None and row["is_processed"] else None

        return self.wait(look, f"an answer for {signal_id}", seconds)

    def by_hand(self, symbol: str = "BTCUSDT", side: PositionSide = PositionSide.LONG, **more: Any) -> Any:
        """An operator's entry, and the desk's answer."""
        values: dict[str, Any] = {"usd": None, "quantity": None, "stop_pct": None, "stop_price": None, **more}
        order = OpenByHand(account="main", symbol=symbol, side=side, trails=None, uid=7, **values)
        return self.stage.ask(messages.ENTRY_DESK, order)

    def owned(self) -> tuple[Position, ...]:
        """All positions that have an owner."""
        return self.stage.owners.all()

    def wait(self, look: Callable[[], T | None], what: str, seconds: float = WAIT_S) -> T:
        """What `look` finds, once it finds something: for what tells nobody that it has happened."""
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
            time.sleep(0.01)

    def _account(self, name: str, **more: Any) -> AccountDesk:
        positions = PositionWiring(
            account=name,
            term=1,
            owners=self.stage.owners,
            marks=self.marks,
            recorder=self.stage.recorder,
            hang_after_s=5,
            base_backoff_s=0.01,
            max_backoff_s=0.05,
        )
        values: dict[str, Any] = {"exchange": "binanceusdm", "instance": "ab12", **more}
        standing: Standing = values.setdefault("standing", Standing())
        if standing.facts is None:
            standing.found(AccountFacts(margin_mode=MarginMode.CROSS), (), None)
        if standing.funds is None:
            standing.funds_read(Funds(wallet=BALANCE, equity=BALANCE, free=BALANCE, read_at=datetime.now(UTC)))
        return AccountDesk(instruments={s: instrument(s) for s in PRICES}, positions=positions, **values)


def as_signal(row: dict[str, object]) -> Signal:
    """A signal as it comes out of the wire: its numbers are exact."""
    return parse_signal(json.loads(json.dumps(row), parse_float=Decimal))


def _stored(signals: Iterable[Signal], now: datetime) -> tuple[StoredSignal, ...]:
    return tuple(
        StoredSignal(
            signal_id=s.id,
            received_at=now,
            symbol=s.symbol,
            exchange=s.exchange,
            account=s.account,
            action=s.action.value,
            score_week=s.score_week,
            score_month=s.score_month,
            wave=s.wave,
            created_at=s.created_at,
            raw={},
        )
        for s in signals
    )

"""The feeds on streams in memory: who is told what, and what a broken stream costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.account_feed import AccountFeed
from actors.account_feed import Wiring as AccountWiring
from actors.market_feed import MarketFeed
from actors.market_feed import Wiring as MarketWiring
from actors.marks import Marks
from actors.messages import FeedStarted, FeedState, Health, Prices, ReconcileNow, Tick, Unwatch, Watch, Write
from actors.owners import Place
from actors.standing import Standing
from adapters.exchange.interface import Lost, WalletReport
from domain.catalogue import EventType
from domain.entries.funds import Funds
from domain.identity import Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import PositionSide, Side
from domain.orders import AccountSnapshot, Fill, OrderReport, OrderStatus, PositionReport, Source
from domain.position.inputs import FillHeard, OrderHeard, PositionHeard
from tests.actors.order_path.leases import held_lease
from tests.actors.order_path.scripted import flat
from tests.actors.order_path.stage import Stage, until
from tests.actors.order_path.streams import Tape
from tests.persistence.samples import BTC, position

MARKET = messages.market_feed("main")
ACCOUNT = messages.account_feed("main")


class Bench:
    """One feed, its stream, two positions' ears and the journal's."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.tape = Tape()
        self.marks = Marks()
        self.standing = Standing()
        self.lease = held_lease(self.stage.clock)
        self.journal = self.stage.ear(messages.JOURNAL)
        self.reconciler = self.stage.ear(messages.reconciler("main"))
        self.owners = {number: self.stage.ear(messages.position(PositionId(number))) for number in (7, 8)}

    def own(self, number: int, symbol: str = BTC.symbol, side: PositionSide | None = None) -> None:
        assert self.stage.owners.claim(Place("main", symbol, side), position(number))

    def market(self) -> None:
        wiring = MarketWiring(
            account="main",
            open_stream=lambda: self.tape,
            symbols=lambda: (BTC.symbol,),
            owners=self.stage.owners,
            marks=self.marks,
            recorder=self.stage.recorder,
        )
        self.stage.add(MARKET, lambda context: MarketFeed.start(context, wiring))
        self.stage.start()
        self.tape.opened()

    def account(self) -> None:
        wiring = AccountWiring(
            account="main",
            open_stream=lambda: self.tape,
            owners=self.stage.owners,
            standing=self.standing,
            lease=self.lease,
            recorder=self.stage.recorder,
        )
        self.stage.add(ACCOUNT, lambda context: AccountFeed.start(context, wiring))
        self.stage.start()
        self.tape.opened()

    def watch(self, number: int, low: object, high: object, symbol: str = BTC.symbol) -> None:
        bounds = [None if bound is None else Decimal(str(bound)) for bound in (low, high)]
        self.stage.tell(MARKET, Watch(position_id=PositionId(number), symbol=symbol, low=bounds[0], high=bounds[1]))

    def prices(self, number: int) -> list[tuple[Decimal, Decimal, Decimal]]:
        return [(m.range.last, m.range.low, m.range.high) for m in self.owners[number].of(Prices)]

    def heard_price(self, price: object, symbol: str = BTC.symbol) -> None:
        def known() -> bool:
            mark = self.marks.get("main", symbol)
            return mark is not None and mark.price == Decimal(str(price))

        until(known, what=f"the price {price}")
        self.settle()

    def settle(self) -> Health:
        found = self.stage.ask(MARKET, FeedState())
        assert isinstance(found, Health)
        self.stage.worked_off(MARKET, *(messages.position(PositionId(number)) for number in self.owners))
        return found

    def events(self, kind: EventType) -> list[Any]:
        self.stage.worked_off(messages.JOURNAL)
        return [e for write in self.journal.of(Write) for e in write.record.events if e.type is kind]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.stage.stop()


def test_a_price_inside_the_band_wakes_nobody(bench: Bench) -> None:
    bench.market()
    bench.watch(7, 49_000, 51_000)
    for price in (50_000, 50_999, 49_001):
        bench.tape.price(BTC.symbol, price)
    bench.heard_price(49_001)
    assert bench.prices(7) == []
    bench.tape.price(BTC.symbol, 51_000)
    bench.owners[7].wait(Prices)
    assert bench.prices(7) == [(Decimal(51_000), Decimal(49_001), Decimal(51_000))]
    bench.tape.price(BTC.symbol, 52_000)
    bench.heard_price(52_000)
    assert len(bench.prices(7)) == 1  # until it has told its next band
    bench.watch(7, 51_000, 51_500)
    bench.owners[7].count(Prices, 2)
    assert bench.prices(7)[1] == (Decimal(52_000), Decimal(52_000), Decimal(52_000))


def test_each_is_told_by_its_own_band(bench: Bench) -> None:
    bench.market()
    bench.watch(7, 49_000, None)
    bench.watch(8, None, 50_500)
    bench.tape.price(BTC.symbol, 50_500)
    bench.owners[8].wait(Prices)
    bench.tape.price(BTC.symbol, 48_999)
    bench.owners[7].wait(Prices)
    assert bench.prices(7) == [(Decimal(48_999), Decimal(48_999), Decimal(50_500))]
    assert len(bench.prices(8)) == 1


def test_who_no_longer_watches_hears_nothing(bench: Bench) -> None:
    bench.market()
    bench.watch(7, 49_000, 51_000)
    bench.stage.tell(MARKET, Unwatch(position_id=PositionId(7)))
    bench.tape.price(BTC.symbol, 60_000)
    bench.heard_price(60_000)
    bench.stage.tell(MARKET, Tick())
    bench.settle()
    assert bench.prices(7) == []


def test_a_heartbeat_tells_what_passed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.market_feed.HEARTBEAT_S", 0.05)
    bench.market()
    bench.watch(7, 49_000, 51_000)
    bench.tape.price(BTC.symbol, 50_100)
    bench.owners[7].wait(Prices)
    assert bench.prices(7)[0][0] == Decimal(50_100)


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity"])
def test_a_price_that_is_none_kills_nobody(bench: Bench, bad: str) -> None:
    bench.market()
    bench.watch(7, 49_000, 51_000)
    bench.tape.price(BTC.symbol, bad)
    bench.tape.price(BTC.symbol, 50_000)
    bench.heard_price(50_000)
    assert bench.stage.directory.newest_incarnation(MARKET) == 1
    assert bench.prices(7) == []


@pytest.mark.parametrize("broken", [RuntimeError("the parser broke"), None])
def test_a_stream_that_ends_restarts_the_feed(bench: Bench, broken: Exception | None) -> None:
    bench.own(7)
    bench.market()
    bench.owners[7].wait(FeedStarted)
    bench.watch(7, 49_000, 51_000)
    bench.tape.say(broken)
    bench.stage.risen(MARKET, above=1)
    bench.tape.opened(2)
    bench.owners[7].count(FeedStarted, 2)
    bench.tape.price(BTC.symbol, 52_000)  # left the band before the band was told again
    bench.heard_price(52_000)
    bench.watch(7, 49_000, 51_000)
    bench.owners[7].wait(Prices)
    assert bench.prices(7) == [(Decimal(52_000), Decimal(52_000), Decimal(52_000))]
    assert bench.tape.ended == 1


def test_a_killed_feed_closes_its_stream(bench: Bench) -> None:
    bench.market()
    bench.stage.kill(MARKET)
    bench.tape.opened(2)
    until(lambda: bench.tape.ended == 1, what="the first run to be closed")


def test_stale_is_said_once_and_fresh_once(bench: Bench) -> None:
    bench.market()
    bench.watch(7, 49_000, 51_000)
    bench.tape.price(BTC.symbol, 50_000)
    bench.heard_price(50_000)
    bench.tape.connected()
    until(lambda: bench.settle().state == "healthy")
    mark = bench.marks.get("main", BTC.symbol)
    assert mark is not None
    bench.marks.put("main", BTC.symbol, replace(mark, heard_at=mark.heard_at - timedelta(seconds=16)))
    for _ in range(3):
        bench.stage.tell(MARKET, Tick())
    assert bench.settle().state == "degraded"
    until(lambda: bench.events(EventType.PRICE_STALE))
    assert len(bench.events(EventType.PRICE_STALE)) == 1
    for price in (50_001, 50_002):
        bench.tape.price(BTC.symbol, price)
    bench.heard_price(50_002)
    until(lambda: bench.events(EventType.PRICE_FRESH))
    assert len(bench.events(EventType.PRICE_FRESH)) == 1
    assert bench.settle().state == "healthy"


def test_nobody_waits_for_a_price_that_nobody_watches(bench: Bench) -> None:
    bench.market()
    bench.tape.connected()
    bench.watch(7, None, None, "DOGEUSDT")
    bench.stage.tell(MARKET, Tick())
    until(lambda: bench.settle().state == "degraded")
    bench.stage.tell(MARKET, Unwatch(position_id=PositionId(7)))
    assert bench.settle().state == "healthy"


def test_connection_is_told_as_health_and_events(bench: Bench) -> None:
    bench.market()
    assert bench.settle().state == "down"
    bench.tape.connected()
    until(lambda: bench.settle().state == "healthy")
    bench.tape.lost("reset by peer")
    until(lambda: bench.settle().state == "down")
    assert bench.settle().reason == "reset by peer"
    until(lambda: len(bench.events(EventType.STREAM_LOST)) == 1)


# The account feed.

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def report(client_id: str | None, symbol: str = BTC.symbol, side: PositionSide | None = None) -> OrderReport:
    return OrderReport(
        symbol=symbol,
        client_id=client_id,  # type: ignore[arg-type]
        exchange_id="11",
        conditional=False,
        side=Side.SELL,
        status=OrderStatus.FILLED,
        quantity=Decimal(1),
        filled=Decimal(1),
        average_price=Decimal(1),
        trigger_price=None,
        reduce_only=True,
        close_position=False,
        position_side=side,
        child_id=None,
        reason="",
        at=AT,
        source=Source.STREAM,
    )


def fill(client_id: str | None, symbol: str = BTC.symbol) -> Fill:
    return Fill(
        trade_id="t1",
        symbol=symbol,
        exchange_id="11",
        client_id=client_id,  # type: ignore[arg-type]
        side=Side.SELL,
        position_side=None,
        quantity=Decimal(1),
        price=Decimal(1),
        fee=Decimal(0),
        fee_currency="USDT",
        realized_pnl=Decimal(0),
        at=AT,
    )


def ours(number: int) -> str:
    return mint_client_id("ab12", PositionId(number), Epoch(1, 1), 1, OrderKind.STOP)


ROUTES: list[tuple[str | None, str, int | None]] = [
    (ours(7), BTC.symbol, 7),
    (ours(7), "ETHUSDT", 7),  # by its id, whatever the symbol
    (None, BTC.symbol, 7),  # what a human does
    ("autoclose-123", BTC.symbol, 7),  # the child of a triggered stop, or a liquidation
    ("web_abc", "ETHUSDT", None),  # a stranger on a symbol of nobody's
    (ours(99), BTC.symbol, None),  # an order of a life that is over
]


@pytest.mark.parametrize(("client_id", "symbol", "owner"), ROUTES)
def test_news_reaches_its_owner(bench: Bench, client_id: str | None, symbol: str, owner: int | None) -> None:
    bench.own(7)
    bench.account()
    last = replace(report(ours(7)), exchange_id="the last")
    bench.tape.say(report(client_id, symbol), fill(client_id, symbol), last)
    bench.owners[7].wait(OrderHeard, lambda m: m.report == last)
    expected = [] if owner is None else [report(client_id, symbol)]
    assert [m.report for m in bench.owners[7].of(OrderHeard)] == [*expected, last]
    assert [m.fill for m in bench.owners[7].of(FillHeard)] == ([] if owner is None else [fill(client_id, symbol)])


def test_in_hedge_mode_each_side_has_its_owner(bench: Bench) -> None:
    bench.stage.owners.hedged = frozenset({"main"})
    bench.own(7, side=PositionSide.LONG)
    bench.own(8, side=PositionSide.SHORT)
    bench.account()
    bench.tape.say(report(None, side=PositionSide.SHORT), report(None, side=PositionSide.LONG))
    assert bench.owners[8].wait(OrderHeard).report.position_side is PositionSide.SHORT
    assert bench.owners[7].wait(OrderHeard).report.position_side is PositionSide.LONG
    assert len(bench.owners[7].of(OrderHeard)) == len(bench.owners[8].of(OrderHeard)) == 1


def test_sizes_reach_the_owner_or_are_noted_as_foreign(bench: Bench) -> None:
    bench.own(7)
    bench.account()
    bench.tape.say(flat(BTC.symbol), flat("ETHUSDT", Decimal(-2)))
    assert isinstance(bench.owners[7].wait(PositionHeard).report, PositionReport)
    assert until(lambda: bench.stage.owners.foreign(Place("main", "ETHUSDT"))) == Decimal(-2)
    bench.tape.say(flat("ETHUSDT"))
    until(lambda: bench.stage.owners.foreign(Place("main", "ETHUSDT")) is None)


def test_after_every_connection_the_reconciler_looks(bench: Bench) -> None:
    bench.account()
    bench.tape.connected()
    bench.reconciler.wait(ReconcileNow)
    bench.tape.lost("listen key expired")
    bench.tape.connected()
    bench.reconciler.count(ReconcileNow, 2)
    until(lambda: len(bench.events(EventType.STREAM_LOST)) == 1)


def test_a_broken_account_stream_restarts_the_feed(bench: Bench) -> None:
    bench.own(7)
    bench.account()
    bench.tape.say(RuntimeError("the parser broke"))
    bench.stage.risen(ACCOUNT, above=1)
    bench.tape.opened(2)
    bench.tape.say(report(ours(7)))
    bench.owners[7].wait(OrderHeard)


def test_no_entry_is_possible_while_nothing_is_heard_of_the_account(bench: Bench) -> None:
    def closed() -> str:
        return str(bench.standing.closed_because)

    bench.account()
    assert closed() == "the account's stream is down: not connected yet"
    bench.tape.connected()
    until(lambda: "has not been read" in closed())
    now = bench.stage.clock.now()
    bench.standing.seen(AccountSnapshot(account="main", asked_at=now, answered_at=now, positions=(), orders=()), ())
    assert closed() == "None"
    bench.tape.say(Lost(at=now, reason="silent for 5 s"))
    until(lambda: closed() == "the account's stream is down: silent for 5 s")


def test_the_account_stream_keeps_the_money_known(bench: Bench) -> None:
    bench.account()
    then = datetime.now(UTC) - timedelta(seconds=1)
    bench.standing.funds_read(Funds(wallet=Decimal(100), equity=Decimal(90), free=Decimal(50), read_at=then))
    bench.tape.say(WalletReport(wallet=Decimal(98)))
    until(lambda: bench.standing.funds is not None and bench.standing.funds.wallet == 98, what="the wallet alone")
    assert bench.standing.funds == Funds(wallet=Decimal(98), equity=Decimal(88), free=Decimal(48), read_at=then)
    before = datetime.now(UTC)
    bench.tape.say(WalletReport(wallet=Decimal(97), total=Decimal(96), free=Decimal(95)))
    until(lambda: bench.standing.funds is not None and bench.standing.funds.wallet == 97, what="all of it")
    assert (str(bench.standing.funds.equity), str(bench.standing.funds.free)) == ("96", "95")
    assert bench.standing.funds.read_at >= before


def test_a_higher_term_of_ours_on_the_stream_is_told(bench: Bench) -> None:
    """Whoever took the account over writes it into its client ids (DESIGN 3)."""
    told: list[int] = []
    bench.lease = held_lease(bench.stage.clock, superseded=lambda reason, term: told.append(term))
    bench.account()
    for client_id in ("hfab12-7-1_1-1s", "hfzz99-7-5_1-1s", None, "hfab12-7-4_1-1s", "hfab12-7-5_1-1s"):
        bench.tape.say(report(client_id))
    until(lambda: told)
    assert told == [4]
    assert bench.lease.gone is not None

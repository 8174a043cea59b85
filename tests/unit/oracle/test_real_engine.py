"""The oracle reads what the paper exchange really writes: its engine and timeline, driven without sockets."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from adapters.paper_exchange.contracts import listed_contracts
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.orders import (
    AlgoOrder,
    ConditionalType,
    Event,
    Origin,
    PositionSide,
    Side,
    WorkingType,
)
from adapters.paper_exchange.requests import (
    CLEAR,
    Amendment,
    Attachment,
    ConditionalRequest,
    MarketRequest,
    Rules,
    TradingStop,
)
from tests.oracle.facts import By
from tests.oracle.judge import Verdict, judge_file
from tests.unit.oracle.tiny_exchange import client_id

SYMBOL = "BTCUSDT"
TRADING_STOP = "/v5/position/trading-stop"


class Driven:
    """A paper exchange whose clock and market a test moves by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000_000
        contract = listed_contracts()[SYMBOL]
        feed = SyntheticMarket(contract=contract, seed=1, volatility=Decimal(1))
        self.exchange = PaperExchange(folder, {SYMBOL: feed}, Rules(), lambda: self.now)
        self.exchange.open(1, Decimal(10_000))
        self.path = folder / "timeline.jsonl"

    def mark(self) -> Decimal:
        return self.exchange.book.prices[SYMBOL].mark

    def price(self, distance: str, side: Side = Side.SELL) -> Decimal:
        """A price so far (a fraction) from the mark that a stop of this side has."""
        away = Decimal(distance) if side is Side.SELL else -Decimal(distance)
        return (self.mark() * (1 - away)).quantize(Decimal("0.1"))

    def market(
        self, name: str, side: Side, *, reduce_only: bool = False, origin: Origin = Origin.API,
        position_side: PositionSide = PositionSide.BOTH, stop_loss: Decimal | None = None,
    ) -> list[Event]:  # fmt: skip
        self.now += 10
        attached = None if stop_loss is None else Attachment(trigger_price=stop_loss)
        asked = MarketRequest(
            symbol=SYMBOL, side=side, quantity=Decimal("0.01"), reduce_only=reduce_only,
            client_order_id=name, origin=origin, position_side=position_side, stop_loss=attached,
        )  # fmt: skip
        return self.exchange.run(lambda now: self.exchange.engine.place_market(now, asked))

    def trading_stop(self, stop_loss: Decimal | None, side: PositionSide = PositionSide.BOTH) -> None:
        """Our trading-stop; None takes it away."""
        self.now += 10
        told = "0" if stop_loss is None else str(stop_loss)
        request = self.exchange.note_request("POST", TRADING_STOP, {"symbol": SYMBOL, "stopLoss": told})
        leg = CLEAR if stop_loss is None else Attachment(trigger_price=stop_loss)
        asked = TradingStop(symbol=SYMBOL, position_side=side, stop_loss=leg)
        self.exchange.run(lambda now: self.exchange.engine.set_trading_stop(now, asked))
        self.exchange.note_reply(request, 200, None)

    def amend(self, algo: int, trigger: Decimal) -> None:
        """Our amendment of a resting conditional."""
        self.now += 10
        named = {"symbol": SYMBOL, "orderId": str(algo), "triggerPrice": str(trigger)}
        request = self.exchange.note_request("POST", "/v5/order/amend", named)
        asked = Amendment(trigger_price=trigger)
        self.exchange.run(lambda now: self.exchange.engine.amend_conditional(now, algo, asked))
        self.exchange.note_reply(request, 200, None)

    def stop(self, name: str, distance: Decimal) -> int:
        self.now += 10
        trigger = (self.mark() * (1 - distance)).quantize(Decimal("0.1"))
        asked = ConditionalRequest(
            symbol=SYMBOL, side=Side.SELL, type=ConditionalType.STOP_MARKET, trigger_price=trigger,
            quantity=Decimal("0.01"), working_type=WorkingType.MARK_PRICE, reduce_only=True, client_algo_id=name,
        )  # fmt: skip
        events = self.exchange.run(lambda now: self.exchange.engine.place_conditional(now, asked))
        return next(event.algo_id for event in events if isinstance(event, AlgoOrder))

    def cancel(self, algo: int) -> None:
        self.now += 10
        params = {"symbol": SYMBOL, "algoId": str(algo)}
        request = self.exchange.note_request("DELETE", "/fapi/v1/algoOrder", params)
        self.exchange.run(lambda now: self.exchange.engine.cancel_conditional(now, algo))
        self.exchange.note_reply(request, 200, None)

    def walk(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1000
            self.exchange.advance(SYMBOL)

    def verdict(self) -> Verdict:
        self.exchange.close(1)
        return judge_file(self.path)


def test_a_life_on_the_real_engine_is_clean(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY)
    first = x.stop(client_id("s", 2), Decimal("0.02"))
    second = x.stop(client_id("s", 3), Decimal("0.015"))
    x.cancel(first)
    x.market(client_id("x", 4), Side.SELL, reduce_only=True)
    x.cancel(second)
    x.walk(10)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    (life,) = verdict.lives
    assert (life.owner, life.moves, life.ended_by, len(life.trades)) == (1, 1, "exit", 2)
    assert [(i.cause, i.length) for i in verdict.measures.intervals] == [(By.FILL, 10)]


def test_a_stop_fired_by_the_market_covers_to_the_end(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY)
    x.stop(client_id("s", 2), Decimal("0.0005"))
    x.walk(3000)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    assert [life.ended_by for life in verdict.lives] == ["stop"]
    assert [i.cause for i in verdict.measures.intervals] == [By.FILL]


def test_a_hole_on_the_real_engine_is_seen(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY)
    x.cancel(x.stop(client_id("s", 2), Decimal("0.02")))
    x.stop(client_id("s", 3), Decimal("0.02"))
    assert x.verdict().broken() == {"S1", "S4"}


def test_a_humans_close_leaves_an_orphan_that_is_seen(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY)
    x.stop(client_id("s", 2), Decimal("0.3"))
    x.market("", Side.SELL, reduce_only=True, origin=Origin.HUMAN)
    x.walk(20)
    verdict = x.verdict()
    assert verdict.broken() == {"S6"}
    assert verdict.lives[0].ended_by == "outsider"


def test_an_attached_stop_leaves_no_unprotected_moment(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY, stop_loss=x.price("0.02"))
    x.trading_stop(x.price("0.015"))
    x.trading_stop(x.price("0.01"))
    x.market(client_id("x", 4), Side.SELL, reduce_only=True)
    x.walk(10)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    (life,) = verdict.lives
    assert (life.owner, life.moves, life.ended_by) == (1, 2, "exit")
    assert verdict.measures.intervals == []
    assert verdict.measures.entry_to_cover == [0]


def test_an_attached_stop_that_fires_is_ours(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY, stop_loss=x.price("0.0005"))
    x.walk(3000)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    assert [life.ended_by for life in verdict.lives] == ["stop"]


def test_clearing_and_loosening_an_attached_stop_is_seen(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY, stop_loss=x.price("0.02"))
    x.trading_stop(x.price("0.03"))
    x.trading_stop(None)
    assert x.verdict().broken() == {"S1", "S3", "S4"}


def test_a_human_clears_the_attached_stop_and_it_is_put_right(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    stop = x.price("0.02")
    x.market(client_id("e", 1), Side.BUY, stop_loss=stop)
    x.now += 1000
    taken = TradingStop(symbol=SYMBOL, position_side=PositionSide.BOTH, stop_loss=CLEAR)
    x.exchange.run(lambda now: x.exchange.engine.set_trading_stop(now, taken, Origin.HUMAN))
    x.now += 1000
    x.trading_stop(stop)
    x.walk(10)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    assert [i.cause for i in verdict.measures.intervals] == [By.OUTSIDER]


def test_an_amended_stop_has_moved_without_a_hole(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY)
    stop = x.stop(client_id("s", 2), Decimal("0.02"))
    x.amend(stop, x.price("0.015"))
    x.walk(5)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    assert [life.moves for life in verdict.open_lives] == [1]


def test_amended_looser_is_seen(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.market(client_id("e", 1), Side.BUY)
    x.amend(x.stop(client_id("s", 2), Decimal("0.02")), x.price("0.03"))
    assert x.verdict().broken() == {"S3"}


def test_both_sides_of_a_hedged_symbol_are_judged_apart(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.exchange.run(lambda _: x.exchange.engine.set_position_mode(hedge=True))
    long, short = PositionSide.LONG, PositionSide.SHORT
    x.market(client_id("e", 1), Side.BUY, position_side=long, stop_loss=x.price("0.02"))
    x.market(client_id("e", 1, 2), Side.SELL, position_side=short, stop_loss=x.price("0.02", Side.BUY))
    x.market(client_id("x", 4), Side.SELL, reduce_only=True, position_side=long)
    x.walk(10)
    verdict = x.verdict()
    assert verdict.clean, verdict.breaches
    assert [life.key[1] for life in verdict.lives] == ["LONG"]
    assert [(life.key[1], life.side, life.owner) for life in verdict.open_lives] == [("SHORT", -1, 2)]


def test_a_bare_side_of_a_hedged_symbol_is_seen(tmp_path: Path) -> None:
    x = Driven(tmp_path)
    x.exchange.run(lambda _: x.exchange.engine.set_position_mode(hedge=True))
    x.market(client_id("e", 1), Side.BUY, position_side=PositionSide.LONG, stop_loss=x.price("0.02"))
    x.market(client_id("e", 1, 2), Side.SELL, position_side=PositionSide.SHORT)
    x.walk(10)
    breaches = x.verdict().breaches
    assert {breach.law for breach in breaches} == {"S1", "S16"}
    assert all("position 0.01, cover 0" in breach.text for breach in breaches if breach.law == "S1")

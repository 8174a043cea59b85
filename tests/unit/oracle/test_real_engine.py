"""The oracle reads what the paper exchange really writes: its engine and timeline, driven without sockets."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from adapters.paper_exchange.contracts import listed_contracts
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.orders import AlgoOrder, ConditionalType, Event, Origin, Side, WorkingType
from adapters.paper_exchange.requests import ConditionalRequest, MarketRequest, Rules
from tests.oracle.facts import By
from tests.oracle.judge import Verdict, judge_file
from tests.unit.oracle.tiny_exchange import client_id

SYMBOL = "BTCUSDT"


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

    def market(self, name: str, side: Side, *, reduce_only: bool = False, origin: Origin = Origin.API) -> list[Event]:
        self.now += 10
        asked = MarketRequest(
            symbol=SYMBOL, side=side, quantity=Decimal("0.01"), reduce_only=reduce_only,
            client_order_id=name, origin=origin,
        )  # fmt: skip
        return self.exchange.run(lambda now: self.exchange.engine.place_market(now, asked))

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

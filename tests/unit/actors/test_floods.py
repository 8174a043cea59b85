"""Floods, on real threads: what waits is bounded, and no fill or operator's command waits behind prices."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors.guard import ActorContext, GuardedActor
from actors.inbox import LASTING, Backlog, Inbox
from actors.messages import FromStream, OperatorInput, Prices, Show, Write
from actors.refs import await_started, guarded
from adapters.exchange.interface import MarkPrice
from domain.instrument import Side
from domain.orders import Fill
from domain.position.inputs import FillHeard, PriceRange
from domain.records import Record
from tests.unit.actors.conftest import Lab
from tests.unit.actors.specimens import WAIT_S

AT = datetime(2026, 3, 1, tzinfo=UTC)
FLOOD = 20_000
PRICE_TAKES_S = 0.005
PROMPT_S = 2.0


class Busy(GuardedActor):
    """One that takes its time over each price."""

    def __init__(self, context: ActorContext, heard: list[tuple[object, float]]) -> None:
        super().__init__(context)
        self._heard = heard

    def receive(self, message: Any) -> object:
        """Note when."""
        if isinstance(message, Prices):
            time.sleep(PRICE_TAKES_S)
        else:
            self._heard.append((message, time.monotonic()))
        return None


@dataclass(slots=True)
class Envelope:
    """As pykka makes them."""

    message: Any
    reply_to: Any = field(default=None)


def fill() -> Fill:
    return Fill(
        symbol="BTCUSDT", position_side=None, trade_id="1", exchange_id="9", client_id=None, side=Side.BUY,
        quantity=Decimal(1), price=Decimal(50_000), fee=Decimal(1), fee_currency="USDT", realized_pnl=Decimal(0),
        at=AT,
    )  # fmt: skip


def price(number: int) -> Prices:
    at = Decimal(number)
    return Prices(range=PriceRange(last=at, low=at, high=at, at=AT))


def test_a_flood_of_prices_delays_no_fill_and_no_command(lab: Lab) -> None:
    heard: list[tuple[object, float]] = []
    ref = guarded(Busy.start(lab.context("position"), heard))
    lab.refs.append(ref)
    await_started(ref, WAIT_S)
    ended, deepest = threading.Event(), 0

    def flood() -> None:
        for number in range(FLOOD):
            ref.tell(price(number))
        ended.set()

    flooding = threading.Thread(target=flood)
    flooding.start()
    sent: list[tuple[object, float]] = []
    while not ended.is_set() or len(sent) < 20:
        for message in (FillHeard(fill=fill()), OperatorInput(input=None, method="position.close", uid=0)):
            sent.append((message, time.monotonic()))
            ref.tell(message)
        deepest = max(deepest, ref.inbox.depth())
        time.sleep(0.01)
    flooding.join(WAIT_S)
    ref.ask(Show(), timeout=WAIT_S)
    took = {id(message): at for message, at in heard}
    late = [took[id(message)] - at for message, at in sent if took[id(message)] - at > PROMPT_S]
    assert late == []
    assert deepest < 2 * PROMPT_S / PRICE_TAKES_S, "what waits is what was sent just now, and one range of prices"


def test_of_a_flood_of_mark_prices_one_waits_for_each_symbol_and_no_touch_is_lost() -> None:
    inbox = Inbox(stop_type=type(None))

    def flood(symbol: str) -> None:
        for number in range(1, FLOOD // 4):
            inbox.put(Envelope(FromStream(news=MarkPrice(symbol=symbol, price=Decimal(number % 997 + 1), at=AT))))

    threads = [threading.Thread(target=flood, args=(symbol,)) for symbol in ("A", "B", "A", "B")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert inbox.depth() == 2
    waiting = [inbox.get().message for _ in range(2)]
    assert {message.news.symbol for message in waiting} == {"A", "B"}
    passed = [{mark.price for mark in message.passed} for message in waiting]
    assert passed == [{Decimal(1), Decimal(997)}] * 2


def test_what_waited_in_a_flood_keeps_the_time_at_which_it_was_so() -> None:
    """A position that was filled meanwhile must not trail by what was before."""
    inbox = Inbox(stop_type=type(None))
    for second, price in enumerate((5, 9, 3, 4)):
        told = MarkPrice(symbol="A", price=Decimal(price), at=AT + timedelta(seconds=second))
        inbox.put(Envelope(FromStream(news=told)))
    message = inbox.get().message
    assert [(mark.price, (mark.at - AT).total_seconds()) for mark in message.passed] == [(9, 1), (3, 2)]
    assert (message.news.price, (message.news.at - AT).total_seconds()) == (4, 3)


def test_ranges_that_wait_together_begin_with_the_older() -> None:
    older, newer = (
        Prices(range=PriceRange(last=Decimal(n), low=Decimal(n), high=Decimal(n), at=AT + timedelta(seconds=n)))
        for n in (1, 2)
    )
    merged = newer.merge(older).range
    assert (merged.low, merged.high) == (Decimal(1), Decimal(2))
    assert (merged.since, merged.at) == (older.range.at, newer.range.at)


def test_other_news_of_a_stream_is_told_in_full() -> None:
    inbox = Inbox(stop_type=type(None))
    for _ in range(5):
        inbox.put(Envelope(FromStream(news=fill())))
    assert inbox.depth() == 5


@pytest.mark.parametrize(("message", "kept"), [(Show(), 3), (Write(record=Record(record_id="r", at=AT)), 3 * LASTING)])
def test_a_backlog_is_bounded_and_keeps_more_of_what_must_not_be_lost(message: object, kept: int) -> None:
    """A journal that hung with more than a thousand records in its mailbox lost the rest (S10)."""
    backlog = Backlog(3)
    assert [backlog.add(message) for _ in range(3 * LASTING + 5)].count(True) == kept
    assert len(backlog) == kept

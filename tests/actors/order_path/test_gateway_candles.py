"""Questions for candles: each is answered once, with the candles or with what went wrong, and at its price."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.candle_questions import page_weight, weight_since
from actors.messages import AskMarkCandles, AskTradedCandles, MarkCandles, TradedCandles
from adapters.exchange.interface import Candle, VenueFailure
from domain.orders import RejectReason
from tests.actors.order_path.gateway_bench import NAME, Bench
from tests.persistence.samples import BTC

SINCE = datetime(2026, 11, 21, tzinfo=UTC)
CANDLE = Candle(opened_at=SINCE, open=Decimal(1), high=Decimal(3), low=Decimal(1), close=Decimal(2))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


def raises(error: Exception) -> Any:
    def fail(_: object) -> None:
        raise error

    return fail


def ask(bench: Bench) -> MarkCandles:
    """The answer; an ear that is there anyway stands for the desk."""
    reply_to = messages.reconciler("main")
    bench.stage.tell(NAME, AskMarkCandles(symbol=BTC.symbol, since=SINCE, reply_to=reply_to))
    return bench.reconciler.wait(MarkCandles)


def test_candles_come_back_as_the_venue_lists_them(bench: Bench) -> None:
    bench.client.script["candles"] = lambda _: (CANDLE,)
    told = ask(bench)
    assert (told.account, told.symbol, told.candles, told.error) == ("main", BTC.symbol, (CANDLE,), None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (VenueFailure(RejectReason.MAINTENANCE, "503", "closed", certain=True), "maintenance code=503 closed"),
        (RuntimeError("no such thing"), "RuntimeError: no such thing"),
    ],
    ids=["venue", "ours"],
)
def test_a_failure_is_an_answer_too(bench: Bench, error: Exception, said: str) -> None:
    bench.client.script["candles"] = raises(error)
    told = ask(bench)
    assert (told.candles, told.error) == ((), said)


TRADED = AskTradedCandles(
    symbol=BTC.symbol, minutes=5, count=167, closed_at=SINCE, reply_to=messages.reconciler("main")
)


def ask_traded(bench: Bench) -> TradedCandles:
    bench.stage.tell(NAME, TRADED)
    return bench.reconciler.wait(TradedCandles)


def test_closed_candles_are_asked_for_as_the_strategy_wants_them(bench: Bench) -> None:
    bench.client.script["closed_candles"] = lambda _: (CANDLE,)
    told = ask_traded(bench)
    assert (told.account, told.symbol, told.closed_at) == ("main", BTC.symbol, SINCE)
    assert (told.candles, told.error) == ((CANDLE,), None)
    assert bench.client.called("closed_candles") == [(BTC.symbol, timedelta(minutes=5), 167, SINCE)]


def test_a_failure_with_closed_candles_is_an_answer_and_a_pause_is_noted(bench: Bench) -> None:
    refused = VenueFailure(RejectReason.RATE_LIMIT, "429", "slow down", certain=True, retry_after_s=1)
    bench.client.script["closed_candles"] = raises(refused)
    asked_at = bench.stage.clock.monotonic()
    told = ask_traded(bench)
    assert (told.candles, told.error) == ((), "rate_limit code=429 slow down")
    bench.client.script.clear()
    bench.reconciler.clear()
    assert ask_traded(bench).error is None
    assert bench.stage.clock.monotonic() - asked_at >= 1, "questions wait as long as the venue said"


@pytest.mark.parametrize(("count", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10)])
def test_a_page_of_candles_is_paid_by_its_length(count: int, weight: int) -> None:
    assert page_weight(count) == weight


@pytest.mark.parametrize(
    ("minutes", "weight"), [(-5, 1), (0, 1), (97, 1), (98, 2), (280, 2), (1498, 11), (2880, 20), (3000, 21)]
)
def test_minutes_since_a_time_are_paid_by_their_pages(minutes: int, weight: int) -> None:
    assert weight_since(SINCE, SINCE + timedelta(minutes=minutes)) == weight

"""The desk's question for candles: each is answered once, with the candles or with what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.messages import AskMarkCandles, MarkCandles
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

"""Tiny tapes: bars written by hand, a minute each, of a market with a tick of 0.01 and a step of 0.01."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from actors.replay.bars import Tape, TimedBar
from actors.replay.owner import Terms
from actors.replay.times import MINUTE_MS
from adapters.paper_exchange.candles import Bar
from adapters.paper_exchange.contracts import contract_from_price
from domain.position.plan import Protection, TrailingRules

START = 1_620_000_000_000
SYMBOL = "TESTUSDT"
TAPES = Path(__file__).resolve().parents[4] / "shared" / "tapes"
CRASH = TAPES / "binance-spot_BTCUSDT_1m_2021-04-20_2021-05-20.json"

TapeMaker = Callable[..., Tape]


@pytest.fixture
def tape() -> TapeMaker:
    """Makes a tape of bars given as 'open high low close'; None is a minute that is missing."""

    def make(*bars: str | None) -> Tape:
        timed = []
        for minute, text in enumerate(bars):
            if text is not None:
                first, high, low, close = (Decimal(word).quantize(Decimal("0.01")) for word in text.split())
                bar = Bar(open=first, high=high, low=low, close=close)
                timed.append(TimedBar(at=START + minute * MINUTE_MS, bar=bar))
        contract = contract_from_price(SYMBOL, Decimal(100))
        return Tape(name="tiny", contract=contract, bars=timed, bar_ms=MINUTE_MS)

    return make


@pytest.fixture
def terms() -> Terms:
    """The rules' own defaults (stop 2 %, activation 1.5 %, callback 0.5 %, no break-even), 250 a position."""
    return Terms(
        protection=Protection(),
        trailing=TrailingRules(),
        usd=Decimal(250),
        overshoot_pct=Decimal(10),
        farthest_stop_pct=Decimal(50),
        recorded=True,
    )

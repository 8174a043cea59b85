"""Recorded markets, where they lie beside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.exchange.interface import Candle
from tests.candles import read_minutes

TAPES = Path(__file__).resolve().parents[4] / "shared" / "tapes"
NAMES = (
    "btc-perp_1m_2021-12-31_2022-02-01.csv",
    "binance-spot_BTCUSDT_1m_2021-04-20_2021-05-20.json",
    "binance-spot_BCHUSDT_1m_2021-04-20_2021-05-20.json",
)


def recorded(name: str, minutes: int) -> list[Candle]:
    """The first so many minutes of a recorded market; the test is skipped where the recordings are not."""
    path = TAPES / name
    if not path.exists():
        pytest.skip(f"no recorded market {name} beside the project")
    return read_minutes(path)[:minutes]

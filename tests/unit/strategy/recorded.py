"""Recorded markets, where they lie beside the project."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.exchange.interface import Candle
from tests.candles import EPOCH, MINUTE, candle

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
    if path.suffix == ".json":
        rows = [[EPOCH + int(row[0]) * MINUTE / 60_000, *row[1:5]] for row in json.loads(path.read_text())[:minutes]]
    else:
        with path.open() as file:
            lines = [line for line in csv.reader(file) if line[0][0].isdigit()][:minutes]
        rows = [[datetime.fromisoformat(line[0]).replace(tzinfo=UTC), *line[1:5]] for line in lines]
    return [candle(row[0], row[1:]) for row in rows]

"""Candles for tests: made up from a seed, put together from shorter ones, read from recordings."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from adapters.exchange.interface import Candle

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIVE = timedelta(minutes=5)


def candle(opened_at: datetime, prices: Sequence[object]) -> Candle:
    """The candle of open, high, low, close."""
    first, high, low, close = (Decimal(str(price)) for price in prices)
    return Candle(opened_at=opened_at, open=first, high=high, low=low, close=close)


def bodies(*pairs: tuple[object, object], span: timedelta = FIVE, begin: datetime = BEGIN) -> list[Candle]:
    """Candles of (open, close) without shadows, one after another."""
    made = []
    for place, (first, close) in enumerate(pairs):
        high, low = max(Decimal(str(first)), Decimal(str(close))), min(Decimal(str(first)), Decimal(str(close)))
        made.append(candle(begin + place * span, (first, high, low, close)))
    return made


def walk(seed: int, length: int, span: timedelta = FIVE, start: int = 100_000) -> list[Candle]:
    """A seeded walk in ticks of 0.01 with long and short bodies, shadows, small gaps and trends."""
    draw = random.Random(seed)
    made, price, drift = [], start, 0
    for place in range(length):
        if place % 20 == 0:
            drift = draw.randint(-60, 60)
        first = price + draw.choice((0, 0, 0, -1, 1, 3, -3))
        close = first + int(draw.gauss(drift, 100) * draw.choice((0.1, 0.5, 1, 2)))
        high = max(first, close) + draw.randint(0, 60)
        low = min(first, close) - draw.randint(0, 60)
        made.append(candle(BEGIN + place * span, [Decimal(p) / 100 for p in (first, high, low, close)]))
        price = max(close, 20_000)
    return made


def folded(candles: Iterable[Candle], span: timedelta) -> list[Candle]:
    """Candles of `span`, begun on its multiples, from shorter ones."""
    made: list[Candle] = []
    for each in candles:
        begin = each.opened_at - (each.opened_at - EPOCH) % span
        if made and made[-1].opened_at == begin:
            known = made[-1]
            high, low = max(known.high, each.high), min(known.low, each.low)
            made[-1] = Candle(opened_at=begin, open=known.open, high=high, low=low, close=each.close)
        else:
            made.append(Candle(opened_at=begin, open=each.open, high=each.high, low=each.low, close=each.close))
    return made


def read_minutes(path: Path) -> list[Candle]:
    """The one-minute candles of a recorded market that has times: .json or .csv. Raises OSError, ValueError."""
    if path.suffix == ".json":
        rows = [(EPOCH + timedelta(milliseconds=row[0]), row[1:5]) for row in json.loads(path.read_text())]
    elif path.suffix == ".csv":
        with path.open() as file:
            lines = [line for line in csv.reader(file) if line[0][0].isdigit()]
        rows = [(datetime.fromisoformat(line[0]).replace(tzinfo=UTC), line[1:5]) for line in lines]
    else:
        raise ValueError(f"{path}: recordings with times are .json or .csv")
    return [candle(opened_at, prices) for opened_at, prices in rows]

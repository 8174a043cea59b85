"""Recorded markets: one-minute bars from a file, played as price points.

A bar becomes four points: open, then low and high (or high and low), then close. `speed` is tape minutes in a real
second, so a tape makes 4 x speed points a second. At its end the price stands still; with `loop` the tape is played
backwards and forwards in turn, so that there is never a jump.

Formats, told by the file's ending: `.json` array of [ms, open, high, low, close, volume]; `.csv` with a header that
names open, high, low, close; `.zip` of headerless CSV (ms of the day, open, high, low, close, ...); `.feather` if
pyarrow is there.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Final

from adapters.paper_exchange.candles import Bar, Candle
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.orders import Price

_SYMBOL: Final = re.compile(r"(?<![A-Z0-9])([A-Z0-9]{1,14}USDT)(?![A-Z0-9])")
_COLUMNS: Final = ("open", "high", "low", "close")
_POINTS: Final = 4


class TapeError(Exception):
    """A file that is no tape; the text says why."""


class BarOrder(StrEnum):
    """Which of a bar's extremes came first: bars do not say, so both are worth a run."""

    LOW_FIRST = "low-first"
    HIGH_FIRST = "high-first"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeMarket:
    """The tape of one symbol."""

    contract: Contract
    bars: Sequence[Bar]
    speed: Decimal
    bar_order: BarOrder = BarOrder.LOW_FIRST
    loop: bool = False
    streams_every_point: bool = True

    @property
    def points_per_second(self) -> float:
        """How fast the points follow each other."""
        return float(self.speed * _POINTS)

    def first(self, now: int) -> Price:
        """The open of the first bar."""
        return self._point(0, now)

    def following(self, before: Price, now: int) -> Price | None:
        """The next point of the tape; None at its end."""
        step = before.step + 1
        if step >= self._length and not self.loop:
            return None
        return self._point(step, now)

    def listed_as(self, contract: Contract) -> "TapeMarket":
        """The same tape under other filters."""
        return replace(self, contract=contract)

    def history(self, _first: Price, _minutes: int) -> list[Candle]:
        """Nothing is known of the time before a tape."""
        return []

    @property
    def _length(self) -> int:
        return len(self.bars) * _POINTS

    def _point(self, step: int, now: int) -> Price:
        round_trip, place = divmod(step, self._length)
        number, part = divmod(place if round_trip % 2 == 0 else self._length - 1 - place, _POINTS)
        bar = self.bars[number]
        low_first = self.bar_order is BarOrder.LOW_FIRST or (self.bar_order is BarOrder.BOTH and number % 2 == 0)
        inner = (bar.low, bar.high) if low_first else (bar.high, bar.low)
        mark = self.contract.on_tick((bar.open, *inner, bar.close)[part])
        return Price(symbol=self.contract.symbol, mark=mark, last=mark, index=mark, step=step, time=now)


def symbol_of(path: Path) -> str | None:
    """The symbol in a file's name, None if there is none."""
    match = _SYMBOL.search(path.name.upper())
    return None if match is None else match[1]


def read_tape(path: Path) -> list[Bar]:
    """The bars of a file; raises TapeError, OSError."""
    ending = path.suffix.lower()
    if ending == ".json":
        rows = _json_rows(path)
    elif ending == ".csv":
        with path.open(newline="") as file:
            rows = _named_rows(csv.DictReader(file))
    elif ending == ".zip":
        rows = _zip_rows(path)
    elif ending == ".feather":
        rows = _feather_rows(path)
    else:
        raise TapeError(f"ending {ending or '(none)'!r}: known are .json, .csv, .zip and .feather")
    bars = [_bar(row, number) for number, row in enumerate(rows, start=1)]
    if not bars:
        raise TapeError("it holds no bar")
    return bars


def _json_rows(path: Path) -> list[list[object]]:
    try:
        content = json.loads(path.read_bytes(), parse_float=Decimal)
    except ValueError as fault:
        raise TapeError(f"no JSON: {fault}") from fault
    if not isinstance(content, list) or not all(isinstance(row, list) and len(row) >= 5 for row in content):
        raise TapeError("must be an array of [ms, open, high, low, close, ...]")
    return [row[1:5] for row in content]


def _named_rows(rows: "csv.DictReader[str]") -> list[list[object]]:
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise TapeError(f"the header lacks {', '.join(missing)}")
    return [[row[name] for name in _COLUMNS] for row in rows]


def _zip_rows(path: Path) -> list[list[object]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise TapeError(f"must hold one file, holds {len(names)}")
            text = archive.read(names[0]).decode()
    except (zipfile.BadZipFile, UnicodeDecodeError) as fault:
        raise TapeError(str(fault)) from fault
    return [list(row[1:5]) for row in csv.reader(io.StringIO(text))]


def _feather_rows(path: Path) -> list[list[object]]:
    try:
        feather = import_module("pyarrow.feather")
    except ImportError as fault:
        raise TapeError("a .feather file needs the package pyarrow, which is not installed") from fault
    table = feather.read_table(path, columns=list(_COLUMNS))
    columns: Iterable[list[object]] = (table[name].to_pylist() for name in _COLUMNS)
    return [list(row) for row in zip(*columns, strict=True)]


def _bar(row: list[object], number: int) -> Bar:
    try:
        first, high, low, close = (Decimal(str(value)) for value in row)
    except (InvalidOperation, ValueError) as fault:
        raise TapeError(f"bar {number}: {row} are not four prices") from fault
    if not all(value.is_finite() and value > 0 for value in (first, high, low, close)):
        raise TapeError(f"bar {number}: {row} are not four positive prices")
    return Bar(open=first, high=max(first, high, low, close), low=min(first, high, low, close), close=close)

"""Tapes with their times: the bars of a recorded market and when each of them opened.

The prices are read by the paper exchange's own tape reader; this file adds the open times, which that reader does not
need: the first column of `.json`; a column of `.csv` or `.feather` called timestamp, time, date or open_time; ms of the
day in a `.zip` whose inner file's name begins with the day. Bars must follow each other in time, and a bar lasts as
long as the smallest step between two of them.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from actors.replay.times import MINUTE_MS, instant, read_time, shown, stamp
from adapters.paper_exchange.candles import Bar
from adapters.paper_exchange.contracts import Contract, contract_from_price, listed_contracts
from adapters.paper_exchange.tape import TapeError, read_tape, symbol_of
from domain.market.atr import AtrRules, Range, average_true_range, closed_candles

_TIME_COLUMNS = ("timestamp", "time", "date", "open_time")
_LONGEST_SYMBOL = 14
_SHORTEST_BAR_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedBar:
    """One bar, its prices on the contract's tick. `at` is its opening in UTC ms."""

    at: int
    bar: Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """A recorded market. `bar_ms` is how long a bar lasts; `note` says what had to be assumed, if anything."""

    name: str
    contract: Contract
    bars: Sequence[TimedBar]
    bar_ms: int
    note: str | None = None

    @property
    def begin(self) -> int:
        """When the first bar opens, ms."""
        return self.bars[0].at

    @property
    def end(self) -> int:
        """When the last bar is over, ms."""
        return self.bars[-1].at + self.bar_ms

    def covers(self, at: int) -> bool:
        """Whether a bar is under way at `at` (ms): not in a hole of the tape."""
        place = bisect_right(self.bars, at, key=lambda timed: timed.at) - 1
        return place >= 0 and at < self.bars[place].at + self.bar_ms

    def average_range(self, at: int, rules: AtrRules) -> Decimal | None:
        """The ATR known at `at` (ms), from candles no shorter than a bar; None when the tape has too few before."""
        span = max(rules.span, timedelta(milliseconds=self.bar_ms))
        now = instant(at)
        first = bisect_left(self.bars, stamp(rules.since(now) - span), key=lambda timed: timed.at)
        last = bisect_right(self.bars, at - self.bar_ms, key=lambda timed: timed.at)
        known = [
            Range(opened_at=instant(timed.at), high=timed.bar.high, low=timed.bar.low, close=timed.bar.close)
            for timed in self.bars[first:last]
        ]
        return average_true_range(closed_candles(known, span, now), rules.period)

    def cut(self, begin: int | None, end: int | None) -> Tape:
        """The bars that open within [begin, end). Raises TapeError when there is none."""
        for option, moment in (("--from", begin), ("--to", end)):
            if moment is not None and not self.begin <= moment <= self.end:
                raise TapeError(f"{option} {shown(moment)}: {self.reach()}")
        kept = [b for b in self.bars if (begin is None or b.at >= begin) and (end is None or b.at < end)]
        if not kept:
            first = self.begin if begin is None else begin
            last = self.end if end is None else end
            raise TapeError(f"no bar opens from {shown(first)} to before {shown(last)}; {self.reach()}")
        return replace(self, bars=kept)

    def reach(self) -> str:
        """From when to when it goes, in words."""
        return f"the tape goes from {shown(self.begin)} to {shown(self.end)} UTC"


def open_tape(text: str) -> Tape:
    """The tape that `[SYMBOL=]FILE` names. Raises TapeError, OSError."""
    named, _, file = text.rpartition("=")
    path = Path(file)
    prices = read_tape(path)
    try:
        times = _READERS[path.suffix.lower()](path)
    except (ValueError, KeyError, IndexError, TypeError) as fault:
        raise TapeError(f"its times cannot be read: {fault}") from fault
    if len(times) != len(prices):
        raise TapeError(f"it holds {len(prices)} bars and {len(times)} times")
    for number, (before, after) in enumerate(pairwise(times), start=2):
        if after <= before:
            raise TapeError(f"bar {number} opens at {shown(after)}, not after the one before it ({shown(before)})")
    bar_ms = min((after - before for before, after in pairwise(times)), default=MINUTE_MS)
    if bar_ms < _SHORTEST_BAR_MS:
        raise TapeError(f"its bars are {bar_ms} ms apart, at least {_SHORTEST_BAR_MS} are needed; are its times in ms?")
    symbol = named.upper() or symbol_of(path)
    contract, note = _contract(symbol, path, prices[0])
    return Tape(
        name=path.name,
        contract=contract,
        bars=[TimedBar(at=at, bar=_on_tick(bar, contract)) for at, bar in zip(times, prices, strict=True)],
        bar_ms=bar_ms,
        note=note,
    )


def _contract(symbol: str | None, path: Path, first: Bar) -> tuple[Contract, str | None]:
    """The instrument, and what was assumed of one that is not listed."""
    known = None if symbol is None else listed_contracts().get(symbol)
    if known is not None:
        return known, None
    name = symbol or re.sub(r"[^A-Z0-9]", "", path.stem.upper())[:_LONGEST_SYMBOL] or "TAPE"
    contract = contract_from_price(name, first.open)
    why = "is not listed" if symbol else "stands for a market that the file's name does not tell (SYMBOL=FILE names it)"
    return contract, f"{name} {why}: tick {contract.tick} and step {contract.step} are assumed"


def _on_tick(bar: Bar, contract: Contract) -> Bar:
    prices = (contract.on_tick(price) for price in (bar.open, bar.high, bar.low, bar.close))
    first, high, low, close = prices
    return Bar(open=first, high=high, low=low, close=close)


def _json_times(path: Path) -> list[int]:
    return [int(row[0]) for row in json.loads(path.read_bytes())]


def _csv_times(path: Path) -> list[int]:
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        column = _time_column(rows.fieldnames or ())
        return [read_time(row[column]) for row in rows]


def _zip_times(path: Path) -> list[int]:
    with zipfile.ZipFile(path) as archive:
        name = archive.namelist()[0]
        text = archive.read(name).decode()
    day = re.match(r"\d{8}", Path(name).name)
    if day is None:
        raise ValueError(f"the file {name!r} in it must begin with its day, such as 20221213")
    midnight = stamp(datetime.strptime(day[0], "%Y%m%d").replace(tzinfo=UTC))
    return [midnight + int(row[0]) for row in csv.reader(io.StringIO(text))]


def _feather_times(path: Path) -> list[int]:
    table = import_module("pyarrow.feather").read_table(path)
    values = table[_time_column(table.column_names)].to_pylist()
    return [_of_column(value) for value in values]


def _of_column(value: object) -> int:
    if isinstance(value, datetime):
        return stamp(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
    return read_time(str(value))


def _time_column(names: Sequence[str]) -> str:
    found = next((name for name in _TIME_COLUMNS if name in names), None)
    if found is None:
        raise ValueError(f"the header names none of {', '.join(_TIME_COLUMNS)}")
    return found


_READERS: Mapping[str, Callable[[Path], list[int]]] = {
    ".json": _json_times,
    ".csv": _csv_times,
    ".zip": _zip_times,
    ".feather": _feather_times,
}

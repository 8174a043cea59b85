"""Closed one-minute candles on disk, a JSON array a line: the history that outlives the timeline's snapshots."""

import json
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from adapters.paper_exchange.candles import KEPT_MINUTES, Bar, Candle
from adapters.paper_exchange.timeline import TimelineDamaged, write_all


class CandleLog:
    """The file, open for appending by the process that holds the state directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._newest: dict[str, int] = {}

    def load(self) -> list[Candle]:
        """The stored candles, oldest first; drops the outdated ones and a torn end. Call once, before `append`."""
        kept: dict[str, deque[bytes]] = {}
        candles: dict[str, deque[Candle]] = {}
        for line in self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else ():
            if line.endswith(b"\n"):
                candle = _read(line)
                candles.setdefault(candle.symbol, deque(maxlen=KEPT_MINUTES)).append(candle)
                kept.setdefault(candle.symbol, deque(maxlen=KEPT_MINUTES)).append(line)
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for lines in kept.values():
                file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._newest = {symbol: stored[-1].open_time for symbol, stored in candles.items()}
        return [candle for stored in candles.values() for candle in stored]

    def append(self, candles: Iterable[Candle]) -> None:
        """Write the candles that are newer than those stored; they survive kill -9 from here on."""
        lines: list[str] = []
        for candle in candles:
            if candle.open_time > self._newest.get(candle.symbol, 0):
                self._newest[candle.symbol] = candle.open_time
                lines.append(_line(candle))
        if lines:
            write_all(self._file, "".join(lines).encode())

    def sync(self) -> None:
        """Make all durable: before a snapshot, which no longer holds the points these candles were made of."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Make all durable and close."""
        self.sync()
        os.close(self._file)


def _line(candle: Candle) -> str:
    row = [candle.symbol, candle.open_time, candle.points, *candle.mark.values(), *candle.last.values()]
    return json.dumps(row, separators=(",", ":")) + "\n"


def _read(line: bytes) -> Candle:
    try:
        symbol, opened, points, *prices = json.loads(line)
        return Candle(symbol=symbol, open_time=opened, points=points, mark=Bar.of(prices[:4]), last=Bar.of(prices[4:]))
    except (ValueError, ArithmeticError) as fault:
        raise TimelineDamaged(f"candles: {line[:80]!r}: {fault}") from fault

"""How late a human's close is booked where readings use up the questions: `python -m benchmarks.human_close`.

The real service on the simulated Binance, which is asked for a reading of the account every five seconds: 85 of weight
each, where 5.8 a second are left for questions once the burst is used up. A human closes one position after another by
hand: with the streams up; in the moment in which they break; and with his execution and the size lost on them, so that
nothing but a reading tells (and that the venue took the stop away). Measured from the exchange's execution to the event
of the close, by the exchange's timeline and the journal. The oracle is not asked: where nobody tells of a close, a stop
may outlive it by more than its 5 s.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.figures import Figure, table
from benchmarks.fleet import Fleet, launched
from tests.oracle.reader import FillLine, read_lines

INTERVAL_S = 5
USED_UP_S = 45.0
LOST_MS = 3_000
BOOKED_WITHIN_S = 90.0
WAITS_S = 14.0  # so long a reading waits
LOST = ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE")
KINDS = ("heard", "cut", "lost")


def measure(each: int, latency_ms: int) -> list[Figure]:
    """So many closes of each kind."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        launched(Path(folder), "binanceusdm", latency_ms, len(KINDS) * each, read_s=INTERVAL_S) as fleet,
    ):
        took = {}
        for number, kind in enumerate(KINDS):
            symbols = fleet.symbols[number * each : (number + 1) * each]
            fleet.open_many(symbols)
            _use_up(fleet)
            took[kind] = _close(fleet, symbols, kind)
    where = f"Binance, {latency_ms} ms, up to {each} positions, a reading each {INTERVAL_S} s"
    name = "a human's close, executed to booked, s"
    return [Figure(name=f"{name}: {kind}", where=where, values=values) for kind, values in took.items()]


def _use_up(fleet: Fleet) -> None:
    """Read until a reading has to wait."""
    until = time.monotonic() + USED_UP_S
    while time.monotonic() < until:
        fleet.service.ctl("reconcile", account="main")


def _close(fleet: Fleet, symbols: Sequence[str], kind: str) -> list[float]:
    """How long each took, at any moment between two readings."""
    draw = random.Random(7)
    took = []
    for symbol in symbols:
        time.sleep(draw.uniform(0, WAITS_S))
        (position,) = [p for p in fleet.service.positions() if p["symbol"] == symbol]
        for path in LOST if kind == "lost" else ():
            fleet.service.exchange("POST", "/control/lose", {"method": "*", "path": path, "for_ms": LOST_MS})
        if kind == "cut":
            fleet.service.control("cut_streams")
        fleet.service.control("order", symbol=symbol, side="SELL", quantity=position["quantity"], reduceOnly=True)
        booked = fleet.service.wait_event("position_closed", BOOKED_WITHIN_S, position=position["id"])
        executed = max(line.t for line in read_lines(fleet.service.timeline) if _is_fill(line, symbol))
        took.append(datetime.fromisoformat(booked["ts"]).timestamp() - executed / 1000)
        sys.stderr.write(f"{symbol} {kind} {took[-1]:.2f}\n")
    return took


def _is_fill(line: object, symbol: str) -> bool:
    return isinstance(line, FillLine) and line.symbol == symbol


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.human_close", description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=12, help="closes of each kind")
    parser.add_argument("--latency", type=int, default=50, help="ms a round trip")
    asked = parser.parse_args()
    sys.stdout.write(table(measure(asked.each, asked.latency)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

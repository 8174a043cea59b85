"""How late a human's close is booked where readings use up the questions: `python -m benchmarks.human_close`.

The real service on the simulated Binance, a reading of the account every five seconds (85 of weight each, of 5.8 a second
that are asked about) once the burst is used up. A human closes one position after another by hand, with the streams up, and
then with his executions and the size lost on them. Measured from the exchange's execution to the event of the close,
by the exchange's timeline and the journal. Exit code 1 if the oracle found a law broken.
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
from tests.oracle.report import breach_text

INTERVAL_S = 5
USED_UP_S = 45.0
LOST_MS = 3_000
BOOKED_WITHIN_S = 90.0
EACH_S = 14.0  # what a reading waits for
LOST = ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE")


def measure(each: int, latency_ms: int) -> tuple[list[Figure], list[str]]:
    """So many closes of each kind: the figures, and the laws that were broken."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        launched(Path(folder), "binanceusdm", latency_ms, 2 * each, read_s=INTERVAL_S) as fleet,
    ):
        fleet.open_many(fleet.symbols)
        _use_up(fleet)
        where = f"Binance, {latency_ms} ms, {2 * each} positions, a reading each {INTERVAL_S} s"
        heard, unheard = fleet.symbols[:each], fleet.symbols[each:]
        figures = [
            Figure(name="a human's close heard, executed to booked, s", where=where, values=_close(fleet, heard, lost=False)),
            Figure(name="… unheard", where=where, values=_close(fleet, unheard, lost=True)),
        ]
        return figures, [breach_text(breach) for breach in fleet.service.verdict().breaches]


def _use_up(fleet: Fleet) -> None:
    """Read until a reading has to wait."""
    until = time.monotonic() + USED_UP_S
    while time.monotonic() < until:
        fleet.service.ctl("reconcile", account="main")


def _close(fleet: Fleet, symbols: Sequence[str], *, lost: bool) -> list[float]:
    """How long each took; at any moment between two readings."""
    draw = random.Random(7)  # noqa: S311 - moments, not secrets
    took = []
    for symbol in symbols:
        time.sleep(draw.uniform(0, EACH_S))
        (position,) = [p for p in fleet.service.positions() if p["symbol"] == symbol]
        for path in LOST if lost else ():
            fleet.service.exchange("POST", "/control/lose", {"method": "*", "path": path, "for_ms": LOST_MS})
        fleet.service.control("order", symbol=symbol, side="SELL", quantity=position["quantity"], reduceOnly=True)
        booked = fleet.service.wait_event("position_closed", BOOKED_WITHIN_S, position=position["id"])
        executed = max(line.t for line in read_lines(fleet.service.timeline) if _is_fill(line, symbol))
        took.append(datetime.fromisoformat(booked["ts"]).timestamp() - executed / 1000)
        sys.stderr.write(f"{symbol} lost={lost} {took[-1]:.2f}\n")
    return took


def _is_fill(line: object, symbol: str) -> bool:
    return isinstance(line, FillLine) and line.symbol == symbol


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.human_close", description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=12, help="closes of each kind")
    parser.add_argument("--latency", type=int, default=50, help="ms a round trip")
    asked = parser.parse_args()
    figures, broken = measure(asked.each, asked.latency)
    sys.stdout.write(table(figures) + "\n")
    sys.stderr.write("".join(f"{line}\n" for line in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""kill -9 with everything open: `python -m benchmarks.restart [--exchange bybit] [--positions 190] [--kills 3]`.

Service, exchange and database are processes of their own; the service is killed and started again, several times in a
row. From the kill, which is a moment before the start of the new process: until its control socket answers, until each
position has its owner again, until every question about them is answered (LAWS L5: 15 s with 190). Exit code 1 if the
oracle found a law broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure, table
from benchmarks.fleet import launched
from benchmarks.order_path import VENUES, Run
from tests.oracle.report import breach_text

SLOWLY, SLOWLY_S = 40, 5.0
TINY = Decimal("0.01")


def measure(exchange: str, positions: int, kills: int, latency_ms: int) -> tuple[list[Figure], list[str]]:
    """So many kills; the figures, and the laws that were broken."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        launched(Path(folder), exchange, latency_ms, positions) as fleet,
    ):
        for first in range(0, positions, SLOWLY):  # the entries are not what is measured
            fleet.open_many(fleet.symbols[first : first + SLOWLY])
            time.sleep(SLOWLY_S)
        run = Run(fleet, latency_ms)
        for _ in range(kills):
            for symbol in fleet.symbols:  # a market that stands still has no candle of its last minutes
                fleet.rise(symbol, TINY)
            run.restart()
        verdict = run.verdict()
        return _together(run.figures), [breach_text(breach) for breach in verdict.breaches]


def _together(figures: list[Figure]) -> list[Figure]:
    """Figures of one name as one, with the values of all."""
    names = dict.fromkeys(figure.name for figure in figures)
    found: list[Figure] = []
    for name in names:
        alike = [figure for figure in figures if figure.name == name]
        values = [value for figure in alike for value in figure.values]
        found.append(Figure(name=name, where=alike[0].where, values=values, aim=alike[0].aim, digits=alike[0].digits))
    return found


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restart", description=__doc__.splitlines()[0])
    parser.add_argument("--exchange", choices=sorted(VENUES), action="append", help="default: both")
    parser.add_argument("--positions", type=int, default=190, help="one a market")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--latency", type=int, default=0, help="ms a request")
    asked = parser.parse_args()
    figures: list[Figure] = []
    broken: list[str] = []
    for exchange in asked.exchange or sorted(VENUES):
        found, laws = measure(exchange, asked.positions, asked.kills, asked.latency)
        figures += found
        broken += laws
    sys.stdout.write(table(figures) + "\n")
    sys.stderr.write("".join(f"{line}\n" for line in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""What one look at the whole account costs: `python -m benchmarks.reconcile [--exchange bybit] [--looks 5]`.

The real service with so many protected positions, one a market; then `ctl reconcile`, several times. Counted are the
requests that reach the exchange between the start of a cycle and its answer, by path, from the exchange's timeline; the
time is what the cycle itself says. With few and with many positions: the difference is paging, or it would be a fault.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.figures import Figure, table
from benchmarks.fleet import Fleet, launched
from benchmarks.order_path import VENUES
from tests.oracle.reader import RequestLine, read_lines

SLOWLY, SLOWLY_S = 40, 5.0
MANY = {"binanceusdm": 190, "bybit": 500}
FEW = 10
QUIET_S = 3.0
LISTS = (
    "/fapi/v2/positionRisk",
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
    "/v5/position/list",
    "/v5/order/realtime",
)


def measure(exchange: str, positions: int, looks: int, latency_ms: int) -> list[Figure]:
    """So many looks with few positions, then with all of them."""
    found: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        launched(Path(folder), exchange, latency_ms, positions) as fleet,
    ):
        few = fleet.symbols[:FEW]
        fleet.open_many(few)
        found += _looks(fleet, FEW, looks)
        rest = fleet.symbols[FEW:]
        for first in range(0, len(rest), SLOWLY):
            fleet.open_many(rest[first : first + SLOWLY])
            time.sleep(SLOWLY_S)
        found += _looks(fleet, positions, looks)
    return found


def _looks(fleet: Fleet, positions: int, looks: int) -> list[Figure]:
    requests: list[float] = []
    took: list[float] = []
    paths: Counter[str] = Counter()
    for _ in range(looks):
        time.sleep(QUIET_S)
        since = time.time_ns() // 1_000_000
        cycle = fleet.service.ctl("reconcile", account="main")["accounts"][0]["cycle"]
        until = time.time_ns() // 1_000_000
        asked = [
            line.path
            for line in read_lines(fleet.service.timeline)
            if isinstance(line, RequestLine) and since <= line.t <= until and line.path in LISTS
        ]
        paths.update(asked)
        requests.append(len(asked))
        took.append(_took(fleet, int(cycle)))
    sys.stderr.write(f"{fleet.exchange} {positions}: {dict(paths)} in {looks} looks\n")
    where = f"{VENUES[fleet.exchange]}, {positions} positions"
    return [
        Figure(name="requests of one look at the account", where=where, values=requests, digits=0),
        Figure(name="one look, asked to answered, ms", where=where, values=took, digits=0),
    ]


def _took(fleet: Fleet, cycle: int) -> float:
    """What the cycle says of itself."""
    events = fleet.service.wait_for(
        lambda: [e for e in fleet.service.events(type="reconcile_finished") if e["data"]["cycle"] == cycle],
        10,
        f"the end of cycle {cycle}",
    )
    return float(events[0]["data"]["took_ms"])


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconcile", description=__doc__.splitlines()[0])
    parser.add_argument("--exchange", choices=sorted(VENUES), action="append", help="default: both")
    parser.add_argument("--positions", type=int, help="one a market; default: 190 on Binance, 500 on Bybit")
    parser.add_argument("--looks", type=int, default=5)
    parser.add_argument("--latency", type=int, default=0, help="ms a request")
    asked = parser.parse_args()
    figures: list[Figure] = []
    for exchange in asked.exchange or sorted(VENUES):
        figures += measure(exchange, asked.positions or MANY[exchange], asked.looks, asked.latency)
    sys.stdout.write(table(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

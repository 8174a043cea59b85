"""Mark price in to stop-move request out with a thousand positions: `python -m benchmarks.thousand [--accounts 5]`.

One process, its actors, journal and database real, the venue in memory (`benchmarks.crowd`). Each second every market
has a new mark price inside its position's band, as a venue's frame of all marks brings it; beside that one market
after another makes an extreme that moves its stop, at a fixed pace; then all of one account at once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.crowd import Crowd, gathered
from benchmarks.figures import Figure, table
from benchmarks.stopwatch import Move

PACE_S = 0.05
SETTLE_S = 1.0


def paced(crowd: Crowd, count: int) -> list[Move]:
    """Moves of one market after another, while the other marks tick."""
    symbols = list(crowd.homes)
    crowd.watch.start()
    due = ticked = time.monotonic()
    for number in range(count):
        crowd.rise([symbols[number * 7 % len(symbols)]])
        if due - ticked >= 1:
            ticked = due
            crowd.tick(symbols)
        due += PACE_S
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(SETTLE_S)
    crowd.settle()
    return list(crowd.watch.moves)


def burst(crowd: Crowd) -> list[Move]:
    """Every stop of one account at once."""
    account = crowd.homes[next(iter(crowd.homes))]
    crowd.watch.start()
    crowd.rise([symbol for symbol, home in crowd.homes.items() if home == account])
    time.sleep(SETTLE_S)
    crowd.settle()
    return list(crowd.watch.moves)


def figures_of(moves: list[Move], where: str, *, aims: bool) -> list[Figure]:
    """The whole way and its parts, in ms."""
    parts = {
        "mark in to decision made, ms": ([m.decided - m.mark_in for m in moves], "0.2 / 0.7"),
        "mark in to stop-move request out, intent durable, ms": ([m.out - m.mark_in for m in moves], "1 / 5"),
        "… decision to handed over (record, log line), ms": ([m.handed_over - m.decided for m in moves], ""),
        "… handed over to heard by the gateway, ms": ([m.heard - m.handed_over for m in moves], ""),
        "… heard to request out (commit, event loop), ms": ([m.out - m.heard for m in moves], ""),
    }
    return [
        Figure(name=name, where=where, values=[1000 * v for v in values], aim=aim if aims else "", digits=2)
        for name, (values, aim) in parts.items()
    ]


def measure(accounts: int, each: int, moves: int) -> list[Figure]:
    """All figures of one crowd."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        gathered(Path(folder), accounts, each) as crowd,
    ):
        where = f"{accounts * each} positions, {accounts} accounts"
        memory = psutil.Process().memory_info().rss / 1e6
        found = figures_of(paced(crowd, moves), where, aims=True)
        lost = crowd.watch.begun - len(crowd.watch.moves)
        found += figures_of(burst(crowd), f"{where}, {each} at once", aims=False)
        lost += crowd.watch.begun - len(crowd.watch.moves)
        found.append(Figure(name="marks without a move", where=where, values=[lost], aim="0", digits=0))
        found.append(Figure(name="memory, venue included, MB", where=where, values=[memory]))
        return found


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thousand", description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=5)
    parser.add_argument("--each", type=int, default=200, help="positions an account")
    parser.add_argument("--moves", type=int, default=400)
    asked = parser.parse_args()
    sys.stdout.write(table(measure(asked.accounts, asked.each, asked.moves)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

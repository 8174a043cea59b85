"""Every figure but that of the recorded markets, as one Markdown table: `python -m benchmarks.all [--quick]`.

About six minutes on a quiet machine. `--quick` runs each part once and tiny: it shows that they work, its figures mean
nothing. Progress goes to standard error. Exit code 1 if the oracle found a law broken on the way.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import decision, feed, order_path, start, thousand
from benchmarks.figures import Figure, table
from benchmarks.order_path import VENUES


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything. `latencies_ms`: the round trips of each exchange."""

    starts: int
    exchanges: tuple[str, ...]
    latencies_ms: tuple[int, ...]
    positions: int
    moves: int
    accounts: int
    positions_each: int
    crowd_moves: int
    decisions: int
    bands: int
    prices: int
    feeds: int


WHOLE = Scale(
    starts=3, exchanges=tuple(VENUES), latencies_ms=order_path.LATENCIES_MS, positions=40, moves=60, accounts=5,
    positions_each=200, crowd_moves=400, decisions=20_000, bands=1000, prices=200_000, feeds=3,
)  # fmt: skip
QUICK = Scale(
    starts=0, exchanges=("binanceusdm",), latencies_ms=(0,), positions=9, moves=4, accounts=2,
    positions_each=3, crowd_moves=6, decisions=200, bands=50, prices=2_000, feeds=1,
)  # fmt: skip


def run(scale: Scale) -> tuple[list[Figure], list[str]]:
    """All figures, and the laws that were broken."""
    found: list[Figure] = []
    broken: list[str] = []
    # The crowd first: its memory is this process's.
    parts: dict[str, Callable[[], list[Figure]]] = {
        "a thousand owners": lambda: thousand.measure(scale.accounts, scale.positions_each, scale.crowd_moves),
        "the market feed": lambda: feed.measure(scale.bands, scale.prices, scale.feeds),
        "decisions": lambda: decision.figures(scale.decisions),
    }
    if scale.starts:
        parts["start and memory"] = lambda: start.figures(scale.starts)
    for name, part in parts.items():
        _say(name)
        found += part()
    for exchange in scale.exchanges:
        for latency_ms in scale.latencies_ms:
            _say(f"the order path: {VENUES[exchange]}, {latency_ms} ms a request")
            figures, laws = order_path.measure(exchange, latency_ms, scale.positions, scale.moves)
            found += figures
            broken += laws
    return found, broken


def _say(what: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")
    sys.stderr.flush()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny runs of everything, to see that it works")
    found, broken = run(QUICK if parser.parse_args().quick else WHOLE)
    sys.stdout.write(table(found) + "\n")
    sys.stderr.write("".join(f"law broken: {text}\n" for text in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long the service takes to be there, and what it weighs: `python -m benchmarks.start [--runs N]`.

Each run: a first start on an empty state directory (database made, schema applied, exchange started) until the control
socket answers, until the first position is protected on the exchange; then Ctrl-C, and a second start on the same
state. Memory is the resident set of the service process, 10 s after the second start. All figures are simulated: the
exchange is ours, on this machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Figure, table
from tests.end_to_end.service import ServiceProcess

SETTLE_S = 10.0
AIMS = {
    "first start to admin socket, s": "",
    "admin socket to first protected position, s": "20",
    "second start to admin socket, s": "5",
    "memory of the service, MB": "200",
}


def measure(folder: Path) -> dict[str, float]:
    """One run; seconds, and MB for memory."""
    service = ServiceProcess(
        folder,
        {
            "paper": {"demo_signals": True, "volatility": 1, "control": True},
            "entries": {"cooldown_s": 300},
            "protection": {},
            "web": {"enabled": True, "port": 0},
        },
    )
    try:
        first = service.start()
        begun = time.monotonic()
        service.wait_event("position_protected", limit_s=30)
        protected = time.monotonic() - begun
        service.interrupt()
        second = service.start()
        time.sleep(SETTLE_S)
        memory = psutil.Process(service.pid).memory_info().rss / 1e6
        return {
            "first start to admin socket, s": first,
            "admin socket to first protected position, s": protected,
            "second start to admin socket, s": second,
            "memory of the service, MB": memory,
        }
    finally:
        service.clean_up()


def figures(runs: int) -> list[Figure]:
    """So many runs, each on a state directory of its own."""
    results: list[dict[str, float]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            results.append(measure(Path(folder)))
    return [
        Figure(name=name, where="Binance, 0 ms", values=[result[name] for result in results], aim=aim, digits=2)
        for name, aim in AIMS.items()
    ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    sys.stdout.write(table(figures(parser.parse_args().runs)) + "\n")


if __name__ == "__main__":
    main()

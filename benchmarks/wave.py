"""The timeline of a wave of eight: from the frame with its signals to the last one protected, step by step.

    python -m benchmarks.wave [--exchange bybit] [--latency 50] [--waves 5] [--leverage 5]

The real service against the exchange process. Each step is the moment at which the LAST of the eight had it behind
itself, in ms since the frame was sent, by the service's own events; the last row is the exchange's own timeline. The
wave closes at once (`entries.wave_window_s = 0`): what it waits by setting is no cost of ours. With a leverage set,
every entry asks for the symbol's positions and sets it first: each symbol is entered once, so none has it set yet.
Exit code 1 if the oracle found a law broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from benchmarks.exchange_times import stops_accepted
from benchmarks.figures import Figure, table
from benchmarks.fleet import Fleet, launched
from tests.oracle.reader import read_lines
from tests.oracle.report import breach_text

VENUES = {"binanceusdm": "Binance", "bybit": "Bybit"}
WAVE = 8
STEPS = (
    ("signal_received", "stored"),
    ("position_created", "decided on"),
    ("entry_filled", "filled"),
    ("stop_loss_placed", "protected, as the service knows it"),
)


def timeline(fleet: Fleet, symbols: tuple[str, ...]) -> dict[str, float]:
    """When (ms since the frame was sent) the last of these symbols had each step behind itself."""
    sent = fleet.wave(symbols)
    took: dict[str, float] = {}
    for type_, step in STEPS:
        moments = [_moment(fleet, f"bench-{symbol}", type_) for symbol in symbols]
        took[step] = max(moments) - sent
    if fleet.exchange == "binanceusdm":
        accepted = stops_accepted(read_lines(fleet.service.timeline), sent)
        took["last stop accepted, by the exchange"] = max(accepted[symbol] for symbol in symbols) - sent
    return took


def _moment(fleet: Fleet, correlation: str, type_: str) -> float:
    event = fleet.service.wait_event(type_, correlation=correlation)
    return datetime.fromisoformat(event["ts"]).timestamp() * 1000


def measure(exchange: str, latency_ms: int, waves: int, leverage: int) -> tuple[list[Figure], list[str]]:
    """One venue: the figures, and the laws that were broken."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        launched(Path(folder), exchange, latency_ms, waves * WAVE, leverage=leverage) as fleet,
    ):
        taken: dict[str, list[float]] = {}
        for number in range(waves):
            symbols = fleet.symbols[number * WAVE : (number + 1) * WAVE]
            for step, took in timeline(fleet, symbols).items():
                taken.setdefault(step, []).append(took)
        where = f"{VENUES[exchange]}, {latency_ms} ms, leverage {leverage or 'left as it is'}"
        figures = [Figure(name=f"{step}, ms", where=where, values=took, digits=0) for step, took in taken.items()]
        return figures, [breach_text(breach) for breach in fleet.service.verdict().breaches]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wave", description=__doc__.splitlines()[0])
    parser.add_argument("--exchange", choices=sorted(VENUES), action="append", help="default: both")
    parser.add_argument("--latency", type=int, default=50, help="ms a round trip")
    parser.add_argument("--waves", type=int, default=5, help="of eight symbols each")
    parser.add_argument("--leverage", type=int, action="append", help="0: left as it is; default: 0 and 5")
    asked = parser.parse_args()
    figures: list[Figure] = []
    broken: list[str] = []
    for exchange in asked.exchange or sorted(VENUES):
        for leverage in asked.leverage or (0, 5):
            found, laws = measure(exchange, asked.latency, asked.waves, leverage)
            figures += found
            broken += laws
    sys.stdout.write(table(figures) + "\n")
    sys.stderr.write("".join(f"{line}\n" for line in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

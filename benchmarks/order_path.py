"""The order path of the real service: entry to stop, mark to move, restart; by the exchange's own timeline.

    python -m benchmarks.order_path [--exchange bybit] [--latency 50] [--positions 40] [--moves 100]

Service, exchange and database are processes of their own. `latency` is a round trip: half passes before the exchange
works, half after; frames of its streams take half. Entry to stop and mark to move therefore hold one round trip each
that nobody can save; the rows 'of it ours' are without it (the exchange's own fsync is still in them). Marks are set
on one market after another at a fixed pace, whatever the service does ('one at a time'), then on all at once.
Exit code 1 if the oracle found a law broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import psutil

from benchmarks.exchange_times import move_times, questions, stops_accepted
from benchmarks.figures import Figure, table
from benchmarks.fleet import Fleet, launched
from tests.oracle.facts import By, Life
from tests.oracle.judge import Verdict
from tests.oracle.reader import read_lines
from tests.oracle.report import breach_text

VENUES = {"binanceusdm": "Binance", "bybit": "Bybit"}
LATENCIES_MS = (0, 50)
WAVE = 8
ACTIVATES = Decimal("1.5")
STEP = Decimal("0.2")
PACE_S = 0.15
QUIET_S = 2.0
NO_MORE_S = 6.5  # what the budget of an address holds back on Bybit is asked five seconds later
# Half of Binance's 300 orders in ten seconds is all that S15 allows: the entries are to be out of the way of the moves.
ORDERS_SPAN_S = 10.0


class Run:
    """One venue at one latency: its service, and what has been measured."""

    def __init__(self, fleet: Fleet, latency_ms: int) -> None:
        self.fleet = fleet
        self.latency_ms = latency_ms
        self.figures: list[Figure] = []
        self._where = f"{VENUES[fleet.exchange]}, {latency_ms} ms"

    def entries(self) -> None:
        """A few positions by hand one after another, waves of eight by signal, the others by hand."""
        symbols = self.fleet.symbols
        lone, rest = symbols[: len(symbols) // 4], symbols[len(symbols) // 4 :]
        for symbol in lone:
            self.fleet.open_one(symbol)
        waves: list[float] = []
        while len(rest) >= WAVE and len(waves) < 2:
            wave, rest = rest[:WAVE], rest[WAVE:]
            sent = self.fleet.wave(wave)
            accepted = stops_accepted(read_lines(self.fleet.service.timeline), sent)
            waves.append((max(accepted[symbol] for symbol in wave) - sent) / 1000)
        if rest:
            self.fleet.open_many(rest)
        lives = self.fleet.service.verdict().open_lives
        self._note_entries("one at a time", [life for life in lives if life.key[0] in lone])
        self._note_entries("several at once", [life for life in lives if life.key[0] not in lone])
        self._note("wave of eight: signals sent to last one protected, s", waves, "2 at 50 ms", 2)

    def moves(self, count: int) -> None:
        """Raise the marks, one market after another and all at once."""
        symbols = self.fleet.symbols
        time.sleep(ORDERS_SPAN_S)
        for symbol in symbols:
            self.fleet.rise(symbol, ACTIVATES)
        time.sleep(QUIET_S)
        begun = now_ms()
        due = time.monotonic()
        for number in range(count):
            self.fleet.rise(symbols[number % len(symbols)], STEP)
            due += PACE_S
            time.sleep(max(0.0, due - time.monotonic()))
        self._note_moves("one at a time", begun, now_ms())
        time.sleep(QUIET_S)
        begun = now_ms()
        for symbol in symbols:
            self.fleet.rise(symbol, STEP)
        time.sleep(QUIET_S)
        self._note_moves(f"{len(symbols)} at once", begun, now_ms())

    def restart(self) -> None:
        """Kill the service with everything open, start it again, and see when each position is its owner's again."""
        service, count = self.fleet.service, len(self.fleet.symbols)
        memory = psutil.Process(service.pid).memory_info().rss / 1e6
        self._note(f"memory with {count} positions, MB", [memory])
        service.kill9()
        killed = now_ms()
        socket_s = service.restart()
        newest = {"since": 0}
        owned: dict[int, float] = {}

        def all_owned() -> bool:
            page = service.ctl("events", since=newest["since"], limit=500, type="position_recovered")
            newest["since"] = page["next_since"]
            for event in page["events"]:
                at = datetime.fromisoformat(event["ts"]).timestamp() * 1000
                if at >= killed:
                    owned.setdefault(event["position_id"], at)
            return len(owned) >= count

        service.wait_for(all_owned, 60, f"{count} positions with an owner again")
        service.wait_for(lambda: self._quiet(killed), 120, "the end of the questions")
        asked = questions(read_lines(service.timeline), killed)
        self._note(f"kill -9, {count} positions: new process to admin socket, s", [socket_s], "", 2)
        self._note("… to all with an owner again, s", [(max(owned.values()) - killed) / 1000], "15 with 190", 2)
        self._note("… to all questions about them answered, s", [(max(asked) - killed) / 1000], "15 with 190", 2)

    def verdict(self) -> Verdict:
        """What the oracle says of the whole run; its counts become figures."""
        verdict = self.fleet.service.verdict()
        ours = [i.length for i in verdict.measures.intervals if i.cause is By.US]
        entered = [float(i.length) for i in verdict.measures.intervals if i.cause is By.FILL]
        self._note("unprotected after a fill, ms", entered, "0" if self.fleet.exchange == "bybit" else "", 0)
        self._note("unprotected intervals begun by us", [len(ours)], "0", 0)
        self._note("laws broken", [len(verdict.breaches)], "0", 0)
        return verdict

    def _quiet(self, since: int) -> bool:
        """Whether nothing was asked for a while."""
        answered = questions(read_lines(self.fleet.service.timeline), since)
        return bool(answered) and now_ms() - max(answered) > NO_MORE_S * 1000

    def _note_entries(self, how: str, lives: Iterable[Life]) -> None:
        covered = [
            float(life.first_cover_at - life.first_entry_at)
            for life in lives
            if life.first_cover_at is not None and life.first_entry_at is not None
        ]
        if self.fleet.exchange == "bybit":
            self._note(f"entry fill to stop accepted, {how}, ms", covered, "0", 0)
            return
        self._note(f"entry fill to stop accepted, {how}, ms", covered, "one round trip + 5", 0)
        self._note("… of it ours, ms", [value - self.latency_ms for value in covered], "5 (p50)", 0)

    def _note_moves(self, how: str, since: int, until: int) -> None:
        times = move_times(read_lines(self.fleet.service.timeline), since, until)
        self._note(f"mark to stop request in, {how}, ms", _floats(times.requested), "", 0)
        ours = [value - self.latency_ms for value in times.requested]
        self._note("… of it ours, ms", ours, "", 0)
        self._note(f"marks without a move, {how}", [times.unanswered], "0", 0)

    def _note(self, name: str, values: Iterable[float], aim: str = "", digits: int = 1) -> None:
        self.figures.append(Figure(name=name, where=self._where, values=list(values), aim=aim, digits=digits))


def now_ms() -> int:
    """Wall time, which is the exchange's time."""
    return time.time_ns() // 1_000_000


def _floats(values: Iterable[int]) -> list[float]:
    return [float(value) for value in values]


def measure(exchange: str, latency_ms: int, positions: int, moves: int) -> tuple[list[Figure], list[str]]:
    """One venue at one latency: the figures, and the laws that were broken."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        launched(Path(folder), exchange, latency_ms, positions) as fleet,
    ):
        run = Run(fleet, latency_ms)
        run.entries()
        run.moves(moves)
        run.restart()
        verdict = run.verdict()
        return run.figures, [breach_text(breach) for breach in verdict.breaches]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.order_path", description=__doc__.splitlines()[0])
    parser.add_argument("--exchange", choices=sorted(VENUES), action="append", help="default: both")
    parser.add_argument("--latency", type=int, action="append", help="ms a round trip; default: 0 and 50")
    parser.add_argument("--positions", type=int, default=40, help="one a market; Binance: at most 190")
    parser.add_argument("--moves", type=int, default=60)
    asked = parser.parse_args()
    figures: list[Figure] = []
    broken: list[str] = []
    for exchange in asked.exchange or sorted(VENUES):
        for latency_ms in asked.latency or LATENCIES_MS:
            found, laws = measure(exchange, latency_ms, asked.positions, asked.moves)
            figures += found
            broken += laws
    sys.stdout.write(table(figures) + "\n")
    sys.stderr.write("".join(f"{line}\n" for line in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

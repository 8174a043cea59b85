"""The real service over recorded markets at high speed, judged by the oracle and compared with its database.

    python -m benchmarks.tape_run --seconds 120 --figure docs/figures/crash.svg

Starts service, exchange and database as processes of their own, feeds it signals over its own WebSocket protocol, and
prints a table in Markdown. Exit codes: 0 all laws kept and both sides agree, 1 not so, 2 a tape is missing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from adapters.drawing import busiest_window, draw_run
from benchmarks.drawing import read_run
from tests.end_to_end.agreement import differences
from tests.end_to_end.command import ROOT
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.signal_source import SignalSource
from tests.oracle.facts import By, Life
from tests.oracle.judge import Verdict
from tests.oracle.measures import percentile
from tests.oracle.report import breach_text, clock, report

TAPES = ROOT.parent / "shared" / "tapes"
SIGNAL_EVERY_S = 0.5
SETTLE_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """A stretch of a recorded market and the symbol that it plays."""

    symbol: str
    file: str
    begin: datetime
    minutes: int


SHOW: tuple[Tape, ...] = (
    Tape(
        symbol="BTCUSDT",
        file="binance-spot_BTCUSDT_1m_2021-04-20_2021-05-20.json",
        begin=datetime(2021, 5, 19, 8, tzinfo=UTC),
        minutes=1440,
    ),
    Tape(
        symbol="BCHUSDT",
        file="binance-spot_BCHUSDT_1m_2021-04-20_2021-05-20.json",
        begin=datetime(2021, 5, 19, 8, tzinfo=UTC),
        minutes=1440,
    ),
    Tape(
        symbol="ETHUSDT",
        file="btc-perp_1m_2021-12-31_2022-02-01.csv",
        begin=datetime(2022, 1, 20, 12, tzinfo=UTC),
        minutes=4320,
    ),
)


def cut(tape: Tape, folder: Path) -> Path:
    """The stretch as a tape file of its own. Raises FileNotFoundError with what to do, ValueError if it is empty."""
    source = TAPES / tape.file
    if not source.exists():
        raise FileNotFoundError(f"{source} is missing: put the recorded markets beside the repository, in shared/tapes")
    begin = int(tape.begin.timestamp() * 1000)
    rows = [row for row in _rows(source) if begin <= int(row[0]) < begin + tape.minutes * 60_000]
    if not rows:
        raise ValueError(f"{tape.file}: nothing from {tape.begin.isoformat()} on")
    target = folder / f"{tape.symbol}.json"
    target.write_text(json.dumps(rows))
    return target


def _rows(source: Path) -> Iterator[list[str]]:
    """Open time in ms, open, high, low, close; the prices as they stand in the file."""
    if source.suffix == ".json":
        for row in json.loads(source.read_text(), parse_float=str):
            yield [str(value) for value in row[:5]]
        return
    for line in source.read_text().splitlines()[1:]:
        stamp, *prices = line.split(",")
        opened = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
        yield [str(int(opened.timestamp() * 1000)), *prices[:4]]


def settings_for(
    tapes: list[str], speed: Decimal, source: SignalSource, bar_order: str
) -> dict[str, dict[str, object]]:
    """What differs from the tests' settings."""
    return {
        "signals": {"url": source.url, "max_age_s": 10_000_000},
        "entries": {"cooldown_s": 0, "spread_action": "warn"},
        "trailing": {"min_interval_s": 0.3, "activation_pct": 1, "callback_pct": 0.5, "breakeven_pct": 0.7},
        "reconciler": {"interval_s": 30},
        "paper": {
            "tape": tapes, "tape_speed": speed, "only_tape": True, "bar_order": bar_order, "balance": 1_000_000,
            "control": True, "demo_signals": False,
        },
    }  # fmt: skip


def feed(service: ServiceProcess, source: SignalSource, symbols: list[str], seconds: float, seed: int) -> int:
    """Send signals for so long; returns how many. Each is of a minute of its own, or it would count as a repetition."""
    choice = random.Random(seed)
    created = datetime.now(UTC)
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and service.alive:
        created -= timedelta(minutes=1)
        source.signals(
            {
                "id": f"tape-{seed}-{sent}",
                "symbol": symbols[sent % len(symbols)],
                "exchange": "binanceusdm",
                "action": choice.choice(("BUY", "SELL")),
                "score_week": 70,
                "score_month": 60,
                "wave": None,
                "created_at": created.isoformat(),
            }
        )
        sent += 1
        time.sleep(SIGNAL_EVERY_S)
    return sent


def table(verdict: Verdict, sent: int, different: list[str], symbols: list[str]) -> str:
    """The figures in Markdown."""
    lines = [
        "| market | positions | closed | stopped out | stop moves | realised P&L, USDT | fees, USDT |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    ours = [life for life in (*verdict.lives, *verdict.open_lives) if life.owner is not None]
    for symbol in (*symbols, "all"):
        lives = [life for life in ours if symbol in ("all", life.key[0])]
        lines.append(f"| {symbol} | {' | '.join(_sums(lives))} |")
    measures = verdict.measures
    by_fill = [i.length for i in measures.intervals if i.cause is By.FILL]
    by_us = [i for i in measures.intervals if i.cause is By.US]
    rows = {
        "signals sent": sent,
        "unprotected after an entry's fill, ms: p50 / p99 / max": _spread(by_fill),
        "entry fill to stop accepted, ms: p50 / p99 / max": _spread(measures.entry_to_cover),
        "unprotected intervals begun by us": len(by_us),
        "most live stops of a position at once": measures.most_stops,
        "requests, and the most weight in a minute": f"{measures.requests.total()}, {measures.most_weight}",
        "excuses used": ", ".join(f"{law}: {n} x {why}" for (law, why), n in verdict.excuses.items()) or "none",
        "violations": len(verdict.breaches),
        "differences between database and exchange": len(different),
    }
    lines += ["", "| measure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)


def _sums(lives: list[Life]) -> tuple[str, ...]:
    closed = [life for life in lives if life.ended is not None]
    return (
        str(len(lives)),
        str(len(closed)),
        str(sum(life.ended_by == "stop" for life in closed)),
        str(sum(life.moves for life in lives)),
        f"{sum((life.realized for life in lives), Decimal(0)):f}",
        f"{sum((life.fees for life in lives), Decimal(0)):f}",
    )


def _spread(values: list[int]) -> str:
    if not values:
        return "none"
    return f"{percentile(values, 50)} / {percentile(values, 99)} / {max(values)} (of {len(values)})"


def draw(timeline: Path, file: Path, symbol: str, window: tuple[int, int] | None) -> None:
    """The picture of a run into a file."""
    run = read_run(timeline, symbol)
    shown = window or busiest_window(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(draw_run(run, shown, f"{symbol}: a position and its stop, {clock(shown[0])[:19]} UTC"))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tape_run", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long signals are sent")
    parser.add_argument("--speed", type=Decimal, default=Decimal(10), help="tape minutes in a real second")
    parser.add_argument("--bar-order", choices=("low-first", "high-first", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figure", type=Path, help="draw the run into this SVG file")
    parser.add_argument("--symbol", default="BTCUSDT", help="the market drawn")
    parser.add_argument("--window", type=int, nargs=2, metavar=("FROM_MS", "TO_MS"), help="exchange time drawn")
    parser.add_argument("--timeline", type=Path, help="no run: draw from this timeline")
    parser.add_argument("--keep", type=Path, help="copy the timeline here")
    asked = parser.parse_args()
    window = tuple(asked.window) if asked.window else None
    if asked.timeline is not None:
        if asked.figure is None:
            parser.error("--timeline needs --figure")
        draw(asked.timeline, asked.figure, asked.symbol, window)
        return 0
    with tempfile.TemporaryDirectory(prefix="holdfast-tape-") as folder, SignalSource() as source:
        base = Path(folder)
        base.chmod(0o755)
        try:
            tapes = [f"{tape.symbol}={cut(tape, base)}" for tape in SHOW]
        except FileNotFoundError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        symbols = [tape.symbol for tape in SHOW]
        with running(base, settings_for(tapes, asked.speed, source, asked.bar_order)) as service:
            sent = feed(service, source, symbols, asked.seconds, asked.seed)
            service.ctl("entries.pause", reason="the tape run is over")
            different = settled_differences(service)
            verdict = service.verdict()
            sys.stdout.write(table(verdict, sent, different, symbols) + "\n")
            sys.stderr.write(report(verdict) + "\n")
            sys.stderr.write("".join(f"{line}\n" for line in (*map(breach_text, verdict.breaches), *different)))
            if asked.keep:
                asked.keep.write_bytes(service.timeline.read_bytes())
            if asked.figure:
                draw(service.timeline, asked.figure, asked.symbol, window)
    return 0 if verdict.clean and not different else 1


def settled_differences(service: ServiceProcess) -> list[str]:
    """What differs once the market stands still and everything under way is written down."""
    service.control("freeze", on=True)
    end = time.monotonic() + SETTLE_S
    while True:
        found = differences(service.state_dir, service.verdict())
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())

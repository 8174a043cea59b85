"""Many schedules: as many as fit into a time, on all processors, and what they add up to.

A worker is a process that runs seed after seed; what it hands back is an outcome, never a world.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loguru import logger

from adapters.paper_exchange.candles import Bar
from adapters.paper_exchange.tape import TapeError, read_tape, symbol_of
from tests.oracle.judge import LAWS
from tests.oracle.measures import percentile
from tests.simulation.faults import Fault, Matrix, Step
from tests.simulation.plan import SYMBOLS, drawn
from tests.simulation.schedule import Outcome, run

TAPES = Path(__file__).resolve().parents[2].parent / "shared" / "tapes"
SEEDS_AT_ONCE = 20
_ASKED_HERE = ("L1", "L2", "L5", "L6", "S7 (signals)", "S10", "CRASH (no actor falls by itself)")


@dataclass(slots=True)
class Total:
    """What many outcomes add up to."""

    schedules: int = 0
    virtual_s: float = 0.0
    steps: int = 0
    positions: int = 0
    moves: int = 0
    orders: int = 0
    processes: int = 0
    struck: Matrix = field(default_factory=Counter)
    excuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[Outcome] = field(default_factory=list)
    unprotected_ms: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take one in."""
        self.schedules += 1
        self.virtual_s += outcome.virtual_s
        self.steps += outcome.steps
        self.positions += outcome.positions
        self.moves += outcome.moves
        self.orders += outcome.orders
        self.processes += outcome.processes
        self.struck += outcome.struck
        self.excuses += outcome.excuses
        self.unprotected_ms += outcome.unprotected_ms
        if outcome.violations:
            self.bad.append(outcome)


def tapes() -> Mapping[str, Sequence[Bar]]:
    """The recorded markets beside the repository, where there are any, by the symbol that they play."""
    found: dict[str, Sequence[Bar]] = {}
    paths = sorted(TAPES.glob("*")) if TAPES.is_dir() else []
    for path in paths:
        symbol = symbol_of(path)
        if symbol is None or path.suffix not in (".json", ".csv"):
            continue
        try:
            bars = read_tape(path)
        except TapeError:
            continue
        wild = max(range(0, len(bars) - 400, 400), key=lambda at: _range(bars[at : at + 400]))
        found[symbol] = bars[wild : wild + 400]
    return {symbol: found.get(symbol, next(iter(found.values()))) for symbol in SYMBOLS} if found else {}


def _range(bars: Sequence[Bar]) -> float:
    return float(max(bar.high for bar in bars) / min(bar.low for bar in bars))


def _work(seeds: Sequence[int], recorded: Mapping[str, Sequence[Bar]], most_faults: int | None) -> list[Outcome]:
    logger.remove()
    return [run(drawn(seed, recorded, most_faults)) for seed in seeds]


def explore(
    seeds: Iterable[int],
    minutes: float | None = None,
    workers: int | None = None,
    *,
    with_tapes: bool = True,
    most_faults: int | None = None,
) -> Total:
    """Run schedules until the seeds or the minutes are over. `most_faults`: at most so many classes in one of them."""
    recorded = tapes() if with_tapes else {}
    ends_at = None if minutes is None else time.monotonic() + minutes * 60
    total = Total()
    with multiprocessing.get_context("fork").Pool(workers or os.cpu_count()) as pool:
        batches = _batches(seeds, lambda: ends_at is not None and time.monotonic() >= ends_at)
        pending = []
        for batch in batches:
            pending.append(pool.apply_async(_work, (batch, recorded, most_faults)))
            if len(pending) >= 2 * (workers or os.cpu_count() or 1):
                for outcome in pending.pop(0).get():
                    total.add(outcome)
        for done in pending:
            for outcome in done.get():
                total.add(outcome)
    return total


def _batches(seeds: Iterable[int], over: Callable[[], bool]) -> Iterator[list[int]]:
    batch: list[int] = []
    for seed in seeds:
        batch.append(seed)
        if len(batch) == SEEDS_AT_ONCE:
            yield batch
            batch = []
        if over():
            break
    if batch:
        yield batch


def report(total: Total, real_s: float) -> str:
    """The figures, the faults by class, the matrix, the excuses and the violations, each with its seed."""
    lengths = total.unprotected_ms
    lines = [
        f"schedules {total.schedules} in {real_s:.0f} s ({total.schedules / real_s * 60:.0f} a minute)",
        f"simulated days {total.virtual_s / 86_400:.2f} ({total.virtual_s / 86_400 / real_s * 60:.2f} a minute)",
        f"steps {total.steps}, processes {total.processes}, positions {total.positions}, stop moves {total.moves}",
        f"requests that change something {total.orders}",
        f"unprotected intervals without excuse {len(lengths)}, longest {max(lengths, default=0)} ms",
        f"  p50 {percentile(lengths, 50)} ms, p99 {percentile(lengths, 99)} ms",
        f"laws checked: {', '.join(law.name for law in LAWS)} (timeline); {', '.join(_ASKED_HERE)}",
        "",
        *matrix(total.struck),
        "",
        f"excuses used: {total.excuses.total()}",
        *(f"  {law:4} {count:6d} x {why}" for (law, why), count in total.excuses.most_common(25)),
        "",
        f"violations: {sum(len(o.violations) for o in total.bad)} in {len(total.bad)} schedules",
    ]
    laws = Counter(law for outcome in total.bad for law in {v.law for v in outcome.violations})
    lines += [f"  {law}: {count} schedules" for law, count in laws.most_common()]
    for outcome in total.bad[:20]:
        first = outcome.violations[0]
        lines.append(f"  {first.law} at {first.at:.3f} s: {first.text}")
        lines.append(f"    python -m tests.simulation --seed {outcome.seed} -v")
    return "\n".join(lines)


def matrix(struck: Matrix) -> list[str]:
    """Faults by class, and at which step of the protocol of the position concerned they struck."""
    steps = [step for step in Step if any(struck[fault, step] for fault in Fault)]
    lines = ["faults by class, and where the position concerned was:"]
    lines += [f"  {number:2d} = {step}" for number, step in enumerate(steps, 1)]
    lines.append(" " * 46 + "total" + "".join(f"{number:7d}" for number in range(1, len(steps) + 1)))
    for fault in Fault:
        row = [struck[fault, step] for step in steps]
        lines.append(f"  {fault.value:44}{sum(row):6d} " + "".join(f"{count or '.':>7}" for count in row))
    return lines

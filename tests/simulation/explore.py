"""Many schedules: as many as fit into a time, on all processors, and what they add up to.

A worker is a process that runs seed after seed; what it hands back is an outcome, never a world.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Literal

from loguru import logger

from adapters.paper_exchange.candles import Bar
from adapters.paper_exchange.tape import TapeError, read_tape, symbol_of
from tests.oracle.judge import LAWS
from tests.oracle.measures import percentile
from tests.simulation.days import drawn_day
from tests.simulation.faults import Fault, Matrix, Step
from tests.simulation.plan import SYMBOLS, Plan, drawn
from tests.simulation.schedule import Outcome, run

TAPES = Path(__file__).resolve().parents[2].parent / "shared" / "tapes"
SEEDS_AT_ONCE = 12
DAY_EVERY = 12
DAY_S = 86_400
WILD = 400
_ASKED_HERE = ("L1", "L2", "L5", "L6", "S7 (signals)", "S10", "B12", "CRASH (no actor falls by itself)")


@dataclass(slots=True)
class Sort:
    """What the schedules of one sort add up to; `work_s` is the time of the processors that they took."""

    schedules: int = 0
    virtual_s: float = 0.0
    work_s: float = 0.0


@dataclass(slots=True)
class Total:
    """What many outcomes add up to."""

    short: Sort = field(default_factory=Sort)
    long: Sort = field(default_factory=Sort)
    steps: int = 0
    positions: int = 0
    moves: int = 0
    orders: int = 0
    processes: int = 0
    switched: int = 0
    struck: Matrix = field(default_factory=Counter)
    excuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[Outcome] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)
    unprotected_ms: list[int] = field(default_factory=list)
    slowest: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def schedules(self) -> int:
        """Of both sorts."""
        return self.short.schedules + self.long.schedules

    def add(self, outcome: Outcome) -> None:
        """Take one in."""
        sort = self.long if outcome.long else self.short
        sort.schedules += 1
        sort.virtual_s += outcome.virtual_s
        sort.work_s += outcome.work_s
        for law, (took_s, limit_s) in outcome.slowest.items():
            if took_s > self.slowest.get(law, (0.0, 0.0))[0]:
                self.slowest[law] = (took_s, limit_s)
        self.digests[outcome.seed] = outcome.digest
        self.steps += outcome.steps
        self.positions += outcome.positions
        self.moves += outcome.moves
        self.orders += outcome.orders
        self.processes += outcome.processes
        self.switched += outcome.switched
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
        with suppress(TapeError):
            found[symbol] = read_tape(path)
    return {symbol: found.get(symbol, next(iter(found.values()))) for symbol in SYMBOLS} if found else {}


def wildest(bars: Sequence[Bar]) -> Sequence[Bar]:
    """The hours of a tape in which the most happens: what short schedules are played on."""
    wild = max(range(0, len(bars) - WILD, WILD), key=lambda at: _range(bars[at : at + WILD]))
    return bars[wild : wild + WILD]


def _range(bars: Sequence[Bar]) -> float:
    return float(max(bar.high for bar in bars) / min(bar.low for bar in bars))


@dataclass(frozen=True, slots=True)
class Drawing:
    """How seeds become schedules. `sort`: all short ones, all days, or by the seed."""

    tapes: Mapping[str, Sequence[Bar]] = field(default_factory=dict)
    wild: Mapping[str, Sequence[Bar]] = field(default_factory=dict)
    most_faults: int | None = None
    sort: Literal["short", "day"] | None = None

    @classmethod
    def on_tapes(cls, most_faults: int | None, sort: Literal["short", "day"] | None) -> Drawing:
        """With the recorded markets, where there are any."""
        recorded = tapes()
        wild = {symbol: wildest(bars) for symbol, bars in recorded.items()}
        return cls(tapes=recorded, wild=wild, most_faults=most_faults, sort=sort)

    def plan(self, seed: int) -> Plan:
        """The schedule of a seed."""
        if self.sort == "day" or (self.sort is None and seed % DAY_EVERY == 0):
            return drawn_day(seed, self.tapes)
        return drawn(seed, self.wild, self.most_faults)


def _work(seeds: Sequence[int], drawing: Drawing) -> list[Outcome]:
    logger.remove()
    gc.disable()  # a schedule leaves cycles behind, and looking for them all the time costs a third of it
    outcomes = [run(drawing.plan(seed)) for seed in seeds]
    gc.collect()
    return outcomes


def explore(
    seeds: Iterable[int], drawing: Drawing, minutes: float | None = None, workers: int | None = None
) -> Total:
    """Run schedules until the seeds or the minutes are over, on so many processes (unset: all processors)."""
    ends_at = None if minutes is None else time.monotonic() + minutes * 60
    count = workers or os.cpu_count() or 1
    total = Total()
    _DRAWINGS[:] = [drawing]
    with multiprocessing.get_context("fork").Pool(count) as pool:
        pending: list[AsyncResult[list[Outcome]]] = []
        for batch in _batches(seeds, lambda: ends_at is not None and time.monotonic() >= ends_at):
            pending.append(pool.apply_async(_worked, (batch,)))
            if len(pending) >= 2 * count:
                for outcome in pending.pop(0).get():
                    total.add(outcome)
        for done in pending:
            for outcome in done.get():
                total.add(outcome)
    return total


# Tapes are large: a worker has them from its parent, by fork, instead of with each batch.
_DRAWINGS: list[Drawing] = []


def _worked(seeds: Sequence[int]) -> list[Outcome]:
    (drawing,) = _DRAWINGS
    return _work(seeds, drawing)


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


def report(total: Total, real_s: float, drawing: Drawing, workers: int | None = None) -> str:
    """The figures, the faults by class, the matrix, the excuses and the violations, each with what replays it.

    `drawing`: how the schedules were drawn; another way draws other ones from the same seeds.
    """
    how = "" if drawing.most_faults is None else f" --most-faults {drawing.most_faults}"
    how += "" if drawing.tapes else " --without-tapes"
    lengths = total.unprotected_ms
    virtual_s = total.short.virtual_s + total.long.virtual_s
    lines = [
        f"schedules {total.schedules} in {real_s:.0f} s ({total.schedules / real_s * 60:.0f} a minute)",
        f"simulated days {virtual_s / DAY_S:.2f} ({virtual_s / DAY_S / real_s * 60:.2f} a minute)",
        _sort("short schedules", total.short, workers or os.cpu_count() or 1),
        _sort("days", total.long, workers or os.cpu_count() or 1),
        f"steps {total.steps}, processes {total.processes}, positions {total.positions}, stop moves {total.moves}",
        f"requests that change something {total.orders}, kill switches fired {total.switched}",
        f"unprotected intervals without excuse {len(lengths)}, longest {max(lengths, default=0)} ms",
        f"  p50 {percentile(lengths, 50)} ms, p99 {percentile(lengths, 99)} ms",
        f"laws checked: {', '.join(law.name for law in LAWS)} (timeline); {', '.join(_ASKED_HERE)}",
        f"slowest law: {_slowest(total)}",
        f"faults injected: {total.struck.total()} of {len({fault for fault, _ in total.struck})} classes",
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
    for outcome in total.bad[:40]:
        first = outcome.violations[0]
        lines.append(f"  {first.law} at {first.at:.3f} s: {first.text}")
        sort = "day" if outcome.long else "short"
        lines.append(f"    python -m tests.simulation --seed {outcome.seed} --sort {sort}{how} -v")
    return "\n".join(lines)


def _sort(name: str, sort: Sort, workers: int) -> str:
    """What one sort makes a minute if all workers do nothing else."""
    if not sort.schedules:
        return f"  {name}: none"
    minutes = sort.work_s / workers / 60
    each_s, days = sort.virtual_s / sort.schedules, sort.virtual_s / DAY_S
    return (
        f"  {name}: {sort.schedules} of {each_s:.0f} s each, {days:.2f} days, in {sort.work_s:.0f} s of processors: "
        f"alone {sort.schedules / minutes:.0f} schedules or {days / minutes:.2f} days a minute on {workers} workers"
    )


def _slowest(total: Total) -> str:
    """Of the laws that speak of a time, the one that came nearest to it."""
    shares = sorted(((took / limit, law, took, limit) for law, (took, limit) in total.slowest.items()), reverse=True)
    return ", ".join(f"{law} {took:.2f} s of {limit:.0f}" for _, law, took, limit in shares) or "none"


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

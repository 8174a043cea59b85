"""`python -m tests.simulation --seed N [-v]`, `--minutes M` or `--matrix`: exit 0 if no law was broken, else 1."""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from loguru import logger

from tests.simulation.deaths import table
from tests.simulation.explore import Drawing, explore, matrix, report
from tests.simulation.histories import HISTORIES, exhaust
from tests.simulation.plan import Plan
from tests.simulation.schedule import Outcome, run
from tests.simulation.world import World


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Deterministic simulation.")
    parser.add_argument("--seed", type=int, help="run this one schedule")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell its whole history")
    parser.add_argument("--minutes", type=float, default=1.0, help="explore for so long")
    parser.add_argument("--first", type=int, default=None, help="the first seed to explore; unset: the clock's")
    parser.add_argument("--schedules", type=int, default=None, help="explore so many instead of so long")
    parser.add_argument("--most-faults", type=int, default=None, help="at most so many classes of faults a schedule")
    parser.add_argument("--sort", choices=("short", "day"), default=None, help="what to explore; unset: by the seed")
    parser.add_argument("--without-tapes", action="store_true", help="made markets only, as in the tests")
    parser.add_argument("--matrix", action="store_true", help="small histories exhausted, and every death; as matrices")
    parser.add_argument("--points", type=int, default=None, help="with --matrix: at most so many points of a fault")
    parser.add_argument("--workers", type=int, default=None, help="processes; unset: one a processor")
    arguments = parser.parse_args()
    logger.remove()
    if arguments.matrix:
        return _matrix(arguments.points, arguments.workers)
    drawing = Drawing.on_tapes(arguments.most_faults, arguments.sort)
    if arguments.without_tapes:
        drawing = Drawing(most_faults=arguments.most_faults, sort=arguments.sort)
    if arguments.seed is not None:
        return _one(drawing.plan(arguments.seed), verbose=arguments.verbose)
    first = arguments.first if arguments.first is not None else int(time.time()) * 1000
    began = time.monotonic()
    if arguments.schedules is not None:
        total = explore(range(first, first + arguments.schedules), drawing, workers=arguments.workers)
    else:
        total = explore(itertools.count(first), drawing, arguments.minutes, arguments.workers)
    told_all = report(total, time.monotonic() - began, drawing, arguments.workers)
    sys.stdout.write(f"seeds from {first}\n{told_all}\n")
    return 1 if total.bad else 0


def _matrix(points: int | None, workers: int | None) -> int:
    done = exhaust(points, workers)
    fell, wrong = table(workers)
    lines = [
        f"{len(HISTORIES)} histories of up to three operations, a fault at {done.tried} of {done.points} points",
        *matrix(done.struck),
        "",
        "who was killed how, and in which moment of a position:",
        *fell,
        "",
        f"violations: {len(done.wrong) + len(wrong)}",
        *(f"  {text}" for text in (*done.wrong, *wrong)),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if done.wrong or wrong else 0


def _one(plan: Plan, *, verbose: bool) -> int:
    def listen(world: World) -> None:
        logger.add(lambda line: world.tell("    " + line.rstrip()), format="{level.name[0]} {message}", level="DEBUG")

    say = (lambda text: sys.stdout.write(text + "\n")) if verbose else None
    outcome = run(plan, say, listen if verbose else None)
    sys.stdout.write(told(outcome))
    return 1 if outcome.violations else 0


def told(outcome: Outcome) -> str:
    """An outcome in some lines."""
    struck = ", ".join(f"{fault} at {step} {count}x" for (fault, step), count in outcome.struck.items()) or "none"
    lines = [
        f"seed {outcome.seed}: {outcome.virtual_s:.0f} s in {outcome.work_s:.2f} s, {outcome.steps} steps",
        f"{outcome.processes} processes, {outcome.positions} positions, {outcome.moves} stop moves",
        f"digest {outcome.digest}",
        f"faults: {struck}",
        *(f"excuse {law}: {count} x {why}" for (law, why), count in outcome.excuses.items()),
        *(f"VIOLATION {v.law} at {v.at:.3f} s: {v.text}" for v in outcome.violations),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.simulation --seed N [-v]`, or `--minutes M`: exit 0 if no law was broken, 1 if one was."""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from loguru import logger

from tests.simulation.explore import explore, report, tapes
from tests.simulation.plan import drawn
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
    arguments = parser.parse_args()
    logger.remove()
    if arguments.seed is not None:
        return _one(arguments.seed, arguments.most_faults, verbose=arguments.verbose)
    first = arguments.first if arguments.first is not None else int(time.time()) * 1000
    began = time.monotonic()
    if arguments.schedules is not None:
        total = explore(range(first, first + arguments.schedules), most_faults=arguments.most_faults)
    else:
        total = explore(itertools.count(first), arguments.minutes, most_faults=arguments.most_faults)
    sys.stdout.write(f"seeds from {first}\n{report(total, time.monotonic() - began)}\n")
    return 1 if total.bad else 0


def _one(seed: int, most_faults: int | None, *, verbose: bool) -> int:
    def listen(world: World) -> None:
        logger.add(lambda line: world.tell("    " + line.rstrip()), format="{level.name[0]} {message}", level="DEBUG")

    say = (lambda text: sys.stdout.write(text + "\n")) if verbose else None
    outcome = run(drawn(seed, tapes(), most_faults), say, listen if verbose else None)
    sys.stdout.write(told(outcome))
    return 1 if outcome.violations else 0


def told(outcome: Outcome) -> str:
    """An outcome in some lines."""
    struck = ", ".join(f"{fault} at {step} {count}x" for (fault, step), count in outcome.struck.items()) or "none"
    lines = [
        f"seed {outcome.seed}: {outcome.virtual_s:.0f} s in {outcome.real_s:.2f} s, {outcome.steps} steps",
        f"{outcome.processes} processes, {outcome.positions} positions, {outcome.moves} stop moves",
        f"digest {outcome.digest}",
        f"faults: {struck}",
        *(f"excuse {law}: {count} x {why}" for (law, why), count in outcome.excuses.items()),
        *(f"VIOLATION {v.law} at {v.at:.3f} s: {v.text}" for v in outcome.violations),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

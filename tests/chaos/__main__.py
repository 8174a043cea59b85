"""`make chaos MINUTES=n [SEED=n]`: the real service among faults of every kind, then the judgement and its table.

Exit code 1 on a violation; then timeline, log and database are kept and the last line says where.
"""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from loguru import logger

from tests.chaos.house import House
from tests.chaos.judgement import judge_house
from tests.chaos.monkey import Monkey
from tests.chaos.pulse import Pulse
from tests.chaos.table import table
from tests.end_to_end.command import ROOT
from tests.end_to_end.fault_stage import Venue

VENUES = {"main": Venue(exchange="binanceusdm"), "second": Venue(exchange="bybit")}
HEDGE = {"third": Venue(exchange="binanceusdm", hedged=True)}
TAPES = ROOT.parent / "shared" / "tapes"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Chaos at the real service.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="a random one if not given; printed either way")
    parser.add_argument("--hedge", action="store_true", help="a third account, in hedge mode")
    parser.add_argument("--tapes", type=Path, default=TAPES, help="recorded markets, where there are any")
    parser.add_argument("--keep", type=Path, help="a new folder, in which the run's files stay")
    given = parser.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    base = given.keep or Path(tempfile.mkdtemp(prefix="holdfast-chaos-"))
    base.mkdir(parents=True, exist_ok=True)
    logger.remove()
    logger.add(sys.stderr, format="{time:HH:mm:ss.SSS} {level:8} {message}", level="INFO")
    logger.add(base / "monkey.log", format="{time:HH:mm:ss.SSS} {level:8} {message}", level="DEBUG")
    command = f"make chaos MINUTES={given.minutes:g} SEED={seed}" + (" ARGS=--hedge" if given.hedge else "")
    text, violations = chaos(base, seed, given.minutes * 60, given.tapes, command, hedge=given.hedge)
    sys.stdout.write(text + "\n")
    if violations:
        sys.stdout.write(f"timelines, log and database are kept: {shlex.quote(str(base))}\n")
        return 1
    if given.keep is None:
        shutil.rmtree(base, ignore_errors=True)
    return 0


def chaos(
    base: Path, seed: int, seconds: float, tapes: Path | None, command: str, *, hedge: bool = False
) -> tuple[str, list[str]]:
    """One run: its table, and the violations."""
    with House(base, seed, {**VENUES, **(HEDGE if hedge else {})}, tapes) as house:
        monkey = Monkey(house, seed)
        with Pulse(house) as pulse:
            monkey.run(seconds)
            found = judge_house(house)
        found.violations[:0] = [f"burst {b.number}: {c}" for b in monkey.bursts for c in b.recovery.complaints]
        return table(house, monkey.bursts, pulse, found, command), found.violations


if __name__ == "__main__":
    sys.exit(main())

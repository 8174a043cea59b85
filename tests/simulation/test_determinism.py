"""The same seed is the same history: whatever the hash seed of Python, whatever ran before, however many workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.explore import Drawing, explore

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(500, 520)
PROGRAM = """
from loguru import logger
logger.remove()
from tests.simulation.plan import drawn
from tests.simulation.schedule import run
from tests.simulation.days import drawn_day
for seed in range({first}, {last}):
    print(seed, run(drawn(seed)).digest)
print("day", run(drawn_day({first}, hours=1.0)).digest)
"""


def _digests(hash_seed: str) -> list[str]:
    program = PROGRAM.format(first=SEEDS.start, last=SEEDS.stop)
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_same_seed_same_digest() -> None:
    one, other = _digests("1"), _digests("2")
    assert one == other
    assert len({line.split()[1] for line in one}) == len(SEEDS) + 1


def test_same_seed_same_digest_on_any_number_of_workers() -> None:
    seeds = range(SEEDS.start, SEEDS.start + 44)
    one, three = (explore(seeds, Drawing(sort="short"), workers=workers).digests for workers in (1, 3))
    assert one == three
    assert sorted(one) == list(seeds)

"""The same seed is the same history, in whatever process and with whatever hash seed of Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(500, 520)
PROGRAM = """
from loguru import logger
logger.remove()
from tests.simulation.plan import drawn
from tests.simulation.schedule import run
for seed in range({first}, {last}):
    print(seed, run(drawn(seed)).digest)
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
    assert len({line.split()[1] for line in one}) == len(SEEDS)

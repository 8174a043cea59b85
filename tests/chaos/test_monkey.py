"""A minute of the monkey with a fixed seed: the whole way from the first fault to the table, and nothing broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.__main__ import chaos

SEED = 20


@pytest.mark.chaos
@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_minute_of_the_monkey(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", SEED))
    text, violations = chaos(tmp_path, seed, 45, None, f"make chaos MINUTES=0.75 SEED={seed}")
    assert violations == [], text
    assert "VIOLATIONS: 0" in text

"""A few random lives of a position under a judge: what the mutants of the position machine have to get past."""

from __future__ import annotations

import pytest

from tests.properties.explore import life


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_a_few_seeded_lives_come_right(first: int) -> None:
    for seed in range(first, first + 10):
        life(seed)

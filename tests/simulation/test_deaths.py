"""Each actor dies in each way while a position is in each phase of its life: nothing is lost, and somebody takes over.

LAWS, fault 2. `python -m tests.simulation --matrix` prints which actor was killed how, and in which phase.
"""

from __future__ import annotations

import sys

import pytest

from tests.simulation.deaths import HOWS, KINDS, MOMENTS, table


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_actor_dies_in_each_way_in_each_phase(capsys: pytest.CaptureFixture[str]) -> None:
    lines, wrong = table()
    fell = sum(line.count("x") for line in lines if line.startswith("  ") and "=" not in line.split()[:2])
    with capsys.disabled():
        sys.stdout.write("\n".join(("", "who was killed how, and in which moment of a position:", *lines, "")))
    assert not wrong, "\n".join(wrong[:20])
    assert fell >= len(KINDS) * len(HOWS) * len(MOMENTS)

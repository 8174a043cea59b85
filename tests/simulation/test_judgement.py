"""Virtual days of positions that become too old, and of risk levels that are acted on: judged by the oracle."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from loguru import logger

from adapters.paper_exchange.orders import Side
from domain.position.state import CloseReason
from tests.simulation import liveness
from tests.simulation.faults import Fault, Nth
from tests.simulation.market import Walk
from tests.simulation.plan import Wish, settings
from tests.simulation.workload import Workload
from tests.simulation.world import World

SYMBOL = "BTCUSDT"
HOURS = 4
STEP_S = 900.0


@pytest.fixture(autouse=True)
def _silent() -> None:
    logger.remove()


@pytest.mark.parametrize("killed", [False, True])
def test_a_day_of_aged_positions(*, killed: bool) -> None:
    """Half an hour, break-even, two steps, any price: in a market that stands still each life ends at its last step."""
    still = Walk(random.Random("still"), 0.0)
    world = World(seed=1, faults=Nth(Fault.STARVED, 0), markets={SYMBOL: still}, settings=settings(3, judged=True))

    def script(w: World) -> None:
        w.pass_time(1.5)
        w.exchange.human(SYMBOL, Side.BUY, Decimal("0.01"))
        workload = Workload(w)
        for hour in range(HOURS):
            w.pass_time(30.0)
            if hour:
                workload.wish(Wish.OPEN, SYMBOL)
            w.pass_time(30.0)
            assert w.exchange.quantity(SYMBOL)
            for _ in range(4):
                w.pace.calm = True
                w.pass_time(STEP_S)
                w.pace.stir()
                w.pass_time(2.5)
                if killed:
                    w.kill_process()
                    w.pass_time(12.0)
                if w.exchange.quantity(SYMBOL):
                    liveness.every_position_has_its_stop(w, strangers=True)
            w.pass_time(60.0)
            assert not w.exchange.quantity(SYMBOL), f"hour {hour}"

    world.live(script)
    assert not world.violations, world.violations
    assert world.exchange.judge.verdict().clean, world.exchange.judge.verdict().breaches
    ended = [p for p in world.database.positions.values() if p.phase.final]
    assert len(ended) == HOURS
    assert {p.close_reason for p in ended} == {CloseReason.AGED}

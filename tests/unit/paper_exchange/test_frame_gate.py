"""Frames on their way out: lost, doubled, late, out of order, unreadable."""

import asyncio
import json
from typing import Any

from adapters.paper_exchange.faults import Aim, Fault, FaultPlan, Ordered
from adapters.paper_exchange.frame_gate import FrameGate


def through(*numbers: int, settle_s: float = 0.0, **fault: Any) -> list[str]:
    """What comes out when numbered frames go in, all at once."""
    out: list[str] = []

    async def run() -> None:
        plan = FaultPlan(lambda: 0, 1, lambda _ordered, _happening: None)
        if fault:
            plan.order(Ordered(aim=Aim(name="E"), **fault))
        gate = FrameGate(plan, out.append)
        for number in numbers:
            gate.send(json.dumps({"e": "E", "n": number}))
        await asyncio.sleep(settle_s)

    asyncio.run(run())
    return out


def numbers(frames: list[str]) -> list[int]:
    return [json.loads(frame)["n"] for frame in frames]


def test_frames_go_through() -> None:
    assert numbers(through(1, 2)) == [1, 2]


def test_lost() -> None:
    assert numbers(through(1, 2, 3, fault=Fault.LOSE, left=2)) == [3]


def test_doubled() -> None:
    assert numbers(through(1, 2, fault=Fault.DOUBLE)) == [1, 1, 2]


def test_doubled_later() -> None:
    assert numbers(through(1, 2, fault=Fault.DOUBLE, ms=1, settle_s=0.05)) == [1, 2, 1]


def test_late() -> None:
    assert numbers(through(1, 2, fault=Fault.LATE, ms=1, settle_s=0.05)) == [2, 1]


def test_out_of_order() -> None:
    assert numbers(through(1, 2, 3, fault=Fault.REORDER, ms=10_000)) == [2, 1, 3]


def test_a_frame_that_waits_for_another_comes_alone_in_the_end() -> None:
    assert numbers(through(1, fault=Fault.REORDER, ms=1, settle_s=0.05)) == [1]


def test_unreadable() -> None:
    first, second = through(1, 2, fault=Fault.GARBLE)
    assert not first.endswith("}")
    assert json.loads(second)["n"] == 2


def test_other_frames_are_left_alone() -> None:
    out: list[str] = []
    plan = FaultPlan(lambda: 0, 1, lambda _ordered, _happening: None)
    plan.order(Ordered(fault=Fault.LOSE, aim=Aim(name="ORDER_TRADE_UPDATE")))
    gate = FrameGate(plan, out.append)
    gate.send('{"e": "markPriceUpdate"}')
    gate.send('{"result": null}')
    gate.send('{"e": "ORDER_TRADE_UPDATE"}')
    assert len(out) == 2

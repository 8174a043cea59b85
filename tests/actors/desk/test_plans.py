"""What the desk lays down for a position beside its size: take-profits, and the ATR that its trail is scaled by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors import messages
from actors.entry_desk import NOT_YET
from actors.messages import AskMarkCandles, EntriesRefused, MarkCandles
from adapters.exchange.interface import Candle
from domain.market.atr import AtrRules
from domain.position.plan import TakeProfit, TrailingRules
from domain.position.state import Position
from tests.actors.desk.scene import D, Scene

BY_ATR: dict[str, Any] = {"trailing": TrailingRules(atr_multiple=D(2)), "atr": AtrRules(period=3, candle_minutes=60)}
GOALS = (TakeProfit(pct=D(1), fraction=D("0.5")), TakeProfit(pct=D(2), fraction=D("0.5")))
GATEWAY = messages.gateway("main")


def candles(count: int, spread: int = 100, age: timedelta = timedelta(0)) -> tuple[Candle, ...]:
    """Closed candles of an hour, each from one price to `spread` above; the newest closed `age` ago."""
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - age
    return tuple(
        Candle(
            opened_at=this_hour - timedelta(hours=count - n),
            open=D(50_000),
            high=D(50_000) + spread,
            low=D(50_000),
            close=D(50_000),
        )
        for n in range(count)
    )


def answer(scene: Scene, found: tuple[Candle, ...], error: str | None = None) -> AskMarkCandles:
    """Answer the desk's next question about candles; the question."""
    asked = scene.heard[GATEWAY].wait(AskMarkCandles)
    scene.heard[GATEWAY].clear()
    told = MarkCandles(account="main", symbol=asked.symbol, candles=found, error=error)
    scene.stage.tell(asked.reply_to, told)
    return asked


def signal(number: str = "1", symbol: str = "BTCUSDT") -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    return {"id": number, "symbol": symbol, "exchange": "binanceusdm", "action": "BUY", "created_at": now}


def by_hand_at_last(scene: Scene, **more: Any) -> Position | EntriesRefused:
    """What an operator is told once the desk knows enough, as the admin asks for it."""
    found: Position | EntriesRefused = scene.wait(
        lambda: None if _waits(told := scene.by_hand(**more)) else told, "an answer that is not 'not yet'"
    )
    return found


def _waits(told: object) -> bool:
    return isinstance(told, EntriesRefused) and told.code == NOT_YET


def test_a_signal_waits_for_the_atr_and_its_plan_keeps_it(scene: Scene) -> None:
    scene.desk(**BY_ATR)
    scene.store(signal())
    before = datetime.now(UTC)
    asked = answer(scene, candles(8))
    assert timedelta(hours=12) <= before - asked.since < timedelta(hours=14)
    assert scene.outcome("1")["outcome"] == "opened"
    (position,) = scene.owned()
    assert position.plan.atr == D(100)
    assert position.plan.trailing.atr_multiple == D(2)


def test_a_failure_stands_for_a_moment_and_is_not_asked_about_again(scene: Scene) -> None:
    scene.desk(**BY_ATR)
    scene.store(signal("1"))
    answer(scene, (), "timed out")
    assert scene.outcome("1")["outcome"] == "no_atr"
    assert scene.by_hand().code == "no_atr"
    assert scene.heard[GATEWAY].of(AskMarkCandles) == []


@pytest.mark.parametrize(
    ("found", "error", "figures"),
    [
        (lambda: (), "timed out", {"error": "timed out"}),
        (lambda: candles(3), None, {"candles": 3, "needed": 4}),
        (lambda: (), None, {"candles": 0, "needed": 4}),
        (lambda: candles(8, spread=0), None, {"atr": "0"}),
        (lambda: candles(8, spread=30_000), None, {"distance": "60000", "most": "25000"}),
        (lambda: candles(8, age=timedelta(hours=7)), None, {"period": 3}),
    ],
    ids=["failed", "few", "none", "frozen", "wild", "old"],
)
def test_no_sound_atr_refuses_with_the_figures(
    scene: Scene, found: Callable[[], tuple[Candle, ...]], error: str | None, figures: dict[str, object]
) -> None:
    scene.desk(**BY_ATR)
    scene.store(signal())
    answer(scene, found(), error)
    row = scene.outcome("1")
    assert row["outcome"] == "no_atr"
    assert {key: row["outcome_figures"].get(key) for key in figures} == figures
    assert scene.owned() == ()


def test_an_operator_s_entry_is_answered_once_the_atr_is_known(scene: Scene) -> None:
    scene.desk(**BY_ATR)
    assert scene.by_hand().code == NOT_YET
    answer(scene, candles(8))
    position = by_hand_at_last(scene)
    assert isinstance(position, Position)
    assert position.plan.atr == D(100)


def test_without_trailing_by_atr_nobody_asks(scene: Scene) -> None:
    scene.desk(trailing=TrailingRules(enabled=False, atr_multiple=D(2)))
    position = scene.by_hand()
    assert isinstance(position, Position)
    assert position.plan.atr is None
    assert scene.heard[GATEWAY].of(AskMarkCandles) == []


def test_the_set_targets_go_into_every_plan(scene: Scene) -> None:
    scene.desk(take_profits=GOALS)
    scene.store(signal())
    assert scene.outcome("1")["outcome"] == "opened"
    (position,) = scene.owned()
    assert position.plan.take_profits == GOALS


def test_an_operator_may_name_others_or_none(scene: Scene) -> None:
    scene.desk(take_profits=GOALS, rules={"cooldown_s": 0})
    one = (TakeProfit(pct=D(3), fraction=D(1)),)
    assert scene.by_hand(take_profits=one).plan.take_profits == one
    assert scene.by_hand("ETHUSDT", take_profits=()).plan.take_profits == ()


@pytest.mark.parametrize(
    ("goals", "rule"),
    [
        ([("51", "1")], "pct must be greater than 0 and at most 50"),
        ([("1", "1.1")], "fraction must be greater than 0 and at most 1"),
        ([("1", "0.5"), ("1", "0.5")], "two targets must not have the same pct"),
        ([("1", "0.7"), ("2", "0.7")], "the fractions must not add up to more than 1"),
    ],
)
def test_wrong_targets_are_refused_with_the_rule(scene: Scene, goals: list[tuple[str, str]], rule: str) -> None:
    scene.desk()
    told = scene.by_hand(take_profits=tuple(TakeProfit(pct=D(pct), fraction=D(part)) for pct, part in goals))
    assert (told.code, told.figures["rule"]) == ("wrong_take_profit", rule)
    assert scene.owned() == ()

"""A reload under an open position: what became tighter is taken over, nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.position.effects import Place
from domain.position.inputs import RulesChanged, StopWanted, TrailingWanted
from domain.position.plan import Protection, TrailingRules, TrailingStep
from domain.position.tightening import tighter_protection, tighter_trailing
from tests.unit.domain.conversation import Conversation, protected, resting
from tests.unit.domain.samples import D

OLD = TrailingRules(breakeven_pct=D(1), time_activation_minutes=30, atr_multiple=D(2), min_interval_s=D(5))
STEP = TrailingStep(profit_pct=D(3), callback_pct=D("0.3"))


def changed(**to: Any) -> RulesChanged:
    """A reload that changes these rules of protection or trailing from their defaults."""
    protection = {name: value for name, value in to.items() if name in Protection.__slots__}
    trailing = {name: value for name, value in to.items() if name not in protection}
    return RulesChanged(
        old_protection=Protection(),
        protection=replace(Protection(), **protection),
        old_trailing=TrailingRules(),
        trailing=replace(TrailingRules(), **trailing),
    )


@pytest.mark.parametrize(
    ("tighter", "looser"),
    [
        ({"activation_pct": D(1)}, {"activation_pct": D(3)}),
        ({"callback_pct": D("0.2")}, {"callback_pct": D(1)}),
        ({"breakeven_pct": D("0.5")}, {"breakeven_pct": None}),
        ({"time_activation_minutes": 10}, {"time_activation_minutes": 60}),
        ({"atr_multiple": D(1)}, {"atr_multiple": D(3)}),
        ({"steps": (STEP,)}, {"steps": (replace(STEP, callback_pct=D(2)),)}),
        ({"min_step_pct": D("0.01")}, {"min_step_pct": D(1)}),
        ({"min_interval_s": D(1)}, {"min_interval_s": D(60)}),
    ],
)
def test_each_rule_of_the_trail(tighter: dict[str, Any], looser: dict[str, Any]) -> None:
    assert tighter_trailing(OLD, OLD, replace(OLD, **tighter)) == replace(OLD, **tighter)
    assert tighter_trailing(OLD, OLD, replace(OLD, **looser)) == OLD
    assert tighter_trailing(OLD, replace(OLD, **tighter), replace(OLD, **tighter)) == OLD, "nothing has changed"
    nearest = replace(OLD, **tighter)
    between = {name: value for name, value in looser.items() if value is not None}
    assert tighter_trailing(nearest, replace(OLD, **between), OLD) == nearest, "its own rule is nearer still"


def test_trailing_switched_on_is_tighter_and_off_is_not() -> None:
    off = replace(OLD, enabled=False)
    assert tighter_trailing(off, off, OLD).enabled is True
    assert tighter_trailing(OLD, OLD, off).enabled is True
    assert tighter_trailing(off, OLD, OLD).enabled is False, "an operator's own choice stays"


def test_per_cents_and_atrs_do_not_compare() -> None:
    by_percent = replace(OLD, atr_multiple=None)
    assert tighter_trailing(by_percent, by_percent, OLD) == by_percent
    assert tighter_trailing(OLD, OLD, by_percent) == OLD


def test_only_distances_of_the_protection_and_only_down() -> None:
    own = Protection(stop_pct=D(2), emergency_stop_pct=D(10), nearest_stop_pct=D("0.5"))
    new = Protection(stop_pct=D(1), emergency_stop_pct=D(12), nearest_stop_pct=D("0.4"), retries=9)
    taken = tighter_protection(own, own, new)
    assert taken == replace(own, stop_pct=D(1), nearest_stop_pct=D("0.4"))
    assert tighter_protection(replace(own, stop_pct=D("0.5")), own, new).stop_pct == D("0.5")


@pytest.fixture(params=list(PositionSide))
def talk(request: pytest.FixtureRequest) -> Conversation:
    talk, _ = protected(request.param)
    return talk


def test_a_nearer_stop_moves_and_a_farther_one_does_not(talk: Conversation) -> None:
    talk.hear(changed(stop_pct=D(3)))
    assert talk.wants(Place) == []
    talk.hear(changed(stop_pct=D(1)))
    assert talk.placed(OrderKind.STOP).trigger_price == talk.at(59_400)
    assert [stop.trigger for stop in resting(talk.position)] == [talk.at(58_800)], "the old one rests until then"
    assert EventType.RULES_TIGHTENED in talk.said()
    talk.hear(changed(stop_pct=D(1)))
    assert EventType.RULES_TIGHTENED not in talk.said()


def test_a_stop_that_would_trigger_at_once_is_not_set(talk: Conversation) -> None:
    talk.mark(talk.at(59_100))
    talk.hear(changed(stop_pct=D(1)))
    assert talk.wants(Place) == []
    assert talk.position.close_wanted is None
    talk.mark(talk.at(60_100))
    assert talk.wants(Place) == [], "it was set for what comes, and nothing was promised to this one"


def test_an_operators_own_stop_stands(talk: Conversation) -> None:
    talk.hear(StopWanted(price=talk.at(57_000)))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.hear(changed(stop_pct=D(1)))
    assert talk.wants(Place) == []
    assert talk.position.operator_stop == talk.at(57_000)


def test_trailing_that_begins_earlier_begins_at_once(talk: Conversation) -> None:
    talk.mark(talk.at(60_700))
    assert EventType.TRAILING_ACTIVATED not in talk.said()
    talk.hear(changed(activation_pct=D(1)))
    assert EventType.TRAILING_ACTIVATED in talk.said()
    assert talk.placed(OrderKind.STOP).trigger_price is not None


def test_rules_that_an_operator_gave_one_position_survive_a_reload_of_something_else(talk: Conversation) -> None:
    own = TrailingRules(activation_pct=D(5), callback_pct=D(2))
    talk.hear(TrailingWanted(rules=own))
    talk.hear(changed(stop_pct=D(1)))
    assert talk.position.plan.trailing == own

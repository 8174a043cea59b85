"""A risk level is reached: what is set for it is done once, by the owner, and only to the good of the position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.catalogue import EventType, Severity
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.judgement.levels import RiskAction, RiskLevel
from domain.position.effects import Place
from domain.position.inputs import RiskHeard, StopWanted
from domain.position.state import CloseReason, Purpose
from persistence.codec import position_from_json, position_to_json
from tests.unit.domain.conversation import Conversation, protected, resting
from tests.unit.domain.samples import D


def risk(level: RiskLevel = RiskLevel.HIGH, action: RiskAction = RiskAction.NONE, **changes: Any) -> RiskHeard:
    heard = RiskHeard(
        level=level,
        score=D(70),
        dangers=(("stop", D("33.333")),),
        action=action,
        tighten_pct=D(50),
        fraction=D("0.5"),
        cooldown_s=600,
    )
    return replace(heard, **changes)


@pytest.fixture(params=list(PositionSide))
def talk(request: pytest.FixtureRequest) -> Conversation:
    """Protected at 60,000, its stop at 58,800."""
    talk, _ = protected(request.param)
    return talk


def told(talk: Conversation) -> list[tuple[Severity, object]]:
    return [(h.grave, h.data["action"]) for h in talk.last.happenings if h.type is EventType.POSITION_RISK_CHANGED]


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (RiskLevel.MEDIUM, Severity.WARNING),
        (RiskLevel.HIGH, Severity.WARNING),
        (RiskLevel.CRITICAL, Severity.ERROR),
        (RiskLevel.EMERGENCY, Severity.CRITICAL),
    ],
)
def test_an_alert_is_as_grave_as_its_level(talk: Conversation, level: RiskLevel, severity: Severity) -> None:
    talk.hear(risk(level, RiskAction.ALERT))
    assert told(talk) == [(severity, "alert")]
    assert talk.wants(Place) == []
    (happening,) = talk.last.happenings
    assert happening.data["stop_danger"] == "33.3"


def test_a_level_is_told_once(talk: Conversation) -> None:
    talk.hear(risk())
    assert told(talk) == [(Severity.INFO, "none")]
    talk.hear(risk(score=D(72)))
    assert (talk.last.record, talk.last.happenings) == (False, ())


def test_the_same_level_again_is_an_act_again_only_after_a_while(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.ALERT))
    talk.hear(risk(RiskLevel.LOW, RiskAction.ALERT))
    assert told(talk) == [(Severity.INFO, "none")], "nothing is done on the way down"
    talk.hear(risk(action=RiskAction.ALERT))
    assert told(talk) == [(Severity.INFO, "none")]
    talk.hear(risk(RiskLevel.LOW))
    talk.hear(risk(action=RiskAction.ALERT), after=600)
    assert told(talk) == [(Severity.WARNING, "alert")]


def test_what_was_done_outlives_a_restart(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.TIGHTEN))
    talk.position = position_from_json(position_to_json(talk.position))
    talk.restart()
    talk.hear(risk(RiskLevel.LOW))
    talk.hear(risk(action=RiskAction.CLOSE))
    assert talk.position.close_wanted is None
    assert talk.position.risk is not None
    assert talk.position.risk.level is RiskLevel.HIGH


def test_tightening_halves_the_distance_and_the_old_stop_rests_until_then(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.TIGHTEN))
    assert EventType.RISK_STOP_TIGHTENED in talk.said()
    assert talk.placed(OrderKind.STOP).trigger_price == talk.at(59_400)
    assert [stop.trigger for stop in resting(talk.position)] == [talk.at(58_800)]


def test_tightening_never_comes_nearer_than_the_nearest_stop(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.TIGHTEN, tighten_pct=D(99)))
    assert talk.placed(OrderKind.STOP).trigger_price == talk.at(59_700)


def test_tightening_loosens_nothing(talk: Conversation) -> None:
    talk.hear(StopWanted(price=talk.at(59_900)))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.hear(risk(action=RiskAction.TIGHTEN))
    assert talk.wants(Place) == []
    assert EventType.RISK_STOP_TIGHTENED not in talk.said()


def test_a_strangers_stop_is_left_where_it_is(talk: Conversation) -> None:
    (stop,) = talk.position.stops
    talk.position = talk.position.changed(stops=(replace(stop, purpose=Purpose.FOREIGN),))
    talk.hear(risk(action=RiskAction.TIGHTEN))
    assert talk.position.trail.wanted is None
    assert EventType.RISK_STOP_TIGHTENED not in talk.said()


def test_an_operator_may_still_set_the_stop_where_he_wants(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.TIGHTEN))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.hear(StopWanted(price=talk.at(58_000)))
    assert talk.position.operator_stop == talk.at(58_000)
    assert talk.position.trail.wanted is None


def test_a_part_is_closed_and_the_order_says_why(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.REDUCE))
    order = talk.placed(OrderKind.EXIT)
    assert (order.quantity, order.reduce_only) == (D("0.005"), True)
    assert talk.position.exits[-1].reason is CloseReason.RISK
    assert talk.position.close_wanted is None


def test_a_part_too_small_for_the_venue_is_left(talk: Conversation) -> None:
    talk.hear(risk(action=RiskAction.REDUCE, fraction=D("0.05")))
    assert talk.wants(Place) == []
    assert talk.position.close_fraction is None


def test_all_is_closed_with_the_stop_in_force(talk: Conversation) -> None:
    talk.hear(risk(RiskLevel.EMERGENCY, RiskAction.CLOSE))
    assert talk.placed(OrderKind.EXIT).quantity == D("0.010")
    assert talk.position.close_wanted is CloseReason.RISK
    assert len(resting(talk.position)) == 1
    talk.hear(risk(RiskLevel.LOW))
    assert talk.position.close_wanted is CloseReason.RISK


@pytest.mark.parametrize("action", [RiskAction.TIGHTEN, RiskAction.REDUCE, RiskAction.CLOSE])
def test_nothing_is_traded_on_a_stale_price_before_it_is_fresh_again(talk: Conversation, action: RiskAction) -> None:
    talk.hear(risk(action=action, stale=True))
    assert talk.wants(Place) == []
    assert told(talk) == [(Severity.WARNING, action.value)], "a human hears of it at once"
    talk.hear(risk(action=action, stale=True))
    assert not talk.last.record
    talk.hear(risk(action=action))
    assert len(talk.wants(Place)) == 1
    assert told(talk) == [], "a level is told once"
    talk.hear(risk(action=action))
    assert talk.wants(Place) == []

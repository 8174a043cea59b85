"""The risk score: each danger from 0 to 100, monotone, none lowering the whole; levels that do not flap."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.judgement_values import health_rules_of
from config.judgement import Health as HealthSettings
from domain.instrument import PositionSide
from domain.judgement.health import Dangers, HealthRules, Heard, dangers, examine, level, score
from domain.judgement.levels import Acted, Risk, RiskAction, RiskLevel
from domain.position.state import Position
from tests.unit.domain.conversation import ENTRY, protected
from tests.unit.domain.samples import START, D

SIDES = list(PositionSide)
LEVELS = list(RiskLevel)
FIGURE = st.decimals(0, 100, places=1)
SIX = st.builds(Dangers, *[FIGURE] * 6)


def shipped(**changes: object) -> HealthRules:
    rules = health_rules_of(HealthSettings.model_validate(changes))
    assert rules is not None
    return rules


RULES = shipped()
OPEN: dict[PositionSide, Position] = {side: protected(side)[0].position for side in SIDES}


def heard(mark: Decimal, **more: Decimal) -> Heard:
    return Heard(**{"mark": mark, "age_s": D(1), "peak": ENTRY, "atr": D(0), **more})


def off(side: PositionSide, percent: Decimal | str) -> Decimal:
    """A mark so many per cent in the position's favour."""
    return ENTRY + ENTRY * D(percent) / 100 * side.sign


@given(side=st.sampled_from(SIDES), one=st.decimals(-5, 5, places=2), other=st.decimals(-5, 5, places=2))
def test_a_worse_mark_is_never_less_dangerous(side: PositionSide, one: Decimal, other: Decimal) -> None:
    liquidated = replace(OPEN[side], liquidation_price=off(side, "-8"))
    worse, better = sorted((one, other))
    bad, good = (dangers(liquidated, heard(off(side, at)), RULES, START) for at in (worse, better))
    assert all(0 <= danger <= 100 for danger in bad)
    assert bad.stop >= good.stop
    assert bad.drawdown >= good.drawdown
    assert bad.liquidation >= good.liquidation


@pytest.mark.parametrize(("name", "place"), [("age_s", "price"), ("atr", "volatility")])
@given(one=st.decimals(0, 500, places=1), other=st.decimals(0, 500, places=1))
def test_the_longer_the_silence_and_the_wilder_the_market_the_more_dangerous(
    name: str, place: str, one: Decimal, other: Decimal
) -> None:
    less, more = sorted((one, other))
    a, b = (
        getattr(dangers(OPEN[PositionSide.LONG], heard(ENTRY, **{name: each}), RULES, START), place)
        for each in (less, more)
    )
    assert 0 <= a <= b <= 100


@given(hours=st.integers(0, 200), more=st.integers(0, 200), peak=st.decimals(0, 9, places=1))
def test_age_and_a_lost_profit_count(hours: int, more: int, peak: Decimal) -> None:
    p = OPEN[PositionSide.SHORT]
    young, old = (dangers(p, heard(ENTRY), RULES, START + timedelta(hours=h)).age for h in (hours, hours + more))
    assert 0 <= young <= old <= 100
    lost = dangers(p, heard(ENTRY, peak=off(p.side, peak)), RULES, START).drawdown
    assert lost == min(peak * 100 / 3, D(100))


@pytest.mark.parametrize("side", SIDES)
def test_the_way_to_the_first_stop(side: PositionSide) -> None:
    p = OPEN[side]
    shares = [dangers(p, heard(off(side, at)), RULES, START).stop for at in ("1", "0", "-1", "-2", "-3")]
    assert shares == [0, 0, 50, 100, 100]
    assert dangers(replace(p, stops=()), heard(ENTRY), RULES, START).stop == 100
    (stop,) = p.stops
    in_profit = replace(p, stops=(replace(stop, trigger=off(side, "0.5")),))
    assert dangers(in_profit, heard(off(side, "0.6")), RULES, START).stop == 0
    tightened = replace(p, stops=(replace(stop, trigger=off(side, "-1.5")),))
    assert dangers(tightened, heard(off(side, "-1")), RULES, START).stop == 50, "a nearer stop is no greater danger"


@given(found=SIX, place=st.integers(0, 5), more=FIGURE, weights=SIX)
def test_no_danger_lowers_the_score_and_none_brings_it_beyond_its_bounds(
    found: Dangers, place: int, more: Decimal, weights: Dangers
) -> None:
    greater = Dangers(*(max(each, more) if i == place else each for i, each in enumerate(found)))
    assert 0 <= score(found, weights) <= score(greater, weights) <= 100
    alone = Dangers(*(D(100) if i == place else D(0) for i in range(6)))
    assert score(alone, weights) == weights[place]
    left_out = Dangers(*(D(0) if i == place else each for i, each in enumerate(weights)))
    assert score(greater, left_out) == score(found, left_out)


def test_a_sound_position_is_low_and_one_near_liquidation_an_emergency() -> None:
    p = OPEN[PositionSide.LONG]
    sound = examine(p, heard(off(p.side, "0.5"), peak=off(p.side, "0.5"), atr=D(30)), RULES, START)
    assert (sound.level, sound.score < 5) == (RiskLevel.LOW, True)
    near = replace(p, liquidation_price=off(p.side, "-2.2"))
    found = examine(near, heard(off(p.side, "-1.9")), RULES, START)
    assert found.level is RiskLevel.EMERGENCY


@pytest.mark.parametrize("total", [0, 29, 30, 60, 75, 89, 90, 100])
def test_levels_rise_at_once(total: int) -> None:
    reached = sum(total >= bound for bound in (30, 60, 75, 90))
    assert level(D(total), Risk(), RULES, START) is LEVELS[reached]


def test_a_level_is_left_only_well_below_its_bound_and_when_it_has_settled() -> None:
    known = Risk(level=RiskLevel.HIGH, at=START)
    soon, later = START + timedelta(seconds=59), START + timedelta(seconds=60)
    assert level(D(0), known, RULES, soon) is RiskLevel.HIGH
    assert level(D("50.1"), known, RULES, later) is RiskLevel.HIGH
    assert level(D("49.9"), known, RULES, later) is RiskLevel.MEDIUM
    assert level(D(0), known, RULES, later) is RiskLevel.LOW
    assert level(D(0), known, RULES, START - timedelta(hours=2)) is RiskLevel.LOW, "a clock set back holds nothing up"


@given(totals=st.lists(st.decimals("55.1", "64.9", places=1), max_size=50))
def test_a_score_that_swings_about_a_bound_does_not_flap(totals: list[Decimal]) -> None:
    known, now, changes = Risk(level=RiskLevel.MEDIUM, at=START), START, 0
    for total in totals:
        now += timedelta(minutes=5)
        found = level(total, known, RULES, now)
        if found is not known.level:
            known, changes = Risk(level=found, at=now), changes + 1
    assert changes <= 1


def test_each_level_has_its_own_action() -> None:
    rules = shipped(on_medium="tighten", on_high="reduce", on_critical="close", on_emergency="none")
    acts = [RiskAction.NONE, RiskAction.TIGHTEN, RiskAction.REDUCE, RiskAction.CLOSE, RiskAction.NONE]
    steps = pairwise([RiskLevel.LOW, *LEVELS])
    assert [rules.action(to, Risk(level=known), START) for known, to in steps] == acts
    assert health_rules_of(HealthSettings(enabled=False)) is None


def test_a_price_that_jumps_over_a_level_passes_by_none_of_what_is_set_for_it() -> None:
    """From low to critical in one look: what was to be closed from high on stayed open, with an alert."""
    rules = shipped(on_high="close")
    assert rules.action(RiskLevel.CRITICAL, Risk(), START) is RiskAction.CLOSE
    assert rules.action(RiskLevel.EMERGENCY, Risk(level=RiskLevel.HIGH), START) is RiskAction.ALERT
    assert rules.action(RiskLevel.MEDIUM, Risk(level=RiskLevel.EMERGENCY), START) is RiskAction.NONE


def test_what_was_done_for_a_level_is_not_done_again_by_jumping_over_it() -> None:
    rules = shipped(on_high="reduce", cooldown_s=600)
    acted = (Acted(level=RiskLevel.HIGH, at=START),)
    for seconds, action in ((599, RiskAction.ALERT), (601, RiskAction.REDUCE)):
        known, now = Risk(level=RiskLevel.LOW, acted=acted), START + timedelta(seconds=seconds)
        assert rules.action(RiskLevel.CRITICAL, known, now) is action


def test_what_waits_for_a_fresh_price_is_what_was_jumped_over_too() -> None:
    rules, hour = shipped(on_medium="reduce", on_high="tighten", cooldown_s=600), timedelta(hours=1)
    waiting = Risk(level=RiskLevel.CRITICAL, withheld=True)
    assert rules.action(RiskLevel.CRITICAL, waiting, START) is RiskAction.REDUCE
    done = replace(waiting, acted=(Acted(level=RiskLevel.MEDIUM, at=START),))
    assert rules.action(RiskLevel.CRITICAL, done, START + hour) is RiskAction.TIGHTEN

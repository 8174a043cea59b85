"""Where the stop trails to, and the band of prices in which nothing is to be decided: by hand, for both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import CancelResult, OrderStatus, TriggerBy
from domain.position import trailing
from domain.position.effects import Cancel, Place
from domain.position.inputs import PriceRange, StopWanted, TrailingWanted, Wake
from domain.position.plan import Protection, TrailingRules, TrailingStep
from domain.position.state import OrderState, TrailState
from domain.position.trailing import Band, band
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, protected
from tests.unit.domain.samples import D
from tests.unit.domain.telling import due

BOTH = pytest.mark.parametrize("side", list(PositionSide))
STEPS = (TrailingStep(profit_pct=D(2), callback_pct=D("0.3")), TrailingStep(profit_pct=D(4), callback_pct=D("0.1")))


def limits(talk: Conversation) -> tuple[Decimal | None, Decimal | None]:
    """The adverse and the favourable end of the band, told for a long at 60,000."""
    low, high = band(talk.position)
    adverse, favourable = (low, high) if talk.side is PositionSide.LONG else (high, low)
    told = [None if limit is None else talk.at(str(limit)) for limit in (adverse, favourable)]
    return told[0], told[1]


def state(talk: Conversation) -> TrailState:
    """How far its trailing stop has come."""
    return talk.position.trail.state


def trailing_at(side: PositionSide, extreme: int, **rules: Any) -> Conversation:
    """A position that has trailed to an extreme: its stop is moved and the old one gone."""
    talk, _ = protected(side, **rules)
    move(talk, extreme)
    return talk


def move(talk: Conversation, extreme: int) -> Decimal:
    """A new extreme and the move that follows from it; where the stop went."""
    talk.mark(talk.at(extreme))
    sent = talk.placed(OrderKind.STOP)
    talk.accept(sent)
    talk.cancelled(talk.wants(Cancel)[0])
    assert sent.trigger_price is not None
    return sent.trigger_price


def with_atr(talk: Conversation, atr: str | None) -> Conversation:
    """The same with an average true range known at its decision."""
    plan = replace(talk.position.plan, atr=None if atr is None else D(atr))
    talk.position = replace(talk.position, plan=plan)
    return talk


@BOTH
def test_before_it_trails_the_band_ends_where_something_begins(side: PositionSide) -> None:
    talk, _ = protected(side)
    assert limits(talk) == (D(58_800), D(60_900))
    talk, _ = protected(side, breakeven_pct=D("0.5"))
    assert limits(talk) == (D(58_800), D(60_300))
    talk.mark(talk.at(60_350))
    talk.accept(talk.placed())
    talk.cancelled(talk.wants(Cancel)[0])
    assert state(talk) is TrailState.WAITING
    assert limits(talk) == (D(60_000), D(60_900))


@BOTH
def test_one_old_enough_trails_from_any_profit_on(side: PositionSide) -> None:
    talk, _ = protected(side, time_activation_minutes=10)
    talk.mark(talk.at(59_900))
    assert limits(talk) == (D(58_800), D(60_900))
    assert due(talk) is not None
    talk.now = talk.position.opened_at + timedelta(minutes=10)
    talk.hear(Wake(), 0)
    assert state(talk) is TrailState.INACTIVE
    assert limits(talk) == (D(58_800), D(60_000))
    talk.mark(talk.at(60_000))
    assert talk.wants(Place) == []
    talk.mark(talk.at("60000.1"))
    assert state(talk) is TrailState.TRAILING
    assert talk.last.happenings[0].data["by"] == "time"


@BOTH
@pytest.mark.parametrize(
    ("extreme", "rules", "stop", "next_price"),
    [
        (61_000, {}, "60695", D("60725.3") / D("0.995")),
        (61_000, {"min_step_pct": D(0)}, "60695", D(61_000)),
        (61_000, {"min_step_pct": D(0), "callback_pct": D(1)}, "60390", D(61_000)),
        (61_000, {"min_step_pct": D(1)}, "60695", D("61301.9") / D("0.995")),
        (61_000, {"min_step_pct": D(1), "steps": STEPS}, "60695", D(61_200)),
        (61_200, {"min_step_pct": D(1), "steps": STEPS}, "61016.4", D("61626.5") / D("0.997")),
    ],
)
def test_while_it_trails_the_band_ends_where_the_next_move_is_worth_it(
    side: PositionSide, extreme: int, rules: dict[str, Any], stop: str, next_price: Decimal
) -> None:
    if side is PositionSide.SHORT and next_price not in (D(61_000), D(61_200)):
        return  # percents of a mirrored price are others: see the next test
    talk = trailing_at(side, extreme, **rules)
    adverse, favourable = limits(talk)
    if side is PositionSide.LONG:
        assert adverse == D(stop)
    assert favourable is not None
    assert abs(favourable - next_price) < D("1e-20")


@BOTH
@pytest.mark.parametrize("extreme", [61_000, 61_500, 62_345])
@pytest.mark.parametrize(
    "rules",
    [{}, {"min_step_pct": D(0)}, {"min_step_pct": D("0.3")}, {"steps": STEPS}, {"atr_multiple": D(2)},
     {"atr_multiple": D(2), "steps": STEPS}],
)  # fmt: skip
def test_the_band_ends_exactly_where_the_stop_moves(side: PositionSide, extreme: int, rules: dict[str, Any]) -> None:
    talk, _ = protected(side, **rules)
    with_atr(talk, "150")
    move(talk, extreme)
    low, high = band(talk.position)
    end = high if side is PositionSide.LONG else low
    assert end is not None
    before = end - D("0.000001") * side.sign
    beyond = end + D("0.000001") * side.sign
    talk.mark(before)
    assert talk.wants(Place) == []
    talk.mark(beyond)
    steps = [step for step in talk.position.plan.trailing.steps if step.profit_pct == _profit(talk, end)]
    assert talk.wants(Place) or steps


def _profit(talk: Conversation, price: Decimal) -> Decimal:
    return abs(price - ENTRY) / ENTRY * 100


@BOTH
def test_the_distance_by_the_atr_is_narrowed_by_a_step_and_never_widened(side: PositionSide) -> None:
    talk, _ = protected(side, atr_multiple=D(2), steps=STEPS)
    with_atr(talk, "150")
    assert move(talk, 61_000) == talk.at(60_700)
    assert move(talk, 61_800) == talk.at(61_800) - talk.at(61_800) * D("0.003") * side.sign
    talk, _ = protected(side, atr_multiple=D(2), steps=STEPS)
    with_atr(talk, "20")
    assert move(talk, 61_000) == talk.at(60_960)
    assert move(talk, 61_800) == talk.at(61_760)


@BOTH
def test_without_a_known_atr_it_trails_by_per_cents(side: PositionSide) -> None:
    talk, _ = protected(side, atr_multiple=D(2))
    with_atr(talk, None)
    wanted = talk.at(61_000) - talk.at(61_000) * D("0.005") * side.sign
    assert move(talk, 61_000) == talk.position.instrument.stop_price(side, wanted)
    talk, _ = protected(side)
    with_atr(talk, "150")
    assert move(talk, 61_000) == talk.position.instrument.stop_price(side, wanted)


@pytest.mark.parametrize(
    ("profit", "callback"), [("1.99", "0.5"), ("2", "0.3"), ("3.99", "0.3"), ("4", "0.1"), ("90", "0.1"), ("-1", "0.5")]
)
@pytest.mark.parametrize("steps", [STEPS, STEPS[::-1]])
def test_the_highest_step_reached_counts(profit: str, callback: str, steps: tuple[TrailingStep, ...]) -> None:
    assert trailing.callback(TrailingRules(steps=steps), D(profit)) == D(callback)


@BOTH
def test_while_something_is_under_way_only_the_adverse_end_is_watched(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.mark(talk.at(61_000))
    assert limits(talk) == (D(58_800), None)
    talk.accept(talk.placed())
    assert limits(talk)[1] is None
    talk.cancelled(talk.wants(Cancel)[0])
    assert limits(talk)[1] is not None
    talk.hear(TrailingWanted(rules=TrailingRules(enabled=False)))
    assert limits(talk)[1] is None
    assert limits(talk)[0] is not None


@BOTH
def test_a_stop_on_the_last_price_is_not_watched_by_the_mark(side: PositionSide) -> None:
    talk, _ = protected(side)
    plan = replace(talk.position.plan, protection=Protection(trigger_by=TriggerBy.LAST))
    talk.position = replace(talk.position, plan=plan)
    assert limits(talk) == (None, D(60_900))
    assert not trailing.touched(talk.position, talk.at(50_000))


def test_one_that_closes_or_is_over_waits_for_no_price() -> None:
    talk, stop = protected()
    talk.hear(closing())
    assert band(talk.position) == Band(None, None)
    assert band(Conversation().position) == Band(None, None)
    talk, stop = protected()
    talk.see(stop, OrderStatus.CANCELED)
    assert band(talk.position) == Band(None, None)


@BOTH
def test_a_range_that_touches_the_stop_is_a_touch_first(side: PositionSide) -> None:
    """ACTORS 3.9: the favourable end of such a range moves nothing."""
    talk, _ = protected(side)
    low, high = sorted((talk.at(58_800), talk.at(62_000)))
    talk.hear(PriceRange(last=talk.at(61_000), low=low, high=high, at=talk.now))
    assert talk.position.trail.extreme == talk.at(60_000)
    assert talk.wants(Place) == []
    low, high = sorted((talk.at("58800.1"), talk.at(62_000)))
    talk.hear(PriceRange(last=talk.at(61_900), low=low, high=high, at=talk.now))
    assert talk.position.trail.extreme == talk.at(62_000)
    assert [e.intent.kind for e in talk.wants(Place)] == [OrderKind.STOP]


@BOTH
def test_a_worse_price_moves_nothing_back(side: PositionSide) -> None:
    talk = trailing_at(side, 61_000)
    before = talk.position.trail
    talk.mark(talk.at(60_800))
    assert talk.position.trail == before
    assert talk.position.mark_price == talk.at(60_800)


@BOTH
def test_a_move_has_to_be_worth_its_request_but_for_the_first(side: PositionSide) -> None:
    talk, _ = protected(side)
    current, tick = talk.at(60_000), D("0.1") * side.sign
    assert trailing.worth_moving(talk.position, current, current + tick)
    assert not trailing.worth_moving(talk.position, current, current)
    assert not trailing.worth_moving(talk.position, current, current - tick)
    talk.position = replace(talk.position, trail=replace(talk.position.trail, updates=1))
    assert not trailing.worth_moving(talk.position, current, current + tick * 299)
    assert trailing.worth_moving(talk.position, current, current + tick * 300)
    assert not trailing.worth_moving(talk.position, current, current - tick * 300)


@BOTH
def test_profit_is_told_in_per_cent_of_the_entry_price(side: PositionSide) -> None:
    talk, _ = protected(side)
    better = talk.at("61234.5")
    with localcontext(Context(prec=4)):
        assert trailing.profit_pct(talk.position, better) == D("2.0575")
    assert trailing.profit_pct(talk.position, talk.at(59_400)) == -1
    assert trailing.activation_price(talk.position) == talk.at(60_900)
    assert trailing.breakeven_price(talk.position) is None
    assert trailing.profit_pct(Conversation().position, D(61_000)) == 0
    assert trailing.activation_price(Conversation().position) is None
    assert trailing.breakeven_price(Conversation(breakeven_pct=D(1)).position) is None


@BOTH
def test_moves_keep_the_set_pause(side: PositionSide) -> None:
    talk, _ = protected(side, min_interval_s=D(5))
    talk.mark(talk.at(61_000))
    talk.accept(talk.placed())
    moved_at = talk.now
    talk.cancelled(talk.wants(Cancel)[0])
    talk.mark(talk.at(62_000))
    assert talk.wants(Place) == []
    assert talk.last.wake_at == moved_at + timedelta(seconds=5)
    talk.now = moved_at + timedelta(seconds=5)
    talk.hear(Wake(), 0)
    assert [e.intent.kind for e in talk.wants(Place)] == [OrderKind.STOP]


@BOTH
def test_an_operators_stop_holds_until_a_new_extreme(side: PositionSide) -> None:
    talk = trailing_at(side, 61_000)
    talk.hear(StopWanted(price=talk.at(59_000)))
    talk.accept(talk.placed())
    talk.cancelled(talk.wants(Cancel)[0])
    assert talk.position.trail.hold == talk.at(61_000)
    talk.mark(talk.at(60_500))
    talk.mark(talk.at(61_000))
    assert talk.wants(Place) == []
    talk.mark(talk.at("61000.1"))
    assert talk.placed(OrderKind.STOP).trigger_price is not None
    assert talk.position.trail.hold is None


def test_trailing_that_is_switched_off_and_on_begins_anew() -> None:
    talk, _ = protected()
    talk.hear(TrailingWanted(rules=TrailingRules(enabled=False)))
    assert state(talk) is TrailState.OFF
    talk.mark(D(61_000))
    assert talk.wants(Place) == []
    talk.hear(TrailingWanted(rules=TrailingRules()))
    assert state(talk) in (TrailState.INACTIVE, TrailState.TRAILING)
    talk.mark(D(61_001))
    assert state(talk) is TrailState.TRAILING


def test_a_position_that_was_never_covered_does_not_trail() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    assert state(talk) is TrailState.OFF
    talk.mark(D(61_000))
    assert state(talk) is TrailState.OFF
    assert talk.position.trail.extreme is None
    assert talk.position.mark_price == D(61_000)


def test_disabled_trailing_is_never_created() -> None:
    talk, _ = protected(enabled=False)
    assert state(talk) is TrailState.OFF
    assert limits(talk) == (D(58_800), None)


def test_the_stop_in_force_is_the_one_that_fires_first() -> None:
    for side in PositionSide:
        talk, stop = protected(side)
        talk.mark(talk.at(61_000))
        talk.accept(talk.placed())
        in_force = trailing.stop_in_force(talk.position)
        assert in_force is not None
        assert in_force.client_id != stop.client_id
        talk.cancelled(talk.wants(Cancel)[0], CancelResult.REFUSED)
        assert trailing.stop_in_force(talk.position) == in_force
        assert len([s for s in talk.position.stops if s.state in (OrderState.LIVE, OrderState.CANCELLING)]) == 2

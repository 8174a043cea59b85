"""A position that has become too old: it asks for ever less, its stop stays, its steps outlive restarts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.judgement.aging import Aged, AgingRules
from domain.orders import OrderIntent
from domain.position import trailing
from domain.position.effects import Cancel, Place
from domain.position.inputs import AgingChanged, PriceRange, Wake
from domain.position.state import CloseReason, Phase
from persistence.codec import position_from_json, position_to_json
from tests.unit.domain.conversation import SIZE, Conversation, protected, resting
from tests.unit.domain.samples import START, D

HOUR = 3600
RULES = AgingRules(max_age_s=HOUR, step_s=600, step_pct=D("0.5"), max_loss_pct=D(1), fee_pct=D("0.05"))


@pytest.fixture(params=list(PositionSide))
def talk(request: pytest.FixtureRequest) -> Conversation:
    """Protected at 60,000, its stop at 58,800; an hour old in a moment."""
    talk, _ = protected(request.param, enabled=False)
    talk.hear(AgingChanged(rules=RULES))
    return talk


def at_age(talk: Conversation, seconds: float, price: int | str = 59_500) -> None:
    """A price is heard at this age."""
    talk.wait((START + timedelta(seconds=seconds) - talk.now).total_seconds())
    talk.mark(talk.at(price))


def stop_stays(talk: Conversation) -> bool:
    return len(resting(talk.position)) == 1 and not talk.wants(Cancel)


def leave(talk: Conversation) -> OrderIntent:
    """The exit that the last turn sent; it fills, and the venue shows flat."""
    order = talk.placed(OrderKind.EXIT)
    assert (order.reduce_only, order.quantity, order.side) == (True, SIZE, talk.side.closing)
    assert stop_stays(talk)
    return order


def test_it_wakes_itself_when_it_becomes_too_old(talk: Conversation) -> None:
    assert talk.last.wake_at == START + timedelta(hours=1)
    at_age(talk, HOUR - 1)
    assert EventType.AGED_BREAKEVEN not in talk.said()
    at_age(talk, HOUR)
    assert EventType.AGED_BREAKEVEN in talk.said()
    assert talk.position.aged == Aged(step=0, at=talk.now)
    assert talk.wants(Place) == []
    assert stop_stays(talk)


def test_break_even_pays_the_fees_of_both_orders(talk: Conversation) -> None:
    at_age(talk, HOUR)
    talk.mark(talk.at("60059.9"))
    assert talk.wants(Place) == []
    talk.mark(talk.at(60_060))
    leave(talk)
    assert EventType.AGED_EXIT in talk.said()
    assert talk.position.close_wanted is CloseReason.AGED


def test_each_step_asks_for_less(talk: Conversation) -> None:
    at_age(talk, HOUR, 59_450)
    for age, price in ((HOUR + 600, 59_699), (HOUR + 1200, 59_399)):
        at_age(talk, age, price)
        assert EventType.AGED_LOSS_ACCEPTED in talk.said()
        assert talk.wants(Place) == []
    talk.mark(talk.at(59_400))
    leave(talk)


def test_a_step_that_accepts_the_present_price_leaves_at_once(talk: Conversation) -> None:
    at_age(talk, HOUR, 59_800)
    at_age(talk, HOUR + 600, 59_800)
    leave(talk)


def test_after_the_last_step_it_is_closed_at_market(talk: Conversation) -> None:
    at_age(talk, HOUR + 1799, 59_000)
    assert talk.position.aged is not None
    assert talk.position.aged.step == 2
    assert talk.wants(Place) == []
    at_age(talk, HOUR + 1800, 59_000)
    leave(talk)
    assert EventType.AGED_CLOSE in talk.said()


def test_the_book_says_why_it_ended(talk: Conversation) -> None:
    at_age(talk, HOUR + 1800, 59_000)
    order = leave(talk)
    talk.accept(order, filled=SIZE, price=talk.at(59_000))
    talk.size(D(0))
    (cancel,) = talk.wants(Cancel)
    talk.cancelled(cancel)
    talk.listed()
    assert talk.position.close_reason is CloseReason.AGED


def test_a_stop_that_stands_better_is_the_exit(talk: Conversation) -> None:
    stop = resting(talk.position)[0]
    talk.position = talk.position.changed(stops=(replace(stop, trigger=talk.at(60_200)),))
    at_age(talk, HOUR, 60_500)
    assert EventType.AGED_BREAKEVEN in talk.said()
    at_age(talk, HOUR + 1799, 60_500)
    assert talk.position.close_wanted is None
    at_age(talk, HOUR + 1800, 60_500)
    assert talk.position.close_wanted is CloseReason.AGED, "but nothing outlives the last step"


def test_its_band_ends_at_the_exit_price(talk: Conversation) -> None:
    at_age(talk, HOUR)
    band = trailing.band(talk.position)
    favourable = band.high if talk.side is PositionSide.LONG else band.low
    assert favourable == talk.at(60_060)


def test_a_peak_within_a_range_is_no_price_to_leave_at(talk: Conversation) -> None:
    at_age(talk, HOUR)
    low, high = sorted((talk.at(59_500), talk.at(60_100)))
    talk.hear(PriceRange(last=talk.at(59_500), low=low, high=high, at=talk.now))
    assert talk.position.close_wanted is None


def test_a_clock_that_jumps_ages_nobody(talk: Conversation) -> None:
    talk.now += timedelta(hours=5)
    talk.hear(Wake())
    assert not talk.last.record
    assert talk.last.wake_at == talk.now + timedelta(seconds=1), "the next price may say so"
    talk.mark(talk.at(59_500))
    assert EventType.AGED_CLOSE in talk.said(), "the venue's clock says so too"


def test_steps_outlive_a_restart_and_never_go_back(talk: Conversation) -> None:
    at_age(talk, HOUR + 600, 59_000)
    kept = position_from_json(position_to_json(talk.position))
    assert (kept.aged, kept.aging) == (talk.position.aged, RULES)
    talk.position = kept
    talk.restart()
    assert talk.position.aged is not None
    talk.now -= timedelta(hours=1)
    talk.mark(talk.at(59_000))
    assert talk.position.aged.step == 1


def test_other_rules_hold_at_once_and_none_is_no_age(talk: Conversation) -> None:
    at_age(talk, HOUR, 59_500)
    talk.hear(AgingChanged(rules=None))
    assert talk.position.aged is None
    at_age(talk, 100 * HOUR, 60_100)
    assert talk.position.phase is Phase.ACTIVE
    assert EventType.AGED_CLOSE not in talk.said()
    talk.hear(AgingChanged(rules=RULES))
    assert EventType.AGED_CLOSE in talk.said()
    again = talk.hear(AgingChanged(rules=RULES))
    assert EventType.AGING_CHANGED not in [h.type for h in again.happenings]

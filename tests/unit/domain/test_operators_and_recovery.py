"""Conversations with operators and with a new owner, who takes a position over in any state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind
from domain.instrument import PositionSide, Side
from domain.orders import OrderStatus, Source
from domain.position import ledger
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Find, Place
from domain.position.inputs import (
    CandlesHeard,
    FillsListed,
    OrderHeard,
    PriceRange,
    QuestionFailed,
    Recovered,
    Release,
    StopWanted,
    TrailingWanted,
    Wake,
)
from domain.position.plan import TrailingRules
from domain.position.state import OrderState, Phase, TrailState
from tests.unit.domain.conversation import (
    ENTRY,
    SIZE,
    Conversation,
    closing,
    end_by_stop,
    protected,
    resting,
)
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def test_an_operators_looser_stop_replaces_the_tighter_one() -> None:
    talk, stop = protected()
    talk.hear(StopWanted(price=D(57_000)))
    loose = talk.placed(OrderKind.STOP)
    assert loose.trigger_price == D(57_000)
    talk.accept(loose)
    assert [c.client_id for c in talk.wants(Cancel)] == [stop.client_id]


def test_trailing_passes_an_operators_stop_without_quarrelling_with_it() -> None:
    talk, stop = protected()
    talk.hear(StopWanted(price=D(57_000)))
    loose = talk.placed()
    talk.accept(loose)
    talk.cancelled(talk.wants(Cancel)[0])
    talk.mark(D(61_000))
    moved = talk.placed()
    assert moved.trigger_price == D(60_695)
    talk.accept(moved)
    assert [c.client_id for c in talk.wants(Cancel)] == [loose.client_id]
    talk.cancelled(talk.wants(Cancel)[0])
    assert talk.wants(Place) == []
    assert stop.client_id not in [s.client_id for s in resting(talk.position)]


def test_an_older_price_does_not_take_the_place_of_a_newer_one() -> None:
    talk, _ = protected()
    newer = talk.now
    talk.mark(D(60_100))
    talk.hear(PriceRange(last=D(59_000), low=D(59_000), high=D(59_000), at=newer - timedelta(seconds=3)))
    assert talk.position.mark_price == D(60_100)


@BOTH
def test_a_partial_close_shrinks_the_stop_afterwards(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.hear(closing(fraction="0.5"))
    part = talk.placed(OrderKind.EXIT)
    assert part.quantity == D("0.005")
    talk.accept(part, filled=D("0.005"))
    assert talk.position.phase is Phase.ACTIVE
    new = talk.placed(OrderKind.STOP)
    assert new.quantity == D("0.005")
    assert [s.client_id for s in resting(talk.position)] == [stop.client_id]


def test_release_leaves_everything_where_it_is() -> None:
    talk, _ = protected()
    talk.hear(Release())
    assert talk.position.phase is Phase.RELEASED
    assert talk.last.effects == ()
    assert talk.mark(D(50_000)).effects == ()


def test_what_a_stranger_opens_after_the_end_is_none_of_ours() -> None:
    talk, stop = protected()
    end_by_stop(talk, stop, D(58_800))
    assert talk.wants(AskFills)
    talk.fill("900", talk.side.opening, D("0.003"), D(58_900), client_id="web_1")
    assert not talk.wants(Place)
    talk.size(D("0.003"))
    assert not talk.wants(Place)
    talk.listed()
    assert talk.position.phase is Phase.CLOSED
    assert ledger.opened_quantity(talk.position) == talk.position.plan.quantity


def test_breakeven_never_takes_back_what_was_trailed() -> None:
    talk, _ = protected(breakeven_pct=D("0.5"))
    talk.position = replace(talk.position, trail=replace(talk.position.trail, wanted=D(60_695)))
    talk.mark(D(60_400))
    assert talk.position.trail.state is TrailState.WAITING
    assert talk.position.trail.wanted == D(60_695)


def test_the_size_of_what_rests_is_asked_for_only_if_no_reading_tells_it() -> None:
    """Hundreds of owners start at the same moment: one reading of the account answers for all of them."""
    talk, _ = protected(PositionSide.LONG)
    talk.restart()
    assert talk.wants(AskPosition) == []
    assert [type(effect) for effect in talk.wait(2.9)].count(AskPosition) == 0
    assert [type(effect) for effect in talk.wait(0.2)].count(AskPosition) == 1

    told, stop = protected(PositionSide.LONG)
    told.restart()
    told.now += timedelta(seconds=1)
    told.view(SIZE, told.order(stop, OrderStatus.ACK))
    assert [type(effect) for effect in told.wait(10)].count(AskPosition) == 0


STATES = [OrderState.SENDING, OrderState.UNKNOWN, OrderState.LIVE, OrderState.CANCELLING]


@BOTH
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_recovery_with_a_stop_in_any_state_asks_before_it_acts(
    side: PositionSide, state: OrderState, moving: bool
) -> None:
    talk, stop = protected(side)
    if moving:
        talk.mark(talk.at(61_000))
        talk.accept(talk.placed())
    talk.now += timedelta(seconds=5)
    old = next(s for s in talk.position.stops if s.client_id == stop.client_id)
    rest = tuple(s for s in talk.position.stops if s.client_id != stop.client_id)
    talk.position = replace(talk.position, stops=(replace(old, state=state, ask_at=None), *rest))
    talk.restart()
    assert stop.client_id in [f.ref.client_id for f in talk.wants(Find)]
    assert bool(talk.wants(AskPosition)) is (state is not OrderState.LIVE)
    assert talk.wants(Cancel) == []
    assert talk.position.epoch.term == 2
    new = [p.intent for p in talk.wants(Place)]
    assert len(new) <= 1
    assert all("-2_1-" in i.client_id for i in new)


def test_recovery_before_the_entry_was_answered_asks_and_sends_nothing() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.restart()
    assert [f.ref.client_id for f in talk.wants(Find)] == [entry.client_id]
    assert talk.wants(Place) == []


def test_recovery_finds_the_extreme_that_nobody_watched() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    moved = talk.placed()
    talk.accept(moved)
    talk.cancelled(talk.wants(Cancel)[0])
    talk.now += timedelta(seconds=60)
    talk.restart()
    talk.hear(CandlesHeard(low=D(60_800), high=D(62_000)))
    assert talk.position.trail.extreme == D(62_000)
    assert talk.wants(Place) == []  # the size is verified first
    talk.mark(D(61_900))
    talk.size(SIZE, asked=True)
    assert talk.placed(OrderKind.STOP).trigger_price == D(61_690)


def test_candles_asked_for_again_reach_back_as_far_as_the_first_time() -> None:
    talk, _ = protected()
    seen = talk.position.mark_at
    talk.now += timedelta(seconds=60)
    talk.restart()
    assert [a.since for a in talk.wants(AskCandles)] == [seen]
    talk.hear(QuestionFailed(what="candles", text="no"))
    talk.mark(D(60_100))
    asked = [e.since for e in talk.wait(3) if isinstance(e, AskCandles)]
    assert asked == [seen]


def test_a_market_without_candles_is_asked_ever_more_slowly() -> None:
    """A halted symbol has none for hours: eighty owners that ask every two seconds use up the account's questions."""
    talk, stop = protected()
    talk.now += timedelta(seconds=60)
    talk.restart()
    talk.size(SIZE, asked=True)
    talk.found(stop, OrderStatus.ACK)
    asked, since = [0.0], talk.now
    while asked[-1] < 600:
        talk.hear(QuestionFailed(what="candles", text="no candle yet"), after=0)
        while not talk.wants(AskCandles):
            due = talk.last.wake_at
            assert due is not None
            talk.hear(Wake(), after=(due - talk.now).total_seconds())
        asked.append((talk.now - since).total_seconds())
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] == 2
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60
    talk.hear(CandlesHeard(low=D(59_900), high=D(60_100)))
    assert talk.position.candles_ask_at is None
    talk.restart()
    talk.hear(QuestionFailed(what="candles", text="no candle yet"))
    assert talk.position.candles_ask_at == talk.now + timedelta(seconds=2)


def from_the_local_book(talk: Conversation) -> None:
    """A new owner, from a state that lags behind what was sent."""
    talk.now += timedelta(seconds=10)
    talk.hear(Recovered(epoch=Epoch(1, 50_000), stale=True))


@BOTH
@pytest.mark.parametrize("known", [OrderStatus.CANCELED, OrderStatus.ACK])
def test_who_knows_less_than_was_sent_waits_for_what_rests(side: PositionSide, known: OrderStatus) -> None:
    """Machine and database died together in a move: two rest that the local book does not know. A third would be S5."""
    talk, old = protected(side)
    stale = talk.position
    talk.mark(talk.at(61_000))
    moved = talk.placed()
    talk.accept(moved)
    talk.cancelled(talk.wants(Cancel)[0])
    talk.mark(talk.at(62_000))
    again = talk.placed()
    talk.position = stale
    from_the_local_book(talk)
    talk.found(old, known)
    talk.size(SIZE, asked=True)
    talk.mark(talk.at(62_500))
    assert not [e for e in talk.wait(0.5) if isinstance(e, Place)]
    rest = [old, again] if known is OrderStatus.ACK else [moved, again]
    talk.view(SIZE, *(talk.order(intent, OrderStatus.ACK, source=Source.QUERY) for intent in rest))
    assert talk.wants(Place) == []
    assert {s.client_id for s in resting(talk.position)} >= {intent.client_id for intent in rest}
    assert talk.position.unread_until is None


def test_who_waits_for_a_reading_does_not_wait_for_ever() -> None:
    talk, old = protected()
    from_the_local_book(talk)
    talk.found(old, OrderStatus.CANCELED)
    talk.size(SIZE, asked=True)
    talk.mark(D(60_100))
    assert not [e for e in talk.wait(1.5) if isinstance(e, Place)]
    talk.restart()  # an owner that dies meanwhile leaves the limit to the next
    talk.mark(D(60_100))
    assert not [e for e in talk.wait(1.0) if isinstance(e, Place)]
    sent = [e.intent for e in talk.wait(0.5) if isinstance(e, Place)]
    assert [intent.kind for intent in sent] == [OrderKind.STOP]


def test_a_listing_read_before_the_last_execution_is_not_the_last_word() -> None:
    talk, _ = protected()
    talk.hear(closing())
    exit_order = talk.placed(OrderKind.EXIT)
    talk.accept(exit_order, filled=SIZE)
    talk.size(D(0))
    talk.cancelled(talk.wants(Cancel)[0])
    assert talk.wants(AskFills)
    bought = talk.execution("x-1e", Side.BUY, SIZE, ENTRY)
    talk.hear(FillsListed(fills=(bought,)))
    assert not talk.position.phase.final
    assert any(isinstance(e, AskFills) for e in talk.wait(3))
    entry_id = talk.position.fills[0].exchange_id
    sold = talk.execution(talk.id_of(exit_order), exit_order.side, SIZE, ENTRY, realized_pnl=D("1.5"))
    talk.hear(FillsListed(fills=(replace(bought, exchange_id=entry_id), sold)))
    assert talk.position.phase is Phase.CLOSED
    assert ledger.realized_pnl(talk.position) == D("1.5")


def test_candles_are_not_asked_for_ever_once_trailing_is_off() -> None:
    talk, stop = protected()
    talk.now += timedelta(seconds=5)
    talk.restart()
    talk.hear(TrailingWanted(rules=TrailingRules(enabled=False)))
    talk.size(SIZE, asked=True)
    talk.found(stop, OrderStatus.ACK)
    talk.wait(10)
    assert talk.last.wake_at is None
    assert talk.position.candles_ask_at is None


def test_a_foreign_stop_of_an_adopted_position_stays_the_stop() -> None:
    talk = Conversation(adopted=True)
    talk.position = replace(talk.position, phase=Phase.PENDING_SL, adopted_quantity=SIZE, adopted_price=ENTRY)
    _, model = protected()
    strangers = replace(talk.order(model, OrderStatus.ACK), client_id=None, exchange_id="555")
    talk.view(SIZE, strangers)
    assert talk.wants(Place) == []
    assert EventType.STOP_LOSS_EXISTS in talk.said()



def test_seconds_without_a_stop_count_from_the_fill_though_nobody_was_there_to_hear_of_it() -> None:
    """Killed between the fill and its news: the next owner hears of it three seconds later."""
    talk = Conversation()
    entry = talk.placed(OrderKind.ENTRY)
    talk.now += timedelta(seconds=0.1)
    bought = talk.order(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    talk.now += timedelta(seconds=3)
    talk.restart()
    talk.hear(OrderHeard(report=bought))
    talk.accept(talk.placed(OrderKind.STOP))
    assert 3 < talk.position.unprotected_seconds < 4


def test_what_a_covered_position_lacks_later_does_not_count_from_its_old_fill() -> None:
    talk, stop = protected()
    talk.wait(100)
    talk.hear(OrderHeard(report=talk.order(stop, OrderStatus.CANCELED)))
    assert talk.position.unprotected_since == talk.now

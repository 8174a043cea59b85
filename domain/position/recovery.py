"""What a new owner makes of the state it has loaded: nothing that was under way is certain any more.

What rests is asked about as well, but not a position's size at once, nor the stop that stands on it: many owners start
at the same time, and would use up the account's budget of questions before the one reading that answers them all. Who
knows a position from the local book only waits for that reading, for a while, before a stop is missed: others than the
one in the book may rest.

What is missing of the prices is asked for as well: the extreme that was made while nobody watched.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from domain.catalogue import EventType
from domain.position import attached, cancels, trailing
from domain.position.effects import AskCandles
from domain.position.inputs import CandlesHeard, Recovered
from domain.position.state import OrderState, Phase, StopOrder, TargetOrder, TrackedOrder, TrailState
from domain.position.turn import Turn

CANDLES_LIMIT_S = 6
CANDLES_PAUSE_S = 2
LONGEST_PAUSE_S = 60  # a halted market has no candle for hours, and may have many owners
ADOPTED_JUST_NOW = timedelta(seconds=2)
READING_S = 3  # the account is read whole at a start, which answers for everybody who rests, at the cost of one


def hear_recovered(turn: Turn, heard: Recovered) -> None:
    """Everything that was under way is unknown now, and everything that rested is looked at again."""
    p = turn.position
    new = p.adopted and p.last_activity_at is None and timedelta(0) <= turn.now - p.opened_at <= ADOPTED_JUST_NOW
    rests = p.phase is Phase.ACTIVE and all(
        stored.state is OrderState.LIVE or stored.state.over for stored in turn.tracked()
    )
    # One owner that fell by itself: no reading follows its fall, and it asks at once.
    alone = heard.epoch.term == p.epoch.term and heard.epoch != p.epoch
    read_at = turn.now + timedelta(seconds=READING_S)
    verify_at = read_at if rests and not alone else None
    turn.set(epoch=heard.epoch, verify_at=verify_at, verify_wanted=True, disagreements=0, reported=None)
    turn.set(verify_hurried=False, doubt_at=None)
    for stored in turn.tracked():
        order = _dated(stored, turn.now)
        if stored is attached.coming(turn.position):
            turn.put(replace(order, state=OrderState.UNKNOWN))  # the entry's fate is its own
        elif order.state is OrderState.SENDING:
            proof = turn.now + timedelta(seconds=cancels.RECEIVE_WINDOW_S)  # from now on older epochs are refused
            turn.put(replace(order, state=OrderState.UNKNOWN, absence_proof_at=proof, ask_at=turn.now, questions=0))
        elif isinstance(order, StopOrder | TargetOrder) and order.state is OrderState.CANCELLING:
            until = cancels.may_act_until(turn.now)
            turn.put(replace(order, state=OrderState.LIVE, cancel_at=None, cancel_until=until, ask_at=turn.now))
        elif order.state is OrderState.UNKNOWN:
            latest = turn.now + timedelta(seconds=cancels.RECEIVE_WINDOW_S)
            turn.put(replace(order, absence_proof_at=min(order.absence_proof_at or latest, latest), ask_at=turn.now))
        elif not order.state.over:
            by_reading = verify_at is not None and not heard.stale and stored is attached.standing(turn.position)
            turn.put(replace(order, ask_at=read_at if by_reading else turn.now))
        elif order is not stored:
            turn.put(order)
    p = turn.position
    turn.set(last_activity_at=turn.now, disagreed_since=turn.now, fills_ask_at=None)
    turn.set(stop_retry_at=None, exit_retry_at=None, oversold_since=None)
    turn.set(trail=replace(p.trail, moved_at=_not_after(p.trail.moved_at, turn.now)))
    turn.set(unprotected_since=_not_after(p.unprotected_since, turn.now), flat_at=_not_after(p.flat_at, turn.now))
    turn.set(first_fill_at=_not_after(p.first_fill_at, turn.now))
    if p.ladder is not None:
        turn.set(ladder=tuple(replace(rung, retry_at=None) for rung in p.ladder))
    turn.set(unread_until=read_at if heard.stale else _not_after(p.unread_until, read_at))
    turn.say(EventType.POSITION_RECOVERED, {"phase": p.phase, "epoch": f"{heard.epoch.term}_{heard.epoch.incarnation}"})
    turn.set(candles_questions=0)
    ask_candles(turn)
    turn.set(beyond_stop_since=None)
    if not new:
        # The last price may be hours old: nothing is decided on it before a fresh one is heard (SYSTEM B11). That of
        # the row which an adoption goes by is fresh: streams that are dead have only an older one.
        turn.set(mark_price=None)


def _dated(order: TrackedOrder, now: datetime) -> TrackedOrder:
    """An order as dated by our clock: our predecessor's may have been hours ahead, and waits by it as much too long."""
    names = ("sent_at", "accepted_at", "triggered_at", "cancel_at")
    late: dict[str, Any] = {name: now for name in names if (getattr(order, name, None) or now) > now}
    if (getattr(order, "cancel_until", None) or now) > cancels.may_act_until(now):
        late["cancel_until"] = cancels.may_act_until(now)
    return replace(order, **late) if late else order


def _not_after(at: datetime | None, now: datetime) -> datetime | None:
    return None if at is None else min(at, now)


def ask_candles(turn: Turn) -> None:
    """Ask for the extremes since the last price that was heard, if the stop trails at all."""
    p = turn.position
    if p.trail.state in (TrailState.OFF, TrailState.TRIGGERED) or p.mark_at is None:
        turn.note(candles_ask_at=None, candles_since=None, candles_questions=0)
        return
    since = p.candles_since or max(p.mark_at, p.opened_at)
    ask_at = turn.now + _pause(CANDLES_LIMIT_S, p.candles_questions)
    turn.set(candles_ask_at=ask_at, candles_since=since, candles_questions=p.candles_questions + 1)
    turn.want(AskCandles(since=since))


def candles_failed(turn: Turn) -> None:
    """There was none to be had: ask again, each time later."""
    p = turn.position
    if p.candles_ask_at is not None:
        turn.note(candles_ask_at=turn.now + _pause(CANDLES_PAUSE_S, max(p.candles_questions - 1, 0)))


def _pause(first_s: int, questions: int) -> timedelta:
    return timedelta(seconds=min(first_s * 2 ** min(questions, 5), LONGEST_PAUSE_S))


def hear_candles(turn: Turn, heard: CandlesHeard) -> None:
    """The extreme made while nobody watched counts; that the stop was touched meanwhile the venue itself tells."""
    p = turn.position
    turn.set(candles_ask_at=None, candles_since=None, candles_questions=0)
    price = heard.high if p.side.sign > 0 else heard.low
    before = p.trail.extreme
    trailing.advance(turn, price)
    extreme = turn.position.trail.extreme
    if extreme != before:
        turn.say(EventType.TRAILING_EXTREME_RECOVERED, {"old_extreme": before, "extreme_price": extreme})

"""The position's state machine: hear one input, decide until nothing more is to be done, answer with effects.

Rules of this file. An input changes what is known, never what is done; what is done follows from what is known, in one
place and always in the same order (settle the size, exit, stop, finish). So no answer depends on which news came first,
news heard twice changes nothing, and after a crash the same decisions are reached from the same facts.

What each input does in each phase is the table `ANSWERS`: a phase that is not named there hears nothing. A test walks
every cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from domain.catalogue import EventType
from domain.orders import Fill, OrderStatus, PositionReport
from domain.position import (
    aged,
    attached,
    average,
    calm,
    cover,
    ending,
    entering,
    exits,
    fired,
    foreign,
    ladder,
    ledger,
    liquidation,
    listing,
    recovery,
    risk,
    stops,
    targets,
    tightening,
    tracking,
    trailing,
)
from domain.position.effects import Transition
from domain.position.inputs import (
    AgingChanged,
    AnswerHeard,
    Begin,
    CancelHeard,
    CandlesHeard,
    CloseWanted,
    FillHeard,
    FillsListed,
    Input,
    InstrumentHeard,
    OrderHeard,
    OutcomeHeard,
    PositionHeard,
    PriceRange,
    QuestionFailed,
    Recovered,
    Release,
    RiskHeard,
    RulesChanged,
    StopWanted,
    TrailingWanted,
    View,
    Wake,
)
from domain.position.state import (
    CloseReason,
    OrderState,
    Phase,
    Position,
    TrailState,
)
from domain.position.turn import Turn

ALIVE = frozenset(phase for phase in Phase if not phase.final)
OPEN = ALIVE - {Phase.PENDING_ENTRY}


def handle(position: Position, heard: Input, now: datetime) -> Transition:
    """Answer one input. Pure: the same position, input and time give the same answer."""
    if type(heard) is PriceRange and position.calm is not None and calm.unmoved(position, position.calm, heard, now):
        return calm.still(position, position.calm, heard)
    turn = Turn(position, now)
    answer = ANSWERS[type(heard)]
    if position.phase in answer.phases:
        answer.hear(turn, heard)
        if not turn.position.phase.final:  # a released position gives no orders any more
            _decide(turn)
    transition = turn.transition()
    if type(heard) is PriceRange and not transition.record and not transition.effects:
        calm.rest(transition, heard, now)
    return transition


def _decide(turn: Turn) -> None:
    """What is to be done, from what is known."""
    entering.again(turn)
    tracking.ask_open_questions(turn)
    ledger.settle(turn)
    trailing.watch_age(turn)
    aged.decide(turn)
    exits.decide(turn)
    stops.decide(turn)
    targets.decide(turn)
    if turn.position.close_wanted is not None or ladder.owed(turn.position):
        exits.decide(turn)  # the stop's turn may have found that only closing is left, or a target that it is passed
    _phase(turn)
    cover.measure(turn)
    exits.watch_intervention(turn)
    ending.finish(turn)
    _fills_again(turn)
    if not turn.position.phase.final:
        tracking.ask_open_questions(turn)  # what this turn has sent wants its question, too, should no answer come


def _begin(turn: Turn, _: Begin) -> None:
    entering.begin(turn)


def _outcome(turn: Turn, heard: OutcomeHeard) -> None:
    tracking.hear_outcome(turn, heard.outcome)


def _cancel(turn: Turn, heard: CancelHeard) -> None:
    tracking.hear_cancel(turn, heard.outcome)


def _answer(turn: Turn, heard: AnswerHeard) -> None:
    tracking.hear_answer(turn, heard.answer)


def _order(turn: Turn, heard: OrderHeard) -> None:
    tracking.hear_order(turn, heard.report)


def _fill(turn: Turn, heard: FillHeard) -> None:
    _execution(turn, heard.fill)


def _execution(turn: Turn, fill: Fill, *, listed: bool = False) -> None:
    ledger.hear_fill(turn, fill, listed=listed)
    fired.by_execution(turn, fill)


def _position(turn: Turn, heard: PositionHeard) -> None:
    if heard.report.position_side not in (None, turn.position.side):
        return  # the other side of a hedge is another position
    ledger.hear_position(turn, heard.report, heard.asked_at)
    liquidation.hear(turn)
    _hear_attached(turn, heard.report)


def _hear_attached(turn: Turn, report: PositionReport) -> None:
    before = turn.position.protected_once
    gone = attached.hear_position(turn, report)
    if gone is not None:
        stops.gone(turn, gone, OrderStatus.CANCELED, "nothing stands on the position any more")
    if turn.position.protected_once and not before:
        stops.create_trailing(turn)


def _view(turn: Turn, heard: View) -> None:
    """Compare with a complete reading; one that was asked before our own last activity says nothing (DESIGN 2)."""
    p = turn.position
    if heard.report.position_side not in (None, p.side):
        return
    ledger.hear_position(turn, heard.report, heard.asked_at, asked_alone=False)
    liquidation.hear(turn)
    if p.last_activity_at is not None and heard.asked_at <= p.last_activity_at:
        return
    if p.unread_until is not None:
        turn.set(unread_until=None)
    average.hear(turn, heard.report)
    shown = {report.client_id for report in heard.orders} | {report.exchange_id for report in heard.orders}
    _hear_attached(turn, heard.report)
    attached.confirmed(turn, heard.report)
    for report in heard.orders:
        tracking.hear_order(turn, report, heard.asked_at)
        foreign.take(turn, report)
    for stop in turn.position.stops:
        if stop.attached:
            continue  # the position's own row has spoken of it
        missing = stop.client_id not in shown and stop.exchange_id not in shown
        if stop.covers and missing and stop.ask_at is None:
            turn.put(replace(stop, ask_at=turn.now))
    for target in turn.position.targets:
        missing = target.client_id not in shown and target.exchange_id not in shown
        if target.state in targets.RESTING and missing and target.ask_at is None:
            turn.put(replace(target, ask_at=turn.now))


def _price(turn: Turn, heard: PriceRange) -> None:
    trailing.hear_price(turn, heard)


def _fills_listed(turn: Turn, heard: FillsListed) -> None:
    over_at = listing.over_at(turn.position, heard.fills)
    if over_at is not None:
        turn.set(over_at=over_at)
    p = turn.position
    known = {f.exchange_id for f in p.fills} | {s.child_id for s in p.stops}
    for fill in heard.fills:
        late = p.flat_at is not None and fill.at > p.flat_at + timedelta(seconds=1)
        if not (late and fill.exchange_id not in known):
            before = ledger.book(turn.position)
            _execution(turn, fill, listed=True)
            _explain(turn, ledger.book(turn.position) - before)
    p = turn.position
    flat, whole = ledger.flat(p), ledger.itemised(p)
    short = flat and not whole  # the venue has yet to list some of it: it is asked so many times, and no more
    again = turn.now + tracking.pause(p.fills_questions) if short else None
    turn.set(fills_confirmed=flat and whole, fills_ask_at=again, fills_questions=p.fills_questions + short)


def _explain(turn: Turn, change: Decimal) -> None:
    """An execution learned late explains what had been taken for an outside change: it must not count twice."""
    p = turn.position
    if change * p.adjustment > 0:
        explained = min(abs(change), abs(p.adjustment)).copy_sign(change)
        turn.set(adjustment=p.adjustment - explained)


def _question_failed(turn: Turn, heard: QuestionFailed) -> None:
    p = turn.position
    if heard.what == "position":
        turn.note(verify_at=turn.now + timedelta(seconds=1))
    elif heard.what == "fills" and p.fills_ask_at is not None:
        turn.note(fills_ask_at=turn.now + ending.UNANSWERED_PAUSE)  # only answers count: no life ends on silence
    elif heard.what == "fills" and _unexplained(p):
        turn.note(fills_ask_at=turn.now + timedelta(seconds=2))
    elif heard.what == "candles":
        recovery.candles_failed(turn)


def _unexplained(p: Position) -> bool:
    """Whether an order of ours has triggered and nothing was heard of what its child executed."""
    children = [s.child_id for s in p.stops if s.state is OrderState.TRIGGERED]
    children += [t.child_id for t in p.targets if t.state is OrderState.TRIGGERED]
    return any(child is not None and ledger.filled_by(p, child) == 0 for child in children)


def _fills_again(turn: Turn) -> None:
    """A question about executions that failed is asked again while something is open that it would explain."""
    p = turn.position
    if p.fills_ask_at is None or ledger.exposure(p) <= 0:
        return
    if turn.now < p.fills_ask_at:
        turn.wake_at(p.fills_ask_at)
        return
    turn.note(fills_ask_at=None)
    if _unexplained(p):
        ledger.ask_fills(turn)


def _close(turn: Turn, heard: CloseWanted) -> None:
    p = turn.position
    if p.close_wanted is not None:
        return
    if heard.fraction >= 1:
        turn.set(close_wanted=heard.reason)
    else:
        turn.set(close_fraction=heard.fraction, part_reason=heard.reason)
    turn.say(EventType.CLOSE_REQUESTED, {"reason": heard.reason, "fraction": heard.fraction})


def _stop_wanted(turn: Turn, heard: StopWanted) -> None:
    p = turn.position
    price = p.instrument.stop_price(p.side, heard.price)
    current = trailing.stop_in_force(p)
    # Trailing goes on from the next new extreme: the old one would only undo what the operator has just set.
    turn.set(operator_stop=price, trail=replace(p.trail, wanted=None, hold=p.trail.extreme))
    turn.say(EventType.STOP_OVERRIDDEN, {"old_stop": current.trigger if current else None, "new_stop": price})


def _trailing_wanted(turn: Turn, heard: TrailingWanted) -> None:
    p = turn.position
    trail = replace(p.trail, aged=False)
    turn.set(plan=replace(p.plan, trailing=heard.rules), trail=trail)
    if not heard.rules.enabled and trail.state is not TrailState.OFF:
        turn.set(trail=replace(trail, state=TrailState.OFF))
        turn.say(EventType.TRAILING_REMOVED, {"extreme_price": trail.extreme})
    elif heard.rules.enabled and trail.state is TrailState.OFF and p.protected_once:
        turn.set(trail=replace(trail, state=TrailState.INACTIVE))
    turn.say(
        EventType.TRAILING_CHANGED,
        {
            "enabled": heard.rules.enabled,
            "activation_pct": heard.rules.activation_pct,
            "callback_pct": heard.rules.callback_pct,
        },
    )


def _release(turn: Turn, _: Release) -> None:
    """Hand the position back to a human: nothing is cancelled, nobody here looks after it any more."""
    p = turn.position
    stop = trailing.stop_in_force(p)
    turn.set(phase=Phase.RELEASED, close_reason=CloseReason.RELEASED, closed_at=turn.now)
    turn.say(EventType.POSITION_RELEASED, {"symbol": p.symbol, "stop_price": stop.trigger if stop else None})


def _instrument(turn: Turn, heard: InstrumentHeard) -> None:
    """The symbol's filters changed in mid-life: orders that rest stay as they are, the next ones fit the new grid."""
    old, new = turn.position.instrument, heard.instrument
    if new == old or new.symbol != old.symbol:
        return
    turn.set(instrument=new)
    turn.say(
        EventType.INSTRUMENT_CHANGED,
        {
            "symbol": new.symbol,
            "tick": new.tick,
            "old_tick": old.tick,
            "step": new.step,
            "old_step": old.step,
            "trading": new.trading,
        },
    )


def _wake(turn: Turn, _: Wake) -> None:
    p = turn.position
    if p.candles_ask_at is not None and turn.now >= p.candles_ask_at:
        recovery.ask_candles(turn)
    trailing.catch_up(turn)


def _phase(turn: Turn) -> None:
    """The name of where the position is, from the facts."""
    p = turn.position
    if p.phase.final:
        return
    exposure = ledger.exposure(p)
    if exposure > 0:
        if p.close_wanted is not None or any(s.state is OrderState.TRIGGERED for s in p.stops):
            phase = Phase.CLOSING
        elif p.protected_once:
            phase = Phase.ACTIVE
        else:
            phase = Phase.PENDING_SL
    elif ledger.has_history(p):
        phase = Phase.CLOSING
    elif p.entry is not None and (p.earlier is not None or p.entry.state in (OrderState.LIVE, OrderState.DONE)):
        phase = Phase.ENTRY_PLACED
    else:
        held = p.adopted or p.phase in (Phase.PENDING_SL, Phase.ACTIVE, Phase.CLOSING)  # known by the venue's row only
        phase = p.phase if held else Phase.PENDING_ENTRY
    if phase is not p.phase:
        turn.set(phase=phase)


class Answer:
    """What an input does, and in which phases it is heard at all."""

    __slots__ = ("hear", "phases")

    def __init__(self, phases: frozenset[Phase], hear: Callable[[Turn, Input], None]) -> None:
        self.phases = phases
        self.hear = hear


def _answer_for(phases: frozenset[Phase], hear: object) -> Answer:
    return Answer(phases, cast("Callable[[Turn, Input], None]", hear))


ANSWERS: dict[type, Answer] = {
    Begin: _answer_for(frozenset({Phase.PENDING_ENTRY}), _begin),
    Recovered: _answer_for(ALIVE, recovery.hear_recovered),
    OutcomeHeard: _answer_for(ALIVE, _outcome),
    CancelHeard: _answer_for(ALIVE, _cancel),
    AnswerHeard: _answer_for(ALIVE, _answer),
    OrderHeard: _answer_for(ALIVE, _order),
    FillHeard: _answer_for(ALIVE, _fill),
    PositionHeard: _answer_for(ALIVE, _position),
    View: _answer_for(ALIVE, _view),
    PriceRange: _answer_for(ALIVE, _price),
    CandlesHeard: _answer_for(OPEN, recovery.hear_candles),
    FillsListed: _answer_for(ALIVE, _fills_listed),
    QuestionFailed: _answer_for(ALIVE, _question_failed),
    CloseWanted: _answer_for(ALIVE, _close),
    StopWanted: _answer_for(OPEN, _stop_wanted),
    TrailingWanted: _answer_for(OPEN, _trailing_wanted),
    RulesChanged: _answer_for(ALIVE, tightening.hear_rules),
    AgingChanged: _answer_for(ALIVE, aged.hear_rules),
    RiskHeard: _answer_for(OPEN, risk.hear_risk),
    Release: _answer_for(OPEN, _release),
    InstrumentHeard: _answer_for(ALIVE, _instrument),
    Wake: _answer_for(ALIVE, _wake),
}

"""An aged position: which step it has come to, and whether it is left now (SYSTEM B8). The stop stays all the time.

Rules of this file. Time has passed when both our clock and that of the last mark price say so: a stepped clock ages
nobody, and without prices nothing is decided. A step once reached is kept. A stop that stands no worse than a step's
exit price is the better exit, and is left to do its work; only the last step closes whatever there is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.catalogue import EventType
from domain.judgement import aging
from domain.judgement.aging import Aged, AgingRules
from domain.position import ledger, places, trailing
from domain.position.inputs import AgingChanged
from domain.position.state import CloseReason, Phase, Position
from domain.position.turn import Turn

AGAIN_S = 1  # a mark price comes each second or so


def hear_rules(turn: Turn, heard: AgingChanged) -> None:
    """Other rules: the step is found anew."""
    if heard.rules == turn.position.aging:
        return
    turn.set(aging=heard.rules, aged=None)
    rules = heard.rules
    turn.say(
        EventType.AGING_CHANGED,
        {"max_age_s": 0}
        if rules is None
        else {
            "max_age_s": rules.max_age_s,
            "step_s": rules.step_s,
            "step_pct": rules.step_pct,
            "max_loss_pct": rules.max_loss_pct,
        },
    )


def decide(turn: Turn) -> None:
    """Take the step that is due, and close where it says so."""
    p = turn.position
    rules = p.aging
    if rules is None or p.phase is not Phase.ACTIVE or p.close_wanted is not None or ledger.exposure(p) <= 0:
        return
    step = _step(turn, rules)
    if step == rules.last:
        _close(turn, step, EventType.AGED_CLOSE)
        return
    due = _next(turn.position, rules)
    turn.wake_at(due if turn.now < due else turn.now + timedelta(seconds=AGAIN_S))
    if step is not None and _reached(turn.position):
        _close(turn, step, EventType.AGED_EXIT)


def overdue(p: Position, now: datetime) -> bool:
    """Whether the next step is due by our clock, and only a price that is dated so late is wanting."""
    return p.aging is not None and now >= _next(p, p.aging)


def _next(p: Position, rules: AgingRules) -> datetime:
    """When the step after the present one begins."""
    return aging.due(rules, p.opened_at, 0 if p.aged is None else p.aged.step + 1)


def _step(turn: Turn, rules: AgingRules) -> int | None:
    p = turn.position
    known = None if p.aged is None else p.aged.step
    if p.mark_at is None:
        return known
    step = aging.step_at(rules, min(turn.now, p.mark_at) - p.opened_at)
    if step is None or (known is not None and step <= known):
        return known
    turn.set(aged=Aged(step=step, at=turn.now))
    if step < rules.last:
        turn.say(
            EventType.AGED_LOSS_ACCEPTED if step else EventType.AGED_BREAKEVEN,
            {
                "symbol": p.symbol,
                "step": step,
                "profit_pct": aging.profit_asked(rules, step),
                "exit_price": trailing.aged_exit(turn.position),
                "mark_price": p.mark_price,
                "age_s": _age(turn),
            },
        )
    return step


def _reached(p: Position) -> bool:
    """Whether the mark is as good as the step asks for, and no stop stands there already."""
    price, stop, wanted = trailing.aged_exit(p), trailing.stop_in_force(p), places.wanted_trigger(p)
    if price is None or p.mark_price is None or p.side.better(price, p.mark_price):
        return False
    held = (place for place in (wanted, None if stop is None else stop.trigger) if place is not None)
    return all(p.side.better(price, place) for place in held)


def _close(turn: Turn, step: int, event: EventType) -> None:
    p = turn.position
    turn.set(close_wanted=CloseReason.AGED)
    turn.say(
        event,
        {
            "symbol": p.symbol,
            "step": step,
            "exit_price": trailing.aged_exit(p),
            "mark_price": p.mark_price,
            "age_s": _age(turn),
        },
    )


def _age(turn: Turn) -> int:
    return int((turn.now - turn.position.opened_at).total_seconds())

"""Settings that change under an open position: it takes over what became tighter, nothing else (DESIGN 3, LAWS S3).

Rules of this file. Only a rule that the change itself made tighter is looked at, so that what an operator chose for one
position is not undone by a change of something else; and it is taken only where it is tighter than the position's own.
A stop is never set where it would trigger at once: what the mark has passed already stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from domain.catalogue import EventType
from domain.position import ledger, places, trailing
from domain.position.inputs import RulesChanged
from domain.position.plan import Protection, TrailingRules
from domain.position.state import TrailState
from domain.position.turn import Turn


def hear_rules(turn: Turn, heard: RulesChanged) -> None:
    """Take over what is tighter, and say what was."""
    p = turn.position
    protection = tighter_protection(p.plan.protection, heard.old_protection, heard.protection)
    rules = tighter_trailing(p.plan.trailing, heard.old_trailing, heard.trailing)
    if protection == p.plan.protection and rules == p.plan.trailing:
        return
    before = places.wanted_trigger(p)
    closer = protection.stop_pct < p.plan.protection.stop_pct
    turn.set(plan=replace(p.plan, protection=protection, trailing=rules))
    if closer:
        _move_first(turn)
    if rules.enabled and p.trail.state is TrailState.OFF and p.protected_once:
        turn.set(trail=replace(turn.position.trail, state=TrailState.INACTIVE))
    trailing.catch_up(turn)
    turn.say(
        EventType.RULES_TIGHTENED,
        {
            "stop_pct": protection.stop_pct,
            "activation_pct": rules.activation_pct,
            "callback_pct": rules.callback_pct,
            "old_stop": before,
            "new_stop": places.wanted_trigger(turn.position),
        },
    )


def _move_first(turn: Turn) -> None:
    """The place of the first stop follows its set distance, unless somebody gave the price itself."""
    p = turn.position
    entry = ledger.entry_price(p)
    if p.initial_stop is None or p.plan.stop_price is not None or entry is None:
        return
    wished = trailing.offset(p.side, entry, -p.plan.protection.stop_pct)
    price = p.instrument.stop_price(p.side, wished)
    if p.side.better(price, p.initial_stop) and places.on_safe_side(p, price):
        turn.set(initial_stop=price)


def tighter_protection(own: Protection, old: Protection, new: Protection) -> Protection:
    """`own` with every distance that went down from `old` to `new` and is less than its own."""
    return replace(
        own,
        stop_pct=_nearest(new.stop_pct, old.stop_pct, own.stop_pct),
        emergency_stop_pct=_nearest(new.emergency_stop_pct, old.emergency_stop_pct, own.emergency_stop_pct),
        nearest_stop_pct=_nearest(new.nearest_stop_pct, old.nearest_stop_pct, own.nearest_stop_pct),
    )


def _nearest(new: Decimal, old: Decimal, own: Decimal) -> Decimal:
    return new if new < min(old, own) else own


def tighter_trailing(own: TrailingRules, old: TrailingRules, new: TrailingRules) -> TrailingRules:
    """`own` with whatever lets the stop follow sooner or nearer than before the change and than its own rules do."""
    taken = own
    if new.enabled and not old.enabled:
        taken = replace(taken, enabled=True)
    if _less(new.activation_pct, old.activation_pct, own.activation_pct):
        taken = replace(taken, activation_pct=new.activation_pct)
    if _less(new.breakeven_pct, old.breakeven_pct, own.breakeven_pct):
        taken = replace(taken, breakeven_pct=new.breakeven_pct)
    if _less(new.time_activation_minutes, old.time_activation_minutes, own.time_activation_minutes):
        taken = replace(taken, time_activation_minutes=new.time_activation_minutes)
    comparable = own.atr_multiple is not None and old.atr_multiple is not None  # per cents and ATRs are not
    if comparable and _less(new.atr_multiple, old.atr_multiple, own.atr_multiple):
        taken = replace(taken, atr_multiple=new.atr_multiple)
    if _nearer(new, old) and _nearer(new, own):
        taken = replace(taken, callback_pct=new.callback_pct, steps=new.steps)
    if _less(new.min_step_pct, old.min_step_pct, own.min_step_pct):
        taken = replace(taken, min_step_pct=new.min_step_pct)
    if _less(new.min_interval_s, old.min_interval_s, own.min_interval_s):
        taken = replace(taken, min_interval_s=new.min_interval_s)
    return taken


def _less(new: Decimal | int | None, old: Decimal | int | None, own: Decimal | int | None) -> bool:
    """Whether a bound is lower now than both others; None is no bound at all."""
    return new is not None and all(other is None or new < other for other in (old, own))


def _nearer(new: TrailingRules, than: TrailingRules) -> bool:
    """Whether the callback is at no profit wider than by other rules, and somewhere narrower."""
    profits = {Decimal(0), *(step.profit_pct for step in (*new.steps, *than.steps))}
    pairs = [(trailing.callback(new, profit), trailing.callback(than, profit)) for profit in profits]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

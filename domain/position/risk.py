"""What a position does about its risk level: at most once each time a level is reached, and not again for a while.

Rules of this file. Others judge, the owner acts: the stop goes only nearer to the mark, a part or all of the position
is closed at market. On a price that is not fresh nothing is traded: the action waits for one (SYSTEM B11).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

from domain.catalogue import EventType, Severity
from domain.instrument import MONEY
from domain.judgement.levels import Acted, Risk, RiskAction, RiskLevel
from domain.position import ledger, trailing
from domain.position.inputs import RiskHeard
from domain.position.state import CloseReason, Phase, Position, Purpose
from domain.position.turn import Turn

_SEVERITIES = {RiskLevel.CRITICAL: Severity.ERROR, RiskLevel.EMERGENCY: Severity.CRITICAL}


def hear_risk(turn: Turn, heard: RiskHeard) -> None:
    """Take a new level, and do what is set for it."""
    p = turn.position
    if p.phase is not Phase.ACTIVE or p.close_wanted is not None or ledger.exposure(p) <= 0:
        return
    known = p.risk or Risk()
    changed = heard.level is not known.level
    action = _action(turn, known, heard)
    if not changed and not (action.acts and not heard.stale):
        return
    withheld = action.acts and heard.stale
    acted = known.acted
    if action is not RiskAction.NONE and not withheld:
        kept = (each for each in known.acted if each.level is not heard.level)
        acted = (*kept, Acted(level=heard.level, at=turn.now))
    at = turn.now if changed else known.at
    turn.set(risk=Risk(level=heard.level, score=heard.score, at=at, withheld=withheld, acted=acted))
    if changed:
        _tell(turn, known, heard, action, withheld=withheld)
    if not withheld:
        _act(turn, heard, action)


def _action(turn: Turn, known: Risk, heard: RiskHeard) -> RiskAction:
    """What there is to do: a level was reached from below, or its action has been waiting; and it has cooled down."""
    reached = heard.level.rank > known.level.rank or (heard.level is known.level and known.withheld)
    if not reached:
        return RiskAction.NONE
    for last in known.acted:
        if last.level is heard.level and abs((turn.now - last.at).total_seconds()) < heard.cooldown_s:
            return RiskAction.NONE
    return heard.action


def _tell(turn: Turn, known: Risk, heard: RiskHeard, action: RiskAction, *, withheld: bool) -> None:
    grave = _SEVERITIES.get(heard.level, Severity.WARNING)
    turn.say(
        EventType.POSITION_RISK_CHANGED,
        {
            "risk_level": heard.level,
            "old_level": known.level,
            "score": heard.score,
            "action": action,
            "withheld": "the price is stale" if withheld else None,
            **{f"{name}_danger": round(danger, 1) for name, danger in heard.dangers},
        },
        Severity.INFO if action is RiskAction.NONE else grave,
    )


def _act(turn: Turn, heard: RiskHeard, action: RiskAction) -> None:
    if action is RiskAction.TIGHTEN:
        _tighten(turn, heard)
    elif action is RiskAction.REDUCE:
        _reduce(turn, heard)
    elif action is RiskAction.CLOSE:
        turn.set(close_wanted=CloseReason.RISK)
        turn.say(EventType.CLOSE_REQUESTED, {"reason": CloseReason.RISK, "fraction": Decimal(1)})


def _tighten(turn: Turn, heard: RiskHeard) -> None:
    """Bring the stop nearer by a part of its distance, as if it had trailed there; never nearer than is set."""
    p = turn.position
    stop, mark = trailing.stop_in_force(p), p.mark_price
    if stop is None or mark is None or stop.purpose is Purpose.FOREIGN:
        return  # a stranger's stop stays where it is
    with localcontext(MONEY):
        nearer = stop.trigger + (mark - stop.trigger) * heard.tighten_pct / 100
    nearest = trailing.offset(p.side, mark, -p.plan.protection.nearest_stop_pct)
    place = p.instrument.stop_price_outward(p.side, p.side.worst(nearer, nearest))
    if not _improves(p, place, stop.trigger):
        return
    turn.set(trail=replace(p.trail, wanted=place))
    turn.say(
        EventType.RISK_STOP_TIGHTENED,
        {"risk_level": heard.level, "old_stop": stop.trigger, "new_stop": place, "mark_price": mark},
    )


def _improves(p: Position, place: Decimal, current: Decimal) -> bool:
    wanted = p.trail.wanted
    return p.side.better(place, current) and (wanted is None or p.side.better(place, wanted))


def _reduce(turn: Turn, heard: RiskHeard) -> None:
    """Close a part; one that is too small for the venue is left."""
    p = turn.position
    with localcontext(MONEY):
        part = p.instrument.floor_quantity(ledger.exposure(p) * heard.fraction)
    if p.close_fraction is not None or part < p.instrument.min_quantity:
        return
    turn.set(close_fraction=heard.fraction, part_reason=CloseReason.RISK)
    turn.say(EventType.CLOSE_REQUESTED, {"reason": CloseReason.RISK, "fraction": heard.fraction})

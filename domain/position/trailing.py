"""How far the stop should have come: break-even, activation, callback. Long and short by one code path.

Prices move in ranges (last, low, high) whose inner order is lost; the pessimistic order is taken: a range that touches
the stop in force is a touch first, and its favourable end is not counted (ACTORS 3.9).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, localcontext
from typing import NamedTuple

from domain.catalogue import EventType
from domain.instrument import MONEY, PositionSide, percent_of
from domain.judgement import aging
from domain.orders import TriggerBy
from domain.position import ladder, ledger
from domain.position.inputs import PriceRange
from domain.position.plan import Plan, TrailingRules, TrailingStep
from domain.position.state import (
    ALL_BUT_THE_MARK,
    OrderState,
    Position,
    StopOrder,
    Trail,
    TrailState,
    derived,
)
from domain.position.turn import Turn


class Band(NamedTuple):
    """The mark prices between which a position has nothing to decide; None is no bound on that side."""

    low: Decimal | None
    high: Decimal | None


EVERYTHING = Band(None, None)


def offset(side: PositionSide, price: Decimal, percent: Decimal) -> Decimal:
    """`price` moved by `percent` per cent in the position's favour (negative: against it)."""
    return price + percent_of(price, percent) * side.sign


def activation_price(p: Position) -> Decimal | None:
    """The mark price from which the stop trails."""
    price = ledger.entry_price(p)
    return None if price is None else offset(p.side, price, p.plan.trailing.activation_pct)


def breakeven_price(p: Position) -> Decimal | None:
    """The mark price from which the stop stands at the entry price, if it ever does."""
    price, percent = ledger.entry_price(p), p.plan.trailing.breakeven_pct
    return None if price is None or percent is None else offset(p.side, price, percent)


def reached_step(rules: TrailingRules, profit_pct: Decimal) -> TrailingStep | None:
    """The highest step that a profit has reached."""
    reached = [step for step in rules.steps if profit_pct >= step.profit_pct]
    return max(reached, key=lambda step: step.profit_pct, default=None)


def callback(rules: TrailingRules, profit_pct: Decimal) -> Decimal:
    """The callback in force at a profit: that of the highest step reached, else the general one."""
    step = reached_step(rules, profit_pct)
    return rules.callback_pct if step is None else step.callback_pct


def atr_distance(plan: Plan) -> Decimal | None:
    """The distance kept in quote units when it is scaled by the ATR; one without a known ATR trails by per cents."""
    multiple = plan.trailing.atr_multiple
    if multiple is None or plan.atr is None:
        return None
    with localcontext(MONEY):
        return multiple * plan.atr


def trailed_price(p: Position, extreme: Decimal) -> Decimal:
    """Where the stop belongs behind an extreme, not yet on the tick. A step can only narrow the distance by the ATR."""
    side, profit, distance = p.side, profit_pct(p, extreme), atr_distance(p.plan)
    if distance is None:
        return offset(side, extreme, -callback(p.plan.trailing, profit))
    with localcontext(MONEY):
        price = extreme - distance * side.sign
    step = reached_step(p.plan.trailing, profit)
    return price if step is None else side.best(price, offset(side, extreme, -step.callback_pct))


def profit_pct(p: Position, price: Decimal) -> Decimal:
    """Profit at `price` in per cent of the entry price; 0 while that is unknown."""
    entry = ledger.entry_price(p)
    if entry is None:
        return Decimal(0)
    with localcontext(MONEY):
        return (price - entry) / entry * 100 * p.side.sign


@derived("stops")
def stop_in_force(p: Position) -> StopOrder | None:
    """The live stop that would trigger first."""
    live = [s for s in p.stops if s.covers]
    if not live:
        return None
    return max(live, key=lambda s: s.trigger * p.side.sign)


def touched(p: Position, adverse: Decimal) -> bool:
    """Whether a mark price reached the trigger of the stop in force."""
    stop = stop_in_force(p)
    if stop is None or p.plan.protection.trigger_by is not TriggerBy.MARK:
        return False
    return not p.side.better(adverse, stop.trigger)


def passed(p: Position) -> bool:
    """Whether the market stands beyond the stop in force."""
    mark = ledger.mark(p)
    return mark is not None and touched(p, mark)


def favourable_end(p: Position, prices: PriceRange) -> Decimal:
    """The end of a range that is good for the position."""
    return prices.high if p.side is PositionSide.LONG else prices.low


def adverse_end(p: Position, prices: PriceRange) -> Decimal:
    """The end of a range that is bad for the position."""
    return prices.low if p.side is PositionSide.LONG else prices.high


def hear_price(turn: Turn, prices: PriceRange) -> None:
    """Take a range of mark prices in."""
    p = turn.position
    if p.mark_at is None or prices.at >= p.mark_at:
        turn.note(mark_price=prices.last, mark_at=prices.at)
    if touched(p, adverse_end(p, prices)) or not ledger.of_its_time(p, prices.at):
        return
    whole = ledger.of_its_time(p, prices.since or prices.at)
    advance(turn, favourable_end(p, prices) if whole else prices.last)


def catch_up(turn: Turn) -> None:
    """Take the last mark price known as an extreme: while an order is under way a position is told none."""
    mark = ledger.mark(turn.position)
    if mark is not None and not touched(turn.position, mark):
        advance(turn, mark)


def advance(turn: Turn, price: Decimal) -> None:
    """Move the extreme and what follows from it: break-even, activation, the wanted stop."""
    p = turn.position
    if p.trail.state in (TrailState.OFF, TrailState.TRIGGERED) or ledger.entry_price(p) is None:
        return
    trail = p.trail
    extreme = price if trail.extreme is None else p.side.best(price, trail.extreme)
    if extreme != trail.extreme:
        turn.note(trail=replace(trail, extreme=extreme))
    _activate(turn, extreme)
    _follow(turn, extreme)


def _activate(turn: Turn, extreme: Decimal) -> None:
    p = turn.position
    trail, rules = p.trail, p.plan.trailing
    if trail.state is TrailState.TRAILING:
        return
    profit = profit_pct(p, extreme)
    why = None
    if profit >= rules.activation_pct:
        why = "price"
    elif trail.aged and (mark := ledger.mark(p)) is not None and profit_pct(p, mark) > 0:
        why = "time"
    if why is not None:
        turn.set(trail=replace(trail, state=TrailState.TRAILING))
        turn.say(
            EventType.TRAILING_ACTIVATED,
            {"extreme_price": extreme, "activation_price": activation_price(p), "by": why},
        )
        return
    entry = ledger.entry_price(p)
    if entry is None or trail.state is not TrailState.INACTIVE:
        return
    if rules.breakeven_pct is not None and profit >= rules.breakeven_pct:
        wanted = p.instrument.stop_price(p.side, entry)
        if trail.wanted is not None:
            wanted = p.side.best(wanted, trail.wanted)  # it may have trailed further before its rules were changed
        turn.set(trail=replace(trail, state=TrailState.WAITING, wanted=wanted))
        turn.say(EventType.TRAILING_BREAKEVEN, {"extreme_price": extreme, "stop_price": wanted})


def _follow(turn: Turn, extreme: Decimal) -> None:
    p = turn.position
    trail = p.trail
    if trail.state is not TrailState.TRAILING or (trail.hold is not None and not p.side.better(extreme, trail.hold)):
        return
    wanted = p.instrument.stop_price(p.side, trailed_price(p, extreme))
    if trail.wanted is None or p.side.better(wanted, trail.wanted):
        turn.note(trail=replace(trail, wanted=wanted, hold=None))


def watch_age(turn: Turn) -> None:
    """Wake when the position is old enough to trail from any profit on; then its band ends at the entry price."""
    p = turn.position
    minutes = p.plan.trailing.time_activation_minutes
    if minutes is None or p.trail.aged or p.trail.state not in (TrailState.INACTIVE, TrailState.WAITING):
        return
    moment = p.opened_at + timedelta(minutes=minutes)
    if turn.now < moment:
        turn.wake_at(moment)
        return
    turn.note(trail=replace(p.trail, aged=True))
    catch_up(turn)


def worth_moving(p: Position, current: Decimal, wanted: Decimal) -> bool:
    """Whether `wanted` is enough better than the stop in force. The first move of a kind needs only a tick."""
    if not p.side.better(wanted, current):
        return False
    if p.trail.updates == 0:
        return True
    return abs(wanted - current) >= percent_of(current, p.plan.trailing.min_step_pct)


@derived(*ALL_BUT_THE_MARK)
def band(p: Position) -> Band:
    """The mark prices between which nothing is to be decided; a price outside has to be heard at once."""
    stop = stop_in_force(p)
    if stop is None or p.phase.final or p.close_wanted is not None:
        return EVERYTHING
    exits = (ladder.unguarded(p), _aged_beyond(p, stop.trigger))
    levels = [each for each in (_next_favourable(p, stop.trigger), *exits) if each is not None]
    favourable = min(levels, key=lambda level: level * p.side.sign, default=None)
    adverse = stop.trigger if p.plan.protection.trigger_by is TriggerBy.MARK else None
    return Band(adverse, favourable) if p.side is PositionSide.LONG else Band(favourable, adverse)


def aged_exit(p: Position) -> Decimal | None:
    """The mark price from which an aged position is left; None: it is not aged, or left at any price."""
    entry = ledger.entry_price(p)
    if p.aging is None or p.aged is None or entry is None or p.aged.step >= p.aging.last:
        return None
    return ladder.on_tick(p, aging.exit_price(p.aging, p.aged.step, p.side, entry))


def _aged_beyond(p: Position, current: Decimal) -> Decimal | None:
    """The same, if the stop in force is not the better exit."""
    price = aged_exit(p)
    return price if price is not None and p.side.better(price, current) else None


def _next_favourable(p: Position, current: Decimal) -> Decimal | None:
    trail, rules = p.trail, p.plan.trailing
    if trail.state in (TrailState.OFF, TrailState.TRIGGERED) or any(
        s.state in (OrderState.SENDING, OrderState.UNKNOWN, OrderState.CANCELLING) for s in p.stops
    ):
        return None
    if trail.state is not TrailState.TRAILING:
        levels = [activation_price(p)]
        if trail.state is TrailState.INACTIVE:
            levels.append(breakeven_price(p))
        if trail.aged:
            levels.append(ledger.entry_price(p))
        known = [level for level in levels if level is not None]
        return None if not known else (min(known) if p.side is PositionSide.LONG else max(known))
    extreme = trail.extreme if trail.extreme is not None else current
    step = rules.min_step_pct if trail.updates else Decimal(0)
    tick = p.instrument.tick * p.side.sign
    with localcontext(MONEY):
        # A stop is rounded towards the mark: it reaches a tick as soon as its exact place passes the tick before.
        goal = p.side.best(p.instrument.stop_price(p.side, offset(p.side, current, step)), current + tick)
        level = _extreme_for(p, goal - tick, extreme)
    candidates = [p.side.best(level, extreme)]
    entry = ledger.entry_price(p)
    if entry is not None:
        profit = profit_pct(p, extreme)
        candidates.extend(offset(p.side, entry, s.profit_pct) for s in rules.steps if s.profit_pct > profit)
    return min(candidates) if p.side is PositionSide.LONG else max(candidates)


def _extreme_for(p: Position, place: Decimal, extreme: Decimal) -> Decimal:
    """The extreme that puts the stop at `place` as long as no further step is reached: `trailed_price` undone."""
    rules, profit, distance = p.plan.trailing, profit_pct(p, extreme), atr_distance(p.plan)
    step = reached_step(rules, profit)
    with localcontext(MONEY):
        if distance is None:
            return place / (1 - p.side.sign * callback(rules, profit) / 100)
        level = place + distance * p.side.sign
        if step is None:
            return level
        return p.side.worst(level, place / (1 - p.side.sign * step.callback_pct / 100))


def created(p: Position) -> Trail:
    """The trailing stop of a position whose first stop has just been accepted."""
    return Trail(state=TrailState.INACTIVE if p.plan.trailing.enabled else TrailState.OFF, extreme=p.trail.extreme)

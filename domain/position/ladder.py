"""The ladder of take-profits as figures: where its rungs stand, how much each is for, what is left of them.

A rung is fixed once, when the entry is over: prices from the average entry price, quantities from what was opened. It
only ever shrinks from there: by what it took, or because the position no longer holds that much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from domain.instrument import MONEY, Instrument, percent_of
from domain.position import ledger
from domain.position.state import ZERO, CloseReason, OrderState, Position, Rung

WHOLE = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A rung too small for the venue by itself; `into` is the trigger that took its quantity, None: there is none."""

    trigger: Decimal
    quantity: Decimal
    into: Decimal | None


def planned(p: Position, opened: Decimal) -> tuple[tuple[Rung, ...], tuple[Merged, ...]]:
    """The rungs for `opened` base units, nearest first, and what had to be merged; none without an entry price.

    Quantities are cut to the step. When the fractions add up to the whole the last rung takes the rest. A rung below
    the venue's minimum goes into the next one, the last into the one before it.
    """
    entry = ledger.entry_price(p)
    if entry is None:
        return (), ()
    goals = sorted(p.plan.take_profits, key=lambda goal: goal.pct)
    with localcontext(MONEY):
        sizes = [p.instrument.floor_quantity(opened * goal.fraction) for goal in goals]
        if goals and sum((goal.fraction for goal in goals), ZERO) >= WHOLE:
            sizes[-1] = opened - sum(sizes[:-1], ZERO)
    rungs: list[Rung] = []
    merged: list[Merged] = []
    waiting: list[tuple[Decimal, Decimal]] = []  # too small so far, each with its trigger
    for goal, size in zip(goals, sizes, strict=True):
        trigger = on_tick(p, entry + percent_of(entry, goal.pct) * p.side.sign)
        waiting.append((trigger, size))
        quantity = sum((each for _, each in waiting), ZERO)
        if enough(p.instrument, quantity, trigger):
            merged += [Merged(trigger=small, quantity=each, into=trigger) for small, each in waiting[:-1]]
            rungs.append(Rung(trigger=trigger, quantity=quantity))
            waiting = []
    if waiting and rungs:
        last = rungs[-1]
        rest = sum((each for _, each in waiting), ZERO)
        rungs[-1] = Rung(trigger=last.trigger, quantity=last.quantity + rest)
    into = rungs[-1].trigger if rungs else None
    merged += [Merged(trigger=small, quantity=each, into=into) for small, each in waiting]
    return tuple(rungs), tuple(merged)


def on_tick(p: Position, price: Decimal) -> Decimal:
    """A target's price on the tick, rounded so that the profit asked for is reached."""
    return p.instrument.round_up(price) if p.side.sign > 0 else p.instrument.round_down(price)


def enough(instrument: Instrument, quantity: Decimal, price: Decimal) -> bool:
    """Whether the venue takes an order of this quantity at this price."""
    with localcontext(MONEY):
        return quantity >= instrument.min_quantity and quantity * price >= instrument.min_notional


def taken(p: Position, rung: int) -> Decimal:
    """What the orders of a rung have closed so far."""
    return sum((ledger.filled_by(p, t.child_id) for t in p.targets if t.rung == rung), ZERO)


def left(p: Position, rung: int) -> Decimal:
    """What a rung that the mark has not passed is still there for."""
    if p.ladder is None or p.ladder[rung].passed:
        return ZERO
    return max(p.ladder[rung].quantity - taken(p, rung), ZERO)


def owed(p: Position) -> Decimal:
    """What passed rungs still have to close at market. A rest below the venue's minimum is left to the stop."""
    if p.ladder is None:
        return ZERO
    total = sum((r.quantity - taken(p, n) for n, r in enumerate(p.ladder) if r.passed), ZERO)
    total -= sum((ledger.filled_by(p, x.exchange_id) for x in p.exits if x.reason is CloseReason.TAKE_PROFIT), ZERO)
    total = p.instrument.floor_quantity(max(total, ZERO))
    return total if total >= p.instrument.min_quantity else ZERO


def unguarded(p: Position) -> Decimal | None:
    """The nearest target that no order of ours rests for: its price has to be watched by ourselves."""
    if not p.ladder:
        return None
    held = {t.rung for t in p.targets if not t.state.over}
    bare = [r.trigger for n, r in enumerate(p.ladder) if n not in held and left(p, n) > 0]
    return min(bare, key=lambda trigger: trigger * p.side.sign, default=None)


def wished(p: Position) -> Decimal:
    """All that the ladder still means to close."""
    rungs = range(len(p.ladder or ()))
    return owed(p) + sum((left(p, n) for n in rungs), ZERO)


def shown(p: Position) -> Iterator[tuple[Rung, Decimal, str, str | None]]:
    """Each rung with what is left of it, its state in a word and the venue's order id, for people's eyes.

    Before the ladder is fixed: as it would be for what the plan means to open.
    """
    if p.ladder is None:
        for rung in planned(p, p.plan.quantity)[0]:
            yield rung, rung.quantity, "PLANNED", None
        return
    for number, rung in enumerate(p.ladder):
        order = next((t for t in reversed(p.targets) if t.rung == number), None)
        rest = left(p, number)
        if rung.passed:
            rest = owed(p)
            yield rung, min(rest, rung.quantity), "PASSED" if rest else OrderState.DONE.name, None
        elif order is not None and (not order.state.over or rest == 0):
            yield rung, rest, order.state.name, order.exchange_id
        else:
            yield rung, rest, "PENDING" if rest else OrderState.DONE.name, None

"""Aged positions: past a set age an exit that relaxes step by step, then a close at market (SYSTEM B8). Figures only.

Step 0, at the set age, asks for break-even: the entry price and the fees of both orders. Step n comes n times
`step_s` later and is content with a loss of n times `step_pct`, never more than `max_loss_pct`. One step after the
largest loss nothing is asked for any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal, localcontext

from domain.instrument import MONEY, PositionSide, percent_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AgingRules:
    """How old a position may become, and how it is got rid of then. `fee_pct`: the fee of one order at market."""

    max_age_s: int
    step_s: int
    step_pct: Decimal
    max_loss_pct: Decimal
    fee_pct: Decimal

    @property
    def last(self) -> int:
        """The step at which it is closed whatever the price."""
        with localcontext(MONEY):
            losses = (self.max_loss_pct / self.step_pct).to_integral_value(ROUND_CEILING)
        return int(losses) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged:
    """The step that an aged position has come to, and when."""

    step: int
    at: datetime


def step_at(rules: AgingRules, age: timedelta) -> int | None:
    """The step that belongs to an age; None: not old enough for any."""
    over = age - timedelta(seconds=rules.max_age_s)
    if over < timedelta(0):
        return None
    return min(over // timedelta(seconds=rules.step_s), rules.last)


def due(rules: AgingRules, opened_at: datetime, step: int) -> datetime:
    """When a step begins."""
    return opened_at + timedelta(seconds=rules.max_age_s + step * rules.step_s)


def profit_asked(rules: AgingRules, step: int) -> Decimal:
    """The profit in per cent of the entry price that a step asks for, before fees; a loss is negative."""
    with localcontext(MONEY):
        return 2 * rules.fee_pct if step == 0 else -min(step * rules.step_pct, rules.max_loss_pct)


def exit_price(rules: AgingRules, step: int, side: PositionSide, entry: Decimal) -> Decimal:
    """The price from which on a position is left at a step before the last."""
    with localcontext(MONEY):
        return entry + percent_of(entry, profit_asked(rules, step)) * side.sign

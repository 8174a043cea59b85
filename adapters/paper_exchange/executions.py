"""How a market order is filled: at what price, in what parts. Pure; drawn from seed and order id alone."""

import random
from decimal import ROUND_DOWN, Decimal
from typing import Final

from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.orders import ZERO, Order, Side
from adapters.paper_exchange.requests import Rules

_BPS: Final = Decimal(10_000)


def fill_price(rules: Rules, contract: Contract, mark: Decimal, side: Side) -> Decimal:
    """Mark plus or minus half the spread, on the tick, at least one tick away from the mark."""
    half_spread = max(mark * rules.spread_bps / _BPS / 2, contract.tick)
    return contract.on_tick(mark + side.sign * half_spread)


def parts(rules: Rules, contract: Contract, order: Order) -> list[Decimal]:
    """The quantities in which the order is filled: mostly one, now and then two or three."""
    draw = random.Random(f"{rules.seed}:parts:{order.order_id}")
    step = contract.step
    if draw.randrange(100) >= rules.partial_fills or order.quantity < 2 * step:
        return [order.quantity]
    first = max(_whole_steps(order.quantity * draw.randrange(20, 80) / 100, step), step)
    rest = order.quantity - first
    half = _whole_steps(rest / 2, step)
    return [part for part in (first, half, rest - half) if part]


def following_part(rules: Rules, contract: Contract, order: Order) -> Decimal:
    """The part that is due next on an order that was filled in part."""
    filled = ZERO
    for part in parts(rules, contract, order):
        if filled >= order.executed_qty:
            return min(part, order.remaining)
        filled += part
    return order.remaining


def _whole_steps(quantity: Decimal, step: Decimal) -> Decimal:
    return (quantity / step).quantize(Decimal(1), ROUND_DOWN) * step

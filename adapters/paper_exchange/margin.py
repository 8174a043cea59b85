"""The arithmetic of a cross-margined account: what a fill does to a position, its margin, where it is liquidated.

Pure functions. Amounts are USDT; entry prices, fees and profits are rounded to 8 decimals when they arise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.orders import ZERO, Position, Side

_EIGHT: Final = Decimal("0.00000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a fill makes of a position; `quantity` is signed, `realized` is without the fee."""

    quantity: Decimal
    entry_price: Decimal
    realized: Decimal
    fee: Decimal


def money(value: Decimal) -> Decimal:
    """The value rounded to the 8 decimals in which the venue keeps books."""
    # Adding zero makes a negative zero a plain one: no venue writes "-0.00000000".
    return value.quantize(_EIGHT, ROUND_HALF_UP) + ZERO


def settle(held: Position, side: Side, quantity: Decimal, price: Decimal, fee_rate: Decimal) -> Settlement:
    """Fill `quantity` at `price`: the entry price averages when adding, stays when reducing, restarts when flipping."""
    signed = side.sign * quantity
    after = held.quantity + signed
    closed = min(quantity, abs(held.quantity)) if held.quantity * signed < 0 else ZERO
    direction = 1 if held.quantity > 0 else -1
    if not after:
        after = entry = ZERO
    elif closed:
        entry = held.entry_price if abs(held.quantity) > closed else price
    else:
        entry = money((abs(held.quantity) * held.entry_price + quantity * price) / abs(after))
    return Settlement(
        quantity=after,
        entry_price=entry,
        realized=money(closed * (price - held.entry_price) * direction),
        fee=money(quantity * price * fee_rate),
    )


def margin_needed(book: Book, symbol: str, side: Side, quantity: Decimal, mark: Decimal, fee_rate: Decimal) -> Decimal:
    """Margin and fee for the part of an order that makes the position larger; 0 if it does not."""
    held = book.position(symbol).quantity
    added = abs(held + side.sign * quantity) - abs(held)
    if added <= 0:
        return ZERO
    return added * mark / book.leverage(symbol) + quantity * mark * fee_rate


def maintenance_margin(book: Book, contracts: Mapping[str, Contract], position: Position) -> Decimal:
    """Margin below which the venue closes the position."""
    return abs(book.notional(position)) * contracts[position.symbol].maint_margin_rate


def account_maintenance(book: Book, contracts: Mapping[str, Contract]) -> Decimal:
    """Maintenance margin of all positions."""
    return sum((maintenance_margin(book, contracts, position) for position in book.open_positions()), ZERO)


def liquidation_price(book: Book, contracts: Mapping[str, Contract], position: Position) -> Decimal:
    """The mark price at which the position, the others unchanged, is liquidated; 0 if none is."""
    if not position.quantity:
        return ZERO
    contract = contracts[position.symbol]
    rate = contract.maint_margin_rate
    others = [other for other in book.open_positions() if other.symbol != position.symbol]
    free = book.wallet + sum(
        (book.unrealized(other) - maintenance_margin(book, contracts, other) for other in others), ZERO
    )
    size = abs(position.quantity)
    if position.quantity > 0:
        level = (size * position.entry_price - free) / (size * (1 - rate))
    else:
        level = (size * position.entry_price + free) / (size * (1 + rate))
    return contract.on_tick(level) if level > 0 else ZERO

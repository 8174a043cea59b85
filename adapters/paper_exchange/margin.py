"""The arithmetic of a cross-margined account: what a fill does to a position, its margin, where it is liquidated.

Pure functions. Amounts are USDT; entry prices, fees and profits are rounded to 8 decimals when they arise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.orders import ZERO, Position, PositionSide, Side

_EIGHT: Final = Decimal("0.00000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a fill makes of a position; `quantity` is signed, `realized` is without the fee."""

    quantity: Decimal
    entry_price: Decimal
    realized: Decimal
    fee: Decimal
    closed: Decimal


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
        closed=closed,
    )


def margin_needed(
    book: Book,
    symbol: str,
    side: Side,
    quantity: Decimal,
    mark: Decimal,
    fee_rate: Decimal,
    position_side: PositionSide = PositionSide.BOTH,
) -> Decimal:
    """Margin and fee for the part of an order that makes the position larger; 0 if it does not."""
    held = book.position(symbol, position_side).quantity
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


def cushion(book: Book, contracts: Mapping[str, Contract], positions: Iterable[Position]) -> Decimal:
    """What these positions have gained above their maintenance margin."""
    return sum(
        (book.unrealized(position) - maintenance_margin(book, contracts, position) for position in positions), ZERO
    )


def liquidation_price(
    book: Book, contracts: Mapping[str, Contract], position: Position, whole: Decimal | None = None
) -> Decimal:
    """The mark price at which the symbol is liquidated, the other symbols unchanged; 0 if there is none.

    In hedge mode both positions of a symbol stand against each other and share the level. `whole` is the cushion of all
    open positions, for those who ask about many.
    """
    if not position.quantity:
        return ZERO
    contract = contracts[position.symbol]
    held = [each for each in map(book.positions.get, _keys(position.symbol)) if each is not None and each.quantity]
    if whole is None:
        whole = cushion(book, contracts, book.open_positions())
    free = book.wallet + whole - cushion(book, contracts, held)
    paid = sum((each.quantity * each.entry_price for each in held), ZERO)
    net = sum((each.quantity for each in held), ZERO)
    # Where free + net * level - paid has shrunk to the maintenance margin of both sides.
    slope = net - contract.maint_margin_rate * sum((abs(each.quantity) for each in held), ZERO)
    level = (paid - free) / slope if slope else ZERO
    return contract.on_tick(level) if level > 0 else ZERO


def _keys(symbol: str) -> list[tuple[str, PositionSide]]:
    return [(symbol, side) for side in PositionSide]

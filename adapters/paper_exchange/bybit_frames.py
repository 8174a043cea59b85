"""The private WebSocket messages of Bybit v5, made from a step of the engine (VENUES C)."""

from collections.abc import Iterator, Sequence
from typing import Final

from adapters.paper_exchange.bybit_account import wallet_row
from adapters.paper_exchange.bybit_routes import Row
from adapters.paper_exchange.bybit_rows import conditional_row, execution_row, order_row, position_row
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.orders import (
    AlgoOrder,
    AlgoStatus,
    Balance,
    Event,
    Fill,
    Leverage,
    Order,
    OrderStatus,
    Position,
    PositionSide,
)

_CATEGORY: Final = {"category": "linear"}
# Once there is an order, its own row tells what becomes of the conditional that made it.
_SILENT: Final = frozenset({AlgoStatus.TRIGGERED, AlgoStatus.FINISHED})


def private_rows(events: Sequence[Event], engine: MatchingEngine) -> Iterator[tuple[str, Row]]:
    """Topic and row of each message of a step, in order; the wallet last, once.

    A market order that is filled in the same step is never shown as new.
    """
    book = engine.book
    last_of = {event.order_id: place for place, event in enumerate(events) if isinstance(event, Order)}
    told = {(event.symbol, event.position_side) for event in events if isinstance(event, Position)}
    changed: dict[tuple[str, PositionSide], None] = {}
    for place, event in enumerate(events):
        match event:
            case Order() if event.status is OrderStatus.NEW and last_of[event.order_id] > place:
                pass
            case Order():
                yield "order", order_row(book, event) | _CATEGORY
            case Fill():
                yield "execution", execution_row(book, event) | _CATEGORY | {"execPnl": plain(event.realized_pnl)}
            case Position():
                yield "position", streamed_position(engine, event)
            case AlgoOrder():
                if event.status not in _SILENT:
                    yield "order", conditional_row(book, event) | _CATEGORY
                if event.attached and (event.symbol, event.position_side) not in told:
                    changed[event.symbol, event.position_side] = None
            case Leverage():
                changed |= dict.fromkeys((event.symbol, side) for side in book.sides(event.symbol))
            case _:
                pass
    for symbol, side in changed:
        yield "position", streamed_position(engine, book.position(symbol, side))
    if any(isinstance(event, Balance) for event in events):
        yield "wallet", wallet_row(engine)


def streamed_position(engine: MatchingEngine, position: Position) -> Row:
    """A position as the stream spells it: entryPrice for avgPrice, and "0" where REST has ""."""
    row = position_row(engine, position)
    row["entryPrice"] = row.pop("avgPrice")
    for name in ("positionValue", "positionIM", "positionMM", "takeProfit", "stopLoss", "unrealisedPnl"):
        row[name] = row[name] or "0"
    return row | _CATEGORY

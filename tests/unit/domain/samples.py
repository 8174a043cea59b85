"""Instruments and intents that the tests of the rules start from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from domain.identity import Epoch, OrderKind, mint_client_id, mint_position_id
from domain.instrument import Instrument, PositionSide
from domain.orders import OrderIntent

D = Decimal
START = datetime(2026, 11, 21, tzinfo=UTC)
POSITION = mint_position_id(START, 1)
BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=D("0.1"),
    step=D("0.001"),
    min_quantity=D("0.001"),
    max_market_quantity=D(100),
    min_notional=D(100),
)


def intent(kind: OrderKind = OrderKind.STOP, owner: PositionSide = PositionSide.LONG, **changes: Any) -> OrderIntent:
    """A good intent of a kind for a position at a mark price of 60,000."""
    stop = D(59_000) if owner is PositionSide.LONG else D(61_000)
    target = D(61_000) if owner is PositionSide.LONG else D(59_000)
    triggers = {OrderKind.STOP: stop, OrderKind.TAKE_PROFIT: target}
    good: dict[str, Any] = {
        "client_id": mint_client_id("ab12", POSITION, Epoch(1, 1), 1, kind),
        "position_id": POSITION,
        "account": "main",
        "symbol": "BTCUSDT",
        "kind": kind,
        "side": owner.opening if kind is OrderKind.ENTRY else owner.closing,
        "position_side": owner,
        "quantity": D("0.01"),
        "reduce_only": kind is not OrderKind.ENTRY,
        "trigger_price": triggers.get(kind),
    }
    return OrderIntent(**{**good, **changes})

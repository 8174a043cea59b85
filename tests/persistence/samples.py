"""Positions and records for these tests, small and whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from domain.catalogue import EventType, Severity
from domain.identity import ClientOrderId, Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import Instrument, PositionSide, Side
from domain.orders import Fill, OrderIntent, OrderStatus
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import OrderFills, OrderState, Phase, Position, Purpose, StopOrder, Trail, TrailState
from domain.records import AlertChange, Event, OrderChange, Record, StoredSignal, Trade

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.10"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_market_quantity=Decimal(120),
    min_notional=Decimal(5),
)
_record_numbers = itertools.count(1)


def position(number: int = 7, **changes: Any) -> Position:
    """A long of 0.003 BTC at 50000, pending its stop."""
    whole = Position(
        id=PositionId(number),
        account="main",
        exchange="binanceusdm",
        instance="ab12",
        instrument=BTC,
        side=PositionSide.LONG,
        plan=Plan(quantity=Decimal("0.003"), protection=Protection(), trailing=TrailingRules()),
        epoch=Epoch(1, 1),
        correlation_id=f"c-{number}",
        opened_at=NOON,
        phase=Phase.PENDING_SL,
        version=1,
        fills=(
            OrderFills(
                exchange_id="900",
                side=Side.BUY,
                traded=Decimal("0.003"),
                traded_notional=Decimal("150.000"),
                fee=Decimal("0.0600"),
                trades=frozenset({"t1", "t2"}),
            ),
        ),
    )
    return replace(whole, **changes)


def protected(number: int = 7, **changes: Any) -> Position:
    """The same with a resting stop at 49000 and a trailing stop that has moved twice."""
    stop = StopOrder(
        client_id=stop_id(number),
        quantity=Decimal("0.003"),
        state=OrderState.LIVE,
        sent_at=NOON,
        exchange_id="901",
        trigger=Decimal("49000.10"),
        purpose=Purpose.FIRST,
    )
    trail = Trail(state=TrailState.TRAILING, extreme=Decimal("51234.5"), updates=2, moved_at=NOON)
    return position(number, **{"phase": Phase.ACTIVE, "stops": (stop,), "trail": trail, "version": 2, **changes})


def stop_id(number: int = 7, sequence: int = 2) -> ClientOrderId:
    """The client id of a stop of position `number`."""
    return mint_client_id("ab12", PositionId(number), Epoch(1, 1), sequence, OrderKind.STOP)


def record(name: str | None = None, **parts: Any) -> Record:
    """A record with an id of its own unless `name` gives one."""
    return Record(record_id=name or f"r-{next(_record_numbers)}", at=parts.pop("at", NOON), **parts)


def event(type_: EventType = EventType.PRICE_RANGE, **changes: Any) -> Event:
    """An event of position 7."""
    whole = Event(
        type=type_,
        severity=Severity.INFO,
        at=NOON,
        data={"last": "50000.10", "count": 3},
        correlation_id="c-7",
        position_id=PositionId(7),
        account="main",
        symbol="BTCUSDT",
        exchange="binanceusdm",
    )
    return replace(whole, **changes)


def intent(number: int = 7, sequence: int = 2) -> OrderChange:
    """The decision to send a stop at 49000.10."""
    client_id = stop_id(number, sequence)
    return OrderChange(
        client_id=client_id,
        position_id=PositionId(number),
        status=OrderStatus.NEW,
        at=NOON,
        intent=OrderIntent(
            client_id=client_id,
            position_id=PositionId(number),
            account="main",
            symbol="BTCUSDT",
            kind=OrderKind.STOP,
            side=Side.SELL,
            position_side=PositionSide.LONG,
            quantity=Decimal("0.003"),
            reduce_only=True,
            trigger_price=Decimal("49000.10"),
        ),
    )


def news(status: OrderStatus, number: int = 7, sequence: int = 2, **changes: Any) -> OrderChange:
    """What a venue said of that stop."""
    client_id = stop_id(number, sequence)
    return OrderChange(client_id=client_id, position_id=PositionId(number), status=status, at=NOON, **changes)


def trade(trade_id: str = "t1", number: int = 7, **changes: Any) -> Trade:
    """An execution of position `number`."""
    fill = Fill(
        trade_id=trade_id,
        symbol="BTCUSDT",
        exchange_id="900",
        client_id=None,
        side=Side.BUY,
        position_side=None,
        quantity=Decimal("0.001"),
        price=Decimal("50000.123456789012345678"),
        fee=Decimal("0.00000001"),
        fee_currency="USDT",
        realized_pnl=Decimal(0),
        at=NOON,
    )
    return Trade(position_id=PositionId(number), account="main", exchange="binanceusdm", fill=replace(fill, **changes))


def signal(signal_id: str = "s-1", **changes: Any) -> StoredSignal:
    """A signal to buy BTC."""
    whole = StoredSignal(
        signal_id=signal_id,
        received_at=NOON,
        symbol="BTCUSDT",
        exchange="binanceusdm",
        account="main",
        action="BUY",
        score_week=Decimal("71.25"),
        score_month=None,
        wave="2026-11-21T12:00",
        created_at=NOON,
        raw={"id": signal_id, "symbol": "BTCUSDT", "nested": {"list": [1, 2.5, None]}},
    )
    return replace(whole, **changes)


def alert(alert_id: str = "a-1", **changes: Any) -> AlertChange:
    """A new row of the outbox."""
    whole = AlertChange(
        alert_id=alert_id,
        at=NOON,
        severity=Severity.CRITICAL,
        type="position_unprotected",
        text="BTC/USDT:USDT long 0.003 has no stop",
        correlation_id="c-7",
        position_id=PositionId(7),
        symbol="BTCUSDT",
    )
    return replace(whole, **changes)

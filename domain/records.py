"""What is written down, as values: one Record is one transaction, whole or not at all, once or never.

A record carries the state it changed beside the events that tell of it, so that the book and the journal cannot
disagree (LAWS S10). `record_id` makes a replay from the spool harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from domain.catalogue import EventType, Severity
from domain.identity import PositionId
from domain.orders import Fill, OrderIntent, OrderStatus
from domain.position.state import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the journal."""

    type: EventType
    severity: Severity
    at: datetime
    data: Mapping[str, object]
    correlation_id: str | None = None
    position_id: PositionId | None = None
    order_id: str | None = None
    account: str | None = None
    symbol: str | None = None
    exchange: str | None = None
    error_message: str | None = None
    stack_trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """What is known of one order of ours; `intent` only when it is being decided (the row is made then)."""

    client_id: str
    position_id: PositionId
    status: OrderStatus
    at: datetime
    intent: OrderIntent | None = None
    exchange_id: str | None = None
    cumulative_quantity: Decimal | None = None
    average_price: Decimal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution on a position of ours; the venue's trade id makes a second copy harmless."""

    position_id: PositionId
    account: str
    exchange: str
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignal:
    """A signal as it came in, from the actor `source`; `raw` is its own object."""

    signal_id: str
    received_at: datetime
    symbol: str
    exchange: str
    account: str | None
    action: str
    score_week: Decimal | None
    score_month: Decimal | None
    wave: str | None
    created_at: datetime
    raw: Mapping[str, object]
    source: str = "signal_feed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Where a signal stood among those of its wave."""

    account: str
    wave: str
    rank: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalOutcome:
    """What became of a signal: `opened`, `closing` or a refusal's code, with the figures that decided it.

    `checks` are those that were made, in their order, each with its result and what it went by.
    """

    signal_id: str
    outcome: str
    at: datetime
    figures: Mapping[str, object]
    position_id: PositionId | None = None
    ranked: Ranked | None = None
    checks: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """A row of the outbox (`text` given: made now) or what became of it.

    `condition` names what a standing alert stands for, until `cleared_at`.
    """

    alert_id: str
    at: datetime
    severity: Severity | None = None
    type: str | None = None
    text: str | None = None
    correlation_id: str | None = None
    position_id: PositionId | None = None
    symbol: str | None = None
    account: str | None = None
    order_id: str | None = None
    sent_at: datetime | None = None
    error: str | None = None
    condition: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one channel did with an alert: took it, refused it for good, or failed for now (`error`)."""

    alert_id: str
    channel: str
    at: datetime
    sent_at: datetime | None = None
    refused_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolChange:
    """What is set for one symbol from now on: the whole row of the table."""

    symbol: str
    row: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """One snapshot of an account. `realized_pnl` (before fees) and `fees` are of the day so far; `drawdown_percent` is
    from the highest equity that was ever seen.
    """

    account: str
    taken_at: datetime
    balance: Decimal
    equity: Decimal
    exposure: Decimal
    open_positions: int
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    drawdown_percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMetric:
    """One figure of an account's day; a later one takes its place."""

    account: str
    day: date
    metric: str
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One transaction. Its parts are written in the order: signals, position, orders, trades, events, alerts,
    deliveries, facts, symbols, performance, metrics."""

    record_id: str
    at: datetime
    position: Position | None = None
    orders: tuple[OrderChange, ...] = ()
    trades: tuple[Trade, ...] = ()
    events: tuple[Event, ...] = ()
    signals: tuple[StoredSignal, ...] = ()
    outcomes: tuple[SignalOutcome, ...] = ()
    alerts: tuple[AlertChange, ...] = ()
    facts: Mapping[str, object] | None = None
    symbols: tuple[SymbolChange, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    performance: tuple[Performance, ...] = ()
    metrics: tuple[DayMetric, ...] = ()

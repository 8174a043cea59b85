"""What the endpoints answer, typed: FastAPI checks each answer against these, and /openapi.json shows them.

Money and quantities are decimal text, except in the audit and in drawings, where numbers are figures to look at.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from adapters.web.plain import Loose, Money, Time


class Answer(BaseModel):
    """What another part of the program adds to an answer is shown as well."""

    model_config = ConfigDict(extra="allow")


class Refusal(Answer):
    error: str


class Live(Answer):
    status: Literal["alive"]


class Part(Answer):
    """How one part is: `healthy`, `degraded` or `down`, and why."""

    name: str
    state: str
    reason: str | None = None
    last_at: Time | None = None


class Exchange(Part):
    account: str
    exchange: str
    entries_closed_because: str | None = None


class PositionCounts(Answer):
    open: int
    protected: int
    unprotected: int
    need_intervention: int


class TrailingCounts(Answer):
    waiting: int
    trailing: int
    inactive: int


class Streams(Answer):
    state: str
    streams: list[Part]


class Health(Answer):
    status: Literal["healthy", "degraded", "unhealthy"]
    reasons: list[str]
    database: Part
    exchanges: list[Exchange]
    positions: PositionCounts
    trailing_stops: TrailingCounts
    websocket: Streams
    last_signal: Time | None
    uptime_seconds: int
    components: list[Part]


class AccountMoney(Answer):
    account: str
    wallet: Money | None
    equity: Money | None
    free: Money | None
    read_at: Time | None


class Stats(Answer):
    as_of: Time
    mode: str
    version: str
    uptime_seconds: int
    positions: PositionCounts
    unprotected_seconds_today: Money | None
    opened_today: int | None
    closed_today: int | None
    realized_pnl_today: Money | None
    fees_today: Money | None
    unrealized_pnl: Money
    accounts: list[AccountMoney]
    events_since_start: dict[str, int]
    restarts: int
    entries: Loose


class TrailingShown(Answer):
    state: str
    activation_price: Money | None
    extreme_price: Money | None
    updates: int


class TakeProfitShown(Answer):
    price: Money | None
    quantity: Money | None
    state: str
    order_id: str | None


class PositionShown(Answer):
    id: int
    account: str
    symbol: str
    side: Literal["long", "short"]
    state: str
    quantity: Money
    entry_price: Money | None
    mark_price: Money | None
    stop_price: Money | None
    stop_order_id: str | None
    take_profits: list[TakeProfitShown]
    trailing: TrailingShown
    unrealized_pnl: Money | None
    liquidation_price: Money | None
    unprotected_seconds: Money
    correlation_id: str | None
    opened_at: Time


class Closed(Answer):
    id: int
    account: str
    symbol: str
    side: str
    state: str
    entry_price: Money | None
    exit_price: Money | None
    exit_reason: str | None
    realized_pnl: Money | None
    fees: Money | None
    unprotected_seconds: Money | None
    opened_at: Time
    closed_at: Time | None


class Positions(Answer):
    positions: list[PositionShown]
    closed: list[Closed] | None = None
    as_of: Time


class Drawing(Answer):
    """Numbers to draw by: `points` are [unix seconds, mark, stop], `stops` [unix seconds, price], `fills` likewise."""

    id: int
    points: list[tuple[float, float | None, float | None]]
    stops: list[tuple[float, float]]
    fills: list[Loose]
    missing: str | None


class EventShown(Answer):
    seq: int
    ts: Time
    type: str
    severity: str
    position_id: int | None
    symbol: str | None
    correlation_id: str | None
    data: Loose


class Events(Answer):
    events: list[EventShown]
    next_since: int


class TrendBucket(Answer):
    at: Time
    warning: int
    error: int
    critical: int


class Trend(Answer):
    bucket_minutes: int
    buckets: list[TrendBucket]


class Audited(Answer):
    symbol: str
    alert_enabled: bool
    alert_enabled_source: str
    buy_alert_enabled: bool
    sell_alert_enabled: bool
    trade_enabled: bool
    min_trade_usd: float
    min_qty: float
    step_size: float
    cooldown_seconds: float
    last_alert_at: Time | None
    symbol_normalized: str


class Audit(Answer):
    timestamp: Time
    symbols: list[Audited]

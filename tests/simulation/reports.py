"""The engine's states as the core's reports: what `adapters/exchange/binance_rows` makes of the venue's rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from adapters.exchange.binance_rows import ALGO_STATUS, ORDER_STATUS
from adapters.paper_exchange import orders as engine
from adapters.paper_exchange.contracts import Contract
from domain.identity import ClientOrderId
from domain.instrument import Instrument, Side
from domain.orders import Fill, OrderReport, PositionReport, Source, resolve_status

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = Decimal(0)


def instant(ms: int) -> datetime:
    """Venue time."""
    return EPOCH + timedelta(milliseconds=ms)


def instrument(contract: Contract) -> Instrument:
    """A contract as exchangeInfo would show it."""
    return Instrument(
        symbol=contract.symbol,
        base=contract.base,
        quote=contract.quote,
        tick=contract.tick,
        step=contract.step,
        min_quantity=contract.min_qty,
        max_market_quantity=contract.max_market_qty,
        min_notional=contract.min_notional,
        max_conditional_orders=contract.max_conditionals,
    )


def order(state: engine.Order, source: Source) -> OrderReport:
    """An ordinary order."""
    return OrderReport(
        symbol=state.symbol,
        client_id=ClientOrderId(state.client_order_id),
        exchange_id=str(state.order_id),
        conditional=False,
        side=Side(state.side.lower()),
        status=resolve_status(ORDER_STATUS[state.status], state.quantity, state.executed_qty),
        quantity=state.quantity,
        filled=state.executed_qty,
        average_price=state.avg_price or None,
        trigger_price=state.stop_price or None,
        reduce_only=state.reduce_only,
        close_position=state.close_position,
        position_side=None,
        child_id=None,
        reason="",
        at=instant(state.update_time),
        source=source,
    )


def conditional(state: engine.AlgoOrder, source: Source) -> OrderReport:
    """A conditional order: its own word on fills is not taken (VENUES T8)."""
    return OrderReport(
        symbol=state.symbol,
        client_id=ClientOrderId(state.client_algo_id),
        exchange_id=str(state.algo_id),
        conditional=True,
        side=Side(state.side.lower()),
        status=ALGO_STATUS[state.status],
        quantity=state.quantity,
        filled=ZERO,
        average_price=None,
        trigger_price=state.trigger_price,
        reduce_only=state.reduce_only,
        close_position=state.close_position,
        position_side=None,
        child_id=str(state.actual_order_id) if state.actual_order_id is not None else None,
        reason=state.reject_reason,
        at=instant(state.update_time),
        source=source,
    )


def fill(state: engine.Fill, *, from_stream: bool) -> Fill:
    """An execution; a row of userTrades carries no client id."""
    return Fill(
        trade_id=str(state.trade_id),
        symbol=state.symbol,
        exchange_id=str(state.order_id),
        client_id=ClientOrderId(state.client_order_id) if from_stream else None,
        side=Side(state.side.lower()),
        position_side=None,
        quantity=state.quantity,
        price=state.price,
        fee=state.fee,
        fee_currency=state.fee_asset,
        realized_pnl=state.realized_pnl,
        at=instant(state.time),
        liquidation=from_stream and state.client_order_id.startswith("autoclose-"),
    )


def position(state: engine.Position, at_ms: int, source: Source, mark: Decimal | None, liquidation: Decimal | None) \
        -> PositionReport:  # fmt: skip
    """A row of positionRisk v2, or of an ACCOUNT_UPDATE (then without mark and liquidation price)."""
    return PositionReport(
        symbol=state.symbol,
        position_side=None,
        quantity=state.quantity,
        entry_price=state.entry_price if state.quantity else None,
        mark_price=mark,
        liquidation_price=liquidation if state.quantity and liquidation else None,
        at=instant(at_ms),
        source=source,
    )

"""The paper engine's states in the core's words: what the exchange adapter would have made of the venue's rows."""

from __future__ import annotations

from decimal import Decimal

from actors.replay.times import instant
from adapters.exchange.binance_rows import ALGO_STATUS, ORDER_STATUS
from adapters.exchange.error_codes import BINANCE
from adapters.paper_exchange import orders as engine
from adapters.paper_exchange.binance_errors import from_refusal
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.refusals import Refused
from domain.identity import ClientOrderId
from domain.instrument import Instrument, Side
from domain.orders import Fill, OrderReport, PositionReport, RejectReason, Source, resolve_status

ZERO = Decimal(0)
_LIQUIDATION = "autoclose-"


def instrument(contract: Contract) -> Instrument:
    """A contract as exchangeInfo shows it."""
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
        child_id=None if state.actual_order_id is None else str(state.actual_order_id),
        reason=state.reject_reason,
        at=instant(state.update_time),
        source=source,
    )


def fill(state: engine.Fill, source: Source) -> Fill:
    """An execution; a row of userTrades carries no client id."""
    pushed = source is Source.STREAM
    return Fill(
        trade_id=str(state.trade_id),
        symbol=state.symbol,
        exchange_id=str(state.order_id),
        client_id=ClientOrderId(state.client_order_id) if pushed else None,
        side=Side(state.side.lower()),
        position_side=None,
        quantity=state.quantity,
        price=state.price,
        fee=state.fee,
        fee_currency=state.fee_asset,
        realized_pnl=state.realized_pnl,
        at=instant(state.time),
        liquidation=pushed and state.client_order_id.startswith(_LIQUIDATION),
    )


def position(state: engine.Position, at: int, source: Source, mark: Decimal | None) -> PositionReport:
    """A position's row at `at` (ms). No liquidation price: a replayed account holds enough never to meet one."""
    return PositionReport(
        symbol=state.symbol,
        position_side=None,
        quantity=state.quantity,
        entry_price=state.entry_price if state.quantity else None,
        mark_price=mark,
        liquidation_price=None,
        at=instant(at),
        source=source,
    )


def refusal(refused: Refused) -> tuple[RejectReason, str, str]:
    """Reason, code and text of a request that the engine refused."""
    error = from_refusal(refused)
    meaning = BINANCE.meanings.get(str(error.code))
    return (RejectReason.OTHER if meaning is None else meaning.reason), str(error.code), error.message

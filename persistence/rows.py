"""Records as rows of tables: which value goes to which column.

Rules of this file: it computes only what `Position.state` already says in other words, for those who query columns;
the program itself reads positions from `state`. A row is a dict that `codec.to_json` can write.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.decimals import plainly
from domain.identity import parse_client_id
from domain.instrument import PositionSide
from domain.orders import MARGIN_CURRENCY, OrderIntent
from domain.position import ledger, trailing
from domain.position.state import Position, TrailState
from domain.records import (
    AlertChange,
    DayMetric,
    Delivery,
    Event,
    OrderChange,
    Performance,
    SignalOutcome,
    StoredSignal,
    Trade,
)
from persistence.codec import dump_position

Row = dict[str, Any]
_MOVING = (TrailState.WAITING, TrailState.TRAILING, TrailState.TRIGGERED)


def position_row(position: Position, at: datetime) -> Row:
    """The row of `monitoring.positions`; `at` is the record's time."""
    p = position
    entry_price, unrealized = ledger.entry_price(p), ledger.unrealized_pnl(p)
    percent = trailing.profit_pct(p, p.mark_price) if entry_price and p.mark_price is not None else None
    stop, first = trailing.stop_in_force(p), p.earlier or p.entry
    return {
        "id": p.id,
        "trade_id": first.client_id if first else None,
        "account": p.account,
        "exchange": p.exchange,
        "symbol": p.symbol,
        "side": p.side,
        "status": p.phase,
        "open": not p.phase.final,
        "quantity": ledger.exposure(p),
        "entry_price": entry_price,
        "current_price": p.mark_price,
        "mark_price": p.mark_price,
        "unrealized_pnl": unrealized,
        "unrealized_pnl_percent": percent,
        "liquidation_price": p.liquidation_price,
        "has_stop_loss": stop is not None,
        "stop_loss_price": stop.trigger if stop else None,
        "stop_loss_order_id": stop.exchange_id if stop else None,
        "has_trailing_stop": p.trail.state is not TrailState.OFF,
        "trailing_activated": p.trail.state in _MOVING,
        "trailing_activation_price": _activation_price(p),
        "trailing_callback_rate": p.plan.trailing.callback_pct,
        "exit_price": ledger.exit_price(p),
        "realized_pnl": ledger.realized_pnl(p),
        "fees": ledger.fees(p),
        "fees_apart": plainly(ledger.fees_apart(p)) or None,
        "exit_reason": p.close_reason,
        "unprotected_seconds": p.unprotected_seconds,
        "needs_intervention": p.needs_intervention,
        "adopted": p.adopted,
        "signal_id": p.signal_id,
        "signal_key": p.signal_key,
        "correlation_id": p.correlation_id,
        "term": p.epoch.term,
        "incarnation": p.epoch.incarnation,
        "version": p.version,
        "state": dump_position(p),
        "opened_at": p.opened_at,
        "closed_at": p.closed_at,
        "last_update": at,
    }


def trailing_row(position: Position) -> Row:
    """The row of `monitoring.trailing_stop_state`; epoch and version say which position row it belongs to."""
    p = position
    long = p.side is PositionSide.LONG
    stop = trailing.stop_in_force(p)
    return {
        "position_id": p.id,
        "state": p.trail.state,
        "highest_price": p.trail.extreme if long else None,
        "lowest_price": None if long else p.trail.extreme,
        "activation_price": _activation_price(p),
        "callback_rate": p.plan.trailing.callback_pct,
        "current_stop_price": stop.trigger if stop else None,
        "update_count": p.trail.updates,
        "last_moved_at": p.trail.moved_at,
        "term": p.epoch.term,
        "incarnation": p.epoch.incarnation,
        "version": p.version,
    }


def _activation_price(p: Position) -> Decimal | None:
    return None if p.trail.state is TrailState.OFF else trailing.activation_price(p)


def order_row(change: OrderChange, base: str | None) -> Row:
    """The row of `monitoring.orders` that this change alone would make; the writer merges it into an older one.

    `base`: the base currency of the position in the same record.
    """
    row: Row = {
        "client_id": change.client_id,
        "exchange_id": change.exchange_id,
        "position_id": change.position_id,
        "status": change.status,
        "status_at": change.at,
        "cumulative_quantity": change.cumulative_quantity,
        "average_price": change.average_price,
        "reason": change.reason,
    }
    parsed = parse_client_id(change.client_id)
    row["kind"] = parsed.kind.name.lower() if parsed else None
    return row | (_intent_columns(change.intent, base, change.at) if change.intent else {})


def _intent_columns(intent: OrderIntent, base: str | None, at: datetime) -> Row:
    return {
        "account": intent.account,
        "symbol": intent.symbol,
        "base": base,
        "kind": intent.kind.name.lower(),
        "side": intent.side,
        "position_side": intent.position_side,
        "quantity": intent.quantity,
        "trigger_price": intent.trigger_price,
        "reduce_only": intent.reduce_only,
        "intent": {
            "trigger_by": intent.trigger_by,
            "reference_price": intent.reference_price,
            "limit_price": intent.limit_price,
            "urgent": intent.urgent,
        },
        "intent_at": at,
    }


def trade_row(trade: Trade) -> Row:
    """The row of `monitoring.trades`."""
    fill = trade.fill
    return {
        "account": trade.account,
        "exchange": trade.exchange,
        "symbol": fill.symbol,
        "trade_id": fill.trade_id,
        "position_id": trade.position_id,
        "order_id": fill.exchange_id,
        "client_id": fill.client_id,
        "side": fill.side,
        "position_side": fill.position_side,
        "quantity": fill.quantity,
        "price": fill.price,
        "fee": fill.fee,
        "fee_currency": fill.fee_currency,
        "fee_converted": None if fill.fee_currency == MARGIN_CURRENCY else fill.fee_usdt,
        "realized_pnl": fill.realized_pnl,
        "liquidation": fill.liquidation,
        "executed_at": fill.at,
    }


def event_row(event: Event) -> Row:
    """The row of `monitoring.events`."""
    return {
        "event_type": event.type,
        "event_data": dict(event.data),
        "severity": event.severity,
        "correlation_id": event.correlation_id,
        "position_id": event.position_id,
        "order_id": event.order_id,
        "account": event.account,
        "symbol": event.symbol,
        "exchange": event.exchange,
        "error_message": event.error_message,
        "stack_trace": event.stack_trace,
        "created_at": event.at,
    }


def risk_row(event: Event) -> Row:
    """The row of `monitoring.risk_events` for the event of a risk level."""
    data = dict(event.data)
    return {
        "position_id": event.position_id,
        "account": event.account,
        "symbol": event.symbol,
        "risk_type": "health",
        "risk_level": data.pop("risk_level"),
        "score": data.pop("score"),
        "action": data.pop("action"),
        "details": data,
        "created_at": event.at,
    }


def signal_row(signal: StoredSignal) -> Row:
    """The row of `fas.signals` as the signal came in."""
    return {
        "id": signal.signal_id,
        "pair_symbol": signal.symbol,
        "exchange_name": signal.exchange,
        "account": signal.account,
        "recommended_action": signal.action,
        "score_week": signal.score_week,
        "score_month": signal.score_month,
        "wave": signal.wave,
        "raw": dict(signal.raw),
        "created_at": signal.created_at,
        "received_at": signal.received_at,
        "source": signal.source,
    }


def performance_row(taken: Performance) -> Row:
    """The row of `monitoring.performance`."""
    return {
        "account": taken.account,
        "taken_at": taken.taken_at,
        "balance": taken.balance,
        "equity": taken.equity,
        "exposure": taken.exposure,
        "open_positions": taken.open_positions,
        "realized_pnl": taken.realized_pnl,
        "unrealized_pnl": taken.unrealized_pnl,
        "fees": taken.fees,
        "drawdown_percent": taken.drawdown_percent,
    }


def metric_row(metric: DayMetric) -> Row:
    """The row of `monitoring.performance_metrics`."""
    return {"account": metric.account, "day": metric.day, "metric": metric.metric, "value": metric.value}


def outcome_row(outcome: SignalOutcome) -> Row:
    """What a signal's row becomes once it is answered for."""
    ranked = outcome.ranked
    return {
        "id": outcome.signal_id,
        "outcome": outcome.outcome,
        "outcome_figures": dict(outcome.figures),
        "processed_at": outcome.at,
        "position_id": outcome.position_id,
        "wave_account": ranked.account if ranked else None,
        "wave_name": ranked.wave if ranked else None,
        "wave_rank": ranked.rank if ranked else None,
        "wave_size": ranked.of if ranked else None,
        "checks": [dict(check) for check in outcome.checks] or None,
    }


def alert_row(change: AlertChange) -> Row:
    """The row of `monitoring.alerts`: a new one, or what became of one."""
    return {
        "alert_id": change.alert_id,
        "severity": change.severity,
        "type": change.type,
        "text": change.text,
        "correlation_id": change.correlation_id,
        "position_id": change.position_id,
        "symbol": change.symbol,
        "raised_at": change.at,
        "account": change.account,
        "order_id": change.order_id,
        "sent_at": change.sent_at,
        "error": change.error,
        "condition": change.condition,
        "acknowledged_at": change.acknowledged_at,
        "acknowledged_by": change.acknowledged_by,
        "cleared_at": change.cleared_at,
    }


def delivery_row(delivery: Delivery) -> Row:
    """The row of `monitoring.alert_deliveries`: what one channel did with an alert."""
    return {
        "alert_id": delivery.alert_id,
        "channel": delivery.channel,
        "sent_at": delivery.sent_at,
        "refused_at": delivery.refused_at,
        "error": delivery.error,
        "tried_at": delivery.at,
    }

"""The statements that write a group of records.

Each takes one parameter: its rows as a JSON array, unfolded by the server to the column types of the table. Decimals
travel as strings, exact to the last digit; one statement writes one row or a thousand.
"""
# ruff: noqa: S608 - the statements are put together from the names in this file only

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from domain.orders import OrderStatus

_TERMINAL = ", ".join(f"'{status.value}'" for status in OrderStatus if status.terminal)

_SIGNAL = (
    "id", "pair_symbol", "exchange_name", "account", "recommended_action", "score_week", "score_month", "wave", "raw",
    "created_at", "received_at", "source",
)  # fmt: skip
_POSITION = (
    "id", "trade_id", "account", "exchange", "symbol", "side", "status", "open", "quantity", "entry_price",
    "current_price", "mark_price", "unrealized_pnl", "unrealized_pnl_percent", "liquidation_price", "has_stop_loss",
    "stop_loss_price", "stop_loss_order_id", "has_trailing_stop", "trailing_activated", "trailing_activation_price",
    "trailing_callback_rate", "exit_price", "realized_pnl", "fees", "fees_apart", "exit_reason", "unprotected_seconds",
    "needs_intervention", "adopted", "signal_id", "signal_key", "correlation_id", "term", "incarnation", "version",
    "state", "opened_at", "closed_at", "last_update",
)  # fmt: skip
_TRAILING = (
    "position_id", "state", "highest_price", "lowest_price", "activation_price", "callback_rate",
    "current_stop_price", "update_count", "last_moved_at",
)  # fmt: skip
_ORDER = ("client_id", "exchange_id", "position_id", "status", "status_at", "average_price", "reason")
_INTENT = (
    "account", "symbol", "base", "kind", "side", "position_side", "quantity", "trigger_price", "reduce_only", "intent",
    "intent_at",
)  # fmt: skip
_TRADE = (
    "account", "exchange", "symbol", "trade_id", "position_id", "order_id", "client_id", "side", "position_side",
    "quantity", "price", "fee", "fee_currency", "fee_converted", "realized_pnl", "liquidation", "executed_at",
)  # fmt: skip
_EVENT = (
    "event_type", "event_data", "severity", "correlation_id", "position_id", "order_id", "account", "symbol",
    "exchange", "error_message", "stack_trace", "created_at",
)  # fmt: skip
_RISK = ("position_id", "account", "symbol", "risk_type", "risk_level", "score", "action", "details", "created_at")
_ALERT = (
    "alert_id", "severity", "type", "text", "correlation_id", "position_id", "symbol", "account", "order_id",
    "raised_at", "sent_at", "condition",
)  # fmt: skip
_DELIVERY = ("alert_id", "channel", "sent_at", "refused_at", "error", "tried_at")
_SYMBOL = (
    "symbol", "alert_enabled", "buy_alert_enabled", "sell_alert_enabled", "trade_enabled", "min_trade_usd",
    "cooldown_seconds", "leverage", "protection_overrides", "trailing_overrides",
)  # fmt: skip
_PERFORMANCE = (
    "account", "taken_at", "balance", "equity", "exposure", "open_positions", "realized_pnl", "unrealized_pnl", "fees",
    "drawdown_percent",
)  # fmt: skip
_METRIC = ("account", "day", "metric", "value")
_LOG = ("record_id", "recorded_at", "duration_ms", "row_count")


def _insert(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"


def _replace(columns: Sequence[str]) -> str:
    return ", ".join(f"{column} = excluded.{column}" for column in columns)


_WRITE_POSITIONS = f"""
{_insert("monitoring.positions", _POSITION)}
ON CONFLICT (id) DO UPDATE SET {_replace(_POSITION[1:])}
WHERE (excluded.term, excluded.incarnation, excluded.version)
    > (positions.term, positions.incarnation, positions.version)"""

# Goes with the position row of the same epoch and version, so an older one changes nothing here either.
_WRITE_TRAILING = f"""
INSERT INTO monitoring.trailing_stop_state ({", ".join(_TRAILING)})
SELECT {", ".join(f"t.{column}" for column in _TRAILING)}
FROM jsonb_to_recordset(%s::jsonb) AS t (
    position_id bigint, state text, highest_price numeric, lowest_price numeric, activation_price numeric,
    callback_rate numeric, current_stop_price numeric, update_count bigint, last_moved_at timestamptz,
    term bigint, incarnation bigint, version bigint)
JOIN monitoring.positions p
    ON p.id = t.position_id AND (p.term, p.incarnation, p.version) = (t.term, t.incarnation, t.version)
ON CONFLICT (position_id) DO UPDATE SET {_replace(_TRAILING[1:])}"""

# `keep`: the row's status stays, as 'new' is a beginning and no news, and what is over only changes how it was over.
_KEEP = f"(excluded.status = 'new' OR (o.status IN ({_TERMINAL}) AND excluded.status NOT IN ({_TERMINAL})))"
_WRITE_ORDERS = f"""
INSERT INTO monitoring.orders AS o ({", ".join(_ORDER + _INTENT)}, cumulative_quantity)
SELECT {", ".join(_ORDER + _INTENT)}, coalesce(cumulative_quantity, 0)
FROM jsonb_populate_recordset(NULL::monitoring.orders, %s::jsonb)
ON CONFLICT (client_id) DO UPDATE SET
    {", ".join(f"{column} = coalesce(o.{column}, excluded.{column})" for column in _INTENT)},
    exchange_id = coalesce(excluded.exchange_id, o.exchange_id),
    reason = coalesce(excluded.reason, o.reason),
    average_price = CASE WHEN excluded.cumulative_quantity >= o.cumulative_quantity
        THEN coalesce(excluded.average_price, o.average_price) ELSE o.average_price END,
    cumulative_quantity = greatest(excluded.cumulative_quantity, o.cumulative_quantity),
    status = CASE WHEN {_KEEP} THEN o.status ELSE excluded.status END,
    status_at = CASE WHEN {_KEEP} THEN o.status_at ELSE excluded.status_at END"""

_WRITE_OUTCOMES = """
UPDATE fas.signals s
SET is_processed = true, outcome = t.outcome, outcome_figures = t.outcome_figures, processed_at = t.processed_at,
    position_id = t.position_id, wave_account = t.wave_account, wave_name = t.wave_name, wave_rank = t.wave_rank,
    wave_size = t.wave_size, checks = t.checks
FROM jsonb_populate_recordset(NULL::fas.signals, %s::jsonb) t
WHERE s.id = t.id AND NOT s.is_processed"""

_WRITE_ALERT_NEWS = """
UPDATE monitoring.alerts a
SET sent_at = coalesce(a.sent_at, t.sent_at),
    error = CASE WHEN t.sent_at IS NULL THEN coalesce(t.error, a.error) END,
    attempts = a.attempts + (t.sent_at IS NOT NULL OR t.error IS NOT NULL)::int,
    acknowledged_at = coalesce(a.acknowledged_at, t.acknowledged_at),
    acknowledged_by = coalesce(a.acknowledged_by, t.acknowledged_by),
    cleared_at = coalesce(a.cleared_at, t.cleared_at)
FROM jsonb_populate_recordset(NULL::monitoring.alerts, %s::jsonb) t
WHERE a.alert_id = t.alert_id"""

_WRITE_DELIVERIES = f"""
INSERT INTO monitoring.alert_deliveries AS d ({", ".join(_DELIVERY)}, attempts)
SELECT {", ".join(_DELIVERY)}, 1 FROM jsonb_populate_recordset(NULL::monitoring.alert_deliveries, %s::jsonb)
ON CONFLICT (alert_id, channel) DO UPDATE SET
    sent_at = coalesce(d.sent_at, excluded.sent_at), refused_at = coalesce(d.refused_at, excluded.refused_at),
    error = excluded.error, tried_at = excluded.tried_at, attempts = d.attempts + 1"""

_WRITE_FACTS = """
INSERT INTO monitoring.service_facts (key, value)
SELECT key, value FROM jsonb_populate_recordset(NULL::monitoring.service_facts, %s::jsonb)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()"""

STATEMENTS: Mapping[str, bytes] = MappingProxyType(
    {
        name: text.encode()
        for name, text in {
            "signals": _insert("fas.signals", _SIGNAL) + " ON CONFLICT (id) DO NOTHING",
            "positions": _WRITE_POSITIONS,
            "trailing": _WRITE_TRAILING,
            "orders": _WRITE_ORDERS,
            "trades": _insert("monitoring.trades", _TRADE)
            + " ON CONFLICT (account, exchange, symbol, trade_id) DO NOTHING",
            "events": _insert("monitoring.events", _EVENT),
            "risks": _insert("monitoring.risk_events", _RISK),
            "outcomes": _WRITE_OUTCOMES,
            "alerts": _insert("monitoring.alerts", _ALERT) + " ON CONFLICT (alert_id) DO NOTHING",
            "alert news": _WRITE_ALERT_NEWS,
            "deliveries": _WRITE_DELIVERIES,
            "facts": _WRITE_FACTS,
            "symbols": f"INSERT INTO monitoring.symbol_settings ({', '.join(_SYMBOL)}) SELECT {', '.join(_SYMBOL)} "
            "FROM jsonb_populate_recordset(NULL::monitoring.symbol_settings, %s::jsonb) "
            f"ON CONFLICT (symbol) DO UPDATE SET {_replace(_SYMBOL[1:])}",
            "performance": _insert("monitoring.performance", _PERFORMANCE)
            + " ON CONFLICT (account, taken_at) DO NOTHING",
            "metrics": f"{_insert('monitoring.performance_metrics', _METRIC)} "
            "ON CONFLICT (account, day, metric) DO UPDATE SET value = excluded.value",
            "log": _insert("monitoring.transaction_log", _LOG),
        }.items()
    }
)

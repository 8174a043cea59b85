"""What the rest of the program looks up: events, positions, orders, signals, alerts, facts.

Rows are dicts by column name: money as Decimal, time as aware UTC datetimes, JSONB as parsed JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.days import midnight
from domain.identity import PositionId
from domain.judgement.performance import Day
from persistence import counted, executions, performance
from persistence.pool import ReadPool, Row

_EVENT_COLUMNS = (
    "id AS seq, created_at AS ts, event_type AS type, severity, position_id, symbol, correlation_id, event_data AS data"
)
_POSITION_COLUMNS = (
    "id, trade_id, account, exchange, symbol, side, status, open, quantity, entry_price, current_price, mark_price, "
    "unrealized_pnl, unrealized_pnl_percent, liquidation_price, has_stop_loss, stop_loss_price, stop_loss_order_id, "
    "has_trailing_stop, trailing_activated, trailing_activation_price, trailing_callback_rate, exit_price, "
    "realized_pnl, fees, fees_apart, exit_reason, unprotected_seconds, needs_intervention, adopted, signal_id, "
    "signal_key, correlation_id, term, incarnation, version, opened_at, closed_at, last_update"
)


class Reader:
    """Questions to the database. Every method raises DatabaseAway when it cannot answer now. Thread-safe."""

    def __init__(
        self,
        conninfo: str,
        away_because: Callable[[], str | None] = lambda: None,
        *,
        pulse: Callable[[float], object] = lambda _limit_s: None,
    ) -> None:
        """`away_because`, `pulse`: see `ReadPool`."""
        self.pool = ReadPool(conninfo, away_because, pulse=pulse)

    def close(self) -> None:
        """Close the connections; the reader cannot be used afterwards."""
        self.pool.close()

    def events(
        self,
        *,
        since: int | None = None,
        limit: int = 100,
        symbol: str | None = None,
        type_: str | None = None,
        severity: str | None = None,
        position: int | None = None,
        correlation: str | None = None,
    ) -> list[Row]:
        """Events {seq, ts, type, severity, position_id, symbol, correlation_id, data}, oldest first.

        With `since` the first `limit` after that seq, else the last `limit`.
        """
        wanted = {
            "symbol": symbol,
            "event_type": type_,
            "severity": severity,
            "position_id": position,
            "correlation_id": correlation,
        }
        filters = [f"{column} = %({column})s" for column, value in wanted.items() if value is not None]
        if since is not None:
            filters.append("id > %(since)s")
        where = f"WHERE {' AND '.join(filters)}" if filters else ""
        direction = "DESC" if since is None else "ASC"
        query = f"SELECT {_EVENT_COLUMNS} FROM monitoring.events {where} ORDER BY id {direction} LIMIT %(limit)s"  # noqa: S608 - the column names above
        found = self.pool.rows(query, {**wanted, "since": since, "limit": limit})
        return found if since is not None else found[::-1]

    def last_event_seq(self) -> int:
        """The seq of the newest event, 0 when there is none."""
        row = self.pool.row("SELECT id FROM monitoring.events ORDER BY id DESC LIMIT 1")
        return int(row["id"]) if row else 0

    def positions(
        self, *, account: str | None = None, symbol: str | None = None, only_open: bool = True, limit: int = 10_000
    ) -> list[Row]:
        """Rows of positions, oldest first; with `only_open` those whose life is not over."""
        return self.pool.rows(
            f"SELECT {_POSITION_COLUMNS} FROM (SELECT * FROM monitoring.positions "  # noqa: S608 - the column names above
            "WHERE (%(account)s::text IS NULL OR account = %(account)s) "
            "AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s) AND (open OR NOT %(only_open)s) "
            "ORDER BY id DESC LIMIT %(limit)s) newest ORDER BY id",
            {"account": account, "symbol": symbol, "only_open": only_open, "limit": limit},
        )

    def position(self, position_id: PositionId) -> Row | None:
        """One row of positions, or None."""
        return self.pool.row(
            f"SELECT {_POSITION_COLUMNS} FROM monitoring.positions WHERE id = %s",  # noqa: S608 - the column names above
            (position_id,),
        )

    def orders(self, position_id: PositionId) -> list[Row]:
        """The orders of a position, in the order of their intents."""
        return self.pool.rows("SELECT * FROM monitoring.orders WHERE position_id = %s ORDER BY id", (position_id,))

    def unprotected_so_far(self, today: date, account: str | None = None) -> Decimal:
        """Unprotected seconds of the positions that were opened today (UTC) or are open still."""
        begin = midnight(today)
        span = counted.Span(begin=begin, end=begin + timedelta(days=1), account=account)
        return counted.unprotected_so_far(self.pool, span)

    def realized_since(self, account: str, since: datetime) -> Decimal:
        """Realised P&L after fees of an account's executions since then, as far as they are written."""
        return executions.realized_since(self.pool, account, since)

    def signal(self, signal_id: str) -> Row | None:
        """One signal and what became of it, or None."""
        return self.pool.row("SELECT * FROM fas.signals WHERE id = %s", (signal_id,))

    def signals(
        self, *, limit: int = 50, spelled: Sequence[str] | None = None, outcome: str | None = None
    ) -> list[Row]:
        """The latest signals, newest first; `spelled`: of a symbol in any of these spellings, which are in capitals."""
        return self.pool.rows(
            "SELECT * FROM fas.signals WHERE (%(spelled)s::text[] IS NULL "
            'OR upper(btrim(pair_symbol) COLLATE "C") = ANY(%(spelled)s)) '
            "AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s) ORDER BY sequence DESC LIMIT %(limit)s",
            {"spelled": None if spelled is None else list(spelled), "outcome": outcome, "limit": limit},
        )

    def unprocessed_signals(self, since: datetime, limit: int = 5000) -> list[Row]:
        """Signals received since then that nobody has answered for, in order of receipt, the first `limit` of them."""
        return self.pool.rows(
            "SELECT * FROM fas.signals WHERE NOT is_processed AND received_at >= %s ORDER BY sequence LIMIT %s",
            (since, limit),
        )

    def last_signal_id(self) -> str | None:
        """The id of the signal of the signal server that was stored last, by receipt."""
        row = self.pool.row("SELECT id FROM fas.signals WHERE source = 'signal_feed' ORDER BY sequence DESC LIMIT 1")
        return None if row is None else str(row["id"])

    def wave(self, account: str, name: str) -> list[Row]:
        """The answered signals of a wave {id, outcome, position_id, symbol, status}; the last two of its position."""
        return self.pool.rows(
            "SELECT s.id, s.outcome, s.position_id, p.symbol, p.status FROM fas.signals s "
            "LEFT JOIN monitoring.positions p ON p.id = s.position_id "
            "WHERE s.wave_account = %s AND s.wave_name = %s ORDER BY s.sequence",
            (account, name),
        )

    def signal_key_seen(self, account: str, key: str, since: datetime) -> PositionId | None:
        """The position that a signal with this key opened on `account` since then, or None (SYSTEM A4)."""
        row = self.pool.row(
            "SELECT id FROM monitoring.positions WHERE account = %s AND signal_key = %s AND opened_at >= %s",
            (account, key, since),
        )
        return None if row is None else PositionId(row["id"])

    def last_order_at(
        self, account: str, bases: Sequence[str], kinds: Sequence[str] = ("entry", "exit")
    ) -> dict[str, datetime]:
        """When an order for each base currency was last decided on `account`; absent: never (SYSTEM A5).

        Stops do not count unless named in `kinds`: a trailing stop moves again and again while a position is open.
        """
        found = self.pool.rows(
            "SELECT base, max(intent_at) AS at FROM monitoring.orders "
            "WHERE account = %s AND base = ANY(%s) AND kind = ANY(%s) AND intent_at IS NOT NULL GROUP BY base",
            (account, list(bases), list(kinds)),
        )
        return {row["base"]: row["at"] for row in found}

    def last_ends(self, account: str, since: datetime) -> dict[str, datetime]:
        """When a position on each symbol of `account` ended last, since then; absent: none did."""
        found = self.pool.rows(
            "SELECT symbol, max(closed_at) AS at FROM monitoring.positions "
            "WHERE account = %s AND closed_at >= %s GROUP BY symbol",
            (account, since),
        )
        return {row["symbol"]: row["at"] for row in found}

    def alerts_pending(self, limit: int = 1000, after: int = 0) -> list[Row]:
        """The outbox: alerts not sent yet, oldest first; `done` lists the channels that need no more of it.

        `after`: the `id` of the last row of the page before.
        """
        return self.pool.rows(
            "SELECT a.*, (SELECT coalesce(array_agg(channel), '{}') FROM monitoring.alert_deliveries d "
            "WHERE d.alert_id = a.alert_id AND (d.sent_at IS NOT NULL OR d.refused_at IS NOT NULL)) AS done "
            "FROM monitoring.alerts a WHERE sent_at IS NULL AND id > %s ORDER BY id LIMIT %s",
            (after, limit),
        )

    def alerts_standing(self) -> list[Row]:
        """The standing alerts that are not over."""
        return self.pool.rows(
            "SELECT * FROM monitoring.alerts WHERE condition IS NOT NULL AND cleared_at IS NULL ORDER BY id"
        )

    def alerts(self, limit: int = 100) -> list[Row]:
        """The latest alerts, newest first, each with what its channels did."""
        return self.pool.rows(
            "SELECT a.*, (SELECT coalesce(json_agg(json_build_object('channel', channel, 'sent_at', sent_at, "
            "'refused_at', refused_at, 'error', error, 'attempts', attempts) ORDER BY channel), '[]') "
            "FROM monitoring.alert_deliveries d WHERE d.alert_id = a.alert_id) AS channels "
            "FROM monitoring.alerts a ORDER BY id DESC LIMIT %s",
            (limit,),
        )

    def alert(self, alert_id: str) -> Row | None:
        """One alert, by its id in text or its number."""
        return self.pool.row(
            "SELECT * FROM monitoring.alerts WHERE alert_id = %(id)s OR id::text = %(id)s", {"id": alert_id}
        )

    def symbol_settings(self) -> list[Row]:
        """All that is set for single symbols."""
        return self.pool.rows("SELECT * FROM monitoring.symbol_settings ORDER BY symbol")

    def last_alerts(self, symbols: Sequence[str]) -> dict[str, datetime]:
        """When an alert on each symbol was raised last; absent: never."""
        found = self.pool.rows(
            "SELECT symbol, (SELECT raised_at FROM monitoring.alerts a WHERE a.symbol = wanted.symbol "
            "ORDER BY id DESC LIMIT 1) AS at FROM unnest(%s::text[]) AS wanted (symbol)",
            (list(symbols),),
        )
        return {row["symbol"]: row["at"] for row in found if row["at"] is not None}

    def day_of(self, account: str, day: date) -> Day:
        """A day (UTC) of an account as far as it is written."""
        return performance.day_of(self.pool, account, day)

    def peak_equity(self, account: str) -> Decimal:
        """The highest equity of all snapshots of an account; 0: there is none."""
        return performance.peak_equity(self.pool, account)

    def realized(self, account: str, besides: Sequence[int]) -> Decimal:
        """Gains less fees of all of an account's executions, those of the positions `besides` left out."""
        return executions.realized(self.pool, account, besides)

    def fact(self, key: str) -> Any:
        """What was last written under `key`; None when nothing was."""
        row = self.pool.row("SELECT value FROM monitoring.service_facts WHERE key = %s", (key,))
        return None if row is None else row["value"]

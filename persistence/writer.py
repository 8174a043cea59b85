"""Records into the database: a group is one transaction, each record written whole, once, in its place in the order.

Rules of this file: a record whose id is in `transaction_log` is skipped, so writing again after any failure is
harmless. A position row is only ever replaced by a newer one (term, incarnation, version). An order's status leaves a
terminal one for a terminal one only, and 'new' is a beginning, never news. The first answer to a signal
stands. What is wrong with one record's data costs that record alone; everything else that goes wrong is DatabaseAway,
since nothing may be lost over a fault of ours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

from domain.catalogue import EventType
from domain.records import Record
from persistence import rows
from persistence.codec import to_json
from persistence.database import CONNECT_LIMIT_S, Connection, DatabaseAway, away, connect
from persistence.rows import Row
from persistence.statements import STATEMENTS

_DATA_FAULTS = (psycopg.DataError, psycopg.IntegrityError, ValueError, TypeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRecord:
    """A record that the database does not take as it is; trying again cannot help."""

    record: Record
    cause: Exception


class Writer:
    """Writes through one connection of its own, opened when needed and again after it was lost. Thread-safe."""

    def __init__(
        self,
        conninfo: str,
        *,
        statement_timeout_ms: int = 5_000,
        pulse: Callable[[float], object] = lambda _limit_s: None,
    ) -> None:
        """A server that does not answer a statement is given up one second after `statement_timeout_ms`.

        `pulse` is told before each wait how long it may take.
        """
        self._conninfo = conninfo
        self._pulse = pulse
        self._statement_timeout_ms = statement_timeout_ms
        self._conn: Connection | None = None
        self._mutex = threading.Lock()

    def write(self, records: Sequence[Record]) -> list[RefusedRecord]:
        """Commit `records` as one transaction; those already written are skipped.

        When the data of one is refused all are written one by one, and the refused ones are returned; a refused
        record changed nothing. Raises DatabaseAway: what was not reported as committed may or may not be, and writing
        it again is harmless.
        """
        if not records:
            return []
        with self._mutex:
            try:
                self._commit(records)
            except _DATA_FAULTS as fault:
                if len(records) == 1:
                    return self._one_by_one(records) if _written_beside_us(fault) else [_refused(records[0], fault)]
                return self._one_by_one(records)
            return []

    def close(self) -> None:
        """Close the connection; a later write opens another."""
        with self._mutex:
            self._drop()

    def _one_by_one(self, records: Sequence[Record]) -> list[RefusedRecord]:
        refused = []
        for record in records:
            try:
                self._commit([record])
            except _DATA_FAULTS as fault:
                if not _written_beside_us(fault):
                    refused.append(_refused(record, fault))
        return refused

    def _commit(self, records: Sequence[Record]) -> None:
        reused = self._conn is not None
        try:
            self._transact(records)
        except DatabaseAway:
            # The server may have been restarted since the last group: that shows on its first statement only.
            if not reused or self._conn is not None:
                raise
            self._transact(records)

    def _transact(self, records: Sequence[Record]) -> None:
        if self._conn is None:
            self._pulse(CONNECT_LIMIT_S)
            self._conn = connect(self._conninfo, "writer", statement_timeout_ms=self._statement_timeout_ms)
            self._conn.pulse = self._pulse
        conn = self._conn
        try:
            with away(), conn.transaction():
                _write_group(conn, records)
        except _DATA_FAULTS:
            raise
        except DatabaseAway:
            if conn.closed:
                self._drop()
            raise
        except psycopg.Error as fault:
            raise DatabaseAway(f"{type(fault).__name__}: {str(fault).strip()}") from fault

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def commit(conninfo: str, record: Record, pulse: Callable[[float], object] = lambda _limit_s: None) -> None:
    """Write one record on a connection of its own, beside the journal. Raises DatabaseAway, ValueError: refused."""
    writer = Writer(conninfo, pulse=pulse)
    try:
        refused = writer.write([record])
    finally:
        writer.close()
    if refused:
        raise ValueError(f"record {record.record_id} is refused by the database: {refused[0].cause}")


def _write_group(conn: Connection, records: Sequence[Record]) -> None:
    began = time.perf_counter()
    ids = [record.record_id for record in records]
    found = conn.execute("SELECT record_id FROM monitoring.transaction_log WHERE record_id = ANY(%s)", (ids,))
    written = {row[0] for row in found}
    fresh = []
    for record in records:
        if record.record_id not in written:
            written.add(record.record_id)
            fresh.append(record)
    for name, batch in _batches(fresh):
        if batch:
            conn.execute(STATEMENTS[name], (to_json(batch),))
    if fresh:
        spent = f"{(time.perf_counter() - began) * 1000:.3f}"
        log = [
            {"record_id": r.record_id, "recorded_at": r.at, "duration_ms": spent, "row_count": _size(r)} for r in fresh
        ]
        conn.execute(STATEMENTS["log"], (to_json(log),))


def _batches(records: Sequence[Record]) -> Iterator[tuple[str, list[Row]]]:
    """The statements of a group, in the order of a record's parts; within one each row's key appears once."""
    yield "signals", [rows.signal_row(signal) for record in records for signal in record.signals]
    positions, trailing = _newest_positions(records)
    yield "positions", positions
    yield "trailing", trailing
    orders = (rows.order_row(order, _base(record)) for record in records for order in record.orders)
    for batch in _rounds(orders, "client_id"):
        yield "orders", batch
    yield "trades", [rows.trade_row(trade) for record in records for trade in record.trades]
    events = [event for record in records for event in record.events]
    yield "events", [rows.event_row(event) for event in events]
    yield "risks", [rows.risk_row(event) for event in events if event.type is EventType.POSITION_RISK_CHANGED]
    outcomes: dict[str, Row] = {}
    for outcome in (o for record in records for o in record.outcomes):
        outcomes.setdefault(outcome.signal_id, rows.outcome_row(outcome))
    yield "outcomes", list(outcomes.values())
    alerts = [alert for record in records for alert in record.alerts]
    yield "alerts", [rows.alert_row(alert) for alert in alerts if alert.text is not None]
    for batch in _rounds((rows.alert_row(alert) for alert in alerts if alert.text is None), "alert_id"):
        yield "alert news", batch
    deliveries = (rows.delivery_row(delivery) for record in records for delivery in record.deliveries)
    for batch in _rounds(deliveries, "alert_id", "channel"):
        yield "deliveries", batch
    facts = {key: value for record in records for key, value in (record.facts or {}).items()}
    yield "facts", [{"key": key, "value": value} for key, value in facts.items()]
    symbols = {change.symbol: dict(change.row) for record in records for change in record.symbols}
    yield "symbols", list(symbols.values())
    yield "performance", [rows.performance_row(taken) for record in records for taken in record.performance]
    metrics = {(m.account, m.day, m.metric): rows.metric_row(m) for record in records for m in record.metrics}
    yield "metrics", list(metrics.values())


def _base(record: Record) -> str | None:
    """The base currency that the orders of a record are for: an intent is decided with its position."""
    return None if record.position is None else record.position.instrument.base


def _newest_positions(records: Sequence[Record]) -> tuple[list[Row], list[Row]]:
    newest: dict[int, Record] = {}
    for record in records:
        if (p := record.position) is None:
            continue
        held = newest[p.id].position if p.id in newest else None
        if held is None or (p.epoch, p.version) > (held.epoch, held.version):
            newest[p.id] = record
    chosen = [(record.position, record.at) for record in newest.values() if record.position is not None]
    return [rows.position_row(p, at) for p, at in chosen], [rows.trailing_row(p) for p, _ in chosen]


def _rounds(batch: Iterable[Row], *key: str) -> list[list[Row]]:
    """Rows split so that no key comes twice in one statement, each key's rows in their order."""
    rounds: list[list[Row]] = []
    seen: dict[tuple[str, ...], int] = {}
    for row in batch:
        named = tuple(row[column] for column in key)
        turn = seen.get(named, 0)
        seen[named] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(row)
    return rounds


def _size(record: Record) -> int:
    parts = (record.signals, record.orders, record.trades, record.events, record.outcomes, record.alerts)
    more = (record.deliveries, record.symbols, record.performance, record.metrics)
    rows_of_parts = sum(len(part) for part in (*parts, *more))
    return rows_of_parts + len(record.facts or {}) + (2 if record.position else 0)


def _refused(record: Record, fault: Exception) -> RefusedRecord:
    return RefusedRecord(record=record, cause=fault)


def _written_beside_us(fault: Exception) -> bool:
    """Whether another process (a replay of the same spool) committed the very record meanwhile."""
    return isinstance(fault, psycopg.errors.UniqueViolation) and fault.diag.constraint_name == "transaction_log_pkey"

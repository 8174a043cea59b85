"""Memory of a simulation: what survives the death of a process, and the ways in to it.

The database keeps what was committed, the disk what was spooled; a process keeps nothing. The rules are those of
`persistence`: a group is written whole, a record once, a position only by a newer state. `StoreWriter`, `StoreReader`
and `MemorySpool` have the words of `Writer`, `Reader` and `Spool`, and act for a host: a dead one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from actors.guard import patience
from actors.taking_over import LOOK_EVERY_S
from domain.identity import Epoch, PositionId, parse_client_id
from domain.judgement.performance import Day
from domain.lease import LEASE_S
from domain.position.state import Position
from domain.records import AlertChange, Event, OrderChange, Record, SignalOutcome, StoredSignal
from persistence.codec import position_from_json, position_to_json
from persistence.database import DatabaseAway
from persistence.writer import RefusedRecord
from tests.simulation.faults import Fault, Faults
from tests.simulation.scheduler import SECOND, Host, Scheduler

FSYNC_S = 0.002
COMMIT_S = 0.002
ANSWER_S = 0.001
GIVEN_UP_S = 6.0


@dataclass(slots=True)
class Database:
    """The committed state."""

    away_until: int = 0
    hangs: bool = False
    slow_until: int = 0
    records: set[str] = field(default_factory=set)
    positions: dict[PositionId, Position] = field(default_factory=dict)
    intents: dict[str, OrderChange] = field(default_factory=dict)
    trades: dict[str, PositionId] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    signals: dict[str, StoredSignal] = field(default_factory=dict)
    outcomes: dict[str, SignalOutcome] = field(default_factory=dict)
    answered: list[tuple[str, str]] = field(default_factory=list)
    alerts: dict[str, AlertChange] = field(default_factory=dict)
    sent: dict[str, datetime] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)
    facts: dict[str, object] = field(default_factory=dict)
    term: int = 0
    beat_at: int = 0

    def commit(self, records: Sequence[Record]) -> None:
        """Write a group; records already written are skipped."""
        for record in records:
            if record.record_id not in self.records:
                self.records.add(record.record_id)
                self._write(record)

    def _write(self, record: Record) -> None:
        for signal in record.signals:
            self.signals.setdefault(signal.signal_id, signal)
        p = record.position
        if p is not None:
            held = self.positions.get(p.id)
            if held is None or (p.epoch, p.version) > (held.epoch, held.version):
                self.positions[p.id] = p
        for order in record.orders:
            if order.intent is not None:
                self.intents.setdefault(order.client_id, order)
        for trade in record.trades:
            self.trades.setdefault(f"{trade.fill.symbol} {trade.fill.trade_id}", trade.position_id)
        self.events.extend(record.events)
        for outcome in record.outcomes:
            if outcome.signal_id in self.signals and outcome.signal_id not in self.outcomes:
                self.outcomes[outcome.signal_id] = outcome
                self.answered.append((outcome.signal_id, outcome.outcome))
        for alert in record.alerts:
            if alert.text is not None:
                self.alerts.setdefault(alert.alert_id, alert)
            elif alert.sent_at is not None:
                self.sent[alert.alert_id] = alert.sent_at
            elif alert.cleared_at is not None:
                self.cleared.add(alert.alert_id)
        self.facts.update(record.facts or {})

    def highest_epoch(self) -> Epoch:
        """The newest epoch that wrote a position."""
        return max((p.epoch for p in self.positions.values()), default=Epoch(0, 0))


@dataclass(slots=True)
class Disk:
    """What was fsynced."""

    spooled: dict[str, Record] = field(default_factory=dict)
    aside: dict[str, Record] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)


class Access:
    """A host's way to the database: how long it takes, and whether it works at all."""

    def __init__(self, scheduler: Scheduler, host: Host, database: Database, faults: Faults) -> None:
        self.scheduler = scheduler
        self.host = host
        self.database = database
        self.faults = faults
        self.cut_until = 0
        """Until when (µs) this host alone does not reach it."""

    def reach(self, seconds: float) -> None:
        """Spend the time of a round trip. Raises DatabaseAway."""
        if not self.host.alive:
            raise DatabaseAway("the process is dead")
        now, database = self.scheduler.now, self.database
        patience(GIVEN_UP_S + 1.0)
        if now < self.cut_until:
            raise DatabaseAway("no route to host")
        if now < database.away_until:
            if self.scheduler.current is not None and database.hangs:
                self.scheduler.sleep(min(GIVEN_UP_S, (database.away_until - now) / 1e6 + 0.001))
            raise DatabaseAway("connection refused")
        if now < database.slow_until:
            seconds = self.scheduler.chance.uniform(0.03, 0.4)
        if self.scheduler.current is not None:
            self.scheduler.sleep(seconds)
        if self.scheduler.now < database.away_until:
            raise DatabaseAway("the server closed the connection")


class StoreWriter:
    """`persistence.writer.Writer`."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def write(self, records: Sequence[Record]) -> list[RefusedRecord]:
        """Commit as one transaction. Raises DatabaseAway: what was not reported as committed may be or not."""
        access = self._access
        if not records:
            return []
        if access.faults.strikes(Fault.DATABASE_SLOW):
            access.database.slow_until = access.scheduler.now + 2_000_000
        access.reach(COMMIT_S / 2)
        lost = access.faults.strikes(Fault.COMMIT_UNKNOWN)
        if lost and access.scheduler.chance.random() < 0.5:
            raise DatabaseAway("the connection broke before the commit")
        access.database.commit(records)
        if lost:
            raise DatabaseAway("the connection broke in the commit")
        access.scheduler.sleep(COMMIT_S / 2)
        return []

    def close(self) -> None:
        """Nothing is kept open."""


class OpenPositions:
    """What `load_open` and `highest_term` ask for, answered without SQL."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def load_open(self, account: str) -> list[Position]:
        """Every position whose life is not over, as it comes back from its JSON. Raises DatabaseAway."""
        self._access.reach(ANSWER_S)
        kept = self._access.database.positions.values()
        found = sorted((p for p in kept if p.account == account and not p.phase.final), key=lambda p: p.id)
        return [position_from_json(position_to_json(p)) for p in found]


class StoreReader:
    """`persistence.reader.Reader`, as far as actors ask. Every method raises DatabaseAway."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.pool = OpenPositions(access)

    def close(self) -> None:
        """Nothing is kept open."""

    def fact(self, key: str) -> Any:
        """What was last written under `key`."""
        self._access.reach(ANSWER_S)
        return self._access.database.facts.get(key)

    def day_of(self, account: str, day: date) -> Day:
        """Nothing here asks how a day was."""
        self._access.reach(ANSWER_S)
        return Day()

    def peak_equity(self, account: str) -> Decimal:
        """Nor how much there once was."""
        self._access.reach(ANSWER_S)
        return Decimal(0)

    def symbol_settings(self) -> list[dict[str, Any]]:
        """Nobody sets anything for single symbols here."""
        self._access.reach(ANSWER_S)
        return []

    def signal(self, signal_id: str) -> dict[str, Any] | None:
        """One signal and what became of it."""
        self._access.reach(ANSWER_S)
        stored = self._access.database.signals.get(signal_id)
        return None if stored is None else self._signal_row(stored)

    def signals(
        self, *, limit: int = 50, spelled: Sequence[str] | None = None, outcome: str | None = None
    ) -> list[dict[str, Any]]:
        """The latest signals, newest first."""
        self._access.reach(ANSWER_S)
        rows = [self._signal_row(s) for s in reversed(self._access.database.signals.values())]
        meant = [r for r in rows if spelled is None or r["pair_symbol"].strip().upper() in spelled]
        return [r for r in meant if outcome in (None, r["outcome"])][:limit]

    def unprocessed_signals(self, since: datetime) -> list[dict[str, Any]]:
        """Signals that nobody has answered for, in order of receipt."""
        self._access.reach(ANSWER_S)
        rows = [self._signal_row(s) for s in self._access.database.signals.values() if s.received_at >= since]
        return [row for row in rows if not row["is_processed"]]

    def _signal_row(self, signal: StoredSignal) -> dict[str, Any]:
        outcome = self._access.database.outcomes.get(signal.signal_id)
        return {
            "id": signal.signal_id,
            "pair_symbol": signal.symbol,
            "exchange_name": signal.exchange,
            "account": signal.account,
            "recommended_action": signal.action,
            "score_week": signal.score_week,
            "score_month": signal.score_month,
            "wave": signal.wave,
            "created_at": signal.created_at,
            "received_at": signal.received_at,
            "is_processed": outcome is not None,
            "outcome": None if outcome is None else outcome.outcome,
            "position_id": None if outcome is None else outcome.position_id,
        }

    def wave(self, account: str, name: str) -> list[dict[str, Any]]:
        """The answered signals of a wave, with what became of their positions."""
        self._access.reach(ANSWER_S)
        database = self._access.database
        found = []
        for outcome in database.outcomes.values():
            ranked = outcome.ranked
            if ranked is None or (ranked.account, ranked.wave) != (account, name):
                continue
            p = None if outcome.position_id is None else database.positions.get(outcome.position_id)
            found.append(
                {
                    "id": outcome.signal_id,
                    "outcome": outcome.outcome,
                    "position_id": outcome.position_id,
                    "symbol": None if p is None else p.symbol,
                    "status": None if p is None else p.phase.value,
                }
            )
        return found

    def last_signal_id(self) -> str | None:
        """The signal stored last."""
        self._access.reach(ANSWER_S)
        return next(reversed(self._access.database.signals), None)

    def signal_key_seen(self, account: str, key: str, since: datetime) -> PositionId | None:
        """The position that a signal with this key opened."""
        self._access.reach(ANSWER_S)
        for p in self._access.database.positions.values():
            if p.account == account and p.signal_key == key and p.opened_at >= since:
                return p.id
        return None

    def last_order_at(
        self, account: str, bases: Sequence[str], kinds: Sequence[str] = ("entry", "exit")
    ) -> dict[str, datetime]:
        """When an order for each base was last decided on."""
        self._access.reach(ANSWER_S)
        newest: dict[str, datetime] = {}
        for change in self._access.database.intents.values():
            parsed, intent = parse_client_id(change.client_id), change.intent
            if parsed is None or intent is None or intent.account != account:
                continue
            base = intent.symbol.removesuffix("USDT")
            if base in bases and parsed.kind.name.lower() in kinds:
                newest[base] = max(change.at, newest.get(base, change.at))
        return newest

    def last_ends(self, account: str, since: datetime) -> dict[str, datetime]:
        """When a position on each symbol ended last."""
        self._access.reach(ANSWER_S)
        newest: dict[str, datetime] = {}
        for p in self._access.database.positions.values():
            if p.account == account and p.closed_at is not None and p.closed_at >= since:
                newest[p.symbol] = max(p.closed_at, newest.get(p.symbol, p.closed_at))
        return newest

    def alerts_pending(self, limit: int = 100, after: int = 0) -> list[dict[str, Any]]:
        """The outbox."""
        self._access.reach(ANSWER_S)
        database = self._access.database
        numbered = enumerate(database.alerts.items(), 1)
        waiting = [(number, a) for number, (key, a) in numbered if key not in database.sent and number > after]
        return [
            {
                "id": number,
                "alert_id": a.alert_id,
                "raised_at": a.at,
                "severity": a.severity,
                "type": a.type,
                "text": a.text,
                "position_id": a.position_id,
                "symbol": a.symbol,
                "order_id": a.order_id,
                "done": [],
            }
            for number, a in waiting[:limit]
        ]

    def alerts_standing(self) -> list[dict[str, Any]]:
        """The standing alerts that are not over."""
        self._access.reach(ANSWER_S)
        database = self._access.database
        standing = [a for key, a in database.alerts.items() if a.condition and key not in database.cleared]
        return [
            {
                "alert_id": a.alert_id,
                "raised_at": a.at,
                "severity": a.severity,
                "text": a.text,
                "condition": a.condition,
                "position_id": a.position_id,
                "symbol": a.symbol,
                "account": a.account,
                "acknowledged_by": None,
            }
            for a in standing
        ]


class MemorySpool:
    """`persistence.spool.Spool`: what it took is on the disk, whatever becomes of the process."""

    def __init__(self, scheduler: Scheduler, host: Host, kept: dict[str, Record]) -> None:
        self._scheduler = scheduler
        self._host = host
        self._kept = kept

    @property
    def count(self) -> int:
        """Records that wait."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """No disk, no bytes."""
        return 0

    def untold(self) -> tuple[object, ...]:
        """This disk never fails."""
        return ()

    @property
    def damages(self) -> tuple[object, ...]:
        """This disk never fails."""
        return ()

    def append(self, records: Sequence[Record]) -> None:
        """Durable on return."""
        if self._scheduler.current is not None and self._host.alive:
            self._scheduler.sleep(FSYNC_S / 2)
        if not self._host.alive:
            return
        for record in records:
            self._kept.setdefault(record.record_id, record)
        if self._scheduler.current is not None:
            self._scheduler.sleep(FSYNC_S / 2)

    def pending(self) -> Iterator[Record]:
        """What waits, oldest first."""
        return iter(tuple(self._kept.values()))

    def drop(self, record_ids: Iterable[str]) -> None:
        """Forget records that are in the database now."""
        if self._host.alive:
            for record_id in record_ids:
                self._kept.pop(record_id, None)

    def close(self) -> None:
        """What waits stays on disk."""


class FactBook:
    """`persistence.local_book.LocalBook`: these processes start with their database, and keep facts alone."""

    due = False

    def __init__(self, disk: Disk, host: Host) -> None:
        self._disk = disk
        self._host = host

    def keep(self, key: str, value: object) -> None:
        """Durable on return."""
        if self._host.alive:
            self._disk.facts[key] = value

    def fact(self, key: str) -> object:
        """What was kept, by whichever process of this machine."""
        return self._disk.facts.get(key)

    def hold(self, positions: Iterable[Position]) -> None:
        """Nothing is kept."""

    def note(self, position: Position) -> None:
        """Nothing is kept."""

    def save(self) -> None:
        """Nothing is kept."""


class StoreLock:
    """`persistence.lock.AccountLock`: a term, and a beat that needs the database."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.term = 0
        self.silent_s: float | None = None

    def acquire(self) -> None:
        """Take the account over. Raises DatabaseAway."""
        self._access.reach(ANSWER_S)
        database, now = self._access.database, self._access.scheduler.now
        if database.term:
            self.silent_s = (now - database.beat_at) / 1e6
        database.term += 1
        database.beat_at = now
        self.term = database.term

    def stand_by(self) -> None:
        """Wait until its holder has been silent for longer than the lease, and take the account over from him."""
        while True:
            try:
                self._access.reach(ANSWER_S)
                if self._access.scheduler.now - self._access.database.beat_at > round(LEASE_S * SECOND):
                    self.acquire()
                    return
            except DatabaseAway:
                pass  # whoever cannot see the holder takes nothing over
            self._access.scheduler.sleep(LOOK_EVERY_S)

    def beat(self) -> None:
        """Prove that the account is ours. Raises LockLost."""
        from persistence.lock import LockLost

        try:
            self._access.reach(ANSWER_S)
        except DatabaseAway as away:
            raise LockLost(str(away)) from away
        database = self._access.database
        if database.term != self.term:
            raise LockLost("a higher term was taken", database.term)
        database.beat_at = self._access.scheduler.now

    def regain(self) -> int:
        """After LockLost. Raises LockLost, DatabaseAway."""
        self.beat()
        return self.term

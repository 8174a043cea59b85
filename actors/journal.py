"""The journal: everything that happened, written in the order it was told, in the transaction of the state it changed.

Rules of this file:
- What waits in the mailbox is committed as one group; the tickets of a group are settled after its commit.
- A database that is away costs no record: they go to the fsynced spool, which settles tickets just as well, and are
  replayed once and in order before anything newer is written.
- A record that the database refuses for its data is put aside whole, reported as CRITICAL, and nothing else waits.
- While neither database nor disk takes anything, records wait in memory, unsettled, and that is shouted about.
- Each wait for database or disk is bounded and says so beforehand: a slow one is no hang (LAWS L4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from loguru import logger

from actors import messages
from actors.alerting_messages import ALARMS, Happened
from actors.guard import ActorContext, GuardedActor, patience
from actors.messages import AlertsRaised, DatabaseIs, Probe, Show, Write
from actors.recording import Recorder, log, plain_event
from domain.alerting.evidence import HEARD
from domain.catalogue import EventType
from domain.position.state import Position
from domain.records import AlertChange, Record
from persistence.database import DatabaseAway
from persistence.spool import Spool, SpoolFull
from persistence.writer import RefusedRecord, Writer

GROUP = 200
PROBE_S = 1.0
KEPT_IN_MEMORY = 5_000
DISK_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the journal is given. `refused_dir` keeps records that the database would not take.

    `away_because`: why the database must not be written yet (None: it may). `durable` is told each position's state
    once it is written, wherever.
    """

    conninfo: str
    spool: Spool
    refused_dir: Path
    recorder: Recorder
    gateways: tuple[str, ...]
    away_because: Callable[[], str | None]
    durable: Callable[[Position], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalState:
    """How the journal is, for the operator."""

    database_up: bool
    waiting: int
    spooled: int


class Journal(GuardedActor):
    """The only writer of the book."""

    drain_before_stop: ClassVar[bool] = True

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context)
        self._wiring = wiring
        self._writer = Writer(wiring.conninfo, pulse=patience)
        self._group: list[Write] = []
        self._up = True
        self._nowhere = False
        # An earlier incarnation may have said that the database is away: the first commit takes that back.
        self._doubted = context.incarnation > 1
        context.directory.leave_to(context.name, lambda left: _kept_for_the_next_start(wiring.spool, left))

    def started(self) -> None:
        """Replay what an earlier life left in the spool, before anything newer."""
        if self._wiring.spool.count:
            self._replay()
        self._tell_damages()
        self._flush()

    def receive(self, message: Any) -> object:
        """Collect while more waits, then write: whatever it was that waited."""
        answer: JournalState | None = None
        match message:
            case Write():
                self._group.append(message)
            case Probe():
                self._nowhere = False
                self._replay()
            case Show():
                answer = JournalState(
                    database_up=self._up, waiting=len(self._group), spooled=self._wiring.spool.count
                )
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        self._flush_if_due()
        return answer

    def pinged(self) -> None:
        """The ping may have been what a record was put off for."""
        self._flush_if_due()

    def stopping(self) -> None:
        """Write what is left; what the database does not take now waits in the spool for the next start."""
        self._nowhere = False
        self._flush()
        self._writer.close()

    def perished(self) -> None:
        """A crash must not lose what was collected: it goes to the spool, or with `bequeath` to the successor."""
        group = tuple(self._group)
        if group and self._spool([write.record for write in group]):
            del self._group[: len(group)]
            self._settle(group, tell=self.directory.tell)  # not `self.tell`: a fenced journal must say it too
        if not self.vitals.fenced:  # one that hangs in the writer would keep whoever fences it waiting
            self._writer.close()

    def bequeath(self, leftovers: tuple[object, ...]) -> tuple[object, ...]:
        """What found no place on the disk comes before what was not read yet."""
        return (*self._group, *leftovers)

    def _flush_if_due(self) -> None:
        if self._group and (len(self._group) >= GROUP or self.inbox.empty()):
            self._flush()

    def _flush(self) -> None:
        while self._group and not self._nowhere:
            self._commit(tuple(self._group[:GROUP]))

    def _commit(self, group: tuple[Write, ...]) -> None:
        records = [write.record for write in group]
        lost: DatabaseAway | None = None
        refused: Sequence[RefusedRecord] = ()
        if self._up:
            try:
                refused = self._write(records)
            except DatabaseAway as away:
                lost = away
        if (lost is not None or not self._up) and not self._spool(records):
            self._nowhere = True
            del self._group[:-KEPT_IN_MEMORY]
        else:
            del self._group[: len(group)]  # only now: a crash above spools what is collected (`perished`)
        if lost is not None:
            self._lost(lost)  # before anybody is told to act: no entry leaves without a database
        if self._nowhere:
            return
        self._put_aside(refused)
        self._settle(group, frozenset(each.record.record_id for each in refused))
        if self._up:
            self._committed()

    def _write(self, records: Sequence[Record]) -> list[RefusedRecord]:
        """Raises DatabaseAway, also while the database is not ours to write."""
        reason = self._wiring.away_because()
        if reason is not None:
            raise DatabaseAway(reason)
        return self._writer.write(records)

    def _committed(self) -> None:
        """The database answers: take back what a dead predecessor said, and what gateways spooled beside us."""
        if self._doubted:
            self._doubted = False
            self._tell_state()
        if self._wiring.spool.count:
            try:
                self._drain_spool()
            except DatabaseAway as away:
                self._lost(away)

    def _settle(
        self,
        group: Sequence[Write],
        refused: frozenset[str] = frozenset(),
        tell: Callable[[str, object], bool] | None = None,
    ) -> None:
        """Tell those who wait. A refused record is durable where it was put aside, but nobody acts upon it."""
        tell = tell or self.tell
        for write in group:
            if write.ticket is not None:
                write.ticket.settle(refused=write.record.record_id in refused)
            position = write.record.position
            if position is not None and write.record.record_id not in refused:
                self._wiring.durable(position)
            if write.then is not None and write.record.record_id not in refused:
                tell(*write.then)
        raised = tuple(alert for write in group for alert in write.record.alerts if alert.text is not None)
        if raised:
            tell(messages.NOTIFIER, AlertsRaised(alerts=raised))
        heard = tuple(event for write in group for event in write.record.events if event.type in HEARD)
        if heard and self.directory.newest_incarnation(ALARMS) is not None:  # the alarms come later in a start
            tell(ALARMS, Happened(events=heard))

    def _spool(self, records: Sequence[Record]) -> bool:
        """Whether the records need no more care: they are on the disk, or nothing can ever write them."""
        patience(DISK_LIMIT_S)
        try:
            self._wiring.spool.append(records)
        except (SpoolFull, OSError) as error:
            self._shout(error, {"waiting": len(self._group)})
            return False
        except (ValueError, TypeError) as error:
            if len(records) > 1:  # the one that has no written form must not take the others with it
                kept = [self._spool([record]) for record in records]
                return all(kept)
            self._shout(error, {"record": records[0].record_id, "lost": repr(records[0])})
        return True

    def _shout(self, error: Exception, data: dict[str, object]) -> None:
        """Nothing can be written: what is left is the log and the notifier, and to go on protecting."""
        text = f"{type(error).__name__}: {error}"
        event = plain_event(EventType.RECORD_POISONED, self.clock.now(), {"error": text, **data}, error=text)
        log([event])
        alerts: tuple[AlertChange, ...] = self._wiring.recorder.record(self.clock.now(), events=[event]).alerts
        self.tell(messages.NOTIFIER, AlertsRaised(alerts=alerts))

    def _lost(self, away: DatabaseAway) -> None:
        self._up = False
        self._tell_state()
        event = plain_event(EventType.DATABASE_LOST, self.clock.now(), {"error": str(away)}, error=str(away))
        log([event])
        self._group.append(Write(record=self._wiring.recorder.record(self.clock.now(), events=[event])))
        self.remind_after(PROBE_S, Probe())

    def _replay(self) -> None:
        """Write the spool in order; when that and the news of it are committed the database is what it was."""
        restored = not self._up
        try:
            replayed = self._drain_spool()
            if restored or replayed:
                event = plain_event(EventType.DATABASE_RESTORED, self.clock.now(), {"replayed": replayed})
                self._write([self._wiring.recorder.record(self.clock.now(), events=[event])])
                log([event])
        except DatabaseAway as away:
            if self._up:
                self._lost(away)
            else:
                self._tell_state()  # again: who was started meanwhile has not heard it
                self.remind_after(PROBE_S, Probe())
            return
        self._up = True
        if restored or self._doubted:
            self._doubted = False
            self._tell_state()

    def _drain_spool(self) -> int:
        replayed = 0
        while batch := self._batch():
            self._put_aside(self._write(batch))
            self._wiring.spool.drop([record.record_id for record in batch])
            replayed += len(batch)
            self.beat()
        self._tell_damages()
        return replayed

    def _tell_damages(self) -> None:
        """A line that was acknowledged and can no longer be read is a lost record: it stays beside, and is shouted."""
        for damage in self._wiring.spool.untold():
            where = f"{damage.segment}.damaged line {damage.line}"
            data = {"record": where, "error": f"unreadable in the spool: {damage.why}"}
            event = plain_event(EventType.RECORD_POISONED, self.clock.now(), data, error=damage.why)
            log([event])
            self._group.append(Write(record=self._wiring.recorder.record(self.clock.now(), events=[event])))

    def _batch(self) -> list[Record]:
        batch: list[Record] = []
        for record in self._wiring.spool.pending():
            batch.append(record)
            if len(batch) >= GROUP:
                break
        return batch

    def _tell_state(self) -> None:
        for name in (messages.ENTRY_DESK, *self._wiring.gateways):
            self.tell(name, DatabaseIs(up=self._up))

    def _put_aside(self, refused: Sequence[RefusedRecord]) -> None:
        if not refused:
            return
        for each in refused:
            text = f"{type(each.cause).__name__}: {each.cause}".splitlines()[0]
            data: dict[str, object] = {"record": each.record.record_id, "error": text}
            try:
                aside = Spool(self._wiring.refused_dir)
                aside.append([each.record])
                aside.close()
            except (SpoolFull, OSError, ValueError, TypeError) as error:
                data |= {"unkept": f"{type(error).__name__}: {error}", "lost": repr(each.record)}
            event = plain_event(EventType.RECORD_POISONED, self.clock.now(), data, error=text)
            if each.record.position is not None:
                event = replace(event, symbol=each.record.position.symbol)
            log([event])
            if not any(own.type is EventType.RECORD_POISONED for own in each.record.events):  # or it would never end
                self._group.append(Write(record=self._wiring.recorder.record(self.clock.now(), events=[event])))


def _kept_for_the_next_start(spool: Spool, left: Sequence[object]) -> Sequence[object]:
    """The house stops while the journal hangs, or lies after a fall: what nobody has read yet goes to the spool.

    Called on the thread of whoever stops it.
    """
    records = [message.record for message in left if isinstance(message, Write)]
    try:
        spool.append(records)
    except (SpoolFull, OSError, ValueError, TypeError) as error:
        text = f"{type(error).__name__}: {error}"
        logger.critical("JOURNAL_UNREAD records={} lost=True error={!r}", len(records), text)
        return left
    logger.warning("JOURNAL_UNREAD records={} lost=False: they wait in the spool", len(records))
    return [message for message in left if not isinstance(message, Write)]

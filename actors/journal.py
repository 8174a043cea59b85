"""The journal: everything that happened, written in the order it was told, in the transaction of the state it changed.

Rules of this file:
- What waits in the mailbox is committed as one group; the tickets of a group are settled after its commit.
- A database that is away costs no record: they go to the fsynced spool, which settles tickets just as well, and are
  replayed once and in order before anything newer is written.
- A record that the database refuses for its data is put aside whole, reported as CRITICAL, and nothing else waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from actors import messages
from actors.guard import ActorContext, GuardedActor
from actors.messages import AlertsRaised, DatabaseIs, Probe, Show, Write
from actors.recording import Recorder, log, plain_event
from domain.catalogue import EventType
from domain.records import Record
from persistence.database import DatabaseAway
from persistence.spool import Spool, SpoolFull
from persistence.writer import RefusedRecord, Writer

GROUP = 200
PROBE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the journal is given. `refused_dir` keeps records that the database would not take."""

    conninfo: str
    spool: Spool
    refused_dir: Path
    recorder: Recorder
    gateways: tuple[str, ...]


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
        self._writer = Writer(wiring.conninfo)
        self._group: list[Write] = []
        self._up = True

    def started(self) -> None:
        """Replay what an earlier life left in the spool, before anything newer."""
        if self._wiring.spool.count:
            self._replay()

    def receive(self, message: Any) -> object:
        """Collect while more waits, then write."""
        match message:
            case Write():
                self._group.append(message)
            case Probe():
                self._replay()
            case Show():
                return JournalState(
                    database_up=self._up, waiting=len(self._group), spooled=self._wiring.spool.count
                )
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        if self._group and (len(self._group) >= GROUP or self.inbox.empty()):
            self._flush()
        return None

    def stopping(self) -> None:
        """Write what is left; what the database does not take now waits in the spool for the next start."""
        self._flush()
        self._writer.close()

    def perished(self) -> None:
        """A crash must not lose what was collected: it goes to the spool."""
        group, self._group = self._group, []
        if group:
            self._spool([write.record for write in group])
            self._settle(group)

    def _flush(self) -> None:
        group = tuple(self._group)
        if not group:
            return
        records = [write.record for write in group]
        written, refused_ids = False, frozenset[str]()
        if self._up:
            try:
                refused = self._writer.write(records)
            except DatabaseAway as away:
                self._lost(away)
            else:
                self._put_aside(refused)
                written, refused_ids = True, frozenset(each.record.record_id for each in refused)
        if not written:
            self._spool(records)
        del self._group[: len(group)]  # only now: a crash above spools what is collected (`perished`)
        self._settle(group, refused_ids)

    def _settle(self, group: Sequence[Write], refused: frozenset[str] = frozenset()) -> None:
        """Tell those who wait. A refused record is durable where it was put aside, but nobody acts upon it."""
        for write in group:
            if write.ticket is not None:
                write.ticket.settle()
            if write.then is not None and write.record.record_id not in refused:
                self.tell(*write.then)
        raised = tuple(alert for write in group for alert in write.record.alerts if alert.text is not None)
        if raised:
            self.tell(messages.NOTIFIER, AlertsRaised(alerts=raised))

    def _spool(self, records: Sequence[Record]) -> None:
        try:
            self._wiring.spool.append(records)
        except (SpoolFull, OSError) as error:
            # Neither database nor disk: what is left is to shout, and to go on protecting.
            event = plain_event(EventType.RECORD_POISONED, self.clock.now(), {"error": str(error)}, error=str(error))
            log([event])

    def _lost(self, away: DatabaseAway) -> None:
        self._up = False
        self._tell_state()
        event = plain_event(EventType.DATABASE_LOST, self.clock.now(), {"error": str(away)}, error=str(away))
        log([event])
        record = self._wiring.recorder.record(self.clock.now(), events=[event])
        self._spool([record])
        self.tell(messages.NOTIFIER, AlertsRaised(alerts=record.alerts))
        self.remind_after(PROBE_S, Probe())

    def _replay(self) -> None:
        """Write the spool in order; when it is empty the database is what it was."""
        spool = self._wiring.spool
        replayed = 0
        try:
            while batch := self._batch():
                refused = self._writer.write(batch)
                self._put_aside(refused)
                spool.drop([record.record_id for record in batch])
                replayed += len(batch)
                self.beat()
            self._writer.write([])
        except DatabaseAway as away:
            if self._up:
                self._lost(away)
            else:
                self.remind_after(PROBE_S, Probe())
            return
        restored = not self._up
        self._up = True
        if restored:
            self._tell_state()
        if restored or replayed:
            event = plain_event(EventType.DATABASE_RESTORED, self.clock.now(), {"replayed": replayed})
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
        aside = Spool(self._wiring.refused_dir)
        aside.append([each.record for each in refused])
        aside.close()
        for each in refused:
            text = f"{type(each.cause).__name__}: {each.cause}".splitlines()[0]
            data = {"record": each.record.record_id, "error": text}
            event = plain_event(EventType.RECORD_POISONED, self.clock.now(), data, error=text)
            if each.record.position is not None:
                event = replace(event, symbol=each.record.position.symbol)
            log([event])
            self._group.append(Write(record=self._wiring.recorder.record(self.clock.now(), events=[event])))

"""What supervisors saw, on its way into the journal: every fall and restart, with its alert where one is due.

Starts and ordered ends are in the log alone: the service's own start and the events of positions tell of them. A crash
loop is told once when it begins (CRITICAL) and once when it is over. The fall of a position's owner is told in the
position's own story as well, and asks for a human once.
"""

from __future__ import annotations

from datetime import datetime

from actors import messages
from actors.clock import Clock
from actors.directory import Directory
from actors.messages import Write
from actors.owners import Owners
from actors.recording import Recorder, log, plain_event, position_event
from actors.supervision import SupervisionEvent, SupervisionKind
from domain.catalogue import EventType, Happening
from domain.identity import PositionId
from domain.records import Event

JOURNALLED = {
    SupervisionKind.ACTOR_CRASHED: EventType.ACTOR_CRASHED,
    SupervisionKind.ACTOR_HUNG: EventType.ACTOR_HUNG,
    SupervisionKind.ACTOR_RESTARTED: EventType.ACTOR_RESTARTED,
    SupervisionKind.ACTOR_POISONED: EventType.ACTOR_POISONED,
    SupervisionKind.ACTOR_ESCALATED: EventType.ACTOR_ESCALATED,
    SupervisionKind.ACTOR_STEADY: EventType.ACTOR_STEADY,
    SupervisionKind.GROUP_ESCALATED: EventType.GROUP_ESCALATED,
    SupervisionKind.GROUP_STEADY: EventType.GROUP_STEADY,
}


class FallReports:
    """Called in the supervisors' threads."""

    def __init__(self, recorder: Recorder, directory: Directory, clock: Clock, owners: Owners) -> None:
        """One for all supervisors of a tree."""
        self._recorder = recorder
        self._directory = directory
        self._clock = clock
        self._owners = owners

    def __call__(self, seen: SupervisionEvent) -> None:
        """Have it written; the log line is the supervisor's own."""
        event = JOURNALLED.get(seen.kind)
        if event is None:
            return
        now = self._clock.now()
        data: dict[str, str | int | bool | None] = {
            "name": seen.name,
            "supervisor": seen.supervisor,
            "epoch": seen.incarnation,
            "restarts": seen.restarts,
            "error": seen.error,
        }
        told = [plain_event(event, now, data, error=seen.error, stack_trace=seen.traceback)]
        if event in (EventType.ACTOR_CRASHED, EventType.ACTOR_HUNG):
            told += self._of_position(Happening(EventType.POSITION_ERROR, data), now)
        self._directory.tell(messages.JOURNAL, Write(record=self._recorder.record(now, events=told)))

    def _of_position(self, happening: Happening, at: datetime) -> list[Event]:
        """The same as an event of the position whose owner it was; none for everybody else."""
        kind, _, number = str(happening.data["name"]).partition("/")
        position = self._owners.state(PositionId(int(number))) if kind == "position" else None
        if position is None:
            return []
        told = position_event(happening, position, at)
        log([told])
        return [told]

"""What supervisors saw, on its way into the journal: every fall and restart, with its alert where one is due.

Starts and ordered ends are in the log alone: the service's own start and the events of positions tell of them. A crash
loop is told once when it begins (CRITICAL) and once when it is over.
"""

from __future__ import annotations

from actors import messages
from actors.clock import Clock
from actors.directory import Directory
from actors.messages import Write
from actors.recording import Recorder, plain_event
from actors.supervision import SupervisionEvent, SupervisionKind
from domain.catalogue import EventType

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

    def __init__(self, recorder: Recorder, directory: Directory, clock: Clock) -> None:
        """One for all supervisors of a tree."""
        self._recorder = recorder
        self._directory = directory
        self._clock = clock

    def __call__(self, seen: SupervisionEvent) -> None:
        """Have it written; the log line is the supervisor's own."""
        event = JOURNALLED.get(seen.kind)
        if event is None:
            return
        now = self._clock.now()
        data: dict[str, object] = {
            "name": seen.name,
            "supervisor": seen.supervisor,
            "epoch": seen.incarnation,
            "restarts": seen.restarts,
            "error": seen.error,
        }
        told = plain_event(event, now, data, error=seen.error, stack_trace=seen.traceback)
        self._directory.tell(messages.JOURNAL, Write(record=self._recorder.record(now, events=[told])))

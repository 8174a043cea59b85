"""An actor that tells what happens: log line, journal and, where it asks for a human, the outbox, in one call."""

from __future__ import annotations

from collections.abc import Mapping

from actors import messages
from actors.guard import ActorContext, GuardedActor
from actors.messages import Write
from actors.recording import Recorder, log, plain_event
from domain.catalogue import EventType, Severity
from domain.identity import PositionId
from domain.records import AlertChange, DayMetric, Delivery, Event, Performance


class ReportingActor(GuardedActor):
    """Base of the actors that are no positions; `account` is stamped on what they tell, where they have one."""

    def __init__(self, context: ActorContext, recorder: Recorder, account: str | None = None) -> None:
        """Call this first in a subclass."""
        super().__init__(context)
        self.recorder = recorder
        self.account = account

    def report(
        self,
        event: EventType,
        data: Mapping[str, object] | None = None,
        *,
        symbol: str | None = None,
        position_id: PositionId | None = None,
        account: str | None = None,
        severity: Severity | None = None,
        correlation_id: str | None = None,
        error: str | None = None,
        stack_trace: str | None = None,
    ) -> None:
        """Say it in the log and write it in the journal."""
        now = self.clock.now()
        told = plain_event(
            event,
            now,
            data,
            severity=severity,
            account=account or self.account,
            symbol=symbol,
            position_id=position_id,
            correlation_id=correlation_id,
            error=error,
            stack_trace=stack_trace,
        )
        self.write(told)

    def write(
        self,
        *events: Event,
        facts: Mapping[str, object] | None = None,
        alerts: tuple[AlertChange, ...] = (),
        deliveries: tuple[Delivery, ...] = (),
        performance: tuple[Performance, ...] = (),
        metrics: tuple[DayMetric, ...] = (),
    ) -> bool:
        """Say events in the log, and write them in the journal in one transaction with what belongs to them.

        False: there is no journal at the moment, and it is a dead letter.
        """
        log(events)
        record = self.recorder.record(
            events[0].at if events else self.clock.now(),
            events=events,
            facts=facts,
            alerts=alerts,
            deliveries=deliveries,
            performance=performance,
            metrics=metrics,
        )
        return self.tell(messages.JOURNAL, Write(record=record))

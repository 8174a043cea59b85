"""Answers to signals: each is given once, as an event and in the signal's own row, in one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors import messages
from actors.intake import Intake, Told
from actors.messages import Write
from actors.recording import log, plain_event
from actors.reporting import ReportingActor
from domain.catalogue import EventType
from domain.entries.signal import Signal
from domain.entries.situation import Refusal
from domain.identity import PositionId
from domain.records import Event, Ranked, SignalOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is written beside an answer: where the signal stood, how it was judged, the summary of the wave it ended."""

    ranked: Ranked | None = None
    checks: tuple[Mapping[str, object], ...] = ()
    summary: tuple[Event, ...] = ()

    @property
    def place(self) -> dict[str, str | int | bool | None]:
        """Where it stood, for an event."""
        ranked = self.ranked
        return {} if ranked is None else {"wave": ranked.wave, "rank": ranked.rank, "of": ranked.of}


NO_STORY = Story()


class SignalAnswers:
    """Used by the desk's thread alone."""

    def __init__(self, desk: ReportingActor, intake: Intake, told: Told) -> None:
        """`desk` is who tells the journal."""
        self._desk = desk
        self._intake = intake
        self._told = told

    def refuse(
        self, signal: Signal, refusal: Refusal, account: str | None, symbol: str | None, story: Story = NO_STORY
    ) -> None:
        """Why nothing is opened or closed."""
        self._give(signal, refusal.code, refusal.figures, None, EventType.SIGNAL_REFUSED, account, symbol, story)

    def accept(
        self,
        signal: Signal,
        outcome: str,
        figures: Mapping[str, object],
        position_id: PositionId | None,
        account: str | None,
        symbol: str | None,
        story: Story = NO_STORY,
    ) -> None:
        """What is done for it; a position that it opens tells that itself (`Openings.open`)."""
        self._give(signal, outcome, figures, position_id, EventType.SIGNAL_ACCEPTED, account, symbol, story)

    def _give(
        self,
        signal: Signal,
        outcome: str,
        figures: Mapping[str, object],
        position_id: PositionId | None,
        event: EventType,
        account: str | None,
        symbol: str | None,
        story: Story,
    ) -> None:
        now = self._desk.clock.now()
        data = {"signal": signal.id, "action": signal.action.value, "outcome": outcome, **story.place, **figures}
        told = plain_event(
            event, now, data, account=account, symbol=symbol or signal.symbol, correlation_id=signal.id
        )
        events = [told, *story.summary]
        log(events)
        answered = SignalOutcome(
            signal_id=signal.id,
            outcome=outcome,
            at=now,
            figures=figures,
            position_id=position_id,
            ranked=story.ranked,
            checks=story.checks,
        )
        record = self._desk.recorder.record(now, events=events, outcomes=(answered,))
        if self._desk.tell(messages.JOURNAL, Write(record=record)):
            self._told.answered(signal.id, position_id)
        self._intake.answered(signal.id, position_id)

"""A symbol's flags gate routine notices only, never a WARNING or above."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from actors.recording import Recorder, position_event
from domain.catalogue import EventType, Happening, Severity
from domain.instrument import PositionSide
from domain.notices import ALWAYS, ROUTINE, WITH_THEIR_OWN, AlertFlags, told
from tests.unit.domain.conversation import protected

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SILENT = AlertFlags(alert=False, buy=False, sell=False)
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


@pytest.mark.parametrize("event", list(EventType))
@pytest.mark.parametrize("severity", list(Severity))
def test_no_flag_gates_a_warning_or_above(event: EventType, severity: Severity) -> None:
    for side in (LONG, SHORT, None):
        for flags in (SILENT, AlertFlags(), None):
            if event in WITH_THEIR_OWN:  # its message is in the same record
                assert not told(event, severity, side, flags)
            elif severity.alerts or event in ALWAYS:
                assert told(event, severity, side, flags)
            elif event not in ROUTINE or flags is None:
                assert not told(event, severity, side, flags)


@pytest.mark.parametrize(
    ("flags", "of_long", "of_short"),
    [
        (AlertFlags(), True, True),
        (AlertFlags(alert=False), False, False),
        (AlertFlags(buy=False), False, True),
        (AlertFlags(sell=False), True, False),
        (None, False, False),
    ],
)
def test_routine_notices_are_gated_by_symbol_and_side(
    flags: AlertFlags | None, of_long: bool, of_short: bool
) -> None:
    for event in ROUTINE:
        assert [told(event, event.severity, side, flags) for side in (LONG, SHORT)] == [of_long, of_short]


def test_what_is_told_is_in_the_outbox_with_its_record() -> None:
    talk, _ = protected()
    recorder = Recorder(NOW)
    filled, grave = Happening(EventType.ENTRY_FILLED, {}), Happening(EventType.STOP_LOSS_LOST, {})
    events = [position_event(each, talk.position, NOW) for each in (filled, grave)]

    def raised() -> list[str | None]:
        return [alert.type for alert in recorder.record(NOW, events=events, position=talk.position).alerts]

    assert raised() == ["stop_loss_lost"]
    recorder.flags = lambda _symbol: AlertFlags()
    assert raised() == ["entry_filled", "stop_loss_lost"]
    recorder.flags = lambda _symbol: SILENT
    assert raised() == ["stop_loss_lost"]

"""How an event is reported unless the happening itself says otherwise."""

from __future__ import annotations

import pytest

from domain.catalogue import EventType, Happening, Severity
from tests.unit.domain import events_page

LOUD = {Severity.WARNING, Severity.ERROR, Severity.CRITICAL}


@pytest.mark.parametrize("severity", list(Severity))
def test_a_warning_and_above_reaches_a_human(severity: Severity) -> None:
    assert severity.alerts is (severity in LOUD)


@pytest.mark.parametrize("event", list(EventType))
def test_every_event_has_a_severity_and_a_tag(event: EventType) -> None:
    assert event.tag
    assert Happening(event, {}).grave is event.severity
    assert event.value == event.name.lower()


def test_a_happening_may_be_graver_or_less_grave_than_its_kind() -> None:
    assert Happening(EventType.POSITION_UNPROTECTED, {}).grave is Severity.INFO
    assert Happening(EventType.POSITION_UNPROTECTED, {}, Severity.CRITICAL).grave is Severity.CRITICAL
    assert Happening(EventType.STOP_LOSS_LOST, {}, Severity.INFO).grave is Severity.INFO


@pytest.mark.parametrize(
    "event",
    [
        EventType.EMERGENCY_STOP,
        EventType.ROLLBACK_STARTED,
        EventType.POSITION_NEEDS_INTERVENTION,
        EventType.POSITION_ROLLED_BACK,
        EventType.POSITION_LIQUIDATED,
        EventType.ORDER_REFUSED_UNSAFE,
    ],
)
def test_what_endangers_a_position_is_critical(event: EventType) -> None:
    """DESIGN 2: every step of a roll-back alerts CRITICAL; LAWS S13: an unsafe order is refused and CRITICAL."""
    assert event.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("event", "tag"),
    [
        (EventType.ENTRY_PLACED, "ORDER_PLACED"),
        (EventType.EXIT_FILLED, "ORDER_FILLED"),
        (EventType.STOP_LOSS_PLACED, "SLTP_PLACED"),
        (EventType.STOP_LOSS_EXISTS, "SLTP_SKIPPED_ALREADY_EXISTS"),
        (EventType.POSITION_UNPROTECTED, "[UNPROTECTED_POSITION]"),
        (EventType.ROLLBACK_STARTED, "[AUTO_CLOSE]"),
        (EventType.RECONCILE_STARTED, "RUN_START"),
        (EventType.RECONCILE_FINISHED, "RUN_END"),
        (EventType.TRAILING_MOVED, "TRAILING_MOVED"),
    ],
)
def test_operators_scripts_read_these_tags(event: EventType, tag: str) -> None:
    assert event.tag == tag


def test_the_page_of_events_is_the_catalogue() -> None:
    assert events_page.PAGE.read_text() == events_page.page(), events_page.WRITE_IT


@pytest.mark.parametrize("event", list(EventType))
def test_every_event_says_what_it_means(event: EventType) -> None:
    assert events_page.meanings()[event].endswith(".")


def test_data_that_an_entry_does_not_list_is_noticed() -> None:
    listed = dict.fromkeys(EventType.TRAILING_MOVED.fields, "1")
    assert EventType.TRAILING_MOVED.unknown_fields(listed) == []
    assert EventType.TRAILING_MOVED.unknown_fields({**listed, "colour": "red"}) == ["colour"]
    assert EventType.SIGNAL_REFUSED.unknown_fields({"seconds_remaining": 3}) == []  # its figures are the case's

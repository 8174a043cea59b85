"""The queue before a channel: floods grouped, a CRITICAL never, nothing gone before it was taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.alerting.outbox import LONGEST_TEXT, REFUSALS, SHORT_TEXT, Failure, Outbox
from domain.alerting.routes import Route, channels_for
from domain.catalogue import Severity
from domain.records import AlertChange

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
W, C = Severity.WARNING, Severity.CRITICAL
BUSY = Failure(reason="busy")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def alert(name: str, kind: str = "stream_lost", symbol: str = "", severity: Severity = W) -> AlertChange:
    return AlertChange(alert_id=name, at=NOON, severity=severity, type=kind, symbol=symbol, text=f"text of {name}")


def outbox(per_minute: int = 100) -> Outbox:
    return Outbox(window_s=30, per_minute=per_minute)


def sent(box: Outbox, now: datetime) -> list[str] | None:
    batch = box.next(now)
    if batch is None:
        return None
    return [each.alert_id for each in box.taken(now)]


def test_the_first_of_a_kind_goes_at_once_the_rest_together_with_a_count() -> None:
    box = outbox()
    box.add(alert("1"))
    assert sent(box, at(0)) == ["1"]
    for name in "2345":
        box.add(alert(name))
    assert sent(box, at(29)) is None
    batch = box.next(at(30))
    assert batch is not None
    assert batch.text.startswith("4 times stream_lost (12:00:00 to 12:00:00 UTC), the last: text of 5")
    assert [each.alert_id for each in box.taken(at(30))] == ["2", "3", "4", "5"]
    assert len(box) == 0


def test_a_critical_goes_first_alone_and_beyond_the_rate() -> None:
    box = outbox(per_minute=1)
    for name in "123":
        box.add(alert(name, symbol=name))
    assert sent(box, at(0)) == ["1"]
    assert sent(box, at(1)) is None
    for name in ("c1", "c2"):
        box.add(alert(name, kind="position_unprotected", severity=C))
    assert sent(box, at(1)) == ["c1"]
    assert sent(box, at(1)) == ["c2"]
    assert sent(box, at(1)) is None
    assert sent(box, at(61)) == ["2"]


def test_many_kinds_share_a_message() -> None:
    box = outbox()
    for name in "12345":
        box.add(alert(name, symbol=name))
    box.add(alert("6", symbol="1"))
    batch = box.next(at(0))
    assert batch is not None
    assert batch.text.splitlines()[0] == "6 alerts:"
    assert len(batch.text.splitlines()) == 6
    assert len(box.taken(at(0))) == 6


def test_backing_off_and_what_ends_it() -> None:
    box = outbox()
    box.add(alert("1"))
    pauses = []
    now = NOON
    for _ in range(8):
        while box.next(now) is None:
            now += timedelta(seconds=0.5)
        box.failed(BUSY, now, jitter=0)
        began = now
        while box.next(now) is None:
            now += timedelta(seconds=0.5)
        pauses.append((now - began).total_seconds())
        box.failed(BUSY, now, jitter=1000)
    assert pauses == [1, 4, 16, 60, 60, 60, 60, 60]
    assert box.next(now) is None
    box.add(alert("c", severity=C))
    assert box.next(now) is not None  # what is CRITICAL tries at once


def test_a_channel_that_says_how_long_is_obeyed_by_a_critical_too() -> None:
    box = outbox()
    box.add(alert("c", severity=C))
    box.next(NOON)
    box.failed(Failure(reason="429", retry_after_s=7), NOON, jitter=1000)
    box.add(alert("c2", severity=C))
    assert box.next(at(6.9)) is None
    assert box.next(at(7)) is not None


def test_refused_three_times_it_is_put_aside_and_the_next_goes() -> None:
    box = outbox()
    long = AlertChange(alert_id="1", at=NOON, severity=C, type="x", text="ü" * 2 * LONGEST_TEXT)
    box.add(long)
    box.add(alert("2", severity=C))
    texts: list[str] = []
    given_up: list[AlertChange] = []
    now = NOON
    for _ in range(REFUSALS):
        batch = box.next(now)
        assert batch is not None
        texts.append(batch.text)
        given_up += box.failed(Failure(reason="400", refused=True), now, jitter=0)
        now += timedelta(seconds=61)
    assert [each.alert_id for each in given_up] == ["1"]
    assert len(texts[0]) < LONGEST_TEXT + 100
    assert texts[1] == "?" * SHORT_TEXT
    assert sent(box, now) == ["2"]


def test_taken_late_it_is_not_sent_again() -> None:
    box = outbox()
    box.add(alert("1"))
    batch = box.next(NOON)
    assert batch is not None
    box.failed(BUSY, NOON, jitter=0)
    box.taken_late(batch.alerts)
    assert box.next(at(100)) is None


ACTS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("ABC"), st.sampled_from((W, C))),
    st.tuples(st.just("wait"), st.integers(0, 90), st.none()),
    st.tuples(st.sampled_from(["taken", "failed"]), st.none(), st.none()),
)


@given(st.lists(ACTS, max_size=60))
def test_everything_is_delivered_in_the_end_once_and_criticals_alone(acts: list[tuple[str, object, object]]) -> None:
    box, now = outbox(per_minute=3), NOON
    added: list[str] = []
    delivered: list[str] = []

    def turn(taken: bool) -> None:
        batch = box.next(now)
        if batch is None:
            return
        assert batch.severity is not C or len(batch.alerts) == 1
        if taken:
            delivered.extend(each.alert_id for each in box.taken(now))
        else:
            assert box.failed(BUSY, now, jitter=500) == ()

    for what, value, severity in acts:
        if what == "add":
            name = str(len(added))
            added.append(name)
            box.add(alert(name, symbol=str(value), severity=W if severity is W else C))
        elif what == "wait" and isinstance(value, int):
            now += timedelta(seconds=value)
        else:
            turn(what == "taken")
    for _ in range(4 * len(added) + 4):
        now += timedelta(seconds=61)
        turn(taken=True)
    assert sorted(delivered) == sorted(added)
    assert len(box) == 0


@pytest.mark.parametrize(
    ("route", "taken"),
    [
        (Route(channel="a"), True),
        (Route(channel="a", lowest=C), False),
        (Route(channel="a", lowest=W, types=frozenset({"stream_lost"})), True),
        (Route(channel="a", types=frozenset({"digest"})), False),
    ],
)
def test_routes(route: Route, taken: bool) -> None:
    assert channels_for(alert("1"), [route]) == (frozenset({"a"}) if taken else frozenset())

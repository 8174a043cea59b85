"""From what is known of the service to what is so: each topic begins where it should, and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.accounts import Finding
from domain.alerting.evidence import AccountSight, Evidence, Feed, Limits, Sight
from domain.alerting.standing import Condition, Topic
from domain.catalogue import EventType, Severity
from domain.identity import PositionId
from domain.records import Event
from tests.unit.domain.conversation import protected

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMITS = Limits(
    unprotected_s=5,
    opening_success_pct=Decimal(50),
    signal_feed_s=3_600,
    stream_down_s=30,
    database_down_s=10,
    balance_low=Decimal(50),
)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def event(kind: EventType, seconds: float = 0, position: int = 1, **data: object) -> Event:
    return Event(
        type=kind,
        severity=kind.severity,
        at=at(seconds),
        data=data,
        position_id=PositionId(position),
        account="main",
        symbol="BTCUSDT",
    )


def seen(evidence: Evidence, sight: Sight | None = None, seconds: float = 0) -> list[Condition]:
    return list(evidence.conditions(sight or Sight(), LIMITS, at(seconds)))


def topics(evidence: Evidence, sight: Sight | None = None, seconds: float = 0) -> list[Topic]:
    return [condition.topic for condition in seen(evidence, sight, seconds)]


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(NOON)


def test_a_position_without_stop(evidence: Evidence) -> None:
    bare = protected()[0].position.changed(unprotected_since=NOON)
    said = bare.changed(unprotected_alerted=True)  # by its owner, in an event
    assert topics(evidence, Sight(positions=(said,)), 4.9) == []
    (condition,) = seen(evidence, Sight(positions=(said,)), 5)
    assert (condition.topic, condition.severity, condition.told) == (Topic.UNPROTECTED, Severity.CRITICAL, True)
    assert topics(evidence, Sight(positions=(bare,)), 5.9) == []
    (condition,) = seen(evidence, Sight(positions=(bare,)), 6)
    assert not condition.told  # its owner says nothing: we do
    assert topics(evidence, Sight(positions=(bare.changed(unprotected_since=None),)), 9) == []


def test_a_position_that_needs_a_human_has_been_told_by_its_own_event(evidence: Evidence) -> None:
    (condition,) = seen(evidence, Sight(positions=(protected()[0].position.changed(needs_intervention=True),)))
    assert (condition.topic, condition.told) == (Topic.ROLLBACK_FAILED, True)


def test_the_exchange_refuses_stops_for_a_symbol_until_it_takes_one(evidence: Evidence) -> None:
    evidence.hear(event(EventType.STOP_LOSS_REFUSED, 0, error="-2021"))
    assert topics(evidence) == []  # one alone may be its price
    evidence.hear(event(EventType.STOP_LOSS_REFUSED, 1, error="-2021"))
    (condition,) = seen(evidence, seconds=1)
    assert (condition.topic, condition.symbol) == (Topic.STOPS_REFUSED, "BTCUSDT")
    assert "-2021" in condition.text
    evidence.hear(event(EventType.STOP_LOSS_PLACED, 2))
    assert topics(evidence, seconds=2) == []


def test_refusals_of_an_earlier_life_are_over_with_the_first_stop_that_is_taken(evidence: Evidence) -> None:
    for _ in range(2):
        evidence.hear(event(EventType.STOP_LOSS_REFUSED))
    (condition,) = seen(evidence)
    later = Evidence(NOON)
    assert later.unknown(condition, Sight(), at(1))
    later.hear(event(EventType.STOP_LOSS_PLACED, 2))
    assert not later.unknown(condition, Sight(), at(2))
    later.hear(event(EventType.STOP_LOSS_REFUSED, 3))
    assert later.unknown(condition, Sight(), at(3))


def test_a_position_that_is_protected_by_being_closed_was_no_success(evidence: Evidence) -> None:
    for number in range(6):
        evidence.hear(event(EventType.POSITION_PROTECTED, 0, number, cover="0.00"))
        evidence.hear(event(EventType.POSITION_ROLLED_BACK, 0, number))
    assert topics(evidence) == [Topic.OPENING_SUCCESS]


def test_refusals_far_apart_are_no_pattern_and_old_ones_are_over(evidence: Evidence) -> None:
    evidence.hear(event(EventType.STOP_LOSS_REFUSED, 0))
    evidence.hear(event(EventType.STOP_LOSS_REFUSED, 100))
    assert topics(evidence, seconds=100) == []
    evidence.hear(event(EventType.STOP_LOSS_REFUSED, 101))
    assert topics(evidence, seconds=101) == [Topic.STOPS_REFUSED]
    assert topics(evidence, seconds=402) == []


def test_opening_success_with_hysteresis(evidence: Evidence) -> None:
    for number in range(3):
        evidence.hear(event(EventType.POSITION_PROTECTED, 0, number, cover="3"))
    for number in range(3, 5):
        evidence.hear(event(EventType.POSITION_FAILED, 0, number))
    evidence.hear(event(EventType.POSITION_ROLLED_BACK, 0, 5))
    assert topics(evidence) == []  # half of six
    evidence.hear(event(EventType.POSITION_FAILED, 0, 6))
    (condition,) = seen(evidence)
    assert condition.text == "only 3 of the last hour's 7 openings came to be protected"
    evidence.hear(event(EventType.POSITION_PROTECTED, 0, 7, cover="3"))
    assert topics(evidence) == [Topic.OPENING_SUCCESS]  # half again, but it was below
    for number in (8, 9):
        evidence.hear(event(EventType.POSITION_PROTECTED, 0, number, cover="3"))
    assert topics(evidence) == []  # six of ten
    assert topics(evidence, seconds=3_700) == []


def test_of_one_position_only_the_first_outcome_counts(evidence: Evidence) -> None:
    for number in range(6):
        evidence.hear(event(EventType.POSITION_FAILED, 0, number))
        evidence.hear(event(EventType.POSITION_PROTECTED, 1, number, cover="3"))
    assert topics(evidence, seconds=1) == [Topic.OPENING_SUCCESS]


def feed(name: str, account: str | None, state: str) -> Feed:
    return Feed(name=name, account=account, state=state, reason="no route")


def test_feeds(evidence: Evidence) -> None:
    sight = Sight(
        feeds=(
            feed("signal_feed", None, "degraded"),
            feed("market_feed/main", "main", "down"),
            feed("account_feed/main", "main", "degraded"),
        )
    )
    found = {condition.topic: condition.after_s for condition in seen(evidence, sight)}
    assert found == {Topic.SIGNAL_FEED: 3_600, Topic.STREAM: 30}
    stream = next(each for each in seen(evidence, sight) if each.topic is Topic.STREAM)
    assert evidence.unknown(stream, Sight(feeds=None), NOON)
    assert evidence.unknown(stream, Sight(feeds=()), NOON)
    assert not evidence.unknown(stream, Sight(feeds=(feed("market_feed/main", "main", "healthy"),)), NOON)


def test_database_and_locks(evidence: Evidence) -> None:
    lost = Sight(database_known=True, locks_lost={"main": "held by another"})
    away = replace(lost, database_away="7 records wait")
    (lock,) = seen(evidence, lost)
    (database,) = seen(evidence, away)  # which says nothing of another process
    assert (lock.topic, database.topic) == (Topic.TWO_PROCESSES, Topic.DATABASE)
    assert evidence.unknown(database, Sight(), NOON)
    assert evidence.unknown(lock, Sight(), NOON)
    assert evidence.unknown(lock, away, NOON)
    assert not evidence.unknown(lock, Sight(locks_lost={}), NOON)


def test_account_findings(evidence: Evidence) -> None:
    refused = Finding(code="key_refused", severity=Severity.CRITICAL, text="the key is refused")
    skewed = Finding(code="clock_skew", severity=Severity.WARNING, text="1.4 s ahead")
    other = Finding(code="may_withdraw", severity=Severity.WARNING, text="the key may withdraw")
    account = AccountSight(findings=(refused, skewed, other), maintenance="maintenance", killed="fired")
    found = seen(evidence, Sight(accounts={"main": account}))
    assert [each.topic for each in found] == [
        Topic.CREDENTIALS,
        Topic.CLOCK,
        Topic.MAINTENANCE,
        Topic.KILL_SWITCH,
    ]
    assert all(each.told for each in found)


def test_a_low_balance_with_hysteresis(evidence: Evidence) -> None:
    def with_equity(equity: str | None) -> list[Topic]:
        account = AccountSight(equity=None if equity is None else Decimal(equity))
        return topics(evidence, Sight(accounts={"main": account}))

    assert with_equity("50") == []
    assert with_equity("49.99") == [Topic.BALANCE]
    assert with_equity("54.99") == [Topic.BALANCE]
    assert with_equity("55") == []
    assert with_equity("54.99") == []
    assert with_equity(None) == []


def test_a_crash_loop_is_over_when_it_is_steady_and_unknown_after_a_start(evidence: Evidence) -> None:
    evidence.hear(event(EventType.ACTOR_ESCALATED, name="gateway/main", error="boom"))
    (condition,) = seen(evidence)
    assert (condition.topic, condition.subject, condition.told) == (Topic.CRASH_LOOP, "gateway/main", True)
    evidence.hear(event(EventType.ACTOR_STEADY, name="gateway/main"))
    assert topics(evidence) == []
    assert not evidence.unknown(condition, Sight(), at(1))
    later = Evidence(NOON)
    assert later.unknown(condition, Sight(), at(59))
    assert not later.unknown(condition, Sight(), at(60))


def test_a_group_is_steady_whoever_of_it_fell_last(evidence: Evidence) -> None:
    """Told of the child that made it too many, over with the one that fell last; a child's own loop goes on."""
    evidence.hear(event(EventType.ACTOR_ESCALATED, name="judge", supervisor="root", error="boom"))
    evidence.hear(event(EventType.GROUP_ESCALATED, name="judge", supervisor="root", error="boom"))
    assert sorted(condition.subject for condition in seen(evidence)) == ["children of root", "judge"]
    evidence.hear(event(EventType.GROUP_STEADY, name="archivist", supervisor="root"))
    (condition,) = seen(evidence)
    assert condition.subject == "judge"


def test_the_loops_under_a_supervisor_are_over_with_it(evidence: Evidence) -> None:
    """Its successor counts anew, and would never say that they are."""
    for name, supervisor in (("position/7", "positions/main"), ("positions/main", "root")):
        evidence.hear(event(EventType.ACTOR_ESCALATED, name=name, supervisor=supervisor, error="boom"))
        evidence.hear(event(EventType.GROUP_ESCALATED, name=name, supervisor=supervisor, error="boom"))
    evidence.hear(event(EventType.ACTOR_CRASHED, name="position/7", supervisor="positions/main", error="boom"))
    assert len(seen(evidence)) == 4
    evidence.hear(event(EventType.ACTOR_HUNG, name="positions/main", supervisor="root", error="hung"))
    assert sorted(condition.subject for condition in seen(evidence)) == ["children of root", "positions/main"]


def test_zombies_over_their_threshold(evidence: Evidence) -> None:
    evidence.hear(event(EventType.ZOMBIES_MANY, within_an_hour=11, alert_over=10))
    (condition,) = seen(evidence)
    assert (condition.topic, condition.subject, condition.told) == (Topic.ZOMBIES, "main", True)
    assert "11 orders without a position" in condition.text
    later = Evidence(NOON)
    assert later.unknown(condition, Sight(), at(1))
    evidence.hear(event(EventType.ZOMBIES_FEW))
    assert topics(evidence) == []
    assert not evidence.unknown(condition, Sight(), at(1))


def test_switched_off(evidence: Evidence) -> None:
    off = replace(LIMITS, opening_success_pct=Decimal(0), signal_feed_s=0, balance_low=Decimal(0))
    for number in range(9):
        evidence.hear(event(EventType.POSITION_FAILED, 0, number))
    sight = Sight(
        feeds=(feed("signal_feed", None, "down"),), accounts={"main": AccountSight(equity=Decimal(1))}
    )
    assert list(evidence.conditions(sight, off, NOON)) == []

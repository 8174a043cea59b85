"""When a human is told of disagreement: too much, too long, or a stop that is taken away again and again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.agreement.alarms import Alarm, Alarms, Thresholds
from domain.agreement.findings import Finding, Kind
from domain.agreement.sightings import Sightings
from tests.unit.agreement.test_compare import owned
from tests.unit.agreement.test_sightings import finding

LIMIT = Thresholds(findings=3, unrepaired=timedelta(seconds=10), recoveries=2)


class Watch:
    """Readings with their alarms."""

    def __init__(self, limit: Thresholds = LIMIT) -> None:
        self.limit = limit
        self.now = timedelta()
        self._seen = Sightings()
        self._alarms = Alarms()

    def read(self, *findings: Finding, after_s: float = 1) -> Alarm | None:
        self.now += timedelta(seconds=after_s)
        look = self._seen.look(findings, self.now)
        return self._alarms.of_findings(look, self._seen.open(), self.limit, self.now)

    def recovered(self, times: int, after_s: float = 1) -> list[int]:
        self.now += timedelta(seconds=after_s)
        p = replace(owned(), recoveries=times)
        return [number for _, number in self._alarms.of_stops([p], self.limit, self.now)]


def test_one_that_lasts_is_an_alarm_once_and_its_end_is_told() -> None:
    watch = Watch()
    assert [watch.read(finding()) for _ in range(10)] == [None] * 10
    alarm = watch.read(finding())
    assert alarm is not None
    assert (alarm.why, alarm.over, alarm.figures["unrepaired"], alarm.figures["symbols"]) == (
        "unrepaired", False, 1, "BTCUSDT",
    )  # fmt: skip
    assert watch.read(finding()) is None
    over = watch.read()
    assert over is not None
    assert over.over
    assert watch.read() is None


def test_many_within_an_hour_are_an_alarm_until_the_hour_is_over() -> None:
    watch = Watch()
    alarm = None
    for number in range(3):
        assert alarm is None
        assert watch.read(finding(key=f"cover {number}")) is None
        alarm = watch.read(finding(key=f"cover {number}"))
        assert watch.read() is None
    assert alarm is not None
    assert (alarm.why, alarm.figures["findings"]) == ("many", 3)
    over = watch.read(after_s=3_600)
    assert over is not None
    assert over.over


def test_what_nobody_is_to_put_right_raises_none() -> None:
    """A stranger's position that is only told of lasts as long as it is held."""
    watch = Watch()
    assert [watch.read(finding(Kind.UNTRACKED, lasting=True)) for _ in range(30)] == [None] * 30


def test_zero_switches_off() -> None:
    watch = Watch(Thresholds(findings=0, unrepaired=timedelta(), recoveries=0))
    assert [watch.read(*(finding(key=str(n)) for n in range(5))) for _ in range(30)] == [None] * 30
    assert watch.recovered(0) == watch.recovered(50) == []


def test_a_stop_that_keeps_vanishing_is_told_for_each_time_so_often() -> None:
    watch = Watch()
    assert [watch.recovered(times) for times in (0, 1, 2, 2, 3, 4)] == [[], [], [2], [], [], [4]]


def test_what_happened_before_this_life_or_an_hour_ago_does_not_count() -> None:
    watch = Watch()
    assert watch.recovered(7) == []
    assert watch.recovered(8) == []
    assert watch.recovered(9, after_s=3_601) == []
    assert watch.recovered(10) == [2]

"""What stands: raised once when it has held, repeated until known, cleared once when it has been away."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.alerting.standing import Board, Condition, News, Standing, Topic, What, in_words, step
from domain.catalogue import Severity

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DOWN = Condition(
    topic=Topic.STREAM, subject="account_feed/main", severity=Severity.CRITICAL, text="it is down", after_s=30, calm_s=5
)


class Day:
    """A board and a clock."""

    def __init__(self) -> None:
        self.board = Board()
        self.now = NOON
        self.numbers = itertools.count(1)
        self.unknown = False

    def look(self, *seen: Condition, after_s: float = 1, repeat_s: float = 0) -> list[str]:
        return [news.what.value for news in self.news(*seen, after_s=after_s, repeat_s=repeat_s)]

    def news(self, *seen: Condition, after_s: float = 1, repeat_s: float = 0) -> tuple[News, ...]:
        self.now += timedelta(seconds=after_s)
        self.board, news = step(
            self.board,
            seen,
            self.now,
            mint=lambda: f"s{next(self.numbers)}",
            unknown=lambda _: self.unknown,
            repeat_s=repeat_s,
        )
        return news


def test_it_is_raised_once_it_has_held_and_cleared_once_it_has_been_away() -> None:
    day = Day()
    assert day.look(DOWN) == []
    assert day.look(DOWN, after_s=29) == []
    assert day.look(DOWN) == ["raised"]
    assert day.look(DOWN, after_s=3_600) == []
    assert day.look() == []
    assert day.look(DOWN) == []  # away for less than its calm: nothing was over
    assert day.look() == []
    (over,) = day.news(after_s=5)
    assert (over.what, over.text) == (What.CLEARED, "OVER after 1 h 0 min: it is down")
    assert day.look() == []
    assert day.board == Board()


def test_what_comes_and_goes_makes_no_noise() -> None:
    day = Day()
    for _ in range(50):
        assert day.look(DOWN, after_s=20) == []
        assert day.look(after_s=20) == []


def test_it_is_repeated_until_somebody_knows() -> None:
    day = Day()
    now = replace(DOWN, after_s=0)
    assert day.look(now, repeat_s=60) == ["raised"]
    assert day.look(now, after_s=59, repeat_s=60) == []
    assert day.look(now, repeat_s=60) == ["repeated"]
    assert day.look(now, after_s=60, repeat_s=60) == ["repeated"]
    (alert,) = day.board.standing.values()
    day.board = day.board.acknowledged(alert.alert_id, "uid 7")
    assert day.look(now, after_s=600, repeat_s=60) == []
    assert day.look(after_s=1) == []
    assert day.look(after_s=5) == ["cleared"]


def test_a_warning_is_not_repeated() -> None:
    day = Day()
    mild = replace(DOWN, after_s=0, severity=Severity.WARNING)
    assert day.look(mild, repeat_s=60) == ["raised"]
    assert day.look(mild, after_s=600, repeat_s=60) == []


def test_what_nobody_can_tell_stays() -> None:
    day = Day()
    assert day.look(replace(DOWN, after_s=0)) == ["raised"]
    day.unknown = True
    assert day.look(after_s=600) == []
    day.unknown = False
    assert day.look() == []  # only now it begins to be away
    assert day.look(after_s=5) == ["cleared"]


def test_what_stood_in_an_earlier_life_is_not_raised_again() -> None:
    earlier = Standing(alert_id="old", condition=DOWN, raised_at=NOON, told_at=NOON)
    day = Day()
    day.board, superseded = day.board.with_earlier([earlier])
    assert superseded == ()
    assert day.look(DOWN) == []
    day.board, superseded = day.board.with_earlier([replace(earlier, alert_id="older")])
    assert [each.alert_id for each in superseded] == ["older"]
    assert day.look() == []
    (over,) = day.news(after_s=10)
    assert (over.standing.alert_id, over.what) == ("old", What.CLEARED)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 100)), max_size=60))
def test_raised_and_cleared_alternate(looks: list[tuple[bool, bool, int]]) -> None:
    day = Day()
    said: list[str] = []
    for so, unknown, after_s in looks:
        day.unknown = unknown
        said += [word for word in day.look(*([DOWN] if so else []), after_s=after_s, repeat_s=10) if word != "repeated"]
        assert len(day.board.standing) == (1 if said and said[-1] == "raised" else 0)
    assert said == ["raised", "cleared"] * (len(said) // 2) + ["raised"] * (len(said) % 2)


def test_times_in_words() -> None:
    words = [in_words(timedelta(seconds=seconds)) for seconds in (-3, 42, 185, 7_800, 273_600)]
    assert words == ["0 s", "42 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]

"""The budget by itself, in virtual time: what it lets go stays under half of each limit in every window of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.budget import Budget, Cost
from adapters.exchange import binance, bybit
from adapters.exchange.interface import Errand, RateLimit
from domain.orders import Priority

MOVE, ENTRY, QUERY = Priority.MOVE, Priority.ENTRY, Priority.QUERY
LIMITS: Mapping[str, tuple[RateLimit, ...]] = {
    "binance": binance.CAPABILITIES.limits,
    "bybit": bybit.CAPABILITIES.limits,
}
VENUES = pytest.mark.parametrize("venue", sorted(LIMITS))
ASKED = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from([MOVE, ENTRY, QUERY]),
        st.builds(Cost, st.sampled_from(list(Errand)), st.integers(1, 60), st.integers(1, 8)),
        st.integers(1, 120),
    ),
    min_size=1,
    max_size=40,
)


class Desk:
    """Sends whatever it is asked to as soon as it may, and remembers when."""

    def __init__(self, limits: tuple[RateLimit, ...]) -> None:
        self.limits = limits
        self.now = 0.0
        self.budget = Budget(limits, self.now)
        self.sent: list[tuple[float, Cost]] = []

    def send(self, priority: Priority, cost: Cost, times: int = 1) -> None:
        for _ in range(times):
            while (wait := self.budget.wait(priority, cost, self.now)) > 0:
                self.now += max(wait, 0.001)
            self.charge(cost)

    def charge(self, cost: Cost) -> None:
        self.budget.charge(cost, self.now)
        self.sent.append((self.now, cost))

    def most(self, limit: RateLimit) -> int:
        """The most that left in any window of a limit."""
        counted = [(at, c.weight if limit.weighed else c.requests) for at, c in self.sent if c.errand in limit.of]
        sums = [0, *accumulate(each for _, each in counted)]
        first, worst = 0, 0
        for last, (at, _) in enumerate(counted):
            while counted[first][0] <= at - limit.window_s:
                first += 1
            worst = max(worst, sums[last + 1] - sums[first])
        return worst


@VENUES
@given(asked=ASKED)
def test_no_window_of_any_limit_holds_more_than_half_of_it(
    venue: str, asked: list[tuple[float, Priority, Cost, int]]
) -> None:
    desk = Desk(LIMITS[venue])
    for pause, priority, cost, times in asked:
        desk.now += pause
        desk.send(priority, cost._replace(requests=1) if cost.errand is not Errand.QUESTION else cost, times)
    for limit in desk.limits:
        assert desk.most(limit) <= limit.most // 2, limit


@VENUES
def test_what_protects_is_never_asked_about_and_makes_the_others_wait(venue: str) -> None:
    desk = Desk(LIMITS[venue])
    for _ in range(700):
        desk.charge(Cost(Errand.PLACE))
    for priority in (MOVE, ENTRY):
        assert desk.budget.wait(priority, Cost(Errand.PLACE), desk.now) > 0


@VENUES
def test_questions_leave_room_for_entries_and_these_for_moves(venue: str) -> None:
    desk = Desk(LIMITS[venue])
    question = Cost(Errand.QUESTION)
    while not desk.budget.wait(QUERY, question, desk.now):
        desk.charge(question)
    assert desk.budget.wait(ENTRY, question, desk.now) == 0
    while not desk.budget.wait(ENTRY, question, desk.now):
        desk.charge(question)
    assert desk.budget.wait(MOVE, question, desk.now) == 0


@VENUES
def test_one_question_dearer_than_any_burst_leaves_once_nothing_else_has(venue: str) -> None:
    desk = Desk(LIMITS[venue])
    desk.send(QUERY, Cost(weight=5_000, requests=500))
    assert desk.sent[0][0] == 0
    assert desk.budget.wait(QUERY, Cost(), desk.now) > 0


def test_forty_positions_move_twice_within_ten_seconds_and_the_third_time_takes_turns() -> None:
    """Each move is an order more at Binance; 300 in ten seconds is the limit, half of it is ours."""
    desk = Desk(LIMITS["binance"])
    desk.send(MOVE, Cost(Errand.PLACE), 80)
    assert desk.now == 0
    desk.send(MOVE, Cost(Errand.PLACE), 120)
    assert 10 < desk.now < 11


def test_bybits_word_on_a_path_is_taken() -> None:
    desk = Desk(LIMITS["bybit"])
    move = Cost(Errand.ATTACH)
    desk.send(MOVE, move, 5)
    assert desk.budget.wait(MOVE, move, desk.now) == pytest.approx(1.2)
    assert desk.budget.wait(MOVE, Cost(Errand.AMEND), desk.now) == 0, "a path of its own"
    desk.budget.path_allows(Errand.ATTACH, 20)
    desk.send(MOVE, move, 5)
    assert desk.now == 0
    assert desk.budget.wait(MOVE, move, desk.now) > 0


def test_the_questions_of_a_restart_with_190_positions_take_two_windows_of_bybit() -> None:
    desk = Desk(LIMITS["bybit"])
    desk.send(QUERY, Cost(), 380)
    assert 5 < desk.now < 6
    assert desk.most(desk.limits[0]) <= 300

"""Small questions and a big one in one queue, while the requests of the minute are used up.

How one would notice it broken: a human's close is in the book ten to thirty seconds late, because the question about
its executions stands behind a reading of the account that waits for 85 of weight; or, the other way round, owners who
ask without end keep the account from ever being read.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors import costs, reconciler
from actors.turns import PASSED_AT_MOST, SMALL
from adapters.exchange import binance
from adapters.exchange.interface import Limit, Usage
from tests.actors.order_path.test_turns import ENTRY, QUERY, Line, play

READING = 85
A_SECOND = (binance.CAPABILITIES.limits[0].most / 2 - 10 - 820) / 60
KEPT = 20


def used_up(line: Line) -> None:
    """Nothing is left but what is kept for moves and entries."""
    line.turns.correct((Usage(limit=Limit.REQUESTS, used=1200 - KEPT, most=2400, resets_in_s=30),))


def test_a_small_question_does_not_wait_behind_a_reading_that_has_to() -> None:
    async def scene(line: Line) -> None:
        used_up(line)
        line.queue(QUERY, READING)
        line.queue(QUERY, SMALL)
        await line.later(SMALL / A_SECOND + 0.1)
        assert line.begun == [QUERY]
        assert line.weights == [SMALL]
        await line.later(READING / A_SECOND + 0.1)
        assert line.weights == [SMALL, READING]

    play(scene)


def test_so_much_goes_past_a_reading_and_no_more() -> None:
    """However many ask: it leaves five seconds later than it would alone."""

    async def scene(line: Line) -> None:
        used_up(line)
        line.queue(QUERY, READING)
        for _ in range(100):
            line.queue(QUERY, 5)
        waited = 0.0
        while READING not in line.weights:
            await line.later(0.2)
            waited += 0.2
        assert sum(line.weights) - READING <= PASSED_AT_MOST
        assert waited <= (READING + PASSED_AT_MOST) / A_SECOND + 0.4

    play(scene)


def test_a_big_question_passes_none() -> None:
    async def scene(line: Line) -> None:
        used_up(line)
        line.queue(QUERY, READING)
        line.queue(QUERY, SMALL + 1)
        await line.later(READING / A_SECOND - 0.5)
        assert line.weights == []

    play(scene)


def test_what_waits_off_a_pause_is_not_passed() -> None:
    """The venue said 'too much': nothing is asked, however small."""

    async def scene(line: Line) -> None:
        line.turns.pause(10)
        line.queue(QUERY, READING)
        line.queue(QUERY, 1)
        await line.later(9)
        assert line.weights == []

    play(scene)


def test_entries_keep_their_order() -> None:
    async def scene(line: Line) -> None:
        used_up(line)
        line.queue(ENTRY, READING)
        line.queue(ENTRY, 1)
        await line.later(1)
        assert line.weights == []

    play(scene)


@given(st.lists(st.sampled_from([1, 2, 5, SMALL, 20, READING]), max_size=40), st.floats(0.05, 3))
def test_all_that_was_asked_leaves_once_and_within_the_budget(asked: list[int], step: float) -> None:
    async def scene(line: Line) -> None:
        used_up(line)
        for weight in asked:
            line.queue(QUERY, weight)
        passed = 0.0
        while len(line.weights) < len(asked):
            await line.later(step)
            passed += step
            assert sum(line.weights) <= passed * A_SECOND + 0.001
            assert passed <= sum(asked) / A_SECOND + 2 * step * (len(asked) + 1)
        assert sorted(line.weights) == sorted(asked)
        big = [weight for weight in line.weights if weight > SMALL]
        assert big == [weight for weight in asked if weight > SMALL], "the big ones keep their order"

    play(scene)


def test_the_order_of_small_ones_stays() -> None:
    async def scene(line: Line) -> None:
        used_up(line)
        line.queue(QUERY, READING)
        for weight in (5, 1, 2):
            line.queue(QUERY, weight)
        await line.later(8 / A_SECOND + 0.1)
        assert line.weights == [5, 1, 2]

    play(scene)


def test_figures() -> None:
    """Six questions about one position; a reading that waits for 14 s is asked for again after 20."""
    assert PASSED_AT_MOST // costs.QUESTION.weight == 6
    assert costs.SYMBOL.weight <= SMALL
    assert (costs.reading(owned=0).weight + PASSED_AT_MOST) / A_SECOND < reconciler.ANSWER_LIMIT_S

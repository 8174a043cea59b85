"""When the kill switch fires by itself: never on the word of one source, always on that of two."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.judgement.kill_switch import Cause
from domain.judgement.losses import NOTHING, Limits, Reading, Source, Verdict, Watch, begun_anew, from_row, hear, to_row
from tests.persistence.samples import NOON

D = Decimal
LIMITS = Limits(daily_loss_usd=D(100), drawdown_pct=D(10))
START = D(1000)


def run(
    *told: tuple[Source, int, Decimal], watch: Watch = NOTHING, limits: Limits = LIMITS
) -> tuple[Watch, list[Verdict]]:
    """Readings {source, seconds after noon, value}."""
    found = []
    for source, second, value in told:
        at = NOON + timedelta(seconds=second)
        watch, verdict = hear(watch, Reading(source=source, at=at, value=value), limits)
        found += [] if verdict is None else [verdict]
    return watch, found


def both(seconds: range, value: Decimal, book: Decimal | None = None) -> list[tuple[Source, int, Decimal]]:
    of = {Source.ACCOUNT: value, Source.BOOK: value - START if book is None else book}
    return [(source, second, of[source]) for second in seconds for source in Source]


def test_a_loss_that_both_see_fires_once_it_lasts() -> None:
    calm, _ = run(*both(range(0, 10, 2), START))
    quick, found = run(*both(range(10, 12, 2), D(895)), watch=calm)
    assert (found, quick.suspicious) == ([], True), "one reading of each is not enough"
    _, found = run(*both(range(12, 20, 2), D(895)), watch=quick)
    assert not found[0].doubt
    assert found[0].cause is Cause.DAILY_LOSS
    assert found[0].figures == {"lost_by_account": "105.00", "lost_by_book": "105.00", "limit": "100.00"}


def test_a_drawdown_is_from_the_peak_of_each() -> None:
    limits = Limits(drawdown_pct=D(10))
    high, _ = run(*both(range(0, 10, 2), D(2000)), limits=limits)
    _, found = run(*both(range(10, 20, 2), D(1810)), watch=high, limits=limits)
    assert found == []
    _, found = run(*both(range(10, 20, 2), D(1799)), watch=high, limits=limits)
    assert found[0].cause is Cause.DRAWDOWN


wild = st.decimals("-1e7", "1e7", places=2)


@settings(max_examples=300)
@given(st.sampled_from(Source), st.lists(st.tuples(st.integers(1, 40), wild), min_size=1, max_size=40), st.data())
def test_whatever_one_source_says_nothing_fires_while_the_other_sees_no_loss(
    liar: Source, lies: list[tuple[int, Decimal]], data: st.DataObject
) -> None:
    honest = Source.BOOK if liar is Source.ACCOUNT else Source.ACCOUNT
    watch, second = NOTHING, 0
    for wait, lie in lies:
        second += wait
        truth = (START if honest is Source.ACCOUNT else D(0)) + data.draw(st.integers(0, 49))
        watch, found = run((liar, second, lie), (honest, second, truth), watch=watch)
        assert [v for v in found if not v.doubt and v.cause is Cause.DAILY_LOSS] == []
        if honest is Source.ACCOUNT:
            assert [v for v in found if not v.doubt] == []


def test_one_that_goes_on_alone_is_told_once_as_a_doubt_until_it_is_over() -> None:
    """Money taken out: the account shows it, the book knows of no loss."""
    watch, _ = run(*both(range(0, 10, 2), START))
    for _ in range(2):
        second = 10 + int((watch.curves[Source.BOOK].at - NOON).total_seconds())
        gone = range(second, second + 150, 10)
        watch, found = run(*both(gone, D(500), book=D(0)), watch=watch)
        assert {(v.cause, v.doubt) for v in found} == {(Cause.DAILY_LOSS, True), (Cause.DRAWDOWN, True)}
        assert len(found) == 2
        back = range(second + 150, second + 180, 10)
        watch, found = run(*both(back, START), watch=watch)
        assert found == []


def test_a_stale_source_confirms_nothing() -> None:
    watch, _ = run(*both(range(0, 10, 2), START))
    watch, _ = run((Source.ACCOUNT, 10, D(800)), (Source.ACCOUNT, 15, D(800)), watch=watch)
    _, found = run(*((Source.BOOK, second, D(-200)) for second in range(110, 130, 2)), watch=watch)
    assert [v for v in found if not v.doubt] == []


def test_one_wrong_reading_makes_neither_a_peak_nor_a_beginning() -> None:
    watch, _ = run(*both(range(0, 6, 2), START), *both(range(6, 8, 2), D(9000)), *both(range(8, 60, 2), START))
    assert watch.curves[Source.ACCOUNT].peak == START
    assert not watch.suspicious
    midnight = int((datetime(2026, 11, 22, tzinfo=NOON.tzinfo) - NOON).total_seconds())
    late, _ = run(*both(range(midnight - 20, midnight - 2, 2), START), *both(range(midnight - 2, midnight, 2), D(9000)))
    day, found = run(*both(range(midnight, midnight + 20, 2), START), watch=late)
    assert (day.curves[Source.ACCOUNT].day_start, found) == (START, [])


def test_a_new_day_begins_where_the_old_one_ended() -> None:
    midnight = int((datetime(2026, 11, 22, tzinfo=NOON.tzinfo) - NOON).total_seconds())
    limits = Limits(daily_loss_usd=D(100))
    watch, _ = run(*both(range(0, 10, 2), START), *both(range(midnight - 20, midnight, 2), D(940)), limits=limits)
    watch, found = run(*both(range(midnight, midnight + 20, 2), D(880)), watch=watch, limits=limits)
    assert (watch.curves[Source.ACCOUNT].day_start, found) == (D(940), []), "60 of yesterday and 60 of today"


def test_after_a_reset_all_counts_from_there_and_it_outlives_a_restart() -> None:
    watch, found = run(*both(range(0, 10, 2), START), *both(range(10, 20, 2), D(850)))
    assert found
    anew = begun_anew(watch)
    _, found = run(*both(range(20, 40, 2), D(850)), watch=anew)
    assert found == []
    again = from_row(json.loads(json.dumps(to_row(watch))))
    _, found = run(*both(range(20, 30, 2), D(850)), watch=again)
    assert found, "the peak and the beginning of the day are those of the life before"


def test_off_is_off() -> None:
    watch, found = run(*both(range(0, 10, 2), START), *both(range(10, 20, 2), D(1)), limits=Limits())
    assert (found, watch.suspicious) == ([], False)
    assert Limits().off


def test_a_clock_that_is_set_back_blinds_nobody() -> None:
    """It was two hours ahead: for two hours nothing was heard, and no loss fired anything."""
    ahead = 7200
    watch, _ = run(*both(range(ahead, ahead + 10, 2), START))
    watch, found = run(*both(range(10, 20, 2), D(850)), watch=watch)
    assert [v.cause for v in found if not v.doubt][:1] == [Cause.DAILY_LOSS]
    kept = from_row(json.loads(json.dumps(to_row(run(*both(range(ahead, ahead + 10, 2), START))[0]))))
    _, found = run(*both(range(10, 20, 2), D(850)), watch=kept)
    assert [v.cause for v in found if not v.doubt][:1] == [Cause.DAILY_LOSS]


def test_what_was_heard_by_a_clock_that_is_set_back_confirms_nothing() -> None:
    ahead = 7200
    watch, _ = run(*both(range(ahead, ahead + 10, 2), START))
    watch, _ = run((Source.ACCOUNT, ahead + 10, D(800)), (Source.ACCOUNT, ahead + 15, D(800)), watch=watch)
    watch, found = run(*((Source.BOOK, second, D(-200)) for second in range(10, 30, 2)), watch=watch)
    assert [v for v in found if not v.doubt] == []
    _, found = run(*((Source.ACCOUNT, second, D(800)) for second in range(28, 36, 2)), watch=watch)
    assert [v.cause for v in found if not v.doubt], "and afterwards both count again"


def test_a_clock_that_is_set_back_over_midnight_forgives_nothing() -> None:
    """It had begun a day that was not there yet; the loss of the true day counts on from where that one began."""
    midnight = int((datetime(2026, 11, 22, tzinfo=NOON.tzinfo) - NOON).total_seconds())
    limits = Limits(daily_loss_usd=D(100))
    watch, _ = run(*both(range(midnight, midnight + 10, 2), START), limits=limits)
    watch, found = run(*both(range(midnight - 7200, midnight - 7190, 2), D(880)), watch=watch, limits=limits)
    assert [v.cause for v in found if not v.doubt][:1] == [Cause.DAILY_LOSS]
    calm, _ = run(*both(range(midnight, midnight + 10, 2), START), limits=limits)
    calm, found = run(*both(range(midnight - 200, midnight, 2), D(940)), watch=calm, limits=limits)
    true, found = run(*both(range(midnight, midnight + 20, 2), D(880)), watch=calm, limits=limits)
    assert (true.curves[Source.ACCOUNT].day_start, found) == (D(940), [])

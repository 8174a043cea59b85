"""The faults 4 to 10 of LAWS that befall one symbol, each at the act that it can befall, in every dialect and mode.

Three services a venue; rows of different symbols are played at the same time, those of one symbol one after another.
After them the oracle finds no law broken and the database agrees with the exchange to the last decimal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.fault_stage import Act, Stage, Venue, Watch
from tests.end_to_end.fault_stories import (
    Story,
    by_hand_closed,
    by_hand_enlarged,
    by_hand_reduced,
    deleveraged,
    dust,
    entry_cut,
    entry_held,
    entry_in_doubt,
    entry_that_counts,
    entry_that_never_was,
    exit_cut,
    exit_struck,
    fill_unheard,
    first_stop,
    halted,
    liquidated,
    move,
    neither_stop_nor_exit,
    size_in_doubt,
    stop_cancelled,
    stop_question,
    stop_refused_for_good,
    stop_would_trigger,
    stream,
    stuck,
    tick_changed,
    trigger,
)
from tests.end_to_end.performances import tried
from tests.end_to_end.service import ServiceProcess, now_ms, running
from tests.oracle.court import Breach
from tests.oracle.report import breach_text

pytestmark = pytest.mark.chaos

VENUES = tuple(Venue(exchange=name, hedged=hedged) for hedged in (False, True) for name in ("binanceusdm", "bybit"))
SYMBOLS = ("ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT")
PAST_THE_WINDOW_MS = 3_500
# What these many doubts ask in a minute is near the budget of questions of one account (LAWS S15): several services.
PARTS = (frozenset({4, 5, 8}), frozenset({6, 7}), frozenset({9, 10}))
# A reading of a Binance account every ten seconds, as other tests want it, would take all of that budget.
SETTINGS = {"reconciler": {"interval_s": 30}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault: which of LAWS, what it strikes, how it is played and judged. `only`: one dialect has such a thing.

    `hedged`: in hedge mode too.
    """

    name: str
    law: int
    act: str
    story: Story
    only: str = ""
    hedged: bool = False


TABLE = (
    # 4: lost, answered by nobody, too late
    Row(name="entry_lost", law=4, act="entry", story=entry_that_never_was("drop_request"), hedged=True),
    Row(name="entry_reply_lost", law=4, act="entry", story=entry_that_counts("drop_reply"), hedged=True),
    Row(
        name="entry_past_the_window",
        law=4,
        act="entry",
        story=entry_that_never_was("delay", before_ms=PAST_THE_WINDOW_MS),
    ),
    Row(name="stop_lost", law=4, act="first stop", story=first_stop("drop_request"), hedged=True),
    Row(name="stop_reply_lost", law=4, act="first stop", story=first_stop("drop_reply")),
    Row(name="stop_past_the_window", law=4, act="first stop", story=first_stop("delay", before_ms=PAST_THE_WINDOW_MS)),
    Row(name="move_lost", law=4, act="move", story=move("drop_request")),
    Row(name="move_reply_lost", law=4, act="move", story=move("drop_reply")),
    Row(name="move_past_the_window", law=4, act="move", story=move("delay", before_ms=PAST_THE_WINDOW_MS)),
    Row(name="cancel_lost", law=4, act="cancel", story=move("drop_request", Act.CANCEL), only="binanceusdm"),
    Row(
        name="cancel_reply_lost",
        law=4,
        act="cancel",
        story=move("drop_reply", Act.CANCEL),
        only="binanceusdm",
        hedged=True,
    ),
    Row(name="exit_lost", law=4, act="exit", story=exit_struck("drop_request"), hedged=True),
    Row(name="exit_reply_lost", law=4, act="exit", story=exit_struck("drop_reply")),
    Row(name="exit_past_the_window", law=4, act="exit", story=exit_struck("delay", before_ms=PAST_THE_WINDOW_MS)),
    # 5: half-open, slow
    Row(name="entry_half_open_done", law=5, act="entry", story=entry_that_counts("hang", acted=True), hedged=True),
    Row(name="entry_half_open_not_done", law=5, act="entry", story=entry_that_never_was("hang", acted=False)),
    Row(name="stop_half_open", law=5, act="first stop", story=first_stop("hang", acted=False)),
    Row(name="move_half_open", law=5, act="move", story=move("hang", acted=True)),
    Row(name="exit_half_open", law=5, act="exit", story=exit_struck("hang", acted=False)),
    Row(name="exit_slow", law=5, act="exit", story=exit_struck("delay", before_ms=400, after_ms=900)),
    # 6: streams
    Row(
        name="fill_before_acknowledgement",
        law=6,
        act="entry",
        story=entry_that_counts("delay", after_ms=1_200),
        hedged=True,
    ),
    Row(name="orders_doubled", law=6, act="stream", story=stream("double", Act.ORDERS), hedged=True),
    Row(name="stops_late", law=6, act="stream", story=stream("late", Act.STOPS, ms=1_500)),
    Row(name="orders_late", law=6, act="stream", story=stream("late", Act.ORDERS, ms=1_500)),
    Row(name="positions_reordered", law=6, act="stream", story=stream("reorder", Act.POSITIONS), hedged=True),
    Row(name="orders_missing", law=6, act="stream", story=stream("lose", Act.ORDERS)),
    Row(name="stops_missing", law=6, act="stream", story=stream("lose", Act.STOPS)),
    Row(name="positions_missing", law=6, act="stream", story=stream("lose", Act.POSITIONS)),
    Row(name="fill_unheard", law=6, act="stream", story=fill_unheard, hedged=True),
    # 7: answers that are not true
    Row(
        name="no_such_order_though_there_is",
        law=7,
        act="question",
        story=entry_in_doubt("hide", Act.ASK_ORDER, ms=2_000, next=3),
        hedged=True,
    ),
    Row(name="stale_position", law=7, act="question", story=size_in_doubt("stale", ms=3_000, next=2)),
    Row(
        name="empty_position_list",
        law=7,
        act="question",
        story=size_in_doubt("rows", drop="all", next=2),
    ),
    Row(name="stop_not_found_though_it_rests", law=7, act="question", story=stop_question("hide", ms=2_000, next=2)),
    # 8: the venue's own trouble
    Row(
        name="entry_502_done", law=8, act="entry", story=entry_that_counts("http", status=502, acted=True), hedged=True
    ),
    Row(name="entry_503_not_done", law=8, act="entry", story=entry_that_never_was("http", status=503, acted=False)),
    Row(
        name="entry_1006_done",
        law=8,
        act="entry",
        story=entry_that_counts("reject", code=-1006, acted=True),
        only="binanceusdm",
    ),
    Row(
        name="entry_1007_not_done",
        law=8,
        act="entry",
        story=entry_that_never_was("reject", code=-1007),
        only="binanceusdm",
    ),
    Row(
        name="entry_10016_done",
        law=8,
        act="entry",
        story=entry_that_counts("reject", code=10016, acted=True),
        only="bybit",
    ),
    Row(
        name="stop_1007_done",
        law=8,
        act="first stop",
        story=first_stop("reject", code=-1007, acted=True),
        only="binanceusdm",
    ),
    Row(name="stop_1021", law=8, act="first stop", story=first_stop("reject", code=-1021), only="binanceusdm"),
    Row(name="stop_10002", law=8, act="first stop", story=first_stop("reject", code=10002), only="bybit"),
    Row(name="exit_1007", law=8, act="exit", story=exit_struck("reject", code=-1007), only="binanceusdm"),
    Row(name="exit_10016_done", law=8, act="exit", story=exit_struck("reject", code=10016, acted=True), only="bybit"),
    Row(name="halted", law=8, act="exit", story=halted),
    Row(name="tick_changed", law=8, act="move", story=tick_changed),
    # 9: stops that do not work
    Row(name="stop_would_trigger", law=9, act="first stop", story=stop_would_trigger, only="binanceusdm"),
    Row(
        name="stop_refused_for_margin_once",
        law=9,
        act="first stop",
        story=first_stop("reject", event=("stop_loss_refused", "warning"), code=-2019),
        only="binanceusdm",
    ),
    Row(name="stop_refused_for_good", law=9, act="first stop", story=stop_refused_for_good, hedged=True),
    Row(name="neither_stop_nor_exit", law=9, act="exit", story=neither_stop_nor_exit),
    Row(
        name="rejected_at_the_trigger",
        law=9,
        act="trigger",
        story=trigger("spoil"),
    ),
    Row(
        name="stuck_in_triggering",
        law=9,
        act="trigger",
        story=stuck,
        hedged=True,
    ),
    Row(name="triggered_in_part", law=9, act="trigger", story=trigger("part")),
    # 10: parts, hands, the venue's hand
    Row(name="entry_cut", law=10, act="entry", story=entry_cut, hedged=True),
    Row(name="entry_held", law=10, act="entry", story=entry_held),
    Row(name="exit_cut", law=10, act="exit", story=exit_cut),
    Row(name="by_hand_reduced", law=10, act="outsider", story=by_hand_reduced, hedged=True),
    Row(name="by_hand_enlarged", law=10, act="outsider", story=by_hand_enlarged),
    Row(name="by_hand_closed", law=10, act="outsider", story=by_hand_closed),
    Row(name="dust", law=10, act="outsider", story=dust),
    Row(name="stop_cancelled_by_hand", law=10, act="outsider", story=stop_cancelled),
    Row(name="liquidated", law=10, act="outsider", story=liquidated, hedged=True),
    Row(name="deleveraged", law=10, act="outsider", story=deleveraged),
)


def rows_of(venue: Venue) -> list[Row]:
    """The rows that a venue can show; a third of them in hedge mode."""
    return [row for row in TABLE if row.only in ("", venue.exchange) and (row.hedged or not venue.hedged)]


CASES = [(venue, row) for venue in VENUES for part in PARTS for row in rows_of(venue) if row.law in part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a row went. Times are the exchange's (ms)."""

    symbol: str
    began: int
    ended: int
    failure: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """All rows of a venue, played. `judgement`: what was wrong with all of it; empty if nothing was."""

    played: dict[str, Played]
    breaches: tuple[Breach, ...]
    judgement: str


Performances = Callable[[Venue, frozenset[int]], Performance]


@pytest.fixture(scope="module")
def performances(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Performances]:
    """The performance of a part at a venue, given when it is first asked for; one service at a time."""
    given: dict[tuple[Venue, frozenset[int]], Performance] = {}
    with ExitStack() as stack:

        def performance(venue: Venue, part: frozenset[int]) -> Performance:
            if (venue, part) not in given:
                stack.pop_all().close()
                base = tmp_path_factory.mktemp(str(venue))
                service = stack.enter_context(running(base, {"accounts.main": venue.account, **SETTINGS}))
                asked = asked_for(request.session)
                rows = [row for row in rows_of(venue) if row.law in part and (venue, row) in asked]
                given[venue, part] = perform(service, venue, rows)
            return given[venue, part]

        yield performance


def perform(service: ServiceProcess, venue: Venue, rows: list[Row]) -> Performance:
    """Play the rows, a thread a symbol."""
    watch = Watch(service.timeline)
    played: dict[str, Played] = {}

    def play(symbol: str, mine: list[tuple[int, Row]]) -> None:
        for number, row in mine:
            began = now_ms()
            failure = tried(row.story, Stage(service, watch, venue, symbol, "short" if number % 2 else "long"))
            played[row.name] = Played(symbol=symbol, began=began, ended=now_ms(), failure=failure)

    with ThreadPoolExecutor(len(SYMBOLS)) as threads:
        shares = {symbol: list(enumerate(rows))[place :: len(SYMBOLS)] for place, symbol in enumerate(SYMBOLS)}
        for done in [threads.submit(play, symbol, share) for symbol, share in shares.items()]:
            done.result()
    try:
        judge(service)
        judgement = ""
    except AssertionError as found:
        judgement = str(found)
    return Performance(played=played, breaches=service.verdict().breaches, judgement=judgement)


def asked_for(session: pytest.Session) -> list[tuple[Venue, Row]]:
    """The rows that this run of the tests was asked for, and where."""
    parameters = [getattr(item, "callspec").params for item in session.items if hasattr(item, "callspec")]  # noqa: B009
    return [(each["venue"], each["row"]) for each in parameters if isinstance(each.get("row"), Row)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("venue", "row"), CASES, ids=lambda each: getattr(each, "name", str(each)))
def test_is_survived(performances: Performances, venue: Venue, row: Row) -> None:
    performance = performances(venue, next(part for part in PARTS if row.law in part))
    played = performance.played[row.name]
    if played.failure is not None:
        raise played.failure
    broken = [b for b in performance.breaches if b.symbol == played.symbol and played.began <= b.at <= played.ended]
    assert not broken, "\n".join(map(breach_text, broken))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: "-".join(map(str, sorted(part))))
@pytest.mark.parametrize("venue", VENUES, ids=str)
def test_no_law_was_broken_and_the_books_agree(performances: Performances, venue: Venue, part: frozenset[int]) -> None:
    assert performances(venue, part).judgement == ""

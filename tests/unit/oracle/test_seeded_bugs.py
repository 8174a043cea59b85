"""Each seeded bug must be caught by the law it breaks; each clean life must pass; each excuse must be counted."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tests.oracle.court import Absence, Disturbance, Filters, OperatorAct, Terms
from tests.oracle.judge import ELSEWHERE, LAWS
from tests.oracle.report import report
from tests.unit.oracle import attached_lives, bugs_of_conduct, bugs_of_protection, hedge_lives
from tests.unit.oracle.attached_lives import BybitStory
from tests.unit.oracle.clean_lives import CLEAN, Story, fill_overtakes_a_cancel, moved, opened
from tests.unit.oracle.tiny_bybit import TinyBybit
from tests.unit.oracle.tiny_exchange import START, TinyExchange

ROOT = Path(__file__).parents[3]
TERMS = Terms(filters={"BTCUSDT": Filters(tick=Decimal("0.1"), step=Decimal("0.001"))})
BUGS: tuple[Story, ...] = (*bugs_of_protection.BUGS, *bugs_of_conduct.BUGS, *hedge_lives.BUGS)
BYBIT_BUGS: tuple[BybitStory, ...] = attached_lives.BUGS


@pytest.mark.parametrize("story", [*CLEAN, *hedge_lives.CLEAN], ids=lambda s: s.__name__)
def test_clean_life_passes(story: Story) -> None:
    x = TinyExchange()
    story(x)
    passes(x)


@pytest.mark.parametrize("story", attached_lives.CLEAN, ids=lambda s: s.__name__)
def test_clean_life_on_bybit_passes(story: BybitStory) -> None:
    x = TinyBybit()
    story(x)
    passes(x)


@pytest.mark.parametrize("story", BUGS, ids=lambda s: s.__name__)
def test_seeded_bug_is_caught(story: Story) -> None:
    x = TinyExchange()
    story(x)
    is_caught(x, story.__name__)


@pytest.mark.parametrize("story", BYBIT_BUGS, ids=lambda s: s.__name__)
def test_seeded_bug_on_bybit_is_caught(story: BybitStory) -> None:
    x = TinyBybit()
    story(x)
    is_caught(x, story.__name__)


def passes(x: TinyExchange) -> None:
    verdict = x.verdict(TERMS)
    assert verdict.clean, [f"{b.law} {b.text}" for b in verdict.breaches]


def is_caught(x: TinyExchange, story: str) -> None:
    """The law that begins the story's name is broken, and the breach shows lines."""
    law = story.split("_", maxsplit=1)[0].upper()
    verdict = x.verdict(TERMS)
    assert law in verdict.broken(), [f"{b.law} {b.text}" for b in verdict.breaches]
    assert all(breach.lines or breach.symbol == "all" for breach in verdict.breaches if breach.law == law)


def test_every_judged_law_has_two_seeded_bugs() -> None:
    counts = Counter(story.__name__.split("_")[0].upper() for story in (*BUGS, *BYBIT_BUGS))
    assert counts.total() >= 100
    assert set(counts) == {law.name for law in LAWS}
    assert min(counts.values()) >= 2, counts


def test_no_law_is_silently_unjudged() -> None:
    """Each of LAWS.md is judged here or named as judged elsewhere, with the reason; only the log's own is added."""
    written = {f"S{n}" for n in range(1, 17)} | {f"L{n}" for n in range(1, 8)}
    judged = {law.name for law in LAWS}
    assert judged - {"LOG"} | set(ELSEWHERE) == written
    assert not judged & set(ELSEWHERE)
    text = report(TinyExchange().verdict())
    assert all(f"not judged from a timeline: {law}, " in text for law in ELSEWHERE)


def test_the_page_on_correctness_says_who_judges_what() -> None:
    text = (ROOT / "docs" / "correctness.md").read_text()
    rows = dict(re.findall(r"^\| ([SL]\d+) \| ([^|]+) \|", text, re.MULTILINE))
    assert set(rows) == {law.name for law in LAWS} - {"LOG"} | set(ELSEWHERE)
    assert {law for law, by in rows.items() if re.match(r"no\b", by)} == set(ELSEWHERE)
    places = set(re.findall(r"`(tests/[\w/]+(?:\.py)?)`", text))
    assert {place for place in places if not (ROOT / place).exists()} == set()
    right = len(CLEAN) + len(hedge_lives.CLEAN) + len(attached_lives.CLEAN)
    assert f"{len(BUGS) + len(BYBIT_BUGS)} lives with one bug each" in text
    assert f"{right} right ones" in text


def excuses(x: TinyExchange, terms: Terms = TERMS) -> dict[str, str]:
    verdict = x.verdict(terms)
    assert verdict.clean, [f"{b.law} {b.text}" for b in verdict.breaches]
    return dict(verdict.excuses.keys())


def test_looser_stop_is_excused_by_a_refusal_of_the_better_price() -> None:
    x = TinyExchange()
    stop = opened(x)
    x.change(stop, "CANCELED")
    x.refuse_stop(trigger="98")
    x.stop("97.5", sequence=3)
    assert excuses(x)["S3"] == "the venue refused the better price"


def test_looser_stop_is_excused_by_an_operator_and_only_by_one_on_this_symbol() -> None:
    x = TinyExchange()
    moved(x, opened(x), "97", 3)
    asked = OperatorAct(at=START, symbol="BTCUSDT")
    elsewhere = OperatorAct(at=START, symbol="ETHUSDT")
    assert not x.verdict(Terms(operator_acts=(elsewhere,))).clean
    assert excuses(x, Terms(operator_acts=(asked,)))["S3"] == "an operator asked for it"


def test_a_cancel_in_the_hands_of_one_that_hung_is_in_flight_until_it_is_replaced_and_no_longer() -> None:
    """A gateway hung in the middle of a move and was replaced after 2.3 s: no timeline shows what waited in it."""

    def move_that_waits(hung_ms: int) -> tuple[TinyExchange, Terms]:
        x = TinyExchange()
        x.entry()
        x.wait(15)
        old = x.stop("98.0")
        x.wait(2_500)
        hung = Disturbance(at=x.t, why="gateway/main hung")
        x.wait(9)
        x.stop("98.5", sequence=3)
        x.wait(hung_ms)
        x.cancel(old)
        x.wait(2_500)
        return x, Terms(disturbances=(hung,))

    x, told = move_that_waits(2_300)
    assert x.verdict().broken() == {"S5"}
    assert excuses(x, told) == {"S5": "gateway/main hung"}
    x, told = move_that_waits(5_500)
    assert x.verdict(told).broken() == {"S5"}


def test_kill_between_fill_and_stop_is_excused_only_if_the_judge_was_told() -> None:
    x = TinyExchange()
    x.entry()
    x.wait(12_000)
    x.stop("98")
    assert x.verdict(TERMS).broken() == {"S1", "S16"}
    away = Terms(absences=(Absence(since=START, until=START + 11_000),))
    assert excuses(x, away) == {"S1": "our process was down", "S16": "our process was down"}


def test_stop_on_the_wrong_side_is_excused_while_no_mark_can_be_known_and_an_absurd_one_never() -> None:
    """A new owner covers what it finds at once, before the first price; the venue refuses what the mark has passed."""
    x = TinyExchange()
    x.entry()
    x.refuse_stop(trigger="101")
    x.stop("98")
    started = Terms(absences=(Absence(since=START - 3_000, until=START - 1_000),))
    assert excuses(x, started)["S13"] == "no mark was known after: our process was down"
    assert x.verdict(Terms(absences=(Absence(since=START - 9_000, until=START - 6_000),))).broken() == {"S13"}
    bugs_of_conduct.s13_absurdly_far(far := TinyExchange())
    assert "S13" in far.verdict(started).broken()


@pytest.mark.parametrize(
    ("path", "code", "excused"),
    [
        ("/fapi/v1/algoOrder", -1021, True),
        ("/v5/order/create", 10002, True),
        ("/fapi/v1/algoOrder", -2021, False),
        ("/v5/order/create", None, False),
    ],
)
def test_the_side_of_what_was_refused_for_its_age_is_judged_by_no_later_mark(
    path: str, code: int | None, excused: bool
) -> None:
    """A request that the wire held back for longer than the receive window left when the mark was another one."""
    x = TinyExchange()
    x.mark("110")
    x.wait(3_000)
    terms = {"side": "BUY", "type": "STOP_MARKET", "triggerPrice": "102", "quantity": "1"}
    sold = {"side": "Sell", "orderType": "Market", "qty": "1", "orderLinkId": "hfab12-1-1_1-1e", "stopLoss": "102"}
    x.answer(x.ask("POST", path, **(sold if "v5" in path else terms)), code)
    verdict = x.verdict(TERMS)
    assert verdict.broken() == (set() if excused else {"S13"})
    why = "refused for its age: it was sent before the marks that are known here"
    assert (("S13", why) in verdict.excuses) is excused


def test_a_wrong_side_that_was_never_answered_is_a_breach() -> None:
    x = TinyExchange()
    x.ask("POST", "/fapi/v1/algoOrder", side="SELL", type="STOP_MARKET", triggerPrice="101", quantity="1")
    assert "S13" in x.verdict(TERMS).broken()


@pytest.mark.parametrize(("starts", "excused"), [(2, True), (1, False)])
def test_budget_is_excused_by_many_starts_within_its_minute(starts: int, excused: bool) -> None:
    x = TinyExchange()
    bugs_of_conduct.s15_polling(x)
    told = tuple(Absence(since=START + n, until=START + n + 1) for n in range(starts))
    verdict = x.verdict(Terms(absences=told))
    assert verdict.clean is excused
    assert (("S15", f"our process was started {starts} times within the minute") in verdict.excuses) is excused


def test_old_epoch_on_the_wire_at_a_take_over_is_excused_within_the_receive_window() -> None:
    x = TinyExchange()
    stop = opened(x)
    new = x.stop("98.5", sequence=3, epoch=(2, 1))
    x.cancel(stop)
    x.wait(1000)
    x.stop("98.6", sequence=4, epoch=(1, 1))
    x.cancel(new)
    assert excuses(x) == {"S8": "on the wire at a take-over"}


def test_fill_that_overtakes_a_cancel_is_counted() -> None:
    x = TinyExchange()
    fill_overtakes_a_cancel(x)
    assert excuses(x)["S4"] == "a fill overtook our cancel"


def test_write_without_an_id_is_counted_as_unjudged_and_reported() -> None:
    x = TinyBybit()
    attached_lives.attached_from_the_first_fill_and_trailed(x)
    verdict = x.verdict(TERMS)
    assert verdict.unjudged["S8", "a stop was set or changed in place by a request without an id of ours"] == 2
    assert "cannot be judged: S8 2 x a stop was set" in report(verdict)


def test_strangers_attached_stop_may_be_taken_over_where_the_settings_say_so() -> None:
    x = TinyBybit()
    attached_lives.s9_strangers_attached_stop_moved(x)
    assert excuses(x, Terms(adopt_stops=True))["S9"] == "adopt_stops is set"


@pytest.mark.parametrize("ours_first", [True, False])
def test_strangers_stop_may_be_cancelled_where_the_settings_say_so_once_ours_stands(ours_first: bool) -> None:
    x = TinyExchange()
    x.market("web_1", "BUY", "1", origin="human")
    his = x.stop("97", name="web_stop")
    x.wait(500)
    if ours_first:
        x.stop("98")
        x.cancel(his)
        assert excuses(x, Terms(adopt_stops=True))["S9"] == "adopt_stops is set"
    else:
        x.cancel(his)
        x.stop("98")
        assert "S9" in x.verdict(Terms(adopt_stops=True)).broken()
    assert "S9" in x.verdict(Terms()).broken()


def test_stop_tightened_by_a_human_is_the_floor_only_after_the_news_has_come() -> None:
    x = TinyBybit()
    stop = attached_lives.opened(x)
    x.human_sets(stop, "99")
    x.wait(300)
    x.set_stop("98.5", stop)
    assert excuses(x)["S3"] == "an outsider had just changed the stop"


@pytest.mark.parametrize(("index", "refused"), [("1", "99"), ("2", "102")])
def test_looser_attached_stop_is_excused_by_a_refusal_on_the_same_side_only(index: str, refused: str) -> None:
    x = TinyBybit()
    x.entry(position_side="LONG")
    stop = x.set_stop("98", None, "LONG")
    x.answer(x.ask("POST", "/v5/position/trading-stop", stopLoss=refused, positionIdx=index), 110092)
    x.set_stop("97", stop, "LONG")
    assert x.verdict(TERMS).broken() == ({"S3"} if index == "2" else set())


def test_attached_take_profit_ends_a_life_as_one() -> None:
    x = TinyBybit()
    stop = attached_lives.opened(x)
    x.fire(x.attach("104", "BOTH", None, "TAKE_PROFIT_MARKET"), "104")
    x.gone_with_the_position(stop)
    verdict = x.verdict(TERMS)
    assert verdict.clean
    assert [life.ended_by for life in verdict.lives] == ["take-profit"]


@pytest.mark.parametrize("told", ["0", "98.5"])
def test_log_that_names_no_requests_tells_a_clearing_of_ours_from_a_humans(told: str) -> None:
    """Our last word on the position's stop was `told`; then it was gone."""
    x = TinyExchange()
    x.entry()
    stop = x.conditional("", "SELL", "98.5", "0", close_position=True, attached=True)
    x.answer(x.ask("POST", "/v5/position/trading-stop", stopLoss=told))
    x.change(stop, "CANCELED")
    x.wait(1000)
    x.conditional("", "SELL", "98.5", "0", close_position=True, attached=True)
    assert x.verdict(TERMS).broken() == ({"S1", "S4"} if told == "0" else set())


@pytest.mark.parametrize(("command", "excused"), [("cancel", True), ("stall_streams", True), ("price", False)])
def test_control_command_excuses_if_it_is_an_act(command: str, excused: bool) -> None:
    x = TinyExchange()
    stop = opened(x)
    x.change(stop, "EXPIRED")  # by the venue: a disturbance by itself, over after five seconds
    x.wait(2000)
    x.write("control", command=command, asked={"symbol": "BTCUSDT", "for_ms": 3000})
    x.wait(6000)
    x.stop("98", sequence=3)
    assert x.verdict(TERMS).clean is excused


def test_fault_that_struck_is_an_excuse_with_its_name() -> None:
    x = TinyExchange()
    x.entry()
    x.write("struck", fault=1, what="drop_request", name="/fapi/v1/algoOrder", method="POST", params={})
    x.wait(4000)
    x.stop("98")
    assert excuses(x)["S1"] == "a fault struck: drop_request"


def test_refused_cancel_of_ours_does_not_explain_a_later_one_by_hand() -> None:
    x = TinyExchange()
    stop = opened(x)
    x.answer(x.ask("DELETE", "/fapi/v1/algoOrder", algoId=str(stop)), -1003)
    x.wait(1000)
    x.change(stop, "CANCELED")
    x.wait(1000)
    x.stop("98", sequence=3)
    assert x.verdict(TERMS).clean


def test_log_that_names_the_request_is_believed_first() -> None:
    """A human's cancel in the same instant as one of ours that named the order: the stamp tells whose it was."""
    x = TinyExchange()
    stop = opened(x)
    x.change(x.stop("98", sequence=3), "CANCELED", request=1)
    ours = x.ask("DELETE", "/fapi/v1/algoOrder", algoId=str(stop))
    x.change(stop, "CANCELED")
    x.answer(ours, -2011)
    x.wait(1000)
    x.stop("98", sequence=4)
    assert x.verdict(TERMS).clean


def test_request_that_the_log_names_may_be_an_outsiders() -> None:
    x = TinyExchange()
    stop = opened(x)
    x.change(stop, "CANCELED", request=x.ask("POST", "/control/cancel", algoId=str(stop)))
    x.wait(1000)
    x.stop("98", sequence=3)
    assert x.verdict(TERMS).clean

"""Each seeded bug must be caught by the law it breaks; each clean life must pass; each excuse must be counted."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from tests.oracle.court import Absence, Filters, OperatorAct, Terms
from tests.unit.oracle import bugs_of_conduct, bugs_of_protection
from tests.unit.oracle.clean_lives import CLEAN, Story, fill_overtakes_a_cancel, moved, opened
from tests.unit.oracle.tiny_exchange import START, TinyExchange

TERMS = Terms(filters={"BTCUSDT": Filters(tick=Decimal("0.1"), step=Decimal("0.001"))})
BUGS: tuple[Story, ...] = (*bugs_of_protection.BUGS, *bugs_of_conduct.BUGS)


@pytest.mark.parametrize("story", CLEAN, ids=lambda s: s.__name__)
def test_clean_life_passes(story: Story) -> None:
    x = TinyExchange()
    story(x)
    verdict = x.verdict(TERMS)
    assert verdict.clean, [f"{b.law} {b.text}" for b in verdict.breaches]


@pytest.mark.parametrize("story", BUGS, ids=lambda s: s.__name__)
def test_seeded_bug_is_caught(story: Story) -> None:
    x = TinyExchange()
    story(x)
    law = story.__name__.split("_")[0].upper()
    verdict = x.verdict(TERMS)
    assert law in verdict.broken(), [f"{b.law} {b.text}" for b in verdict.breaches]
    assert all(breach.lines or breach.symbol == "all" for breach in verdict.breaches if breach.law == law)


def test_every_judged_law_has_two_seeded_bugs() -> None:
    counts = Counter(story.__name__.split("_")[0] for story in BUGS)
    assert len(BUGS) >= 50
    assert min(counts.values()) >= 2, counts


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


def test_kill_between_fill_and_stop_is_excused_only_if_the_judge_was_told() -> None:
    x = TinyExchange()
    x.entry()
    x.wait(12_000)
    x.stop("98")
    assert x.verdict(TERMS).broken() == {"S1", "S16"}
    away = Terms(absences=(Absence(since=START, until=START + 11_000),))
    assert excuses(x, away) == {"S1": "our process was down", "S16": "our process was down"}


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

"""Findings over time: when one is believed, when it is gone, when it is worth another look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.agreement.findings import INSISTED_ON, LOOKS, ONCE_MORE, Finding, Kind
from domain.agreement.sightings import Look, Sightings


def finding(kind: Kind = Kind.COVER, shown: str = "1", **changes: Any) -> Finding:
    return Finding(**{"kind": kind, "key": f"{kind.value} BTCUSDT", "symbol": "BTCUSDT", "shown": shown, **changes})


def looks(*readings: list[Finding], apart_s: float = 1.0) -> list[Look]:
    """One reading after another."""
    seen = Sightings()
    return [seen.look(found, timedelta(seconds=number * apart_s)) for number, found in enumerate(readings)]


def told(each: Look) -> list[str]:
    return [sighting.seen for sighting in each.told]


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_believed_after_its_own_number_of_looks_and_told_until_then(kind: Kind) -> None:
    needed = LOOKS.get(kind, 2)
    found = looks(*[[finding(kind)]] * (needed + 2))
    assert [told(each) for each in found] == [[f"{n}/{needed}"] for n in range(1, needed + 1)] + [[], []]
    assert [len(each.believed) for each in found] == [0] * (needed - 1) + [1, 1, 1], "and again while it lasts"
    assert [len(each.fresh) for each in found] == [0] * (needed - 1) + [1, 0, 0]


def test_what_may_mean_that_ours_is_gone_takes_three() -> None:
    assert {kind for kind, needed in LOOKS.items() if needed == 3} == {Kind.PHANTOM, Kind.UNSEEN, Kind.SIDE}


@pytest.mark.parametrize("kind", sorted(INSISTED_ON))
def test_doubt_is_looked_at_again_until_it_is_settled(kind: Kind) -> None:
    needed = LOOKS.get(kind, 2)
    found = looks(*[[finding(kind)]] * (needed + 1))
    assert [each.doubtful for each in found] == [True] * (needed - 1) + [False, False]


@pytest.mark.parametrize("kind", sorted(ONCE_MORE))
def test_the_rest_is_looked_at_once_more_for_each_figure(kind: Kind) -> None:
    found = looks([finding(kind)], [finding(kind)], [finding(kind, "2")], [finding(kind, "2")])
    assert [each.doubtful for each in found] == [True, False, True, False]


def test_another_figure_counts_from_the_start() -> None:
    found = looks([finding()], [finding(shown="2")], [finding(shown="2")])
    assert [told(each) for each in found] == [["1/2"], ["1/2"], ["2/2"]]


def test_two_readings_within_a_second_are_one_sighting() -> None:
    found = looks([finding()], [finding()], [finding()], apart_s=0.5)
    assert [told(each) for each in found] == [["1/2"], [], ["2/2"]]


def test_what_is_no_more_is_told_once() -> None:
    found = looks([finding()], [finding()], [], [])
    assert [len(each.gone) for each in found] == [0, 0, 1, 0]
    assert found[2].gone[0].believed


def test_a_reading_from_before_its_owners_last_act_neither_counts_nor_clears() -> None:
    """An order of ours was under way: that the venue shows something else is no news yet, and no proof of repair."""
    found = looks([finding(early=True)], [finding()], [finding(early=True)], [finding()])
    assert [told(each) for each in found] == [[], ["1/2"], [], ["2/2"]]
    assert [len(each.gone) for each in found] == [0, 0, 0, 0]
    assert found[0].doubtful, "but it is looked at again"

"""What the seed says: the same for the same seed, every kind in its turn, and nothing that hides something else."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import islice
from typing import Any, cast

import pytest

from tests.chaos.act import Act, Group
from tests.chaos.monkey import LONG_S, SIZES, SPREAD_S, Schedule, compatible
from tests.chaos.process_acts import ACTORS, ACTORS_OF_AN_ACCOUNT, OWNER, WAYS
from tests.chaos.whole import Held
from tests.chaos.wire_faults import What
from tests.oracle.facts import Life

ACCOUNTS = ("main", "second")


def drawn(seed: int, bursts: int) -> list[list[tuple[float, Act]]]:
    return list(islice(Schedule(seed, ACCOUNTS).bursts(), bursts))


def test_the_same_seed_does_the_same() -> None:
    def told(seed: int) -> list[list[tuple[float, str, float, str]]]:
        return [[(at, act.kind, act.lasts_s, act.account) for at, act in burst] for burst in drawn(seed, 50)]

    assert told(7) == told(7)
    assert told(7) != told(8)


def test_every_kind_has_its_turn() -> None:
    kinds = Counter(act.kind for burst in drawn(3, 400) for _, act in burst)
    actors = (*ACTORS, *ACTORS_OF_AN_ACCOUNT, OWNER)
    assert {f"actor {name} {how}" for name in actors for how in WAYS} <= set(kinds)
    assert all(any(kind.startswith(f"wire {what}") for kind in kinds) for what in What)
    assert {kind.split()[0] for kind in kinds} == {group.value for group in Group}


def test_bursts_are_bursts_and_nothing_in_them_hides_something_else() -> None:
    for burst in drawn(5, 300):
        acts = [act for _, act in burst]
        longest_s = max(act.lasts_s for act in acts)
        assert 1 <= len(burst) <= max(SIZES) + sum(act.lasts_s for act in acts) / LONG_S
        assert all(0 <= at <= max(SPREAD_S, longest_s) for at, _ in burst)
        assert all(compatible(one, other) for place, one in enumerate(acts) for other in acts[:place])
        assert sum(act.group is Group.SERVICE for act in acts) <= 1
        if any(act.freezes_database for act in acts):
            assert all(act.group is not Group.SERVICE for act in acts)


@pytest.mark.parametrize(
    ("owned", "covers", "lacks"),
    [
        ({"quantity": "2"}, ("2",), ""),
        (None, ("2",), "no owner"),
        ({"quantity": "1"}, ("2",), "its owner believes in 1 of 2"),
        ({"quantity": "2"}, (), "0 stops"),
        ({"quantity": "2"}, ("2", "2"), "2 stops"),
        ({"quantity": "2"}, ("1",), "a stop for 1 of 2"),
    ],
)
def test_what_a_position_lacks(owned: dict[str, Any] | None, covers: tuple[str, ...], lacks: str) -> None:
    key = ("BTCUSDT", "BOTH")
    here = Held(
        key=key, life=cast("Life", None), quantity=Decimal(2), covers=tuple(Decimal(cover) for cover in covers)
    )  # fmt: skip
    assert here.missing({} if owned is None else {key: owned}) == lacks

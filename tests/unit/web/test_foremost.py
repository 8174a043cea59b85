"""Which of many positions the page is told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.web.foremost import Foremost
from domain.identity import PositionId
from domain.position.state import OrderState, Position, Purpose, StopOrder
from tests.actors.order_path.scripted import Owner
from tests.persistence.samples import NOON, position

STOP = Decimal(1000)


def at(number: int) -> Position:
    """A covered position whose id says how far it is from its stop (see `away`)."""
    resting = StopOrder(
        client_id=Owner().intent().client_id,
        quantity=Decimal(1),
        state=OrderState.LIVE,
        sent_at=NOON,
        trigger=STOP,
        purpose=Purpose.FIRST,
    )
    return replace(
        position(), id=PositionId(number), stops=(resting,), unprotected_since=None, needs_intervention=False
    )


def away(p: Position) -> Decimal | None:
    return STOP + int(p.id)


def ids(shown: Sequence[Position]) -> list[int]:
    return [int(p.id) for p in shown]


FAR = [at(number) for number in range(100, 200)]


def test_few_are_all_shown_the_nearest_first() -> None:
    assert ids(Foremost(4).of([at(9), at(3), at(5)], away, 0)) == [3, 5, 9]


def test_of_many_the_nearest() -> None:
    assert ids(Foremost(4).of([*FAR, at(7), at(3), at(9), at(1)], away, 0)) == [1, 3, 7, 9]


@pytest.mark.parametrize("alarm", [{"unprotected_since": NOON}, {"needs_intervention": True}, {"stops": ()}])
def test_who_is_bare_or_needs_a_human_comes_before_all(alarm: dict[str, object]) -> None:
    sick = replace(at(199), **alarm)  # type: ignore[arg-type]
    assert ids(Foremost(4).of([*FAR[:-1], sick], away, 0))[0] == 199


def test_more_alarms_than_places_take_all_places() -> None:
    sick = [replace(at(number), unprotected_since=NOON) for number in range(300, 310)]
    assert ids(Foremost(4).of([*FAR, *sick], away, 0)) == [300, 301, 302, 303]


def test_who_is_shown_stays_until_it_is_far_behind() -> None:
    foremost = Foremost(4)
    assert ids(foremost.of(FAR, away, 0)) == [100, 101, 102, 103]
    assert ids(foremost.of([*FAR, at(1)], away, 10)) == [1, 100, 101, 102]
    assert ids(foremost.of([*FAR, at(1), at(2), at(3)], away, 20)) == [1, 2, 100, 101]
    assert ids(foremost.of([*FAR, *(at(number) for number in range(1, 9))], away, 30)) == [1, 2, 3, 4]


def test_for_a_while_only_an_alarm_or_an_end_changes_who_is_shown() -> None:
    foremost = Foremost(4)
    assert ids(foremost.of(FAR, away, 0)) == [100, 101, 102, 103]
    assert ids(foremost.of([*FAR, at(1)], away, 9)) == [100, 101, 102, 103]
    assert ids(foremost.of([*FAR[1:], at(1)], away, 9)) == [1, 101, 102, 103]
    sick = replace(at(300), unprotected_since=NOON)
    assert ids(foremost.of([*FAR[1:], at(1), sick], away, 9)) == [300, 1, 101, 102]


def test_without_a_mark_it_counts_as_near() -> None:
    def deaf(p: Position) -> Decimal | None:
        return None if p.id == 150 else away(p)

    assert ids(Foremost(4).of(FAR, deaf, 0))[0] == 150

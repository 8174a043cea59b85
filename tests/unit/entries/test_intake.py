"""The desk's hand: in order, bounded, each signal once."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from actors.intake import Intake, Told
from domain.entries.signal import Action, Signal
from domain.identity import PositionId


def signal(name: str) -> Signal:
    return Signal(
        id=name,
        symbol="BTCUSDT",
        exchange="binanceusdm",
        account=None,
        action=Action.BUY,
        score_week=None,
        score_month=None,
        wave=None,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


@given(st.lists(st.lists(st.integers(0, 20)), max_size=10), st.integers(1, 10))
def test_never_more_than_fit_and_each_answered_once(batches: list[list[int]], room: int) -> None:
    intake = Intake(in_hand=room)
    answered: list[str] = []
    for batch in batches:
        intake.add(signal(str(number)) for number in batch)
        assert len(intake) <= room
        while (each := intake.take()) is not None:
            intake.answered(each.id, None)
            answered.append(each.id)
    assert len(answered) == len(set(answered))


def test_order_doubles_and_what_finds_no_room() -> None:
    intake = Intake(in_hand=2)
    assert intake.add([signal("a"), signal("b"), signal("a"), signal("c")]) == []
    first = intake.take()
    assert first is not None
    assert first.id == "a"
    intake.answered("a", PositionId(7))
    assert [s.id for s in intake.add([signal("a"), signal("c")])] == ["a"]
    assert intake.answer("a") == 7
    intake.put_back()
    assert len(intake) == 0
    assert intake.take() is None
    assert intake.add([signal("b")]) == []
    assert len(intake) == 1


def test_memory_is_bounded() -> None:
    intake = Intake(remembered=2)
    for number in range(4):
        intake.answered(str(number), None)
        intake.acted_on("main", str(number), PositionId(number))
    assert len(intake.add([signal(str(n)) for n in range(4)])) == 2
    assert [intake.acted_by("main", str(n)) for n in range(4)] == [None, None, 2, 3]


def test_what_a_desk_told_the_journal_its_successor_knows() -> None:
    """The journal hung, the desk died: the signal was unanswered in the database, and opened a second position (S7)."""
    told = Told(remembered=2)
    for number, name in enumerate("abc", 1):
        told.opened(name, ("main", name), PositionId(number))
    successor = Intake(told=told)
    assert [each.id for each in successor.add(map(signal, "abcd"))] == ["b", "c"]
    assert successor.answer("c") == 3
    assert (successor.acted_by("main", "c"), successor.acted_by("main", "a")) == (3, None)

"""The directory: who has a name, what waits for whom, what reaches nobody."""

from __future__ import annotations

import pytest

from actors.clock import VirtualClock
from actors.directory import BACKLOG_LIMIT, DEAD_LETTERS_KEPT, Directory, StaleIncarnationError, Unanswered, Unavailable
from actors.refs import stop_and_wait
from actors.supervision import Ping
from tests.unit.actors.conftest import Lab
from tests.unit.actors.specimens import WAIT_S, Block, Note, Price, Raise, Send


def price(value: int) -> Price:
    return Price(symbol="BTC", last=value, low=value, high=value)


def written(lab: Lab, count: int) -> list[str]:
    return [lab.journal.read()[2] for _ in range(count)]


def test_tell_and_ask_by_name(lab: Lab) -> None:
    directory = lab.directory
    directory.bind("a", lab.start("a"), 1)
    assert directory.tell("a", Note(text="hello"))
    assert directory.ask("a", Note(text="question"), WAIT_S) == "question"
    assert written(lab, 3) == ["started", "hello", "question"]
    assert (directory.names(), directory.names("b")) == (["a"], [])


def test_nobody_there_is_a_dead_letter(directory: Directory) -> None:
    assert directory.tell("nobody", Note(text="x")) is False
    (letter,) = directory.dead_letters()
    assert (letter.name, letter.message_type, letter.reason) == ("nobody", "Note", "nobody has the name")
    with pytest.raises(Unavailable, match="no living actor is named 'nobody'"):
        directory.ask("nobody", Note(text="x"), WAIT_S)


def test_dead_letters_are_bounded_and_logged_once_in_a_while(virtual: VirtualClock, log_lines: list[str]) -> None:
    directory = Directory(monotonic=virtual.monotonic)
    for _ in range(DEAD_LETTERS_KEPT + 50):
        directory.tell("nobody", Note(text="x"))
    assert len(directory.dead_letters()) == DEAD_LETTERS_KEPT
    assert directory.dead_letter_counts() == {"Note": DEAD_LETTERS_KEPT + 50}
    virtual.advance(11)
    directory.tell("nobody", Note(text="x"))
    lines = [line for line in log_lines if line.startswith("DEAD_LETTER")]
    assert [line.rpartition(" ")[2] for line in lines] == ["count=1", f"count={DEAD_LETTERS_KEPT + 50}"]


def test_ask_the_dead_the_dying_and_the_busy(lab: Lab) -> None:
    directory, ref = lab.directory, lab.start("a")
    directory.bind("a", ref, 1)
    ref.tell(Block(gate="g"))
    lab.journal.gates.wait_entered("g")
    with pytest.raises(Unanswered, match=r"'a' did not answer Note within 0\.01 s"):
        directory.ask("a", Note(text="x"), 0.01)
    lab.journal.gates.open("g")
    with pytest.raises(ValueError, match="boom"):
        directory.ask("a", Raise(error=ValueError("boom")), WAIT_S)
    assert stop_and_wait(ref, WAIT_S)
    with pytest.raises(Unavailable):
        directory.ask("a", Note(text="x"), WAIT_S)


def test_without_keep_the_dead_get_nothing(lab: Lab) -> None:
    ref = lab.start("a")
    lab.directory.bind("a", ref, 1)
    assert stop_and_wait(ref, WAIT_S)
    assert lab.directory.tell("a", Note(text="x")) is False
    assert lab.directory.dead_letters()[0].reason == "dead"


def test_successor_gets_leftovers_then_what_came_since_then_the_new(lab: Lab) -> None:
    directory, first = lab.directory, lab.start("a")
    directory.bind("a", first, 1, keep=True)
    assert stop_and_wait(first, WAIT_S)
    assert written(lab, 2) == ["started", "stopping"]
    assert directory.tell("a", Note(text="2"))
    directory.tell("a", price(105))
    assert directory.tell("a", Ping()) is False
    directory.hold("a", 1, (Note(text="1"), price(101)))
    directory.tell("a", Note(text="3"))
    directory.tell("a", price(103))
    directory.bind("a", lab.start("a"), 2, keep=True)
    directory.tell("a", Note(text="4"))
    assert written(lab, 6) == ["started", "1", "BTC 103 101 105", "2", "3", "4"]
    assert directory.dead_letter_counts() == {}


def test_backlog_is_bounded(lab: Lab) -> None:
    directory, ref = lab.directory, lab.start("a")
    directory.bind("a", ref, 1, keep=True)
    assert stop_and_wait(ref, WAIT_S)
    told = [directory.tell("a", Note(text=str(n))) for n in range(BACKLOG_LIMIT + 2)]
    assert told == [True] * BACKLOG_LIMIT + [False] * 2
    assert directory.dead_letters()[-1].reason == "backlog full"
    assert directory.unbind("a", 1)
    assert directory.dead_letter_counts() == {"Note": BACKLOG_LIMIT + 2}


def test_what_waits_for_who_never_comes_back_goes_to_the_heir(lab: Lab) -> None:
    directory, ref = lab.directory, lab.start("a")
    directory.bind("a", ref, 1, keep=True)
    directory.leave_to("a", lambda left: left[1:])
    assert stop_and_wait(ref, WAIT_S)
    for text in ("first", "second"):
        assert directory.tell("a", Note(text=text))
    assert directory.unbind("a", 1)
    assert directory.dead_letter_counts() == {"Note": 1}


def test_older_incarnation_never_unseats_the_newer(lab: Lab) -> None:
    directory, old, new = lab.directory, lab.start("a"), lab.start("a")
    directory.bind("a", new, 2, keep=True)
    with pytest.raises(StaleIncarnationError):
        directory.bind("a", old, 1)
    assert directory.unbind("a", 1) is False
    assert written(lab, 2) == ["started", "started"]
    directory.hold("a", 1, (Note(text="late leftover"),))
    assert lab.journal.read() == ("a", 2, "late leftover")
    assert directory.ref("a") is new


def test_incarnations_grow_from_the_first(directory: Directory) -> None:
    assert [directory.next_incarnation("a") for _ in range(3)] == [1, 2, 3]
    later = Directory(first_incarnation=1000)
    assert (later.newest_incarnation("a"), later.next_incarnation("a"), later.newest_incarnation("a")) == (
        None,
        1000,
        1000,
    )


def test_fenced_actor_cannot_tell(lab: Lab) -> None:
    directory, old = lab.directory, lab.start("a")
    directory.bind("b", lab.start("b"), 1)
    assert old.ask(Send(to="b", text="while valid"), timeout=WAIT_S) is True
    directory.next_incarnation("a")
    assert old.ask(Send(to="b", text="too late"), timeout=WAIT_S) is False
    assert directory.ask("b", Note(text="end"), WAIT_S) == "end"
    assert [what for name, _, what in lab.journal.read_all() if name == "b"] == ["started", "while valid", "end"]


def test_reminder_is_for_this_incarnation_only(lab: Lab, virtual: VirtualClock) -> None:
    lab.clock = virtual
    ref = lab.start("a")
    actor = ref.actor()
    assert actor is not None
    actor.remind_after(5, Note(text="cancelled")).cancel()
    actor.remind_after(5, Note(text="reminded"))
    virtual.advance(5)
    assert written(lab, 2) == ["started", "reminded"]
    actor.remind_after(5, Note(text="for the dead"))
    assert stop_and_wait(ref, WAIT_S)
    virtual.advance(5)
    assert lab.directory.dead_letter_counts() == {}

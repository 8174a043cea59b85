"""Supervisors: starting, restarting, back-off, hangs, messages for successors, stopping in order."""

from __future__ import annotations

import random
import threading
from typing import Any

import pykka
import pytest

from actors.children import ChildExistsError, UnknownChildError
from actors.clock import VirtualClock
from actors.directory import Directory, Unavailable
from actors.guard import ActorContext
from actors.refs import StartFailedError, await_started, guarded
from actors.restarts import Roster
from actors.root import RootWatch, census, supervisor_alive
from actors.supervision import (
    ChildSpec,
    ChildState,
    Crash,
    DownReason,
    ListChildren,
    Overdue,
    Restart,
    StartChild,
    StopChild,
    SupervisionKind,
)
from actors.supervisor import Supervisor
from tests.unit.actors.conftest import Lab, Tree
from tests.unit.actors.specimens import WAIT_S, Block, Finish, Note, Raise, Send, Snapshot, Specimen

STARTED = SupervisionKind.ACTOR_STARTED
CRASHED = SupervisionKind.ACTOR_CRASHED
RESTARTED = SupervisionKind.ACTOR_RESTARTED
HUNG = SupervisionKind.ACTOR_HUNG
STOPPED = SupervisionKind.ACTOR_STOPPED
FINISHED = SupervisionKind.ACTOR_FINISHED


def boom(text: str = "boom") -> Raise:
    return Raise(error=ValueError(text))


def thread_of(tree: Tree, name: str) -> threading.Thread:
    ref = tree.directory.ref(name)
    assert ref is not None
    thread = guarded(ref).vitals.thread
    assert thread is not None
    return thread


# Starting.


def test_boot_is_synchronous_and_in_order(tree: Tree) -> None:
    tree.start(tree.spec("a"), tree.spec("b"), tree.spec("c"))
    assert [line[:1] + line[2:] for line in tree.journal.read_all()] == [(name, "started") for name in "abc"]
    assert tree.directory.names() == ["a", "b", "c", "root"]


def test_essential_child_that_fails_at_boot_fails_the_boot(tree: Tree, log_lines: list[str]) -> None:
    tree.journal.start_errors["b"] = [RuntimeError("no database")]
    with pytest.raises(StartFailedError, match="root: StartFailedError: b: RuntimeError: no database"):
        tree.start(tree.spec("a"), tree.spec("b"), tree.spec("c"))
    assert tree.root_downs.get(timeout=WAIT_S).reason is DownReason.START_FAILED
    assert [line[::2] for line in tree.journal.read_all()] == [("a", "started"), ("a", "stopping")]
    assert tree.directory.names() == []
    assert "ACTOR_CRASHED name=b epoch=1 error='b: RuntimeError: no database'" in log_lines


def test_start_that_takes_too_long_fails_the_boot(tree: Tree) -> None:
    class Slow(Specimen):
        def started(self) -> None:
            self.journal.gates.pass_through("start")

    with pytest.raises(StartFailedError, match=r"slow: started\(\) did not return within 0\.02 s"):
        tree.start(tree.spec("slow", Slow, start_s=0.02, shutdown_s=0.02))
    tree.journal.gates.open("start")


def test_child_that_is_not_essential_is_tried_again(tree: Tree) -> None:
    tree.journal.start_errors["a"] = [RuntimeError("x"), SystemExit(1)]
    tree.start(tree.spec("a", essential=False, base_backoff_s=0.01))
    assert tree.wait_for(RESTARTED, "a").restarts == 2
    assert tree.directory.ask("a", Note(text="up"), WAIT_S) == "up"


def test_child_that_is_awaited_comes_before_its_followers_and_fails_alone(tree: Tree) -> None:
    tree.journal.start_errors["b"] = [RuntimeError("nobody answers")]
    tree.start(
        tree.spec("a", essential=False, awaited_s=WAIT_S),
        tree.spec("b", essential=False, awaited_s=WAIT_S, base_backoff_s=0.01),
        tree.spec("c"),
    )
    lines = tree.journal.read_all()
    assert [line[0] for line in lines if line[2] == "started"][:1] == ["a"]
    assert tree.wait_for(RESTARTED, "b").restarts == 1
    assert [tree.directory.ask(name, Note(text="up"), WAIT_S) for name in "abc"] == ["up"] * 3


def test_child_that_is_awaited_is_not_waited_for_for_ever(tree: Tree) -> None:
    class Slow(Specimen):
        def started(self) -> None:
            self.journal.gates.pass_through("start")
            super().started()

    tree.start(tree.spec("slow", Slow, essential=False, awaited_s=0.02), tree.spec("next"))
    assert tree.directory.ask("next", Note(text="up"), WAIT_S) == "up"
    tree.journal.gates.open("start")
    assert tree.directory.ask("slow", Note(text="up"), WAIT_S) == "up"


def test_factory_that_raises_is_a_failed_start(tree: Tree) -> None:
    tries: list[int] = []

    class Picky(Specimen):
        def __init__(self, context: ActorContext, *rest: Any, **options: Any) -> None:
            tries.append(context.incarnation)
            if len(tries) < 3:
                raise ValueError("not yet")
            super().__init__(context, *rest, **options)

    tree.start(tree.spec("picky", Picky, essential=False, base_backoff_s=0.01))
    assert tree.wait_for(RESTARTED, "picky").incarnation == 3
    assert tries == [1, 2, 3]


def test_no_thread_for_a_child_is_one_failed_start(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.start()
    start, refused = threading.Thread.start, []

    def refuse_once(thread: threading.Thread) -> None:
        if thread.name == "a#1":
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_once)
    tree.directory.ask("root", StartChild(spec=tree.spec("a")), WAIT_S)
    event = tree.wait_for(RESTARTED, "a")
    assert (event.incarnation, event.restarts, refused) == (2, 1, ["a#1"])


def test_children_can_be_added_and_listed(tree: Tree) -> None:
    tree.start(tree.spec("a"))
    assert tree.directory.ask("root", StartChild(spec=tree.spec("b")), WAIT_S) == 1
    with pytest.raises(ChildExistsError, match="root has a child 'b' already"):
        tree.directory.ask("root", StartChild(spec=tree.spec("b")), WAIT_S)
    tree.wait_for(STARTED, "b")
    reports = tree.directory.ask("root", ListChildren(), WAIT_S)
    assert [(r.name, r.state, r.incarnation, r.restarts, r.parent) for r in reports] == [
        ("a", ChildState.RUNNING, 1, 0, "root"),
        ("b", ChildState.RUNNING, 1, 0, "root"),
    ]


# Restarting.


def test_crashed_child_is_restarted_at_once_with_a_new_incarnation(tree: Tree, log_lines: list[str]) -> None:
    tree.start(tree.spec("a"), tree.spec("b"))
    tree.directory.tell("a", boom("it's {broken}"))
    crash = tree.wait_for(CRASHED, "a")
    assert (crash.incarnation, crash.error, crash.delay_s) == (1, "ValueError: it's {broken}", 0.0)
    assert "in receive" in (crash.traceback or "")
    restart = tree.wait_for(RESTARTED, "a")
    assert (restart.incarnation, restart.restarts) == (2, 1)
    assert tree.directory.ask("a", Note(text="up"), WAIT_S) == "up"
    assert ("b", 1, "stopping") not in tree.journal.read_all()
    assert 'ACTOR_CRASHED name=a epoch=1 error="ValueError: it\'s {broken}"' in log_lines
    assert "ACTOR_RESTARTED name=a epoch=2 restarts=1" in log_lines


@pytest.mark.parametrize("how", ["exception", "exit"])
def test_ordered_crash_of_a_child(tree: Tree, how: Any) -> None:
    tree.start(tree.spec("a"))
    tree.directory.tell("a", Crash(how=how))
    assert tree.wait_for(RESTARTED, "a").incarnation == 2


@pytest.mark.parametrize(
    ("restart", "death", "again"),
    [
        (Restart.PERMANENT, "finish", True),
        (Restart.PERMANENT, "stop", True),
        (Restart.PERMANENT, "crash", True),
        (Restart.TRANSIENT, "finish", False),
        (Restart.TRANSIENT, "stop", True),
        (Restart.TRANSIENT, "crash", True),
    ],
)
def test_restart_types(tree: Tree, restart: Restart, death: str, again: bool) -> None:
    tree.start(tree.spec("a", restart=restart))
    ref = tree.directory.ref("a")
    assert ref is not None
    if death == "stop":
        ref.stop(timeout=WAIT_S)
    else:
        ref.tell(Finish() if death == "finish" else boom())
    kind = FINISHED if death == "finish" else CRASHED
    event = tree.wait_for(kind, "a")
    if again:
        assert tree.wait_for(RESTARTED, "a").incarnation == 2
        return
    assert event.delay_s is None
    assert tree.directory.ask("root", ListChildren(), WAIT_S) == ()
    assert tree.roster.specs() == ()
    assert tree.directory.tell("a", Note(text="x")) is False
    if death == "stop":
        assert event.error == "ended: stopped"


def test_unread_messages_reach_the_successor_in_order_and_once(tree: Tree) -> None:
    tree.start(tree.spec("a"))
    tell = tree.directory.tell
    tell("a", Block(gate="g"))
    tree.journal.gates.wait_entered("g")
    tell("a", boom())
    for message in (Note(text="1"), Snapshot(number=1), Note(text="2"), Snapshot(number=2)):
        tell("a", message)
    tree.journal.start_errors["a"] = [RuntimeError("also down"), None]
    tree.journal.gates.open("g")
    tree.wait_for(CRASHED, "a")
    tell("a", Note(text="3"))
    lines = [tree.journal.read() for _ in range(7)]
    assert lines == [
        ("a", 1, "started"),
        ("a", 1, "passed g"),
        ("a", 3, "started"),
        ("a", 3, "1"),
        ("a", 3, "snapshot 2"),
        ("a", 3, "2"),
        ("a", 3, "3"),
    ]
    assert tree.directory.dead_letter_counts() == {}


def test_message_that_kills_twice_is_poison(tree: Tree) -> None:
    tree.start(tree.spec("a"))
    tree.directory.tell("a", Block(gate="g"))
    for _ in range(3):
        tree.directory.tell("a", boom())
    tree.directory.tell("a", Note(text="healthy"))
    tree.journal.gates.open("g")
    # The first kills 1, the second kills 2 and is poison with it, the third is taken out.
    assert tree.wait_for(SupervisionKind.ACTOR_POISONED, "a").incarnation == 2
    tree.wait_for(RESTARTED, "a")
    assert tree.directory.ask("a", Note(text="lives"), WAIT_S) == "lives"
    assert [line[2] for line in tree.journal.read_all()].count("healthy") == 1
    assert [(letter.message_type, letter.reason) for letter in tree.directory.dead_letters()] == [
        ("Raise", "poison")
    ] * 2


def test_failing_child_slows_down_is_escalated_and_never_given_up(directory: Directory, virtual: VirtualClock) -> None:
    tree = Tree(directory, virtual)
    tree.start(
        tree.spec("a", intensity=2, period_s=60.0, base_backoff_s=1.0, max_backoff_s=10.0, reset_after_s=100.0),
        tree.spec("b"),
        rng=random.Random(7),
    )
    delays = []
    for number in range(6):
        tree.directory.tell("a", boom(str(number)))
        delay = tree.wait_for(CRASHED, "a").delay_s
        assert delay is not None
        delays.append(delay)
        if delay:
            assert tree.directory.ask("root", ListChildren(), WAIT_S)[0].state is ChildState.WAITING
            with pytest.raises(Unavailable):
                tree.directory.ask("a", Note(text="x"), WAIT_S)
            virtual.advance(delay)
        tree.wait_for(RESTARTED, "a")
    assert delays[0] == 0
    assert 0 < delays[1] <= 1
    assert all(5 <= delay <= 10 for delay in delays[2:])
    assert [(event.kind, event.name) for event in tree.escalations] == [(SupervisionKind.ACTOR_ESCALATED, "a")]
    assert ("b", 1, "stopping") not in tree.journal.read_all()
    virtual.advance(100)
    tree.directory.tell("a", boom("after a long life"))
    assert tree.wait_for(CRASHED, "a").delay_s == 0
    tree.wait_for(RESTARTED, "a")
    tree.stop()


def test_many_children_falling_is_a_group_escalation(tree: Tree) -> None:
    names = [f"p{number}" for number in range(5)]
    tree.start(*(tree.spec(name) for name in names), group_intensity=3, group_period_s=60.0)
    for name in names:
        tree.directory.tell(name, boom())
        tree.wait_for(RESTARTED, name)
    assert [(event.kind, event.name) for event in tree.escalations] == [(SupervisionKind.GROUP_ESCALATED, "p3")]


def test_a_crash_loop_is_told_when_it_begins_and_when_it_is_over(directory: Directory, virtual: VirtualClock) -> None:
    tree = Tree(directory, virtual)
    spec = tree.spec("a", intensity=1, period_s=30.0, max_backoff_s=2.0, reset_after_s=60.0)
    tree.start(spec, group_intensity=1, group_period_s=30.0)
    for incarnation in (2, 3, 4):
        tree.directory.tell("a", boom(f"boom {incarnation}"))
        crash = tree.wait_for(CRASHED, "a")
        directory.ask("root", ListChildren(), WAIT_S)  # its handler is over, the timer is set
        virtual.advance(crash.delay_s or 0.0)
        assert tree.wait_for(RESTARTED, "a").incarnation == incarnation
    assert [event.kind for event in tree.escalations] == [
        SupervisionKind.ACTOR_ESCALATED,
        SupervisionKind.GROUP_ESCALATED,
    ]
    virtual.advance(27.5)
    directory.ask("root", ListChildren(), WAIT_S)
    assert tree.all_events() == []
    virtual.advance(33.0)
    assert tree.wait_for(SupervisionKind.GROUP_STEADY, "a").incarnation == 4
    assert tree.wait_for(SupervisionKind.ACTOR_STEADY, "a").incarnation == 4
    assert len(tree.escalations) == 2
    tree.stop()


def test_a_crash_loop_is_over_with_the_child(directory: Directory, virtual: VirtualClock) -> None:
    """A position that is closed soon after its owner fell again and again: else its alert would stand for good."""
    tree = Tree(directory, virtual)
    tree.start(tree.spec("a", intensity=1, period_s=30.0, max_backoff_s=2.0, reset_after_s=60.0))
    for _ in range(2):
        tree.directory.tell("a", boom())
        crash = tree.wait_for(CRASHED, "a")
        directory.ask("root", ListChildren(), WAIT_S)  # its handler is over, the timer is set
        virtual.advance(crash.delay_s or 0.0)
        tree.wait_for(RESTARTED, "a")
    directory.ask("root", StopChild(name="a", reason="its life is over"), WAIT_S)
    assert tree.wait_for(SupervisionKind.ACTOR_STEADY, "a").incarnation == 3
    tree.stop()


# Hanging.


def test_hung_child_is_replaced_and_fenced(tree: Tree, log_lines: list[str]) -> None:
    tree.start(tree.spec("a", hang_after_s=0.1), tree.spec("b"))
    old = thread_of(tree, "a")
    first = tree.directory.ref("a")
    assert first is not None
    first.tell(Block(gate="g"))
    tree.journal.gates.wait_entered("g")
    asked = first.ask(Note(text="asked"), block=False)
    tree.directory.tell("a", Send(to="b", text="from the successor"))
    event = tree.wait_for(HUNG, "a")
    assert event.error is not None
    assert event.error.startswith("hung for 0.")
    assert event.error.endswith(" in Block")
    assert "pass_through" in (event.traceback or "")
    assert tree.wait_for(RESTARTED, "a").incarnation == 2
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=WAIT_S)
    assert tree.directory.ask("a", Note(text="up"), WAIT_S) == "up"
    assert [(each.name, each.incarnation) for each in tree.directory.abandoned()] == [("a", 1)]
    assert any(line.startswith("ACTOR_HUNG name=a epoch=1 error='hung for 0.") for line in log_lines)
    tree.journal.gates.open("g")
    old.join(WAIT_S)
    assert tree.directory.abandoned() == []
    # The old thread's Down is stale: nobody is restarted for it.
    assert [r.incarnation for r in tree.directory.ask("root", ListChildren(), WAIT_S)] == [2, 1]
    tree.directory.ask("b", Note(text="end"), WAIT_S)
    notes = [line for line in tree.journal.read_all() if line[2] == "from the successor"]
    assert notes == [("b", 1, "from the successor")]


def test_effects_of_a_hung_actor_that_wakes_up_are_refused(tree: Tree) -> None:
    class Sleeper(Specimen):
        def receive(self, message: Any) -> object:
            if isinstance(message, Block) and self.incarnation == 1:
                self.journal.gates.pass_through("g")
                self.journal.write(self, f"told: {self.tell('b', Note(text='ghost'))}")
                return None
            return super().receive(message)

    tree.start(tree.spec("a", Sleeper, hang_after_s=0.05), tree.spec("b"))
    old = thread_of(tree, "a")
    tree.directory.tell("a", Block(gate="g"))
    tree.wait_for(RESTARTED, "a")
    tree.journal.gates.open("g")
    old.join(WAIT_S)
    tree.directory.ask("b", Note(text="end"), WAIT_S)
    lines = tree.journal.read_all()
    assert ("a", 1, "told: False") in lines
    assert ("b", 1, "ghost") not in lines


def test_ask_in_hand_of_a_hung_actor_is_answered(tree: Tree) -> None:
    tree.start(tree.spec("a", hang_after_s=0.05))
    with pytest.raises(Unavailable, match="'a' died before it answered Block"):
        tree.directory.ask("a", Block(gate="g"), WAIT_S)


def test_given_up_without_a_successor_is_fenced_too(tree: Tree) -> None:
    tree.start(tree.spec("a", hang_after_s=None, shutdown_s=0.05))
    ref = tree.directory.ref("a")
    assert ref is not None
    actor = guarded(ref).actor()
    assert actor is not None
    tree.directory.tell("a", Block(gate="g"))
    tree.journal.gates.wait_entered("g")
    assert not actor.fenced
    tree.directory.ask("root", StopChild(name="a", reason="closed"), WAIT_S)
    tree.wait_for(HUNG, "a")
    assert actor.fenced


def test_finding_that_is_out_of_date_is_ignored_and_the_watch_goes_on(tree: Tree) -> None:
    ref = tree.start(tree.spec("a", hang_after_s=0.05))
    stale = Overdue(name="a", incarnation=1, reason=DownReason.HUNG, seconds=9.0, beat=-1, doing="Note")
    ref.tell(stale)
    assert tree.directory.ask("root", ListChildren(), WAIT_S)[0].incarnation == 1
    tree.directory.tell("a", Block(gate="g"))
    assert tree.wait_for(RESTARTED, "a").incarnation == 2


def test_start_that_hangs_is_tried_again(tree: Tree) -> None:
    class SlowOnce(Specimen):
        def started(self) -> None:
            if self.incarnation == 1:
                self.journal.gates.pass_through("start")

    tree.start(tree.spec("a", SlowOnce, essential=False, start_s=0.05))
    assert "in started" in (tree.wait_for(HUNG, "a").error or "")
    assert tree.wait_for(RESTARTED, "a").incarnation == 2


def test_child_without_a_limit_may_be_busy(tree: Tree) -> None:
    tree.start(tree.spec("a", hang_after_s=None), tree.spec("b", hang_after_s=0.05))
    for name in "ab":
        tree.directory.tell(name, Block(gate=name))
        tree.journal.gates.wait_entered(name)
    tree.wait_for(RESTARTED, "b")
    assert tree.directory.ask("root", ListChildren(), WAIT_S)[0].incarnation == 1


def test_thread_that_vanished_without_a_word(tree: Tree) -> None:
    class Mute(Specimen):
        def _die(self) -> None:
            if self.incarnation > 1:
                super()._die()

    tree.start(tree.spec("a", Mute, shutdown_s=0.1))
    tree.directory.tell("a", boom())
    assert tree.wait_for(CRASHED, "a").error == "the thread is gone without a word"
    assert tree.wait_for(RESTARTED, "a").incarnation == 2


# Stopping.


def test_shutdown_in_reverse_order_with_a_deadline_for_each(tree: Tree) -> None:
    tree.start(tree.spec("a"), tree.spec("b", shutdown_s=0.05, hang_after_s=None), tree.spec("c"))
    tree.directory.tell("b", Block(gate="g"))
    tree.journal.gates.wait_entered("g")
    tree.journal.read_all()
    assert tree.ref is not None
    tree.ref.stop(timeout=WAIT_S)
    assert [line[::2] for line in tree.journal.read_all()] == [("c", "stopping"), ("a", "stopping")]
    said = tree.all_events()
    assert said[-4:] == [(STOPPED, "c"), (HUNG, "b"), (STOPPED, "b"), (STOPPED, "a")]
    assert [each.name for each in tree.directory.abandoned()] == ["b"]
    assert tree.root_downs.get(timeout=WAIT_S).reason is DownReason.STOPPED


def test_what_is_unread_at_shutdown_is_a_dead_letter(tree: Tree) -> None:
    tree.start(tree.spec("a"))
    ref = tree.ref
    assert ref is not None
    tree.directory.tell("a", Block(gate="g"))
    tree.journal.gates.wait_entered("g")
    tree.directory.tell("a", Note(text="unread"))
    stopping = ref.stop(block=False)
    child = tree.directory.ref("a")
    assert child is not None
    child.stop(block=False)  # so that the note is behind a stop, whichever of the two comes first
    tree.journal.gates.open("g")
    assert stopping.get(timeout=WAIT_S) is True
    assert tree.directory.dead_letter_counts() == {"Note": 1}


def test_shutdown_together_waits_once(tree: Tree) -> None:
    names = [f"p{number}" for number in range(20)]
    tree.start(*(tree.spec(name) for name in names), stop_together=True)
    tree.stop()
    assert {line[0] for line in tree.journal.read_all() if line[2] == "stopping"} == set(names)
    assert tree.directory.names() == []


def test_ordered_stop_of_a_child_is_no_crash(tree: Tree) -> None:
    tree.start(tree.spec("a"), tree.spec("b"))
    assert tree.directory.ask("root", StopChild(name="a", reason="closed"), WAIT_S) is True
    assert tree.wait_for(STOPPED, "a").error is None
    assert [r.name for r in tree.directory.ask("root", ListChildren(), WAIT_S)] == ["b"]
    assert [spec.name for spec in tree.roster.specs()] == ["b"]
    with pytest.raises(UnknownChildError, match="root has no child 'a'"):
        tree.directory.ask("root", StopChild(name="a", reason="again"), WAIT_S)


def test_ordered_stop_of_a_hung_child_is_over_at_its_deadline(tree: Tree) -> None:
    tree.start(tree.spec("a", hang_after_s=None, shutdown_s=0.05))
    tree.directory.tell("a", Block(gate="g"))
    tree.journal.gates.wait_entered("g")
    tree.directory.ask("root", StopChild(name="a", reason="closed"), WAIT_S)
    assert tree.roster.specs() == ()
    assert tree.wait_for(HUNG, "a").error == "did not stop within 0.05 s"
    assert tree.directory.ask("root", ListChildren(), WAIT_S) == ()


def test_ordered_stop_of_a_waiting_child_cancels_its_restart(directory: Directory, virtual: VirtualClock) -> None:
    tree = Tree(directory, virtual)
    tree.start(tree.spec("a", essential=False))
    for _ in range(2):
        tree.directory.tell("a", boom())
        tree.wait_for(CRASHED, "a")
    tree.directory.ask("root", StopChild(name="a", reason="closed"), WAIT_S)
    tree.wait_for(STOPPED, "a")
    virtual.advance(100)
    assert tree.directory.ask("root", ListChildren(), WAIT_S) == ()
    assert tree.directory.newest_incarnation("a") == 2
    tree.stop()


# Supervisors among themselves.


def nested(tree: Tree, *names: str) -> ChildSpec:
    """A specification of a supervisor over specimens; its roster outlives it."""
    roster = Roster(tree.spec(name) for name in names)

    def make(context: ActorContext) -> pykka.ActorRef[Any]:
        return Supervisor.start(context, roster=roster, observer=tree.events.put, watch_period_s=0.02)

    return ChildSpec(name="positions", factory=make, hang_after_s=10.0)


def test_census_goes_down_the_tree(tree: Tree) -> None:
    tree.start(tree.spec("a"), nested(tree, "x", "y"))
    found = census("root", tree.directory, WAIT_S)
    assert [(r.name, r.parent, r.is_supervisor) for r in found] == [
        ("a", "root", False),
        ("positions", "root", True),
        ("x", "positions", False),
        ("y", "positions", False),
    ]


@pytest.mark.parametrize("how", ["exception", "exit"])
def test_supervisor_that_dies_is_rebuilt_with_all_its_children(tree: Tree, how: Any) -> None:
    tree.start(nested(tree, "x"))
    tree.directory.ask("positions", StartChild(spec=tree.spec("y")), WAIT_S)
    tree.wait_for(STARTED, "y")
    threads = [thread_of(tree, name) for name in ("x", "y")]
    tree.directory.tell("positions", Crash(how=how))
    tree.wait_for(RESTARTED, "positions")
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    for name in ("x", "y"):
        assert tree.directory.ask(name, Note(text="again"), WAIT_S) == "again"
        assert tree.directory.newest_incarnation(name) == 2


def test_hung_supervisor_that_wakes_up_starts_nobody(tree: Tree) -> None:
    roster = Roster()
    calls: list[int] = []

    def block_once(context: ActorContext) -> pykka.ActorRef[Any]:
        calls.append(context.incarnation)
        if len(calls) == 1:
            tree.journal.gates.pass_through("factory")
            raise RuntimeError("woke up too late")
        return Specimen.start(context, tree.journal)

    def make(context: ActorContext) -> pykka.ActorRef[Any]:
        return Supervisor.start(context, roster=roster, watch_period_s=0.02)

    roster.add(ChildSpec(name="x", factory=block_once, essential=False))
    tree.start(ChildSpec(name="positions", factory=make, essential=False, start_s=0.05))
    tree.wait_for(HUNG, "positions")
    (hung,) = tree.directory.abandoned()
    tree.wait_for(RESTARTED, "positions")
    assert tree.directory.ask("x", Note(text="by the successor"), WAIT_S) == "by the successor"
    tree.journal.gates.open("factory")
    hung.thread.join(WAIT_S)
    assert not hung.thread.is_alive()
    assert (calls, tree.directory.newest_incarnation("x")) == ([1, 2], 2)
    assert tree.directory.ask("x", Note(text="still"), WAIT_S) == "still"


def test_nested_shutdown(tree: Tree) -> None:
    tree.start(tree.spec("a"), nested(tree, "x", "y"), tree.spec("b"))
    tree.journal.read_all()
    tree.stop()
    assert [line[0] for line in tree.journal.read_all()] == ["b", "y", "x", "a"]


def test_supervisor_survives_what_it_cannot_handle(tree: Tree, log_lines: list[str]) -> None:
    ref = tree.start(tree.spec("a"))
    ref.tell("nonsense")
    ref.tell(StartChild(spec=tree.spec("a")))
    with pytest.raises(TypeError, match="no handler for str"):
        ref.ask("nonsense", timeout=WAIT_S)
    assert len(tree.directory.ask("root", ListChildren(), WAIT_S)) == 1
    assert sum(line.startswith("ACTOR_ERROR name=root epoch=1") for line in log_lines) == 2


def test_the_root_is_watched(tree: Tree) -> None:
    ref = tree.start(tree.spec("a", shutdown_s=0.05, hang_after_s=0.05))
    watch = RootWatch(ref, tree.directory, tree.clock, every_s=1.0, hang_after_s=5.0, max_abandoned=0)
    assert supervisor_alive(ref)
    assert watch.wrong() is None
    tree.directory.tell("a", Block(gate="g"))
    tree.wait_for(RESTARTED, "a")
    assert watch.wrong() == "1 hung threads were left behind: a"
    ref.stop(timeout=WAIT_S)
    assert not supervisor_alive(ref)
    assert watch.wrong() == "the root supervisor is dead: None"


def test_a_hung_root_is_found_out_and_a_paused_machine_is_not(directory: Directory, virtual: VirtualClock) -> None:
    lab = Lab(directory, virtual)
    ref = lab.start("root")
    await_started(ref, WAIT_S)
    watch = RootWatch(ref, directory, virtual, every_s=0.5, hang_after_s=2.0)
    ref.tell(Block(gate="g"))
    lab.journal.gates.wait_entered("g")
    for seconds in (0.5, 0.5, 60.0):
        virtual.advance(seconds)
        assert watch.wrong() is None
    virtual.advance(0.5)
    assert watch.wrong() == "the root supervisor hangs for 2.2 s in Block"
    lab.journal.gates.open_all()
    ref.stop(block=False)


def test_dead_root_can_be_built_again_from_its_roster(tree: Tree) -> None:
    ref = tree.start(tree.spec("a"))
    ref.tell(Crash(how="exit"))
    assert tree.root_downs.get(timeout=WAIT_S).reason is DownReason.CRASHED
    tree.directory.unbind("root", 1)
    tree.start()
    assert tree.directory.ask("a", Note(text="again"), WAIT_S) == "again"
    assert tree.directory.newest_incarnation("a") == 2


def test_observer_that_raises_hinders_nothing(tree: Tree) -> None:
    class Refusing:
        def put(self, _event: object) -> None:
            raise RuntimeError("observer")

    tree.events = Refusing()  # type: ignore[assignment]
    tree.start(tree.spec("a"))
    tree.directory.tell("a", boom())
    lines = [tree.journal.read() for _ in range(2)]
    assert lines == [("a", 1, "started"), ("a", 2, "started")]

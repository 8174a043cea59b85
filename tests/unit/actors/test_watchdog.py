"""The watchdog's judgement, in virtual time: hung, starved, idle, paused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from actors.clock import VirtualClock
from actors.directory import Directory
from actors.refs import GuardedRef, await_started
from actors.supervision import ChildSpec, DownReason, Overdue, Ping
from actors.watchdog import LATE_S, Watchdog
from tests.unit.actors.conftest import Lab
from tests.unit.actors.specimens import WAIT_S, Block, Finish, Specimen

PERIOD_S = 0.25


@dataclass
class Watch:
    """A watchdog that is told when to look, and one actor under it."""

    dog: Watchdog
    clock: VirtualClock
    lab: Lab
    ref: GuardedRef[Any]
    found: list[Overdue]

    def pass_time(self, seconds: float) -> None:
        """In rounds, as the thread would do it."""
        for _ in range(round(seconds / PERIOD_S)):
            self.clock.advance(PERIOD_S)
            self.dog.look()

    def block(self) -> None:
        self.ref.tell(Block(gate="g"))
        self.lab.journal.gates.wait_entered("g")


@pytest.fixture
def watch(directory: Directory, virtual: VirtualClock) -> Iterator[Watch]:
    lab = Lab(directory, virtual)
    ref = lab.start("a")
    await_started(ref, WAIT_S)
    found: list[Overdue] = []
    dog = Watchdog(found.append, virtual, name="test", period_s=PERIOD_S, ping_after_s=2.0)
    dog.watch(ChildSpec(name="a", factory=Specimen.start, hang_after_s=5.0), ref)
    yield Watch(dog, virtual, lab, ref, found)
    lab.journal.gates.open_all()
    ref.stop(block=False)


def test_busy_beyond_its_limit_is_hung_and_said_once(watch: Watch) -> None:
    """Within its limit, not a period after it (LAWS L4)."""
    watch.block()
    watch.pass_time(4.75)
    assert watch.found == []
    watch.pass_time(0.25)
    (finding,) = watch.found
    assert (finding.name, finding.incarnation, finding.reason, finding.doing) == ("a", 1, DownReason.HUNG, "Block")
    assert finding.seconds == 5.0
    watch.pass_time(10)
    assert len(watch.found) == 1


def test_pause_of_the_machine_hangs_nobody(watch: Watch) -> None:
    watch.block()
    watch.pass_time(4.0)
    watch.clock.advance(60.0)
    watch.dog.look()
    assert watch.found == []
    watch.pass_time(0.25)
    assert watch.found == []
    watch.pass_time(0.25)
    assert [finding.seconds for finding in watch.found] == [5.0]


def test_a_machine_that_is_always_late_still_finds_who_hangs(watch: Watch) -> None:
    """Each look that came late forgave everything before it: on a loaded machine a hang was never found."""
    watch.block()
    for _ in range(11):
        watch.clock.advance(1.0)
        watch.dog.look()
    assert [finding.reason for finding in watch.found] == [DownReason.HUNG]


def test_many_pauses_hang_nobody_who_moves_between_them(watch: Watch) -> None:
    for _ in range(30):
        watch.clock.advance(3.0)
        watch.dog.look()
        assert watch.ref.ask(Ping(), timeout=WAIT_S) is True
    assert watch.found == []


def test_a_step_with_a_bound_of_its_own_is_given_that_time_and_no_more(watch: Watch) -> None:
    """A statement of a slow database: as slow as that, and no hang."""
    watch.block()
    vitals = watch.ref.vitals
    for _ in range(3):
        vitals.begin("Block", watch.clock.monotonic(), patience_s=8.0)
        watch.pass_time(7.5)
    assert watch.found == []
    watch.pass_time(0.5)
    assert [finding.seconds for finding in watch.found] == [8.0]


def test_patience_ends_with_its_handler(watch: Watch) -> None:
    vitals = watch.ref.vitals
    vitals.begin("Note", watch.clock.monotonic(), patience_s=60.0)
    vitals.end(watch.clock.monotonic())
    watch.block()
    watch.pass_time(5.0)
    assert len(watch.found) == 1


def test_lateness_within_tolerance_is_time_like_any_other(watch: Watch) -> None:
    watch.block()
    for _ in range(11):
        watch.clock.advance(PERIOD_S + LATE_S)
        watch.dog.look()
    assert len(watch.found) == 1


def test_idle_actor_is_pinged_and_its_heart_beats(watch: Watch) -> None:
    for _ in range(20):
        watch.pass_time(2.25)
        assert watch.ref.ask(Ping(), timeout=WAIT_S) is True
    assert watch.found == []
    assert watch.ref.vitals.heartbeat_age_s(watch.clock.monotonic()) < 2.5


def test_actor_that_leaves_a_ping_unread_is_hung(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost wake-up: idle, the mailbox full, nothing moves."""
    monkeypatch.setattr(watch.ref.inbox, "_tokens", _NoTokens())
    watch.pass_time(2.0)
    assert watch.ref.inbox.depth() == 1
    watch.pass_time(5.25)
    assert [finding.reason for finding in watch.found] == [DownReason.HUNG]
    monkeypatch.undo()


def test_ended_thread_has_vanished(watch: Watch) -> None:
    watch.ref.tell(Finish())
    assert watch.ref.vitals.thread is not None
    watch.ref.vitals.thread.join(WAIT_S)
    watch.dog.look()
    assert [finding.reason for finding in watch.found] == [DownReason.VANISHED]


def test_forgotten_is_not_judged(watch: Watch) -> None:
    watch.dog.forget("a")
    watch.block()
    watch.pass_time(30)
    assert watch.found == []


class _NoTokens:
    """A queue that wakes nobody."""

    def put(self, _token: None) -> None:
        return None

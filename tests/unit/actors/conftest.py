"""Actors for the tests, with events to wait for, and a check that no thread or registered actor is left behind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pykka
import pytest
from loguru import logger

from actors.clock import Clock, SystemClock, VirtualClock
from actors.directory import Directory
from actors.guard import ActorContext
from actors.refs import GuardedRef
from actors.restarts import Roster
from actors.root import start_root, stop_root
from actors.supervision import ChildSpec, Down, SupervisionEvent, SupervisionKind
from actors.supervisor import Supervisor
from tests.unit.actors.specimens import WAIT_S, Journal, Specimen


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every thread and every registered actor that a test made must be gone after it."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(WAIT_S)
    assert [thread.name for thread in left if thread.is_alive()] == []
    assert pykka.ActorRegistry.get_all() == []


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    clock = SystemClock()
    clock.start()
    yield clock
    assert clock.stop()


@pytest.fixture
def virtual() -> VirtualClock:
    return VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))


class Lab:
    """Makes single actors, and keeps what they report."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.downs: queue.SimpleQueue[Down] = queue.SimpleQueue()
        self.journal = Journal()
        self.refs: list[GuardedRef[Any]] = []

    def context(self, name: str = "specimen", *, chaos: bool = False) -> ActorContext:
        return ActorContext(
            name=name,
            incarnation=self.directory.next_incarnation(name),
            directory=self.directory,
            clock=self.clock,
            report_down=self.downs.put,
            chaos=chaos,
        )

    def start(self, name: str = "specimen", kind: type[Specimen] = Specimen, **options: Any) -> GuardedRef[Any]:
        chaos = options.pop("chaos", False)
        ref = kind.start(self.context(name, chaos=chaos), self.journal, **options)
        assert isinstance(ref, GuardedRef)
        self.refs.append(ref)
        return ref

    def down(self) -> Down:
        """The one Down there must be; fails if none comes."""
        return self.downs.get(timeout=WAIT_S)

    def only_down(self, ref: GuardedRef[Any]) -> Down:
        """The Down of this actor, when its thread has ended; fails if there is not exactly one."""
        down = self.down()
        if ref.vitals.thread is not None and ref.vitals.thread.ident is not None:
            ref.vitals.thread.join(WAIT_S)
        assert self.downs.empty()
        assert (down.name, down.incarnation) == (ref.vitals.name, ref.vitals.incarnation)
        assert not ref.is_alive()
        return down


@pytest.fixture
def lab(directory: Directory, clock: SystemClock) -> Iterator[Lab]:
    lab = Lab(directory, clock)
    yield lab
    lab.journal.gates.open_all()
    for ref in lab.refs:
        ref.stop(block=False)


class Tree:
    """A root supervisor over specimens, and everything it said."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.journal = Journal()
        self.roster = Roster()
        self.events: queue.SimpleQueue[SupervisionEvent] = queue.SimpleQueue()
        self.escalations: list[SupervisionEvent] = []
        self.root_downs: queue.SimpleQueue[Down] = queue.SimpleQueue()
        self.ref: GuardedRef[Supervisor] | None = None

    def spec(self, name: str, kind: type[Specimen] = Specimen, /, **options: Any) -> ChildSpec:
        """A specification of a specimen; `made` gives its constructor's options."""
        made = options.pop("made", {})
        return ChildSpec(name=name, factory=lambda context: kind.start(context, self.journal, **made), **options)

    def start(self, *specs: ChildSpec, **options: Any) -> GuardedRef[Supervisor]:
        for spec in specs:
            self.roster.add(spec)
        options.setdefault("watch_period_s", 0.02)
        options.setdefault("chaos", True)
        self.ref = start_root(
            "root",
            roster=self.roster,
            directory=self.directory,
            clock=self.clock,
            report_down=self.root_downs.put,
            deadline_s=WAIT_S,
            observer=self.events.put,
            on_escalation=self.escalations.append,
            **options,
        )
        return self.ref

    def wait_for(self, kind: SupervisionKind, name: str) -> SupervisionEvent:
        """The next event of this kind about this child; what comes before it is passed over."""
        while True:
            event = self.events.get(timeout=WAIT_S)
            if event.kind is kind and event.name == name:
                return event

    def all_events(self) -> list[tuple[SupervisionKind, str]]:
        """What has been said and not been waited for."""
        found = []
        while not self.events.empty():
            event = self.events.get()
            found.append((event.kind, event.name))
        return found

    def stop(self) -> None:
        self.journal.gates.open_all()
        if self.ref is not None:
            assert stop_root(self.ref, self.directory, WAIT_S)


@pytest.fixture
def tree(directory: Directory, clock: SystemClock) -> Iterator[Tree]:
    tree = Tree(directory, clock)
    yield tree
    tree.stop()


@pytest.fixture
def until() -> Callable[[threading.Event], None]:
    def wait(event: threading.Event) -> None:
        assert event.wait(WAIT_S)

    return wait


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What loguru is told, a line each."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="DEBUG")
    yield lines
    logger.remove(sink)

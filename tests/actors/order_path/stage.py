"""A stage for single actors: a real supervisor over the actor under test, and ears in place of those it talks to."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from actors.clock import SystemClock
from actors.directory import Directory
from actors.guard import ActorContext, GuardedActor
from actors.owners import Owners
from actors.recording import Recorder
from actors.refs import GuardedRef
from actors.restarts import Roster
from actors.root import start_root, stop_root
from actors.supervision import ChildSpec, Crash, Down, Ping, StartChild, SupervisionEvent, SupervisionKind
from actors.supervisor import Supervisor
from actors.ticket import Ticket
from domain.position.state import Position

WAIT_S = 30.0
M = TypeVar("M")


class Heard:
    """What an ear heard, in order, with a bell."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._bell = threading.Condition()

    def add(self, message: object) -> None:
        with self._bell:
            self.messages.append(message)
            self._bell.notify_all()

    def clear(self) -> None:
        """Forget what was heard."""
        with self._bell:
            self.messages.clear()

    def of(self, kind: type[M]) -> list[M]:
        """Everything of one kind so far."""
        with self._bell:
            return [message for message in self.messages if isinstance(message, kind)]

    def wait(self, kind: type[M], where: Callable[[M], object] = lambda _: True, seconds: float = WAIT_S) -> M:
        """The first message of a kind that fits; fails when none comes."""
        return self.count(kind, 1, where, seconds)[0]

    def count(
        self, kind: type[M], number: int, where: Callable[[M], object] = lambda _: True, seconds: float = WAIT_S
    ) -> list[M]:
        """That many messages of a kind; fails when they do not come."""
        deadline = time.monotonic() + seconds
        with self._bell:
            while True:
                found = [m for m in self.messages if isinstance(m, kind) and where(m)]
                if len(found) >= number:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} of {number} {kind.__name__} came; heard {self.messages[-20:]}"
                self._bell.wait(left)


class Ear(GuardedActor):
    """Stands in for an actor that others tell something."""

    def __init__(self, context: ActorContext, heard: Heard) -> None:
        super().__init__(context)
        self._heard = heard

    def receive(self, message: Any) -> object:
        self._heard.add(message)
        return None


class SeenOwners(Owners):
    """Shows each state that is handed over to whoever looks on, in the owner's own thread: none is too short to see."""

    def __init__(self) -> None:
        super().__init__()
        self.onlookers: list[Callable[[Position], object]] = []

    def handed_over(self, position: Position, ticket: Ticket | None = None) -> bool:
        taken = super().handed_over(position, ticket)
        if taken:
            for onlooker in tuple(self.onlookers):
                onlooker(position)
        return taken


class Stage:
    """A root supervisor with chaos allowed. `add` actors, then `start`; those added later start at once."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.clock.start()
        self.directory = Directory()
        self.recorder = Recorder(self.clock.now())
        self.owners = SeenOwners()
        self.seen: queue.SimpleQueue[SupervisionEvent] = queue.SimpleQueue()
        self._roster = Roster()
        self._root: GuardedRef[Supervisor] | None = None
        self._down: list[Down] = []

    def ear(self, name: str) -> Heard:
        """An ear of this name."""
        heard = Heard()
        self.add(name, lambda context: Ear.start(context, heard))
        return heard

    def add(self, name: str, factory: Callable[[ActorContext], Any], **options: Any) -> None:
        """An actor under supervision. Its restarts are quick unless `options` say otherwise."""
        quick: dict[str, Any] = {"base_backoff_s": 0.01, "max_backoff_s": 0.05, "hang_after_s": None, **options}
        spec = ChildSpec(name=name, factory=factory, **quick)
        if self._root is None:
            self._roster.add(spec)
        else:
            self.directory.ask("root", StartChild(spec=spec), WAIT_S)

    def start(self) -> Stage:
        """Start everybody and wait until they are up."""
        self._root = start_root(
            "root",
            roster=self._roster,
            directory=self.directory,
            clock=self.clock,
            report_down=self._down.append,
            chaos=True,
            observer=self.seen.put,
            watch_period_s=0.05,
            ping_after_s=0.2,
        )
        return self

    def stop(self) -> None:
        """Stop everybody in order; fails when somebody does not stop."""
        if self._root is not None:
            assert stop_root(self._root, self.directory, WAIT_S)
            self._root = None
        assert self.clock.stop()

    def tell(self, name: str, message: object) -> None:
        assert self.directory.tell(name, message)

    def ask(self, name: str, message: object) -> Any:
        return self.directory.ask(name, message, WAIT_S)

    def worked_off(self, *names: str) -> None:
        """Wait until these, ears or actors, have handled all that they were told before: then what came can be counted.

        An empty mailbox says less: its last message may be in hand.
        """
        for name in names:
            assert self.ask(name, Ping())

    def kill(self, name: str, how: Literal["exception", "exit", "hang"] = "exception", hang_s: float = 60) -> None:
        """Kill an actor and wait until its successor runs."""
        incarnation = self.directory.newest_incarnation(name)
        assert incarnation is not None
        self.tell(name, Crash(how=how, hang_s=hang_s))
        self.risen(name, above=incarnation)

    def risen(self, name: str, above: int) -> None:
        """Wait until a later incarnation of an actor has started."""
        while True:
            event = self.seen.get(timeout=WAIT_S)
            if event.kind is SupervisionKind.ACTOR_RESTARTED and event.name == name and event.incarnation > above:
                return

    def actor(self, name: str) -> Any:
        """The actor object of now: for looking at, never for calling."""
        ref = self.directory.ref(name)
        assert isinstance(ref, GuardedRef)
        return ref.actor()


def until(ready: Callable[[], Any], seconds: float = WAIT_S, what: str = "") -> Any:
    """The first true answer, for what no message tells (a row, a file, a process); fails when it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what or ready}"
        time.sleep(0.01)

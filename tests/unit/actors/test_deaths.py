"""Every way to die (ACTORS 4.1, 4.3): Down exactly once, leftover asks answered, nobody else touched."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope

from actors.clock import VirtualClock
from actors.directory import Directory
from actors.guard import ChaosCrash, ChaosRefusedError, HandlerDied
from actors.refs import GuardedRef, StartFailedError, await_started, stop_and_wait
from actors.supervision import Crash, DownReason, Ping
from tests.unit.actors.conftest import Lab
from tests.unit.actors.specimens import WAIT_S, Alarm, Block, Finish, Note, Raise, Specimen


class OwnBaseException(BaseException):
    """Not an Exception."""


def queue_up(ref: GuardedRef[Any], lab: Lab, deadly: object) -> pykka.Future[Any]:
    """Put a deadly tell in front of an ask and a tell, while the actor is busy; then let go. Gives the ask's future."""
    ref.tell(Block(gate="g"))
    lab.journal.gates.wait_entered("g")
    ref.tell(deadly)
    future = ref.ask(Note(text="asked"), block=False)
    ref.tell(Note(text="told"))
    lab.journal.gates.open("g")
    return future


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (MemoryError(), "MemoryError: "),
        (SystemExit(3), "HandlerDied: SystemExit in the handler of Raise: 3"),
        (KeyboardInterrupt(), "HandlerDied: KeyboardInterrupt in the handler of Raise: "),
        (GeneratorExit(), "HandlerDied: GeneratorExit in the handler of Raise: "),
        (OwnBaseException("own"), "HandlerDied: OwnBaseException in the handler of Raise: own"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_a_tell_raises(lab: Lab, error: BaseException, said: str) -> None:
    bystander = lab.start("bystander")
    ref = lab.start()
    deadly = Raise(error=error)
    future = queue_up(ref, lab, deadly)
    down = lab.only_down(ref)
    assert (down.reason, down.error, down.normal) == (DownReason.CRASHED, said, False)
    assert down.traceback is not None
    assert "in receive" in down.traceback
    assert down.in_hand is deadly
    assert down.leftovers == (Note(text="told"),)
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=WAIT_S)
    assert bystander.ask(Note(text="still here"), timeout=WAIT_S) == "still here"


def test_what_was_meant_for_the_dead_alone_is_not_left_over(lab: Lab) -> None:
    ref = lab.start()
    ref.tell(Block(gate="g"))
    lab.journal.gates.wait_entered("g")
    ref.tell(Raise(error=ValueError()))
    ref.tell(Ping())
    ref.tell(Note(text="lasting"))
    lab.journal.gates.open("g")
    assert lab.only_down(ref).leftovers == (Note(text="lasting"),)


def test_exception_in_an_ask_is_the_answer(lab: Lab) -> None:
    ref = lab.start()
    with pytest.raises(ValueError, match="boom"):
        ref.ask(Raise(error=ValueError("boom")), timeout=WAIT_S)
    assert ref.ask(Note(text="alive"), timeout=WAIT_S) == "alive"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), OwnBaseException()])
def test_base_exception_in_an_ask_is_the_answer(lab: Lab, error: BaseException) -> None:
    bystander = lab.start("bystander")
    ref = lab.start()
    with pytest.raises(HandlerDied, match=type(error).__name__):
        ref.ask(Raise(error=error), timeout=WAIT_S)
    assert ref.ask(Note(text="alive"), timeout=WAIT_S) == "alive"
    assert bystander.is_alive()


def test_base_exception_in_a_proxied_call(lab: Lab) -> None:
    class Callable(Specimen):
        def leave(self) -> None:
            raise SystemExit(1)

    ref = lab.start(kind=Callable)
    with pytest.raises(HandlerDied):
        ref.proxy().leave().get(timeout=WAIT_S)
    assert ref.is_alive()


def test_victim_inside_a_blocking_ask_to_it(lab: Lab) -> None:
    """Row 5: pykka deadlocks when the victim stops everybody while somebody waits for it."""

    class Asker(Specimen):
        def receive(self, message: Any) -> object:
            return self.directory.ask("victim", Raise(error=SystemExit(1)), WAIT_S)

    victim = lab.start("victim")
    lab.directory.bind("victim", victim, 1)
    asker = lab.start("asker", Asker)
    with pytest.raises(HandlerDied):
        asker.ask(Note(text="go"), timeout=WAIT_S)
    assert asker.is_alive()
    assert victim.is_alive()


@pytest.mark.parametrize("error", [RuntimeError("no database"), SystemExit(1), OwnBaseException("x")])
def test_start_fails(lab: Lab, error: BaseException) -> None:
    lab.journal.start_errors["specimen"] = [error]
    ref = lab.start()
    with pytest.raises(StartFailedError, match=type(error).__name__):
        await_started(ref, WAIT_S)
    down = lab.only_down(ref)
    assert down.reason is DownReason.START_FAILED
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(Ping(), timeout=WAIT_S)


def test_constructor_fails_in_the_callers_thread(lab: Lab) -> None:
    class Broken(Specimen):
        def __init__(self, *args: Any) -> None:
            raise ValueError("bad setting")

    with pytest.raises(ValueError, match="bad setting"):
        lab.start(kind=Broken)
    assert lab.downs.empty()


def test_thread_cannot_be_started(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Specimen] = []

    class Kept(Specimen):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            lab.start(kind=Kept)
    down = lab.only_down(made[0].actor_ref)  # type: ignore[arg-type]
    assert (down.reason, down.error) == (DownReason.START_FAILED, "RuntimeError: can't start new thread")
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("error", [RuntimeError("late"), SystemExit(1), OwnBaseException()])
def test_stopping_fails(lab: Lab, error: BaseException) -> None:
    ref = lab.start(stop_error=error)
    assert ref.stop(timeout=WAIT_S) is True
    down = lab.only_down(ref)
    assert (down.reason, down.normal) == (DownReason.STOP_FAILED, False)
    assert [line[2] for line in lab.journal.read_all()] == ["started", "stopping"]


@pytest.mark.parametrize("error", [RuntimeError("in the hook"), OwnBaseException("in the hook")])
def test_on_failure_fails(lab: Lab, error: BaseException) -> None:
    class Hooked(Specimen):
        def on_failure(self, *_: object) -> None:
            raise error

    ref = lab.start(kind=Hooked)
    future = queue_up(ref, lab, Raise(error=ValueError("first")))
    down = lab.only_down(ref)
    assert (down.error, down.leftovers) == ("ValueError: first", (Note(text="told"),))
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=WAIT_S)


def test_no_envelope_in_the_inbox(lab: Lab) -> None:
    """Row 17, the honest 'thread died': no hook runs, no lock is held."""
    ref = lab.start()
    ref.tell(Block(gate="g"))
    lab.journal.gates.wait_entered("g")
    ref.actor_inbox.put(None)  # type: ignore[arg-type]
    future = ref.ask(Note(text="asked"), block=False)
    lab.journal.gates.open("g")
    down = lab.only_down(ref)
    assert down.reason is DownReason.CRASHED
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=WAIT_S)


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
@pytest.mark.parametrize("asked", [False, True])
def test_asynchronous_exception_while_idle(lab: Lab, kind: type[BaseException], asked: bool) -> None:
    """Row 14: the exception comes out when the next message wakes the thread; that message is not lost."""
    ref = lab.start()
    assert ref.ask(Ping(), timeout=WAIT_S)
    assert ref.vitals.thread is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ref.vitals.thread.ident or 0), ctypes.py_object(kind))
    future = ref.ask(Note(text="woken"), block=False) if asked else None
    if future is None:
        ref.tell(Note(text="woken"))
    down = lab.only_down(ref)
    assert down.reason is DownReason.CRASHED
    if future is not None:
        with pytest.raises((pykka.ActorDeadError, HandlerDied, kind)):
            future.get(timeout=WAIT_S)


def test_stop_by_a_stranger_is_no_normal_end(lab: Lab) -> None:
    ref = lab.start()
    assert ref.stop(timeout=WAIT_S) is True
    down = lab.only_down(ref)
    assert (down.reason, down.normal, down.error) == (DownReason.STOPPED, False, None)


def test_stop_all_of_the_registry(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.start(name)
    pykka.ActorRegistry.stop_all(timeout=WAIT_S)
    assert {lab.down().name, lab.down().name} == {"a", "b"}
    assert lab.downs.empty()


def test_own_decision_is_a_normal_end(lab: Lab) -> None:
    ref = lab.start()
    ref.tell(Finish())
    down = lab.only_down(ref)
    assert (down.reason, down.normal) == (DownReason.FINISHED, True)


def test_stop_overtakes_the_backlog(lab: Lab) -> None:
    ref = lab.start()
    ref.tell(Block(gate="g"))
    lab.journal.gates.wait_entered("g")
    for number in range(3):
        ref.tell(Note(text=str(number)))
    ref.tell(Alarm(text="fire"))
    stopped = ref.stop(block=False)
    lab.journal.gates.open("g")
    assert stopped.get(timeout=WAIT_S) is True
    assert lab.only_down(ref).leftovers == tuple(Note(text=str(number)) for number in range(3))
    assert [line[2] for line in lab.journal.read_all()] == ["started", "passed g", "fire", "stopping"]


def test_stop_waits_for_the_backlog_where_the_class_says_so(lab: Lab) -> None:
    class Writer(Specimen):
        drain_before_stop = True

    ref = lab.start(kind=Writer)
    ref.tell(Block(gate="g"))
    ref.tell(Note(text="last"))
    stopped = ref.stop(block=False)
    lab.journal.gates.open("g")
    assert stopped.get(timeout=WAIT_S) is True
    assert [line[2] for line in lab.journal.read_all()] == ["started", "passed g", "last", "stopping"]


@pytest.mark.parametrize(("how", "error"), [("exception", "ChaosCrash"), ("exit", "HandlerDied")])
def test_ordered_crash(lab: Lab, how: Any, error: str) -> None:
    ref = lab.start(chaos=True)
    ref.tell(Crash(how=how))
    assert (lab.only_down(ref).error or "").startswith(error)


def test_ordered_crash_is_refused_without_chaos(lab: Lab) -> None:
    ref = lab.start()
    ref.tell(Crash(how="exit"))
    with pytest.raises(ChaosRefusedError):
        ref.ask(Crash(how="exception"), timeout=WAIT_S)
    assert ref.is_alive()


def test_asked_crash_is_answered(lab: Lab) -> None:
    ref = lab.start(chaos=True)
    with pytest.raises(ChaosCrash):
        ref.ask(Crash(how="exception"), timeout=WAIT_S)
    assert ref.is_alive()


def test_message_after_the_end_is_a_dead_letter_or_answered(lab: Lab) -> None:
    """Row 20: a sender that saw the actor alive puts its message after the drain."""
    ref = lab.start()
    lab.directory.bind("specimen", ref, 1)
    assert stop_and_wait(ref, WAIT_S)
    ref.actor_stopped.clear()  # what the sender saw
    future = ref.ask(Note(text="late"), block=False)
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=WAIT_S)
    ref.actor_stopped.set()
    ref.inbox.put(Envelope(Note(text="late")))
    assert lab.directory.dead_letter_counts() == {"Note": 1}
    assert ref.inbox.depth() == 0


def test_report_that_fails_does_not_hurt_others(directory: Directory, virtual: VirtualClock) -> None:
    lab = Lab(directory, virtual)

    class Refusing:
        def put(self, _down: object) -> None:
            raise RuntimeError("nobody listens")

    lab.downs = Refusing()  # type: ignore[assignment]
    ref = lab.start()
    ref.tell(Raise(error=ValueError()))
    assert ref.vitals.thread is not None
    ref.vitals.thread.join(WAIT_S)
    assert not ref.vitals.thread.is_alive()


def test_unknown_message_is_refused_by_name(lab: Lab) -> None:
    ref = lab.start()
    with pytest.raises(TypeError, match="Specimen specimen: no handler for int"):
        ref.ask(7, timeout=WAIT_S)

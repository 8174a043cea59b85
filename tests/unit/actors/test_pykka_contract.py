"""What guard.py takes from inside pykka 4.5, one test a hook: if an upgrade breaks one of them, this says which."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pykka
from pykka import messages as pykka_messages
from pykka._envelope import Envelope

from actors.inbox import Inbox
from actors.refs import GuardedRef
from actors.supervision import Ping
from tests.unit.actors.conftest import Lab
from tests.unit.actors.specimens import WAIT_S, Block, Note, Raise, Specimen


def test_create_actor_inbox_is_the_way_in(lab: Lab) -> None:
    ref = lab.start()
    assert isinstance(ref.inbox, Inbox)
    assert ref.ask(Ping(), timeout=WAIT_S) is True
    assert set(Envelope.__slots__) == {"message", "reply_to"}


def test_start_actor_loop_makes_the_thread(lab: Lab) -> None:
    ref = lab.start("named")
    thread = ref.vitals.thread
    assert thread is not None
    assert (thread.name, thread.daemon, thread.is_alive()) == ("named#1", True, True)
    assert "_start_actor_loop" in inspect.getsource(pykka.Actor.start)


def test_actor_loop_is_setup_running_teardown() -> None:
    source = inspect.getsource(pykka.Actor._actor_loop)
    calls = [
        source.index(f"self.{name}()") for name in ("_actor_loop_setup", "_actor_loop_running", "_actor_loop_teardown")
    ]
    assert calls == sorted(calls)


def test_actor_loop_teardown_leaves_the_leftovers_to_the_guard(lab: Lab) -> None:
    ref = lab.start()
    ref.tell(Block(gate="g"))
    ref.tell(Raise(error=ValueError()))
    ref.tell(Note(text="left"))
    lab.journal.gates.open("g")
    assert lab.only_down(ref).leftovers == (Note(text="left"),)


def test_handle_receive_sees_every_message(lab: Lab) -> None:
    seen: list[type] = []

    class Seeing(Specimen):
        colour = "red"

        def _handle_receive(self, message: Any) -> Any:
            seen.append(type(message))
            return super()._handle_receive(message)

    ref = lab.start(kind=Seeing)
    ref.ask(Note(text="plain"), timeout=WAIT_S)
    ref.ask(pykka_messages.ProxyGetAttr(attr_path=("colour",)), timeout=WAIT_S)
    ref.stop(timeout=WAIT_S)
    assert seen == [Note, pykka_messages.ProxyGetAttr, pykka_messages._ActorStop]


def test_handle_failure_gets_the_exception_and_ends_the_loop(lab: Lab) -> None:
    seen: list[BaseException | None] = []

    class Seeing(Specimen):
        def _handle_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
            seen.append(exception_value)
            super()._handle_failure(exception_type, exception_value, traceback)

    ref = lab.start(kind=Seeing)
    error = ValueError("boom")
    ref.tell(Raise(error=error))
    lab.only_down(ref)
    assert seen == [error]


def test_actor_ref_is_ours_and_is_the_one_registered(lab: Lab) -> None:
    ref = lab.start()
    assert isinstance(ref, GuardedRef)
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref


def test_actor_stop_is_the_stop_message(lab: Lab) -> None:
    ref = lab.start()
    ref.ask(pykka_messages._ActorStop(), timeout=WAIT_S)
    lab.only_down(ref)
    assert threading.current_thread() is not ref.vitals.thread

"""A desk that hangs or falls in the middle of an opening leaves no place claimed without an owner.

How one would notice it broken: the symbol refuses every signal for ever, or a stranger's position is never adopted,
though nobody looks after it.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from actors import messages
from actors.recording import Recorder
from actors.supervision import StartChild
from actors.ticket import Ticket
from domain.identity import Epoch, PositionId
from domain.position.state import Phase, Position
from domain.records import Record
from tests.actors.desk.scene import Scene, instrument
from tests.actors.desk.test_signals_answered import fresh
from tests.actors.order_path.stage import until
from tests.end_to_end.signal_source import signal_row
from tests.persistence import samples


def half_opened(scene: Scene) -> Position:
    """Claimed by a desk of this process a while ago, and no more."""
    begun = scene.stage.clock.now() - timedelta(seconds=10)
    position = replace(samples.position(7), epoch=Epoch(1, 1), opened_at=begun)
    assert scene.stage.owners.claim(scene.stage.owners.place_of(position), position)
    return position


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.entry_desk.LOOK_EVERY_S", 0.2)


def test_what_was_only_claimed_is_let_go(scene: Scene) -> None:
    position = half_opened(scene)
    earlier = replace(samples.position(8), instrument=replace(position.instrument, symbol="ETHUSDT"), epoch=Epoch(1, 0))
    scene.stage.owners.claim(scene.stage.owners.place_of(earlier), earlier)
    scene.desk()
    scene.wait(lambda: scene.stage.owners.state(position.id) is None, "the place is free")
    assert scene.owned() == (earlier,), "one of an earlier life is its supervisor's"
    assert scene.heard[messages.positions("main")].of(StartChild) == []


def test_what_was_handed_to_the_journal_gets_its_owner(scene: Scene) -> None:
    position = half_opened(scene)
    record = scene.stage.recorder.record(scene.stage.clock.now(), position=position)
    ticket = Ticket(record)
    scene.stage.owners.handed_over(position, ticket)
    scene.desk()
    started = scene.heard[messages.positions("main")].wait(StartChild)
    assert started.spec.name == messages.position(position.id)
    scene.wait(lambda: ticket.settled, "it is written")
    assert scene.owned() == (position,)


def test_an_end_that_a_desk_took_into_its_grave_is_drawn_by_the_next(scene: Scene) -> None:
    """Its place had an owner for ever: no signal entered there, and a stranger's position was nobody's."""
    position = replace(half_opened(scene), phase=Phase.CLOSED, closed_at=scene.stage.clock.now(), version=9)
    scene.stage.owners.handed_over(position, Ticket(scene.stage.recorder.record(scene.stage.clock.now())))
    living = replace(position, id=PositionId(position.id + 1), instrument=instrument("ETHUSDT"))
    scene.stage.owners.claim(scene.stage.owners.place_of(living), living)
    scene.stage.ear(messages.position(living.id))
    scene.desk()
    scene.wait(lambda: scene.owned() == (living,), "the place is free, and whose owner lives keeps his")


class StickyRecorder(Recorder):
    """Stands still where the desk makes the record of an opening, until it is let go."""

    def __init__(self, inner: Recorder) -> None:
        self._inner = inner
        self.stuck = threading.Event()
        self.go = threading.Event()

    def record(self, *given: Any, **more: Any) -> Record:
        if more.get("position") is not None and not self.stuck.is_set():
            self.stuck.set()
            assert self.go.wait(30)
        return self._inner.record(*given, **more)


def test_a_desk_that_hung_in_an_opening_loses_no_signal(scene: Scene) -> None:
    """The old thread goes on after all, when its successor has opened for that very signal already."""
    sticky = StickyRecorder(scene.stage.recorder)
    scene.stage.recorder = sticky
    scene.desk(hang_after_s=2, rules={"cooldown_s": 0})
    row = signal_row(fresh(), "BTCUSDT")
    scene.store(row)
    assert sticky.stuck.wait(10)
    before = scene.owned()
    assert len(before) == 1
    scene.stage.risen(messages.ENTRY_DESK, above=1)
    scene.stage.tell(messages.ENTRY_DESK, messages.Reconciled(account="main"))
    scene.prices()
    answer = scene.outcome(str(row["id"]))
    assert answer["outcome"] == "opened"
    sticky.go.set()
    until(lambda: not scene.stage.directory.abandoned(), what="the end of the old thread")
    assert [p.id for p in scene.owned()] == [answer["position_id"]]
    assert answer["position_id"] != before[0].id

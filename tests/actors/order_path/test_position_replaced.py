"""An owner that hangs in the middle of a turn, is replaced, and goes on: it leaves nothing behind.

How one would notice it broken: the next owner that falls is succeeded from the state of the one before it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors import messages
from actors.marks import Marks
from actors.messages import Perform, Write
from actors.position import PositionActor, Wiring
from actors.recording import Recorder
from domain.identity import Epoch
from domain.position.inputs import TrailingWanted
from domain.position.plan import TrailingRules
from domain.records import Record
from tests.actors.order_path.stage import Stage, until
from tests.unit.domain.conversation import protected

# More than any turn may last on a machine that is busy with something else.
HANG_S = 2.0


class StickyRecorder(Recorder):
    """Stands still in the middle of one turn until it is let go."""

    def __init__(self, inner: Recorder) -> None:
        self._inner = inner
        self.stick = threading.Event()
        self.go = threading.Event()

    def record(self, *given: Any, **more: Any) -> Record:
        if self.stick.is_set():
            self.stick.clear()
            assert self.go.wait(30)
        return self._inner.record(*given, **more)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.stop()


def test_who_was_replaced_in_the_middle_of_a_turn_leaves_nothing_behind(stage: Stage) -> None:
    talk, _ = protected()
    position = talk.position
    owners, recorder = stage.owners, StickyRecorder(stage.recorder)
    owners.claim(owners.place_of(position), position)
    wiring = Wiring(
        account=position.account, term=1, owners=owners, marks=Marks(), recorder=recorder,
        hang_after_s=HANG_S, base_backoff_s=0.01, max_backoff_s=0.05,
    )  # fmt: skip
    gateway = stage.ear(messages.gateway(position.account))
    journal = stage.ear(messages.JOURNAL)
    stage.ear(messages.market_feed(position.account))
    name = messages.position(position.id)
    stage.add(name, lambda context: PositionActor.start(context, wiring, position.id), hang_after_s=HANG_S)
    stage.start()
    journal.count(Write, 1)
    recorder.stick.set()
    stage.tell(name, TrailingWanted(rules=TrailingRules(enabled=False)))
    stage.risen(name, above=1)
    journal.count(Write, 2)
    old, new = Epoch(1, 1), Epoch(1, 2)
    successors = owners.state(position.id)
    assert successors is not None
    assert successors.epoch == new
    recorder.go.set()
    until(lambda: not stage.directory.abandoned(), what="the end of the old thread")
    stage.worked_off(messages.gateway(position.account), messages.JOURNAL)
    kept, ticket = owners.state(position.id), owners.ticket(position.id)
    assert kept is not None
    assert kept.epoch == new
    assert ticket is not None
    waiting = [each.record.position for each in ticket.unsettled()]
    assert [p.epoch for p in waiting if p is not None][-1] == new
    assert ticket.record.position is kept
    written = [write.record.position for write in journal.of(Write)]
    assert [p.epoch for p in written if p is not None][:2] == [old, new]
    assert old not in [p.epoch for p in written if p is not None][1:]
    performed = [each.fence.epoch for each in gateway.of(Perform)]
    assert old not in performed[performed.index(new) :]

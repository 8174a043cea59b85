"""An opening and all that its owners hand over are durable together or not at all, whoever writes them down.

A gateway that cannot wait for the journal spools an intent with everything before it (DESIGN 3, 'Intent first'). What
it left out would be lost by a kill -9: a signal that was acted on would be unanswered, and taken up again.
"""

from __future__ import annotations

from actors import messages
from actors.messages import Perform, Write
from actors.supervision import StartChild
from domain.position.effects import Place
from domain.position.state import Position
from tests.actors.desk.scene import Scene


def test_an_intent_takes_along_the_opening_and_the_records_of_dead_owners(scene: Scene) -> None:
    scene.desk(journal=False)
    journal, gateway = scene.heard[messages.JOURNAL], scene.heard[messages.gateway("main")]
    position = scene.by_hand()
    assert isinstance(position, Position)
    opening = journal.wait(Write, lambda write: write.record.position is not None).record
    spec = scene.heard[messages.positions("main")].wait(StartChild).spec
    scene.stage.directory.ask("root", StartChild(spec=spec), 15)

    entry = gateway.wait(Perform, lambda request: isinstance(request.effect, Place))
    assert entry.ticket is not None
    assert entry.ticket.unsettled()[0].record is opening
    for _ in range(2):
        scene.stage.kill(messages.position(position.id))
    journal.count(Write, 4, lambda write: write.ticket is not None)  # the opening, and one by each of three owners
    written = [write for write in journal.of(Write) if write.ticket is not None]
    newest = written[-1].ticket
    assert newest is not None
    assert [ticket.record for ticket in newest.unsettled()] == [write.record for write in written]

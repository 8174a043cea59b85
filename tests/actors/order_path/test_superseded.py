"""Two stored owners of one place: settled once, in the book and with an event, where it is sure which life was over.

How one would notice it broken: a CRITICAL line at each start for ever, or a position closed in the book that is open.
"""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from actors import messages
from actors.messages import Write
from actors.superseded import Superseded
from domain.catalogue import EventType
from domain.identity import Epoch
from domain.instrument import PositionSide
from domain.position.state import CloseReason, Phase, Position
from persistence.positions import load, load_open
from persistence.reader import Reader
from persistence.report import report
from persistence.writer import Writer
from tests.actors.order_path.stage import Heard, Stage
from tests.persistence import samples
from tests.persistence.samples import NOON

LIFE = Epoch(2, 0)


def two(**newer: Any) -> tuple[Position, Position]:
    """An older and a newer open position of one place."""
    older = samples.position(7, phase=Phase.ACTIVE)
    return older, samples.position(8, **{"phase": Phase.ACTIVE, "opened_at": NOON + timedelta(hours=1), **newer})


def a_start(stage: Stage, reader: Reader, *, remembered: object = None) -> Superseded:
    """What the tree does with the book, the newest first."""
    ground: Any = SimpleNamespace(clock=stage.clock, remembered=remembered)
    superseded = Superseded(ground, stage.owners, stage.recorder)
    for position in reversed(load_open(reader.pool, "main")):
        if not stage.owners.claim(stage.owners.place_of(position), position):
            superseded.found(position, LIFE)
    return superseded


@pytest.fixture
def journal(stage: Stage) -> Heard:
    heard = stage.ear(messages.JOURNAL)
    stage.start()
    return heard


def test_the_older_of_one_side_is_closed_in_the_book_once(
    stage: Stage, journal: Heard, writer: Writer, reader: Reader
) -> None:
    older, newer = two()
    writer.write([samples.record(position=each) for each in (older, newer)])
    a_start(stage, reader).write(stage.directory)
    record = journal.wait(Write).record
    assert writer.write([record]) == []

    over = load(reader.pool, older.id)
    assert over is not None
    assert (over.phase, over.close_reason, over.epoch) == (Phase.RELEASED, CloseReason.SUPERSEDED, LIFE)
    assert [p.id for p in load_open(reader.pool, "main")] == [newer.id]
    (event,) = reader.events(type_=EventType.POSITION_SUPERSEDED.value)
    assert (event["position_id"], event["data"]["owner"], event["severity"]) == (older.id, newer.id, "warning")
    closed = report(reader.pool, NOON, NOON + timedelta(days=1))["positions"]["closed"]
    assert closed == 0, "nobody here knows how it ended"

    stage.owners.release(stage.owners.place_of(newer), newer.id)
    a_start(stage, reader).write(stage.directory)
    stage.worked_off(messages.JOURNAL)
    assert len(journal.of(Write)) == 1, "the next start finds one owner"


def test_of_different_sides_a_human_is_called(
    stage: Stage, journal: Heard, writer: Writer, reader: Reader, lines: list[str]
) -> None:
    """An account that was in hedge mode, and is set otherwise now: both may be open."""
    older, newer = two(side=PositionSide.SHORT)
    writer.write([samples.record(position=each) for each in (older, newer)])
    a_start(stage, reader).write(stage.directory)
    stage.worked_off(messages.JOURNAL)
    assert journal.of(Write) == []
    assert [line for line in lines if f"TWO_OWNERS account=main symbol=BTCUSDT position={older.id}" in line]


def test_what_a_start_without_the_database_knows_closes_nothing(
    stage: Stage, journal: Heard, writer: Writer, reader: Reader
) -> None:
    writer.write([samples.record(position=each) for each in two()])
    a_start(stage, reader, remembered=()).write(stage.directory)
    stage.worked_off(messages.JOURNAL)
    assert journal.of(Write) == []

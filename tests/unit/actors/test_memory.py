"""Whether a machine may act without its database, and from which states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from actors.memory import INCARNATIONS_A_LIFE, NothingRemembered, Remembered, remembered
from domain.position.state import Phase
from persistence.local_book import LocalBook, Memory, Tenure
from persistence.spool import Spool
from tests.persistence.samples import position, protected, record

OURS = Tenure(exchange="binanceusdm", fingerprint="0123456789abcdef", term=0)
KNOWN = replace(OURS, term=3)
MEMORY = Memory(instance="ab12", host="here", tenures={"main": KNOWN}, positions=(protected(7),))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def asked(tmp_path: Path, spool: Spool, memory: Memory | None, *, standby: bool = False) -> Remembered | None:
    path = tmp_path / "local.json"
    if memory is not None:
        LocalBook(path).begin(memory)
    return remembered(LocalBook(path), spool, {"main": OURS}, "here", why="it is down", standby=standby)


def test_the_last_holder_goes_on_above_all_that_an_earlier_life_reached(tmp_path: Path, spool: Spool) -> None:
    first = asked(tmp_path, spool, MEMORY)
    assert first is not None
    assert (first.memory.lives, first.first_incarnation) == (1, INCARNATIONS_A_LIFE)
    assert first.memory.tenures == MEMORY.tenures
    second = asked(tmp_path, spool, first.memory)
    assert second is not None
    assert second.first_incarnation == 2 * INCARNATIONS_A_LIFE


def test_the_newest_of_book_and_spool_is_gone_on_from(tmp_path: Path, spool: Spool) -> None:
    newer, opened = protected(7, version=8), position(8, version=1)
    spool.append([record(position=protected(7, version=2)), record(position=newer), record(position=opened)])
    spool.append([record(position=position(9)), record(position=position(9, version=5, phase=Phase.CLOSED)), record()])
    found = asked(tmp_path, spool, replace(MEMORY, positions=(protected(7, version=5),)))
    assert found is not None
    assert found.memory.positions == (newer, opened)


@pytest.mark.parametrize(
    ("memory", "why"),
    [
        (None, "there is no local book"),
        (replace(MEMORY, host="elsewhere"), "host elsewhere, this is here"),
        (replace(MEMORY, tenures={}), "never held here"),
        (replace(MEMORY, tenures={"main": replace(KNOWN, fingerprint="another")}), "never held here"),
        (replace(MEMORY, tenures={"main": replace(KNOWN, seen=4)}), r"term 4, ours was 3"),
    ],
)
def test_whoever_was_not_the_last_holder_does_not_act(
    tmp_path: Path, spool: Spool, memory: Memory | None, why: str
) -> None:
    with pytest.raises(NothingRemembered, match=why) as nothing:
        asked(tmp_path, spool, memory)
    assert "it is down" in str(nothing.value)
    assert asked(tmp_path, spool, None, standby=True) is None


def test_a_damaged_book_is_none(tmp_path: Path, spool: Spool) -> None:
    (tmp_path / "local.json").write_text("holdfast-local-1 2 00000000\n{}")
    with pytest.raises(NothingRemembered, match="checksum"):
        asked(tmp_path, spool, None)


def test_what_was_given_back_may_be_another_machines_where_one_stands_by(tmp_path: Path, spool: Spool) -> None:
    released = replace(MEMORY, tenures={"main": replace(KNOWN, released=True)})
    assert asked(tmp_path, spool, released, standby=True) is None
    assert asked(tmp_path, spool, released) is not None

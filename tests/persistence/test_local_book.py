"""The local book: whole or gone, never ahead, never older than a term that was used."""

from __future__ import annotations

import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from domain.identity import Epoch
from domain.position.state import Phase
from persistence.local_book import DamagedBook, LocalBook, Memory, Tenure
from tests.persistence.samples import position, protected

TENURE = Tenure(exchange="binanceusdm", fingerprint="0123456789abcdef", term=3)
MEMORY = Memory(instance="ab12", host="here", tenures={"main": TENURE}, lives=2, positions=(protected(7),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local.json"


@pytest.fixture
def book(path: Path) -> LocalBook:
    book = LocalBook(path)
    book.begin(MEMORY)
    return book


def test_what_was_kept_comes_back_whole(path: Path, book: LocalBook) -> None:
    assert LocalBook(path).read() == MEMORY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_there_is_none_before_the_first_life(path: Path) -> None:
    assert LocalBook(path).read() is None


@pytest.mark.parametrize("at", [0, 10, 40, 200, -3])
def test_a_damaged_file_is_not_believed(path: Path, book: LocalBook, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x01
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedBook, match=r"local\.json"):
        LocalBook(path).read()


def test_a_torn_file_is_not_believed(path: Path, book: LocalBook) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedBook):
        LocalBook(path).read()


def test_only_newer_states_are_noted_and_ended_ones_go(path: Path, book: LocalBook) -> None:
    newer = protected(7, version=9)
    book.note(newer)
    book.note(protected(7, version=8))
    book.note(position(8))
    book.note(position(9, phase=Phase.CLOSED, version=2))
    book.save()
    kept = LocalBook(path).read()
    assert kept is not None
    assert kept.positions == (newer, position(8))
    book.note(protected(7, version=10, phase=Phase.CLOSED))
    book.save()
    kept = LocalBook(path).read()
    assert kept is not None
    assert [p.id for p in kept.positions] == [8]


def test_a_later_life_is_newer_whatever_its_version(path: Path, book: LocalBook) -> None:
    later = protected(7, version=1, epoch=Epoch(3, 50_000))
    book.note(later)
    book.save()
    assert (kept := LocalBook(path).read()) is not None
    assert kept.positions == (later,)


def test_it_is_saved_once_a_second_and_only_when_something_changed(book: LocalBook) -> None:
    def due() -> bool:
        return book.due

    assert not due()
    book.note(position(8))
    assert not due(), "it was saved just now"
    book._due_at = 0.0
    assert due()
    book.save()
    book._due_at = 0.0
    assert not due()


def test_what_is_noted_during_a_save_is_due_again(book: LocalBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.local_book._replace", lambda path, body: book.note(position(8)))
    book.note(position(9))
    book.save()
    book._due_at = 0.0
    assert book.due is True


def test_a_save_that_fails_leaves_what_was_and_is_tried_again(
    path: Path, book: LocalBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    book.note(position(8))
    with monkeypatch.context() as disk:
        disk.setattr("persistence.local_book.os.write", full)
        with pytest.raises(OSError, match="No space"):
            book.save()
    assert LocalBook(path).read() == MEMORY
    book._due_at = 0.0
    assert book.due is True
    book.save()
    assert (kept := LocalBook(path).read()) is not None
    assert len(kept.positions) == 2


def test_a_new_term_that_cannot_be_written_leaves_no_older_one(
    path: Path, book: LocalBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("persistence.local_book.os.write", full)
    later = LocalBook(path)
    with pytest.raises(OSError, match="No space"):
        later.begin(replace(MEMORY, tenures={"main": replace(TENURE, term=4)}))
    assert later.read() is None


def test_another_life_that_cannot_be_written_leaves_what_the_next_one_goes_on_from(
    path: Path, book: LocalBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes an embedded database along: without the file no start would ever own these positions again."""

    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("persistence.local_book.os.write", full)
        with pytest.raises(OSError, match="No space"):
            LocalBook(path).begin(replace(MEMORY, lives=3))
    assert LocalBook(path).read() == MEMORY
    LocalBook(path).begin(replace(MEMORY, lives=3))
    assert (kept := LocalBook(path).read()) is not None
    assert (kept.lives, kept.positions) == (3, MEMORY.positions)


def test_what_becomes_of_a_tenure_is_kept(path: Path, book: LocalBook) -> None:
    book.saw_term("main", 9)
    book.release("main")
    book.release("an account that is not ours")
    book.save()
    kept = LocalBook(path).read()
    assert kept is not None
    assert kept.tenures == {"main": replace(TENURE, seen=9, released=True)}


def test_notes_of_many_threads_are_all_kept(path: Path, book: LocalBook) -> None:
    threads = [threading.Thread(target=lambda n=n: book.note(position(100 + n))) for n in range(50)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        book.save()
    for thread in threads:
        thread.join()
    book.save()
    assert (kept := LocalBook(path).read()) is not None
    assert len(kept.positions) == 51

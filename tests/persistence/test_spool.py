"""The spool: durable before it returns, in order, once, through torn lines, full disks and crashes."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from domain.records import Record
from persistence import spool as spool_module
from persistence.spool import Spool, SpoolFull
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.samples import record


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def group(start: int, count: int = 3) -> list[Record]:
    return [record(f"r-{n}", events=(samples.event(data={"n": n}),)) for n in range(start, start + count)]


def ids(spool: Spool) -> list[str]:
    return [waiting.record_id for waiting in spool.pending()]


def segments(place: Path) -> list[Path]:
    return sorted(place.glob("*.jsonl"))


def test_what_was_appended_comes_back_whole_and_in_order(place: Path) -> None:
    spool = Spool(place)
    spool.append(group(0))
    spool.append(group(3))
    assert list(spool.pending()) == group(0, 6)
    assert (spool.count, spool.bytes) == (6, segments(place)[0].stat().st_size)
    assert list(Spool(place).pending()) == group(0, 6)


def test_it_is_on_disk_before_append_returns(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_size))
    Spool(place).append(group(0))
    assert synced == [segments(place)[0].stat().st_size]


def test_only_its_owner_may_read_it(place: Path) -> None:
    Spool(place).append(group(0))
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()] == [0o600]


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_passed_over(place: Path, cut: int) -> None:
    spool = Spool(place)
    spool.append(group(0))
    spool.close()
    path = segments(place)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    again = Spool(place)
    assert ids(again) == ["r-0", "r-1"]
    assert again.damages == ()
    again.append(group(5, 1))
    assert ids(again) == ["r-0", "r-1", "r-5"]
    assert ids(Spool(place)) == ["r-0", "r-1", "r-5"]


def test_a_damaged_line_is_reported_and_kept(place: Path) -> None:
    spool = Spool(place)
    spool.append(group(0))
    spool.close()
    path = segments(place)[0]
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))
    again = Spool(place)
    assert ids(again) == ["r-0", "r-2"]
    assert [(damage.line, damage.why) for damage in again.damages] == [(2, "the checksum does not fit")]
    again.drop(["r-0", "r-2"])
    assert segments(place) == []
    assert b'"n":7' in next(place.glob("*.damaged")).read_bytes()


def test_dropped_records_are_gone_and_their_files_too(place: Path) -> None:
    spool = Spool(place)
    spool.append(group(0))
    spool.drop(["r-0", "r-1"])
    assert ids(spool) == ["r-2"]
    spool.drop(["r-2", "r-unknown"])
    assert (spool.count, spool.bytes, segments(place)) == (0, 0, [])
    spool.append(group(9, 1))
    assert ids(Spool(place)) == ["r-9"]


def test_segments_are_limited_and_kept_in_order(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_SEGMENT_LIMIT", 1500)
    spool = Spool(place)
    for start in range(0, 30, 3):
        spool.append(group(start))
    assert len(segments(place)) > 3
    assert ids(spool) == [f"r-{n}" for n in range(30)]
    spool.drop(f"r-{n}" for n in range(15))
    assert ids(Spool(place))[-15:] == [f"r-{n}" for n in range(15, 30)]


def test_a_full_disk_is_said_and_spoils_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(place)
    spool.append(group(0))
    whole = os.write

    def half_then_full(fd: int, data: Any) -> int:
        if len(data) < 200:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(fd, data[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half_then_full)
        with pytest.raises(SpoolFull, match=r"3 records .* not kept: No space left"):
            spool.append(group(3))
    spool.append(group(6))
    expected = ["r-0", "r-1", "r-2", "r-6", "r-7", "r-8"]
    assert ids(spool) == expected
    assert ids(Spool(place)) == expected


def test_a_full_disk_leaves_no_empty_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts every record is tried again: what each try makes must go."""
    spool = Spool(place)

    def full(_: int, __: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        for number in range(5):
            with pytest.raises(SpoolFull):
                spool.append(group(number))
    assert list(place.iterdir()) == []
    spool.append(group(9))
    assert ids(Spool(place)) == ["r-9", "r-10", "r-11"]


def test_appending_while_replaying_loses_nothing(place: Path) -> None:
    spool = Spool(place)
    spool.append(group(0))
    replay = spool.pending()
    first = next(replay)
    spool.append(group(3))
    assert [first.record_id, *(waiting.record_id for waiting in replay)] == ["r-0", "r-1", "r-2"]
    spool.drop(["r-0", "r-1", "r-2"])
    assert ids(spool) == ["r-3", "r-4", "r-5"]


def append_one_by_one(spool: Spool, start: int) -> None:
    for n in range(start, start + 20):
        spool.append(group(n, 1))


def test_threads_may_append_together(place: Path) -> None:
    spool = Spool(place)
    threads = [
        threading.Thread(target=append_one_by_one, args=(spool, start), daemon=True) for start in (0, 100, 200, 300)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ids(Spool(place))
    assert len(found) == 80
    for k in range(4):
        assert [i for i in found if int(i[2:]) // 100 == k] == [f"r-{k * 100 + i}" for i in range(20)]


def test_replayed_once_and_in_order_through_a_crash_before_the_drop(place: Path, writer: Writer, rows: Any) -> None:
    spool = Spool(place)
    spool.append(group(0, 5))
    spool.append([record("r-p2", position=samples.protected(version=2))])
    writer.write([record("r-p3", position=samples.protected(version=3))])
    pending = list(spool.pending())
    writer.write(pending[:4])
    del spool  # killed here: four are committed, none is dropped

    after = Spool(place)
    pending = list(after.pending())
    assert len(pending) == 6
    assert writer.write(pending) == []
    after.drop(waiting.record_id for waiting in pending)
    assert [row["event_data"]["n"] for row in rows("SELECT * FROM monitoring.events ORDER BY id")] == list(range(5))
    assert rows.one("SELECT version FROM monitoring.positions")["version"] == 3
    assert Spool(place).count == 0

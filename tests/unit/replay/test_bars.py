"""The times of a tape: every format, and what is refused with the reason."""

from __future__ import annotations

import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from actors.replay.bars import open_tape
from actors.replay.times import MINUTE_MS, read_time, shown
from adapters.paper_exchange.tape import TapeError
from tests.unit.replay.conftest import START

DAY = read_time("2022-12-13")


def json_tape(folder: Path, *opens: int, name: str = "ETHUSDT.json") -> Path:
    file = folder / name
    file.write_text(json.dumps([[at, 3000, 3001, 2999, 3000.5, 7] for at in opens]))
    return file


def test_json_csv_and_zip_have_the_same_times(tmp_path: Path) -> None:
    opens = [DAY, DAY + MINUTE_MS, DAY + 5 * MINUTE_MS]
    rows = "".join(f"{at - DAY},3000,3001,2999,3000.5,7\n" for at in opens)
    text = tmp_path / "ETHUSDT.csv"
    lines = [f"{shown(at)}.000000,3000,3001,2999,3000.5" for at in opens]
    text.write_text("\n".join(["timestamp,open,high,low,close", *lines]))
    packed = tmp_path / "ETHUSDT.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("20221213_ethusdt_minute.csv", rows)
    tapes = [open_tape(str(file)) for file in (json_tape(tmp_path, *opens), text, packed)]
    assert [[bar.at for bar in tape.bars] for tape in tapes] == [opens] * 3
    assert {(tape.bar_ms, tape.begin, tape.end) for tape in tapes} == {(MINUTE_MS, DAY, DAY + 6 * MINUTE_MS)}
    assert {tape.bars[0].bar.close for tape in tapes} == {Decimal("3000.50")}


def test_a_hole_is_not_covered(tmp_path: Path) -> None:
    tape = open_tape(str(json_tape(tmp_path, DAY, DAY + MINUTE_MS, DAY + 5 * MINUTE_MS)))
    covered = [minute for minute in range(-1, 8) if tape.covers(DAY + minute * MINUTE_MS)]
    assert covered == [0, 1, 5]


def test_a_cut_takes_the_bars_that_open_in_it(tmp_path: Path) -> None:
    tape = open_tape(str(json_tape(tmp_path, *(DAY + n * MINUTE_MS for n in range(5)))))
    part = tape.cut(DAY + MINUTE_MS, DAY + 3 * MINUTE_MS)
    assert [bar.at for bar in part.bars] == [DAY + MINUTE_MS, DAY + 2 * MINUTE_MS]
    with pytest.raises(TapeError, match="no bar opens from 2022-12-13 00:02:00 to before 2022-12-13 00:01:00"):
        tape.cut(DAY + 2 * MINUTE_MS, DAY + MINUTE_MS)
    with pytest.raises(TapeError, match="--to 2022-12-14 00:00:00: the tape goes from"):
        tape.cut(None, read_time("2022-12-14"))


def test_an_unknown_market_is_assumed_and_said(tmp_path: Path) -> None:
    file = json_tape(tmp_path, START, name="some-coin.json")
    tape = open_tape(str(file))
    assert (tape.contract.symbol, tape.contract.tick) == ("SOMECOIN", Decimal("0.1"))
    assert tape.note is not None
    assert "SYMBOL=FILE" in tape.note
    named = open_tape(f"ETHUSDT={file}")
    assert (named.contract.symbol, named.contract.tick, named.note) == ("ETHUSDT", Decimal("0.01"), None)


def test_what_is_no_tape_says_why(tmp_path: Path) -> None:
    backwards = json_tape(tmp_path, DAY, DAY)
    with pytest.raises(TapeError, match="bar 2 opens at 2022-12-13 00:00:00, not after"):
        open_tape(str(backwards))
    with pytest.raises(TapeError, match="60 ms apart, at least 10000 are needed; are its times in ms"):
        open_tape(str(json_tape(tmp_path, DAY // 1000, DAY // 1000 + 60)))
    timeless = tmp_path / "a.csv"
    timeless.write_text("open,high,low,close\n1,1,1,1\n")
    with pytest.raises(TapeError, match="the header names none of timestamp, time, date, open_time"):
        open_tape(str(timeless))
    wrong = tmp_path / "b.csv"
    wrong.write_text("date,open,high,low,close\nnoon,1,1,1,1\n")
    with pytest.raises(TapeError, match="'noon': must be an ISO 8601 time"):
        open_tape(str(wrong))
    dayless = tmp_path / "c.zip"
    with zipfile.ZipFile(dayless, "w") as archive:
        archive.writestr("prices.csv", "0,1,1,1,1\n")
    with pytest.raises(TapeError, match=r"'prices\.csv' in it must begin with its day"):
        open_tape(str(dayless))


@pytest.mark.parametrize(
    ("text", "ms"),
    [("2021-05-19T12:30", 1_621_427_400_000), ("2021-05-19T14:30+02:00", 1_621_427_400_000), ("17", 17)],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, ms: int) -> None:
    assert read_time(text) == ms

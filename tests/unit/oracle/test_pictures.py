"""The picture of a run shows what the timeline holds, and the tapes' stretches are what they claim."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import tape_run
from benchmarks.drawing import Run, busiest_window, draw_run, read_run
from tests.unit.oracle.clean_lives import trails_and_stops_out
from tests.unit.oracle.tiny_exchange import SYMBOL, TinyExchange


@pytest.fixture
def run(tmp_path: Path) -> Run:
    x = TinyExchange()
    trails_and_stops_out(x)
    path = tmp_path / "timeline.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in x.lines))
    return read_run(path, SYMBOL)


def test_run_holds_the_staircase_and_the_fills(run: Run) -> None:
    assert [price for _, price in run.stops] == [None, Decimal(98), Decimal(101), Decimal(102), None]
    assert [fill.kind for fill in run.executions] == ["e", "s"]
    assert [moves for _, _, moves in run.lives] == [2]


def test_picture_is_well_formed_and_has_its_parts(run: Run) -> None:
    svg = draw_run(run, busiest_window(run), "a <b> & c")
    page = ET.fromstring(svg)  # noqa: S314 - our own text
    texts = [element.text for element in page.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "a <b> & c"
    assert {"mark price", "stop in force", "long entry", "stopped out", "USDT"} <= set(texts)
    stairs = next(e for e in page.iter("{http://www.w3.org/2000/svg}path") if e.get("stroke-width") == "2")
    assert stairs.get("d", "").count("V") == 2
    assert svg == draw_run(run, busiest_window(run), "a <b> & c")


@pytest.mark.parametrize("window", [(0, 1), (5, 5)])
def test_window_without_prices_is_an_error(run: Run, window: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="window"):
        draw_run(run, window, "x")


def test_symbol_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in TinyExchange().lines))
    with pytest.raises(ValueError, match="no price of ETHUSDT"):
        read_run(path, "ETHUSDT")


def test_missing_tape_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json is missing: put the recorded markets"):
        tape_run.cut(replace(tape_run.SHOW[0], file="none.json"), tmp_path)


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_cut_takes_the_stretch_and_keeps_prices_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    begin = tape_run.SHOW[0].begin
    rows = [(int(begin.timestamp()) + 60 * minute, f"{minute}.10") for minute in range(-1, 3)]
    source = tmp_path / f"tape{suffix}"
    if suffix == ".json":
        body = ", ".join(f"[{stamp * 1000}, {price}, {price}, {price}, {price}, 1]" for stamp, price in rows)
        source.write_text(f"[{body}]")
    else:
        lines = ["timestamp,open,high,low,close,volume"]
        for stamp, price in rows:
            at = begin.fromtimestamp(stamp, begin.tzinfo).replace(tzinfo=None)
            lines.append(f"{at.isoformat(sep=' ')}.000000,{price},{price},{price},{price},1")
        source.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(tape_run, "TAPES", tmp_path)
    cut = tape_run.cut(replace(tape_run.SHOW[0], file=source.name, minutes=2), tmp_path)
    assert [row[1] for row in json.loads(cut.read_text())] == ["0.10", "1.10"]

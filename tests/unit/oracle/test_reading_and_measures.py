"""The oracle's reader, its ids, its measures and its command line."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.oracle.__main__ import filters_of
from tests.oracle.facts import By
from tests.oracle.judge import judge_file
from tests.oracle.measures import percentile
from tests.oracle.ours import identify
from tests.oracle.reader import TimelineError, parse_line, read_lines
from tests.oracle.report import report
from tests.unit.oracle.bugs_of_protection import s4_cancel_before_accept
from tests.unit.oracle.clean_lives import opened, trails_and_stops_out
from tests.unit.oracle.tiny_exchange import TinyExchange

ROOT = Path(__file__).parents[3]
PRICE = {"seq": 1, "t": 5, "kind": "price", "symbol": "X", "mark": "1.5", "last": "1.5", "index": "1.5"}


def written(path: Path, x: TinyExchange, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in x.lines) + tail)
    return path


def test_torn_last_line_is_left_out(tmp_path: Path) -> None:
    x = TinyExchange()
    path = written(tmp_path / "t", x, '{"seq": 99, "t"')
    assert [line.seq for line in read_lines(path)] == [1, 2]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"mark": 1.5}, "mark"),
        ({"mark": "1e3"}, "mark"),
        ({"mark": "NaN"}, "mark"),
        ({"t": "now"}, "now"),
    ],
)
def test_bad_line_is_an_error_that_names_it(change: dict[str, object], word: str) -> None:
    with pytest.raises(TimelineError, match=f"seq=1 kind=price.*{word}"):
        parse_line({**PRICE, **change})


def test_numbers_must_rise(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(f"{json.dumps(PRICE)}\n{json.dumps(PRICE)}\n")
    with pytest.raises(TimelineError, match="numbers must rise"):
        list(read_lines(path))


def test_unreadable_line_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(f"garbage\n{json.dumps(PRICE)}\n")
    with pytest.raises(TimelineError, match="line 1 is no JSON"):
        list(read_lines(path))


@pytest.mark.parametrize("name", ["", "web_1", "hfab1-1-1_1-1s", "hfab12-1-1_1-1q", "hfab12-1-1-1s", "HFab12-1-1_1-1s"])
def test_strangers_ids(name: str) -> None:
    assert identify(name) is None


def test_our_id() -> None:
    ident = identify("hfab12-zz-a_2-1s")
    assert ident is not None
    assert (ident.position, ident.epoch, ident.kind, ident.instance) == (35 * 37, (10, 2), "s", "ab12")


def test_percentile() -> None:
    assert [percentile(range(1, 101), p) for p in (50, 99, 100)] == [50, 99, 100]
    assert percentile([], 99) == 0
    assert percentile([7], 50) == 7


def test_measures_of_a_life(tmp_path: Path) -> None:
    x = TinyExchange()
    trails_and_stops_out(x)
    verdict = judge_file(written(tmp_path / "t", x))
    (life,) = verdict.lives
    assert (life.moves, life.ended_by, life.entered, life.left) == (2, "stop", Decimal(1), Decimal(1))
    assert life.fees == Decimal("0.10")
    assert (life.entered_notional, life.left_notional) == (Decimal(100), Decimal("101.9"))
    assert verdict.measures.entry_to_cover == [20]
    assert [(i.cause, i.length) for i in verdict.measures.intervals] == [(By.FILL, 20)]
    assert verdict.measures.most_stops == 2


def test_a_second_of_triggering_still_covers_and_then_does_not() -> None:
    x = TinyExchange()
    stop = opened(x)
    x.mark("98", more=True)
    x.change(stop, "TRIGGERING")
    x.wait(1500)
    x.stop("97", sequence=3)
    verdict = x.verdict()
    assert verdict.clean
    assert [(i.cause, i.length) for i in verdict.measures.intervals] == [(By.FILL, 20), (By.EXCHANGE, 499)]


def test_report_names_law_figures_and_proof(tmp_path: Path) -> None:
    x = TinyExchange()
    s4_cancel_before_accept(x)
    text = report(judge_file(written(tmp_path / "t", x)))
    assert "S4 2027-01-15T08:00:00.020Z BTCUSDT: we cancelled a stop of 1 at 98: cover 0 of 1 is left" in text
    assert "status=CANCELED" in text


@pytest.mark.parametrize(("bug", "code"), [(False, 0), (True, 1)])
def test_command_line(tmp_path: Path, bug: bool, code: int) -> None:
    x = TinyExchange()
    (s4_cancel_before_accept if bug else trails_and_stops_out)(x)
    path = written(tmp_path / "t", x)
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracle", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("VIOLATIONS" if bug else "no violation of S1") in done.stdout


def test_command_line_without_a_timeline(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracle", str(tmp_path / "none")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "none" in done.stderr


def test_filters_of_exchange_info() -> None:
    rules = [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}]
    found = filters_of({"symbols": [{"symbol": "BTCUSDT", "filters": rules}]})
    assert (found["BTCUSDT"].tick, found["BTCUSDT"].step) == (Decimal("0.10"), Decimal("0.001"))


def test_filters_of_instruments_info() -> None:
    row = {"symbol": "BTCUSDT", "priceFilter": {"tickSize": "0.10"}, "lotSizeFilter": {"qtyStep": "0.001"}}
    found = filters_of({"retCode": 0, "result": {"list": [row]}})
    assert (found["BTCUSDT"].tick, found["BTCUSDT"].step) == (Decimal("0.10"), Decimal("0.001"))

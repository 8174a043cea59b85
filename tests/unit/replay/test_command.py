"""`main.py replay`: what it prints and writes, that it always says the same, and how it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import main
from actors.replay.times import MINUTE_MS
from tests.oracle.judge import judge_file
from tests.unit.replay.conftest import START

BARS = ("100 100 100 100", "100 103 97 103", "103 104 102 104", "104 104 101 101", "101 101 101 101")


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.toml").write_text(
        '[accounts.main]\nexchange = "binanceusdm"\n[trailing]\nbreakeven_pct = 0\n[sizing]\nposition_size_usd = 250\n'
    )


@pytest.fixture
def file(tmp_path: Path) -> str:
    rows = []
    for minute, text in enumerate(BARS):
        rows.append([START + minute * MINUTE_MS, *(float(word) for word in text.split()), 1])
    path = tmp_path / "TESTUSDT.json"
    path.write_text(json.dumps(rows))
    return str(path)


def test_tables_for_people(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["replay", file, "--side", "both"]) == 0
    out, err = capsys.readouterr()
    assert "unprotected ms" in out
    assert "win rate, %" in out
    assert "low-first" in out
    assert "high-first" in out
    assert "tick 0.01 and step 0.01 are assumed" in err


def test_the_same_input_says_the_same(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for turn in ("a", "b"):
        words = ["--every", "1", "--side", "both", "--csv", f"{turn}.csv", "--figure", f"{turn}.svg", "--json"]
        assert main.main(["replay", file, *words]) == 0
        said.append((capsys.readouterr().out, Path(f"{turn}.csv").read_bytes(), Path(f"{turn}.svg").read_bytes()))
    assert said[0] == said[1]


def test_json_and_csv_agree(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["replay", file, "--json", "--csv", "all.csv", "--bar-order", "high-first", "--usd", "1000"]) == 0
    told = json.loads(capsys.readouterr().out)
    with Path("all.csv").open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    (position,) = told["positions"]
    assert {name: "" if value is None else str(value) for name, value in position.items()} == row
    assert (position["quantity"], position["entry_price"], position["reason"]) == ("10", "100.01", "trailing_stop")
    assert position["opened_at"] == "2021-05-03T00:00:00.000+00:00"
    assert [(total["bar_order"], total["trailed"], total["win_pct"]) for total in told["totals"]] == [
        ("high-first", 1, "100.00")
    ]


def test_the_figure_shows_the_busiest_position(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["replay", file, "--every", "1", "--figure", "a.svg"]) == 0
    page = ET.fromstring(Path("a.svg").read_text())  # noqa: S314 - our own text
    texts = [element.text or "" for element in page.iter("{http://www.w3.org/2000/svg}text")]
    assert "stop moves, trailing stop" in texts[0]
    stairs = next(e for e in page.iter("{http://www.w3.org/2000/svg}path") if e.get("stroke-width") == "2")
    moves = int(texts[0].split("UTC: ")[1].split()[0])
    assert stairs.get("d", "").count("V") == moves >= 3


def test_the_exchanges_record_can_be_kept_and_judged(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["replay", file, "--side", "both", "--timelines", "kept"]) == 0
    kept = sorted(Path("kept").iterdir())
    assert len(kept) == 4
    assert all(judge_file(path).clean for path in kept)


def test_settings_decide(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = tmp_path / "wide.toml"
    account = '[accounts.main]\nexchange = "binanceusdm"\n'
    wide.write_text(account + "[protection]\nstop_pct = 9\n[trailing]\nenabled = false\n")
    assert main.main(["replay", file, "--json", "--settings", str(wide), "--bar-order", "low-first"]) == 0
    (position,) = json.loads(capsys.readouterr().out)["positions"]
    assert (position["first_stop"], position["moves"], position["reason"]) == ("91.01", 0, "open")


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ([], "the following arguments are required: TAPE"),
        (["none.json"], "none.json: No such file or directory"),
        (["settings.toml"], "ending '.toml': known are .json, .csv, .zip and .feather"),
        (["{file}", "--at", "2020-01-01"], "--at 2020-01-01 00:00:00: no bar of the tape covers it; the tape"),
        (["{file}", "--from", "2030-01-01"], "--from 2030-01-01 00:00:00: the tape goes from 2021-05-03 00:00:00"),
        (["{file}", "--from", "2021-05-03T00:03", "--to", "2021-05-03T00:02"], "no bar opens from 2021-05-03 00:03:00"),
        (["{file}", "--at", "noon"], "--at 'noon': must be an ISO 8601 time"),
        (["{file}", "--every", "0"], "--every 0: must be a whole number, at least 1"),
        (["{file}", "--usd", "-5"], "--usd -5: must be finite and above 0"),
        (["{file}", "--usd", "much"], "--usd much: must be a decimal number"),
        (["{file}", "--round-trip-ms", "60001"], "--round-trip-ms 60001: must be a whole number, 0 to 60000"),
        (["{file}", "--side", "up"], "--side: invalid choice: 'up'"),
        (["{file}", "--figure", "no/where.svg"], "--figure no/where.svg: the folder no does not exist"),
        (["{file}", "--settings", "none.toml"], "none.toml: settings file does not exist"),
    ],
)
def test_bad_input_is_named_with_its_rule(
    file: str, capsys: pytest.CaptureFixture[str], words: list[str], rule: str
) -> None:
    assert main.main(["replay", *(word.format(file=file) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert rule in err
    assert out == ""

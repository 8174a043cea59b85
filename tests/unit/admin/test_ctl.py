"""The `ctl` command as a person or a script meets it: words in, tables, JSON and exit codes out."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.admin import ctl
from adapters.admin.methods import METHODS, Method
from adapters.admin.protocol import NOT_NOW, AdminError, Caller
from adapters.admin.server import AdminServer
from adapters.admin.tables import event_line, show

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
POSITION = {
    "id": 722_534_400_000,
    "account": "main",
    "symbol": "BTCUSDT",
    "side": "long",
    "state": "ACTIVE",
    "quantity": "0.00300000",
    "entry_price": "101234.567890123456",
    "mark_price": "101300.1",
    "stop_price": "99209.80",
    "trailing": {"state": "TRAILING", "updates": 3},
    "unrealized_pnl": "-0.12345678",
    "unprotected_seconds": "0.031",
    "opened_at": "2026-03-04T11:22:33.000Z",
    "take_profits": [],
}
Ctl = Callable[..., int]


def answer(method: str, params: dict[str, object], caller: Caller) -> object:
    match method:
        case "positions":
            return {"positions": [POSITION], "as_of": "2026-03-04T11:59:59.000Z"}
        case "events":
            since = int(str(params.get("since", 0)))
            if since >= 3:
                raise AdminError(NOT_NOW, "the journal has gone")
            event = {"seq": since + 1, "ts": "2026-03-04T11:00:00Z", "type": f"event_{since + 1}", "severity": "INFO"}
            return {"events": [{**event, "data": {"price": "1.50"}}], "next_since": since + 1}
        case "events.follow":
            return iter(_followed(params))
        case "report":
            rows = [] if params["day"] == "empty" else [{"id": 7, "symbol": 'A,"B"', "net_pnl": "-0.10"}]
            return {"closed": rows, "closed_cut": params["day"] == "cut"}
        case "refuse":
            raise AdminError(-32002, "spread \x1b[31mtoo wide", {"spread_pct": "0.3"})
        case "bad":
            raise AdminError(-32602, "id = x: must be a number", {"parameter": "id"})
    return {"method": method, "params": params}


def _followed(params: dict[str, object]) -> Iterator[dict[str, object] | None]:
    for number in range(1, 4):
        yield None
        yield {"type": f"event_{number}", "position_id": params["position"]}


@pytest.fixture
def run(tmp_path: Path) -> "object":
    server = AdminServer(tmp_path / "s.sock", answer)
    server.start()
    yield lambda *words: ctl.main(words, lambda settings: server.path)
    server.stop()


def test_words_become_parameters_as_typed(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("position.open", "--json", "symbol=BTCUSDT", "usd=100.10", 'take_profits=[{"pct": 1.50}]', "note=a=b")
    assert run(*words) == 0
    assert json.loads(capsys.readouterr().out)["params"] == {
        "symbol": "BTCUSDT",
        "usd": "100.10",
        "take_profits": [{"pct": "1.50"}],
        "note": "a=b",
    }


@pytest.mark.parametrize(
    ("method", "name"), [("position.show", "id"), ("events_of_a_newer_service", "id"), ("actors.kill", "name")]
)
def test_one_value_may_stand_without_its_name(
    run: Ctl, capsys: pytest.CaptureFixture[str], method: str, name: str
) -> None:
    assert run(method, "17", "--json") == 0
    assert json.loads(capsys.readouterr().out)["params"] == {name: "17"}


def test_json_is_the_raw_result(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("positions", "--json") == 0
    assert json.loads(capsys.readouterr().out)["positions"] == [POSITION]


def test_a_table_shows_every_digit(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("positions") == 0
    out = capsys.readouterr().out
    for figure in ("722534400000", "101234.567890123456", "99209.80", "-0.12345678", "TRAILING", "ACTIVE"):
        assert figure in out


def test_a_refusal_goes_to_stderr_plain_with_its_figures(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("refuse") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "spread \N{REPLACEMENT CHARACTER}[31mtoo wide (-32002)\n  spread_pct: 0.3\n"
    assert run("refuse", "--json") == 1
    assert json.loads(capsys.readouterr().err)["error"]["data"] == {"spread_pct": "0.3"}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("bad",),
        ("position.show", "1", "2"),
        ("status", "a=1", "a=2"),
        ("status", "=1"),
        ("status", "x=[1"),
        ("status", "--follow"),
        ("status", "--csv"),
        ("report", "--csv", "--json"),
        ("status", "--unknown"),
        ("status", "--timeout", "0"),
        ("status", "--timeout", "nan"),
    ],
)
def test_wrong_usage_is_exit_2_and_said_on_stderr(
    run: Ctl, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_help_lists_every_method_with_its_line(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for method in METHODS:
        assert method.name in out
        assert method.line in out


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_each_method_has_help_of_its_own(capsys: pytest.CaptureFixture[str], method: Method) -> None:
    assert ctl.main([method.name, "--help"], lambda _: Path("/nowhere")) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: python main.py ctl {method.name}")
    assert method.line in out
    assert method.usage in out


def test_no_service_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["status"], lambda settings: tmp_path / "none.sock") == 3
    assert "no service is running at" in capsys.readouterr().err


def test_the_settings_file_named_is_the_one_looked_up(tmp_path: Path) -> None:
    asked: list[Path | None] = []

    def find(settings: Path | None) -> Path:
        asked.append(settings)
        return tmp_path / "none.sock"

    ctl.main(["status", "--settings", "/x/y.toml"], find)
    ctl.main(["status"], find)
    assert asked == [Path("/x/y.toml"), None]


def test_following_prints_what_comes_until_the_service_ends_it(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("events", "--follow", "--json", "position=17") == 3
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["type"] for line in lines] == ["event_1", "event_2", "event_3"]
    assert {line["position_id"] for line in lines} == {"17"}
    assert "ended it" in captured.err


def test_a_report_as_csv(run: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", "2026-03-03", "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows == [{"id": "7", "symbol": 'A,"B"', "net_pnl": "-0.10"}]
    assert run("report", "empty", "--csv") == 0
    assert capsys.readouterr().out == ""
    assert run("report", "cut", "--csv") == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "only the first 1 are listed" in said.err


def shown(method: str, result: object, monkeypatch: pytest.MonkeyPatch, columns: int | None = None) -> str:
    out = io.StringIO()
    if columns is not None:
        out.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "40")  # a dumb terminal without is taken for 80 columns, whatever it has
        monkeypatch.setenv("TERM", "dumb")
    show(method, result, NOW, file=out)
    return out.getvalue()


def test_a_narrow_terminal_folds_a_figure_and_loses_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"price": "123456789.123456789", "name": "x" * 30, "other": "y" * 30}]
    out = shown("anything", rows, monkeypatch, columns=40)
    assert "…" not in out
    digits = "".join(line.split()[0] for line in out.splitlines() if line[:1].isdigit())
    assert digits == "123456789.123456789"


def test_signals_fit_a_terminal_of_120_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"seconds_remaining": 271, "base": "DOGE", "cooldown_s": 300}
    rows = [
        {
            "id": "strategy-main-1000PEPEUSDT-20261130T0315", "sequence": 12, "pair_symbol": "1000PEPE/USDT:USDT",
            "exchange_name": "binanceusdm", "account": "main", "recommended_action": "CLOSE", "score_week": "71.5",
            "score_month": "66", "wave": "2026-11-30T03:15", "raw": {"id": "sig-0123456789ab"}, "is_processed": True,
            "created_at": "2026-11-21T12:00:30Z", "received_at": "2026-11-21T12:00:31.123456Z",
            "outcome": "cooldown", "outcome_figures": refused, "position_id": 114764180852737,
            "wave_account": "main", "wave_name": "2026-11-30T03:15", "wave_rank": 3, "wave_size": 12,
            "checks": [{"check": "age", "result": "passed"}] * 10,
            "why": "refused: cooldown (seconds_remaining 271, base DOGE, cooldown_s 300)",
        }
    ]  # fmt: skip
    out = shown("signals", {"signals": rows}, monkeypatch, columns=120)
    assert max(map(len, out.splitlines())) <= 120
    for whole in (rows[0]["id"], "1000PEPE/USDT:USDT", "3 of 12", "position 114764180852737: refused: cooldown"):
        assert str(whole) in out
    assert "checks" not in out
    assert len(out.splitlines()) <= 6


def test_times_are_local_with_their_date_where_old(monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"today": "2026-03-04T11:22:33.456Z", "before": "2026-03-03T11:22:33Z", "text": "2026-99-99T11:22:33Z"}
    out = shown("status", result, monkeypatch)
    assert "11:22:33" in out
    assert "2026-03-04" not in out
    assert "2026-03-03 11:22:33" in out
    assert "2026-99-99T11:22:33Z" in out


def test_a_status_shows_fields_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    result = {
        "mode": "paper",
        "entries": {"open": False, "why": "paused by [operator]"},
        "components": [{"name": "journal", "state": "RUNNING"}],
        "accounts": [],
        "unprotected_seconds_today": "0.031",
    }
    out = shown("status", result, monkeypatch)
    for text in ("paper", "entries.open", "no", "paused by [operator]", "journal", "RUNNING", "0.031"):
        assert text in out


@pytest.mark.parametrize("method", ["status", "positions", "actors", "events", "position.show", "shutdown"])
@pytest.mark.parametrize(
    "result", [None, "7 positions", 3, [], {}, [1, 2], [{"a": None}], {"positions": []}, {"events": []}, {"actors": []}]
)
def test_any_result_can_be_shown(monkeypatch: pytest.MonkeyPatch, method: str, result: object) -> None:
    assert shown(method, result, monkeypatch).endswith("\n")


def test_tables_of_actors_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    actors = {"actors": [{"name": "journal", "state": "RUNNING", "epoch": 2, "restarts": 1, "last_error": "[red]x"}]}
    out = shown("actors", actors, monkeypatch)
    assert "journal" in out
    assert "[red]x" in out
    tree = {
        "actors": [
            {"name": "journal", "parent": "root", "heartbeat_age_s": 0.1},
            {"name": "positions/main", "parent": "root", "heartbeat_age_s": 0.1},
            {"name": "position/7", "parent": "positions/main", "heartbeat_age_s": 0.1},
            {"name": "admin", "parent": "root", "heartbeat_age_s": 0.1},
        ],
        "abandoned_threads": [{"name": "gateway/main", "epoch": 3, "since_s": 12.5}],
        "dead_letters": {"Prices": 4},
    }
    lines = [line.rstrip() for line in shown("actors", tree, monkeypatch).splitlines()]
    names = [line[: len(line) - len(line.lstrip()) + len(line.split()[0])] for line in lines if line.split()]
    assert names[2:6] == ["journal", "positions/main", "  position/7", "admin"]
    assert any(line.split() == ["gateway/main", "3", "12.5"] for line in lines)
    assert lines[-1] == "messages that reached nobody: Prices 4"
    event = {
        "seq": 1,
        "ts": "2026-03-04T11:00:00Z",
        "type": "stop_loss_placed",
        "severity": "INFO",
        "symbol": "BTCUSDT",
    }
    event_table = shown("events", {"events": [{**event, "data": {"price": "1.50", "why": None}}]}, monkeypatch)
    assert "stop_loss_placed" in event_table
    assert "price=1.50" in event_table
    line = event_line({**event, "position_id": 5, "data": {"a": {"b": "1.0"}}, "extra": True}, NOW)
    assert line == "11:00:00 INFO     stop_loss_placed symbol=BTCUSDT position_id=5 a.b=1.0 extra=yes"


def test_asking_stays_quick_no_exchange_library_is_loaded() -> None:
    program = (
        "import sys, adapters.admin.ctl; print([n for n in ('ccxt', 'pydantic', 'rich', 'pykka') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert out.stdout.strip() == "[]"

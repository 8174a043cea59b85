"""Live mode: keys, and a confirmation of each account, before anything is touched; all that is wrong in one run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.live import LiveUnconfirmed, confirmation_fact, confirmed_live
from config.load import load_settings
from config.settings import Settings
from tests.end_to_end.command import run_main

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIVE = """
[service]
mode = "live"
state_dir = "{state}"
[accounts.main]
exchange = "binanceusdm"
[accounts.second]
exchange = "binanceusdm"
[paper]
demo_signals = false
"""
KEYS = {f"HOLDFAST_ACCOUNTS__{account}__{key}": "k9-secret" for account in ("MAIN", "SECOND")
        for key in ("API_KEY", "SECRET")}  # fmt: skip


def written(folder: Path, text: str = LIVE) -> Path:
    file = folder / "settings.toml"
    file.write_text(text.format(state=folder / "state"))
    return file


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(written(tmp_path), KEYS)


def test_unconfirmed_accounts_are_named(settings: Settings) -> None:
    kept = {confirmation_fact("main"): "2026-01-01"}
    with pytest.raises(LiveUnconfirmed, match="second has never been confirmed") as refusal:
        confirmed_live(settings, kept.get, confirm=False, at=NOON)
    assert "--confirm-live" in str(refusal.value)
    assert "main," not in str(refusal.value)


def test_a_confirmation_is_kept_once_for_each_account(settings: Settings) -> None:
    kept: dict[str, object] = {"live_confirmed:main": "2026-01-01"}
    facts = confirmed_live(settings, kept.get, confirm=True, at=NOON)
    assert facts == {"live_confirmed:second": NOON.isoformat()}
    kept |= facts
    assert confirmed_live(settings, kept.get, confirm=False, at=NOON) == {}
    assert confirmed_live(settings, kept.get, confirm=True, at=NOON) == {}


def test_other_modes_ask_nothing(tmp_path: Path) -> None:
    paper = load_settings(written(tmp_path, LIVE.replace('"live"', '"paper"')), {})

    def asked(_: str) -> object:
        raise AssertionError("the database was asked")

    assert confirmed_live(paper, asked, confirm=False, at=NOON) == {}


def test_the_first_live_start_is_refused_in_plain_words(tmp_path: Path) -> None:
    done = run_main("run", "--settings", str(written(tmp_path)), environ=KEYS)
    assert (done.returncode, done.stdout) == (2, "")
    assert "main, second has never been confirmed" in done.stderr
    assert "python main.py run --confirm-live" in done.stderr
    assert "k9-secret" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "ACCOUNT_CONNECTED" not in done.stderr, "nobody spoke to the exchange"


def test_live_without_keys_and_everything_else_that_is_wrong_in_one_run(tmp_path: Path) -> None:
    broken = LIVE.replace("demo_signals = false", "control = true")
    broken += '[protection]\nstop_pct = -2\n[log]\nlevle = "X"\n'
    for command in ("check", "run"):
        done = run_main(command, "--settings", str(written(tmp_path, broken)))
        assert done.returncode == 2
        for said in (
            "accounts.main.api_key: is required in live mode",
            "accounts.second.secret: is required in live mode",
            "paper.control = true: must be false in live mode",
            "paper.demo_signals: must be false in live mode",
            "protection.stop_pct = -2",
            "log.levle: is not a known key",
        ):
            assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_check_has_no_use_for_a_confirmation(tmp_path: Path) -> None:
    done = run_main("check", "--settings", str(written(tmp_path)), "--confirm-live", environ=KEYS)
    assert done.returncode == 2
    unreachable = LIVE.replace('exchange = "binanceusdm"', 'exchange = "binanceusdm"\nrest_url = "http://127.0.0.1:1"')
    checked = run_main("check", "--settings", str(written(tmp_path, unreachable)), environ=KEYS)
    assert checked.returncode == 1
    assert checked.stdout.count("WRONG    unreachable") == 2
    assert "confirm" not in checked.stdout + checked.stderr
    assert "k9-secret" not in checked.stdout + checked.stderr

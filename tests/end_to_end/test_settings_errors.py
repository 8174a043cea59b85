"""Settings that cannot be: refused at the start with file, key and rule, and without a word of a secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.end_to_end.command import run_main

SECRET = "dont-print-this-9b1c"
FINE = '[service]\nstate_dir = "{state}"\n[accounts.main]\nexchange = "binanceusdm"\n'


@pytest.mark.parametrize(
    ("more", "environ", "words"),
    [
        ("[protection]\nstop_percent = 2\n", {}, ("protection.stop_percent", "stop_pct")),
        ("[protektion]\nstop_pct = 2\n", {}, ("protektion", "protection")),
        ("[protection]\nstop_pct = -2\n", {}, ("protection.stop_pct", "-2")),
        ("[protection]\nstop_pct = nan\n", {}, ("protection.stop_pct", "nan")),
        ("[protection]\nstop_pct = inf\n", {}, ("protection.stop_pct", "inf")),
        ("[trailing]\ncallback_pct = -0.5\n", {}, ("trailing.callback_pct", "-0.5")),
        ("[entries]\ncooldown_s = 'soon'\n", {}, ("entries.cooldown_s",)),
        ("", {"HOLDFAST_PROTECTION__STOP_PERCENT": "2"}, ("HOLDFAST_PROTECTION__STOP_PERCENT",)),
        ("", {"HOLDFAST_PROTECTION__STOP_PCT": "-2"}, ("HOLDFAST_PROTECTION__STOP_PCT", "-2")),
        ("", {"HOLDFAST_ACCOUNTS__MAIN__EXCHANGE": "mtgox"}, ("HOLDFAST_ACCOUNTS__MAIN__EXCHANGE", "mtgox")),
        ("not toml at all [", {}, ("settings.toml",)),
    ],
)
def test_refused(tmp_path: Path, more: str, environ: Mapping[str, str], words: tuple[str, ...]) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(FINE.format(state=tmp_path / "state") + more)
    done = run_main("run", "--settings", str(settings), environ={**environ, "HOLDFAST_ACCOUNTS__MAIN__SECRET": SECRET})
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word.lower() in done.stderr.lower()
    if not environ:
        assert "settings.toml" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(FINE.format(state=tmp_path / "state") + f'secret = "{SECRET}"\n')
    done = run_main("run", "--settings", str(settings))
    assert done.returncode == 2
    assert "secret" in done.stderr
    assert SECRET not in done.stderr + done.stdout


def test_missing_file(tmp_path: Path) -> None:
    done = run_main("run", "--settings", str(tmp_path / "nowhere.toml"))
    assert done.returncode == 2
    assert "nowhere.toml" in done.stderr


def test_missing_default_file(tmp_path: Path) -> None:
    done = run_main("run", cwd=tmp_path)
    assert done.returncode == 2
    assert "settings.toml" in done.stderr


def test_unknown_words(tmp_path: Path) -> None:
    assert run_main("fly").returncode == 2


def test_ctl_without_a_service(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(FINE.format(state=tmp_path / "state"))
    done = run_main("ctl", "status", "--settings", str(settings))
    assert done.returncode == 3
    assert "no service" in done.stderr.lower()
    assert "Traceback" not in done.stderr

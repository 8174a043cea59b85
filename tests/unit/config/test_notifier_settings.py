"""[notifier]: addresses come from the environment or the secrets file only, and stand in nothing that is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from config.changes import changes
from config.load import load_settings
from config.sources import SettingsError

TOKEN = "123456:" + "a-Token_that_nobody_may_see"
ADDRESS = f"tgram://{TOKEN}/-100"
BASE = '[accounts.main]\nexchange = "binanceusdm"\n'


def file(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(BASE + text)
    return path


def problems(path: Path, environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(path, environ)
    said = "\n".join(str(problem) for problem in refused.value.problems)
    assert TOKEN not in said
    return said


def test_an_address_from_the_environment(tmp_path: Path) -> None:
    path = file(tmp_path, '[notifier]\nroutes = [{channel = "phone", severity = "critical"}]\n')
    settings = load_settings(path, {"HOLDFAST_NOTIFIER__URLS__PHONE": ADDRESS})
    assert settings.notifier.urls == {"phone": SecretStr(ADDRESS)}
    assert TOKEN not in repr(settings)
    hidden = settings.secrets()
    assert {ADDRESS, TOKEN} <= set(hidden)


def test_an_address_from_the_secrets_file(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    heart = 'heartbeat_url = "https://hc.example.org/abc"'
    secrets.write_text(f'[notifier]\n{heart}\n[notifier.urls]\nphone = "{ADDRESS}"\n')
    secrets.chmod(0o600)
    settings = load_settings(file(tmp_path, '[service]\nsecrets_file = "secrets.toml"\n'), {})
    assert settings.notifier.urls["phone"].get_secret_value() == ADDRESS
    assert settings.notifier.heartbeat_url.get_secret_value() == "https://hc.example.org/abc"


def test_an_address_in_the_settings_file_is_refused(tmp_path: Path) -> None:
    said = problems(file(tmp_path, f'[notifier.urls]\nphone = "{ADDRESS}"\n'), {})
    assert "notifier.urls.phone: a secret stays out of settings.toml" in said
    assert "HOLDFAST_NOTIFIER__URLS__PHONE" in said


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        (f"tgram://{TOKEN}", "must be tgram://BOT_TOKEN/CHAT"),
        (f"tgram://{TOKEN}/1/2", "must be tgram://BOT_TOKEN/CHAT"),
        (TOKEN, "must be an address such as"),
        ("", "must be an address such as"),
    ],
)
def test_what_is_no_address_is_refused_by_its_rule(tmp_path: Path, address: str, rule: str) -> None:
    assert rule in problems(file(tmp_path, ""), {"HOLDFAST_NOTIFIER__URLS__PHONE": address})


def test_a_route_to_nowhere_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, '[notifier]\nroutes = [{channel = "desk"}]\n')
    said = problems(path, {"HOLDFAST_NOTIFIER__URLS__PHONE": ADDRESS})
    assert "desk has no address (those with one: phone)" in said


def test_a_change_of_address_is_told_without_it(tmp_path: Path) -> None:
    path = file(tmp_path, "")
    before = load_settings(path, {})
    after = load_settings(path, {"HOLDFAST_NOTIFIER__URLS__PHONE": ADDRESS})
    (change,) = changes(before, after)
    assert (change.key, change.old, change.new, change.hot) == ("notifier.urls", "***", "***", False)


def test_tables_of_plain_values_are_no_sections(tmp_path: Path) -> None:
    """Found by the drill: whoever set an alias, too, had a service that fell at its start."""
    path = file(tmp_path, '[symbols]\naliases = {BTC_USD = "BTCUSDT"}\n')
    settings = load_settings(path, {"HOLDFAST_NOTIFIER__URLS__PHONE": ADDRESS})
    assert list(settings.without_effect()) == []


@pytest.mark.parametrize(
    ("address", "hidden", "plain"),
    [
        ("slack+https://hooks.slack.com/services/T00/B00/abcdef", "services/T00/B00/abcdef", "hooks.slack.com"),
        ("https://example.org/webhook?key=abcdefgh", "abcdefgh", "webhook"),
        ("smtp://bot:p%40ssword@mail.example.org?from=a@example.org&to=b@example.org", "p@ssword", "a@example.org"),
    ],
)
def test_of_an_address_what_may_be_a_key_is_hidden_and_no_plain_word(
    tmp_path: Path, address: str, hidden: str, plain: str
) -> None:
    secrets = load_settings(file(tmp_path, ""), {"HOLDFAST_NOTIFIER__URLS__DESK": address}).secrets()
    assert hidden in secrets
    assert address in secrets
    assert plain not in secrets

"""Settings from file, environment and secrets file: what is taken, what is refused and in which words."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.fields import Flag, Later
from config.load import load_settings
from config.settings import Settings
from config.sources import SettingsError, admin_socket

ACCOUNT = '[accounts.main]\nexchange = "binanceusdm"\n'
SECRET = "sEcReT-value-9173"  # no message may show it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(folder: Path, text: str = "", environ: Mapping[str, str] | None = None, account: str = ACCOUNT) -> Settings:
    file = folder / "settings.toml"
    file.write_text(text + "\n" + account)
    return load_settings(file, environ or {})


def refusals(folder: Path, text: str = "", environ: Mapping[str, str] | None = None, account: str = ACCOUNT) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, environ, account)
    assert str(caught.value) == "\n".join(str(problem) for problem in caught.value.problems)
    return str(caught.value)


def test_numbers_are_exact(folder: Path) -> None:
    settings = load(folder, "[protection]\nstop_pct = 1.10000000000000000000000000001\n")
    assert settings.protection.stop_pct == Decimal("1.10000000000000000000000000001")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[protection]\nstop_pct = -1", "protection.stop_pct = -1: must be greater than 0"),
        ("[protection]\nstop_pct = nan", "protection.stop_pct = NaN: must be a finite number"),
        ("[protection]\nstop_pct = inf", "protection.stop_pct = Infinity: must be a finite number"),
        ("[protection]\nstop_pct = 100", "protection.stop_pct = 100: must be less than 100"),
        ("[protection]\nstop_pct = true", "protection.stop_pct = true: must be a number, not true or false"),
        ('[protection]\nstop_pct = "two"', "protection.stop_pct = 'two': must be a number"),
        ("[protection]\nstop_pct = 11", "stop_pct 11 must not exceed emergency_stop_pct 10"),
        ("[protection]\nemergency_stop_pct = 51", "emergency_stop_pct 51 must be at most 50"),
        ("[protection]\nretries = 1.5", "protection.retries = 1.5: must be a whole number"),
        ("[protection]\nstop_pc = 1", "protection.stop_pc: is not a known key; did you mean stop_pct?"),
        ("[protektion]\nstop_pct = 1", "protektion: is not a known section; did you mean protection?"),
        ("protection = 3", "must be a table"),
        ('[service]\nmode = "real"', "service.mode = 'real': must be 'paper', 'testnet' or 'live'"),
        ("[service]\ndry_run = 2", "service.dry_run = 2: must be true or false"),
        ('[entries]\nstop_list = "BTCUSDT"', "entries.stop_list = 'BTCUSDT': must be a list"),
        ("[entries]\nsessions = [[22, 4]]", "[22, 4] must end after it starts"),
        ("[entries]\nsessions = [[0, 25]]", "must be less than or equal to 24"),
        ("[trailing]\nmin_interval_s = inf", "trailing.min_interval_s = Infinity: must be a finite number"),
        ("[entries]\ncooldown_s = 1e15", "entries.cooldown_s = 1E+15: must be at most 100000000"),
        ("[reconciler]\ninterval_s = 1e15", "reconciler.interval_s = 1E+15: must be at most 100000000"),
        ("[sizing]\natr_multiple = 1e16", "must be less than or equal to 1000000000000000"),
        (
            "[protection]\ntake_profits = [{pct = 1, fraction = 0.7}, {pct = 2, fraction = 0.7}]",
            "the fractions add up to 1.4",
        ),
        ("[protection]\ntake_profits = [{pct = 51, fraction = 1}]", "take_profits: pct 51 must be at most 50"),
        (
            "[protection]\ntake_profits = [{pct = 1, fraction = 0.5}, {pct = 1.0, fraction = 0.5}]",
            "take_profits: pct 1 stands there twice",
        ),
        ("[trailing]\natr_period = 1", "trailing.atr_period = 1: must be greater than or equal to 2"),
        ("[supervision]\nbase_backoff_s = 50", "base_backoff_s 50.0 must not exceed max_backoff_s 30.0"),
        ('[log]\nrotation = "big"', 'must be a size such as "50 MB"'),
        ('[signals]\nurl = "http://x"', "signals.url: must start with ws:// or wss://"),
        ("[service]\nstate_dir = 3", "service.state_dir = 3: must be a path"),
        ("[accounts.Main]\nexchange = 'binanceusdm'", "an account's name must be"),
        ("[accounts.a__b]\nexchange = 'binanceusdm'", "an account's name must be"),
        ("[accounts.second]\n", "accounts.second.exchange: is required"),
        ("[accounts.second]\nexchange = 'kraken'", "accounts.second.exchange = 'kraken': must be 'binanceusdm'"),
    ],
)
def test_a_bad_value_is_refused_with_file_key_and_rule(folder: Path, text: str, said: str) -> None:
    message = refusals(folder, text)
    assert said in message
    assert message.startswith(str(folder / "settings.toml") + ": ")


def test_all_problems_are_told_at_once(folder: Path) -> None:
    environ = {"HOLDFAST_TRAILING__CALLBACK_PCT": "-2", "HOLDFAST_PROTEKTION__STOP_PCT": "1"}
    message = refusals(folder, '[service]\nmode = "live"\n[chaos]\nenabled = true\n[log]\nlevle = "INFO"', environ)
    assert (
        "environment variable HOLDFAST_TRAILING__CALLBACK_PCT: trailing.callback_pct = -2: must be greater" in message
    )
    assert (
        "HOLDFAST_PROTEKTION__STOP_PCT: is not a known variable; did you mean HOLDFAST_PROTECTION__STOP_PCT?" in message
    )
    assert "chaos.enabled = true: must be false in live mode" in message
    assert "paper.demo_signals: must be false in live mode" in message
    assert "accounts.main.api_key: is required in live mode: set HOLDFAST_ACCOUNTS__MAIN__API_KEY" in message
    assert "log.levle: is not a known key; did you mean level?" in message


@pytest.mark.parametrize(
    "name", ["HOLDFAST_TYPO", "HOLDFAST_", "HOLDFAST_LOG__LEVLE", "HOLDFAST_ACCOUNTS__MAIN__PASSWORD"]
)
def test_an_unknown_variable_is_refused_without_its_value(folder: Path, name: str) -> None:
    message = refusals(folder, environ={name: SECRET})
    assert name in message
    assert SECRET not in message


def test_the_environment_overrides_the_file(folder: Path) -> None:
    environ = {
        "HOLDFAST_PROTECTION__STOP_PCT": "3.3",
        "HOLDFAST_SERVICE__MODE": "testnet",
        "HOLDFAST_ENTRIES__STOP_LIST": '["BTCUSDT", "ETHUSDT"]',
        "HOLDFAST_ENTRIES__SESSIONS": "[[1, 2], [3, 4]]",
        "HOLDFAST_TRAILING__ENABLED": "false",
        "HOLDFAST_ACCOUNTS__MAIN__API_KEY": "0123",
        "HOLDFAST_ACCOUNTS__MAIN__SECRET": '"quoted"',
        "HOLDFAST_LOG__LEVEL": '"DEBUG"',
        "PATH": "/bin",
    }
    settings = load(folder, "[protection]\nstop_pct = 1", environ)
    assert settings.protection.stop_pct == Decimal("3.3")
    assert settings.service.mode == "testnet"
    assert settings.entries.stop_list == ("BTCUSDT", "ETHUSDT")
    assert settings.entries.sessions == ((1, 2), (3, 4))
    assert not settings.trailing.enabled
    assert settings.accounts["main"].api_key.get_secret_value() == "0123"
    assert settings.accounts["main"].secret.get_secret_value() == '"quoted"'
    assert settings.log.level == "DEBUG"


@pytest.mark.parametrize(("given_", "expected"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_dry_run_and_debug_trading_have_short_names(folder: Path, given_: str, expected: bool) -> None:
    settings = load(folder, environ={"DRY_RUN": given_, "DEBUG_TRADING": given_})
    assert settings.service.dry_run is expected
    assert settings.log.debug_trading is expected


def test_a_dry_run_that_is_both_on_and_off_is_refused(folder: Path) -> None:
    message = refusals(folder, environ={"DRY_RUN": "1", "HOLDFAST_SERVICE__DRY_RUN": "false"})
    assert "DRY_RUN: contradicts HOLDFAST_SERVICE__DRY_RUN" in message
    assert load(folder, environ={"DRY_RUN": "1", "HOLDFAST_SERVICE__DRY_RUN": "true"}).service.dry_run


def test_dry_run_is_never_guessed(folder: Path) -> None:
    assert "service.dry_run = 'maybe': must be true or false" in refusals(folder, environ={"DRY_RUN": "maybe"})


@pytest.mark.parametrize(
    "text",
    [
        f'[signals]\ntoken = "{SECRET}"',
        f'[accounts.other]\nexchange = "binanceusdm"\nsecret = "{SECRET}"',
        f'[accounts.other]\nexchange = "binanceusdm"\napi_key = "{SECRET}"\nleverage = -1',
        f'[database]\nurl = "postgresql://user:{SECRET}@host/db"',
        f'[database]\nurl = "postgresql://host/db?password={SECRET}"',
        f'[signals]\nurl = "http://host?token={SECRET}"',
        f'[accounts.other]\nsecrte = "{SECRET}"',
        f'secret = "{SECRET}"',
        f'accounts = "{SECRET}"\n[log]\nlevel = "x"\n#',
        f'[service]\nmode = "live"\n[accounts.other]\nexchange = "binanceusdm"\nsecret = ["{SECRET}"]',
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(folder: Path, text: str) -> None:
    message = refusals(folder, text, account="" if text.startswith("accounts") else ACCOUNT)
    assert SECRET not in message
    assert message


@pytest.mark.parametrize(
    "name", ["HOLDFAST_DATABASE__URL", "HOLDFAST_SIGNALS__URL", "HOLDFAST_ACCOUNTS__MAIN__REST_URL"]
)
def test_a_secret_in_the_environment_is_never_shown(folder: Path, name: str) -> None:
    assert SECRET not in refusals(folder, environ={name: SECRET})


def test_settings_do_not_print_their_secrets(folder: Path) -> None:
    environ = {
        "HOLDFAST_ACCOUNTS__MAIN__SECRET": SECRET,
        "HOLDFAST_SIGNALS__TOKEN": SECRET,
        "HOLDFAST_DATABASE__URL": f"postgresql://user:{SECRET}@host/db",
    }
    settings = load(folder, environ=environ)
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_a_secrets_file_of_mode_0600_is_read_and_the_environment_wins(folder: Path) -> None:
    secrets = folder / "secrets.toml"
    secrets.write_text(f'[accounts.main]\napi_key = "key"\nsecret = "{SECRET}"\n[signals]\ntoken = "t"\n')
    secrets.chmod(0o600)
    environ = {"HOLDFAST_ACCOUNTS__MAIN__API_KEY": "from the environment"}
    settings = load(folder, '[service]\nsecrets_file = "secrets.toml"', environ)
    assert settings.accounts["main"].secret.get_secret_value() == SECRET
    assert settings.accounts["main"].api_key.get_secret_value() == "from the environment"
    assert settings.signals.token.get_secret_value() == "t"


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (0o640, f'[signals]\ntoken = "{SECRET}"', "its mode is 0640"),
        (0o604, f'[signals]\ntoken = "{SECRET}"', "its mode is 0604"),
        (0o600, f'[signals]\ntoken = "{SECRET}', "is not valid TOML"),
        (0o600, f'[signals]\nurl = "ws://{SECRET}"', "signals.url: is not a secret's key"),
        (0o600, f'[signals]\nsecret = "{SECRET}"', "signals.secret: is not a secret's key"),
        (0o600, f'[signals]\ntoken = ["{SECRET}"]', "signals.token"),
    ],
)
def test_a_bad_secrets_file_is_refused_without_its_content(folder: Path, mode: int, text: str, said: str) -> None:
    secrets = folder / "secrets.toml"
    secrets.write_text(text)
    secrets.chmod(mode)
    message = refusals(folder, '[service]\nsecrets_file = "secrets.toml"')
    assert said in message
    assert SECRET not in message


def test_a_secrets_file_that_is_missing_or_a_folder_is_refused(folder: Path) -> None:
    assert "No such file" in refusals(folder, '[service]\nsecrets_file = "nowhere"')
    assert "must be a file" in refusals(folder, f'[service]\nsecrets_file = "{folder}"')


def test_a_missing_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: settings file does not exist$"):
        load_settings(folder / "nowhere.toml", {})
    with pytest.raises(SettingsError, match="is not a file"):
        load_settings(folder, {})
    monkeypatch.chdir(folder)
    with pytest.raises(SettingsError, match=r"settings\.toml: settings file does not exist; start in the folder"):
        load_settings(None, {})


@pytest.mark.parametrize(
    ("content", "said"), [(b"[service\n", "line 1"), (b"\xff\xfe", "is not UTF-8"), (b"a = 1\na = 2", "TOML")]
)
def test_a_broken_file_is_refused_with_the_place(folder: Path, content: bytes, said: str) -> None:
    file = folder / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        load_settings(file, {})


def test_no_account_is_refused(folder: Path) -> None:
    assert "accounts: at least one account is needed" in refusals(folder, "[accounts]", account="")
    assert "accounts: at least one account is needed" in refusals(folder, account="")


def test_an_account_may_come_from_the_environment_alone(folder: Path) -> None:
    settings = load(folder, environ={"HOLDFAST_ACCOUNTS__SPARE__EXCHANGE": "binanceusdm"}, account="")
    assert list(settings.accounts) == ["spare"]


def test_live_mode_with_keys_and_without_toys_is_accepted(folder: Path) -> None:
    environ = {"HOLDFAST_ACCOUNTS__MAIN__API_KEY": "k", "HOLDFAST_ACCOUNTS__MAIN__SECRET": "s"}
    settings = load(folder, '[service]\nmode = "live"\n[paper]\ndemo_signals = false', environ)
    assert settings.service.mode == "live"
    assert settings.untracked_policy("main") == "alert"
    message = refusals(folder, '[service]\nmode = "live"\n[paper]\ncontrol = true', environ)
    assert "paper.control = true: must be false in live mode" in message
    demo = refusals(folder, '[service]\nmode = "live"', {**environ, "HOLDFAST_ACCOUNTS__MAIN__DEMO": "1"})
    assert "accounts.main.demo = 1: must be false in live mode" in demo


@pytest.mark.parametrize(
    ("mode", "text", "runs"),
    [
        ("paper", "", True),
        ("paper", "enabled = false", False),
        ("paper", 'accounts = ["other"]', False),
        ("testnet", "", False),
        ("live", "", False),
        ("live", 'symbols = ["BTCUSDT"]', False),
        ("live", 'enabled = true\nsymbols = ["BTCUSDT"]', True),
        ("live", 'enabled = true\nsymbols = ["BTCUSDT"]\naccounts = ["other"]', False),
    ],
)
def test_the_strategy_runs_by_itself_in_paper_mode_only(folder: Path, mode: str, text: str, runs: bool) -> None:
    secrets = {f"HOLDFAST_ACCOUNTS__{name}__{key}": "x" for name in ("MAIN", "OTHER") for key in ("API_KEY", "SECRET")}
    other = {"HOLDFAST_ACCOUNTS__OTHER__EXCHANGE": "bybit"}
    whole = f'[service]\nmode = "{mode}"\n[paper]\ndemo_signals = false\n[strategy]\n{text}'
    assert load(folder, whole, secrets | other).runs_strategy("main") is runs


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_the_strategy_must_be_told_what_to_trade_with_real_money(folder: Path, mode: str) -> None:
    text = f'[service]\nmode = "{mode}"\n[strategy]\nenabled = true'
    assert f"strategy.symbols: is required in {mode} mode when strategy.enabled is true" in refusals(folder, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("candle_minutes = 7", "strategy.candle_minutes = 7: must be one of 1, 3, 5, 15, 30, 60, 120, 240"),
        ("higher_minutes = 5", "higher_minutes 5 must be 2 to 60 times candle_minutes 5"),
        ("candle_minutes = 1\nhigher_minutes = 120", "higher_minutes 120 must be 2 to 60 times candle_minutes 1"),
        ("small_body_pct = 100", "strategy.small_body_pct = 100: must be less than 100"),
        ('enabled = "maybe"', "strategy.enabled = 'maybe': must be true or false"),
        ('accounts = ["nobody"]', "strategy.accounts = ['nobody']: nobody is no account of these: main"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused_with_its_rule(folder: Path, text: str, said: str) -> None:
    assert said in refusals(folder, f"[strategy]\n{text}")


def test_the_strategy_is_switched_by_the_environment(folder: Path) -> None:
    for word, enabled in (("true", True), ("false", False), ("1", True), ("", None)):
        settings = load(folder, environ={"HOLDFAST_STRATEGY__ENABLED": word})
        assert settings.strategy.enabled is enabled
    environ = {"HOLDFAST_STRATEGY__CANDLE_MINUTES": "1", "HOLDFAST_STRATEGY__HIGHER_MINUTES": "15"}
    assert load(folder, environ=environ).strategy.candle_minutes == 1


def test_relative_paths_count_from_the_file_that_names_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    settings = load(folder, '[service]\nstate_dir = "here"\n[paper]\ntape = ["BTCUSDT=t/a.csv", "/b.json"]')
    assert settings.service.state_dir == folder / "here"
    assert settings.paper.tape == (f"BTCUSDT={folder}/t/a.csv", "/b.json")
    assert load(folder).service.state_dir == folder / "state"
    assert load(folder, environ={"HOLDFAST_SERVICE__STATE_DIR": "x"}).service.state_dir == elsewhere / "x"


def test_the_admin_socket_is_found_in_spite_of_other_mistakes(folder: Path) -> None:
    file = folder / "settings.toml"
    file.write_text('[service]\nstate_dir = "here"\nmode = "wrong"\n[nonsense]\n')
    assert admin_socket(file, {}) == folder / "here" / "admin.sock"
    assert admin_socket(file, {"HOLDFAST_SERVICE__STATE_DIR": "/tmp/other"}) == Path("/tmp/other/admin.sock")
    file.write_text(ACCOUNT)
    assert admin_socket(file, {}) == load_settings(file, {}).admin_socket
    file.write_text("[service]\nstate_dir = 3")
    with pytest.raises(SettingsError, match="state_dir: must be the path"):
        admin_socket(file, {})


def test_a_changed_key_without_effect_is_named(folder: Path) -> None:
    class Someday(Settings):
        sooner: Annotated[Flag, Later(comes_with="what is being built")] = False

    assert list(load(folder).without_effect()) == []
    accounts = load(folder).accounts
    assert list(Someday(accounts=accounts).without_effect()) == []
    assert list(Someday(accounts=accounts, sooner=True).without_effect()) == [
        "sooner has no effect yet: it comes with what is being built",
    ]


def test_settings_are_immutable(folder: Path) -> None:
    settings = load(folder)
    with pytest.raises(ValueError, match="frozen"):
        settings.service.dry_run = True  # type: ignore[misc]


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_any_text_in_the_environment_is_taken_or_refused_in_words(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("PROTECTION__STOP_PCT", "ENTRIES__SESSIONS", "SERVICE__DRY_RUN", "PAPER__TAPE", "SERVICE__STATE_DIR"):
        try:
            load(folder, environ={f"HOLDFAST_{name}": text})
        except SettingsError as error:
            assert f"HOLDFAST_{name}" in str(error)  # noqa: PT017 - either way is right, both are checked


def test_the_process_environment_does_not_leak_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PROTECTION__STOP_PCT", "7")
    assert load(folder).protection.stop_pct == 2
    assert load(folder, environ=os.environ).protection.stop_pct == 7


def test_a_stand_by_needs_a_database_that_others_reach(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[service]\nstandby = true\n[accounts.main]\nexchange = "binanceusdm"\n')
    with pytest.raises(SettingsError, match=r"service\.standby.*needs database\.url"):
        load_settings(file, {})
    url = {"HOLDFAST_DATABASE__URL": "postgresql://holdfast:secret@db/holdfast"}
    assert load_settings(file, url).service.standby is True

"""One resolver for what is set for a symbol: the value in force, where it is from, and what breaks a rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from config.settings import Settings
from config.symbol_settings import (
    NOTHING,
    SymbolSettings,
    WrongSymbolSetting,
    changed,
    from_row,
    keys,
    over,
    resolved,
    to_row,
)

D = Decimal
SETTINGS = Settings.model_validate(
    {
        "accounts": {"main": {"exchange": "binanceusdm", "leverage": 4}},
        "trailing": {"callback_pct": D("0.7")},
        "entries": {"cooldown_s": 60},
    }
)


def test_nothing_set_is_the_settings_own_and_says_so() -> None:
    found = {key: (each.value, each.source) for key, each in resolved(SETTINGS, "main", NOTHING).items()}
    assert set(found) == set(keys())
    assert found["trade_enabled"] == (True, "default")
    assert found["min_trade_usd"] == (D(0), "default")
    assert found["cooldown_seconds"] == (60, "settings")
    assert found["leverage"] == (4, "settings")
    assert found["trailing.callback_pct"] == (D("0.7"), "settings")
    assert found["protection.stop_pct"] == (D(2), "default")
    assert over(SETTINGS, "main", NOTHING) is SETTINGS


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("alert_enabled", False, False),
        ("buy_alert_enabled", False, False),
        ("sell_alert_enabled", "1", True),
        ("trade_enabled", False, False),
        ("min_trade_usd", "12.5", D("12.5")),
        ("cooldown_seconds", "7", 7.0),
        ("leverage", "3", 3),
        ("protection.stop_pct", "1.25", D("1.25")),
        ("protection.trigger", "last", "last"),
        ("trailing.callback_pct", "0.3", D("0.3")),
        ("trailing.enabled", False, False),
    ],
)
def test_what_is_set_counts_and_default_takes_it_away(key: str, text: object, value: object) -> None:
    own = changed(NOTHING, {key: text}, SETTINGS)
    each = resolved(SETTINGS, "main", own)[key]
    assert (each.value, each.source) == (value, "db")
    again = from_row(to_row("BTCUSDT", own), SETTINGS)
    assert resolved(SETTINGS, "main", again)[key] == each
    assert changed(own, {key: None}, SETTINGS) == NOTHING


def test_entries_are_decided_by_it() -> None:
    wanted = {"cooldown_seconds": "7", "leverage": "9", "protection.stop_pct": "1", "trailing.callback_pct": "0.2"}
    laid = over(SETTINGS, "main", changed(NOTHING, wanted, SETTINGS))
    assert laid.entries.cooldown_s == 7
    assert laid.accounts["main"].leverage == 9
    assert (laid.protection.stop_pct, laid.protection.emergency_stop_pct) == (D(1), D(10))
    assert (laid.trailing.callback_pct, laid.trailing.activation_pct) == (D("0.2"), D("1.5"))
    assert SETTINGS.entries.cooldown_s == 60


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("min_trade_usd", "-1", "greater than or equal to 0"),
        ("min_trade_usd", "lots", "decimal"),
        ("cooldown_seconds", "-1", "greater than or equal to 0"),
        ("cooldown_seconds", "1e15", "must be at most 100000000"),  # the desk fell over it, again and again
        ("min_trade_usd", "1e16", "less than or equal to 1000000000000000"),
        ("leverage", "126", "less than or equal to 125"),
        ("leverage", "1.5", "integer"),
        ("trade_enabled", "perhaps", "true or false"),
        ("protection.stop_pct", "0", "greater than 0"),
        ("protection.stop_pct", "11", "must not exceed emergency_stop_pct"),
        ("protection.colour", "red", "is not known"),
        ("trailing.callback_pct", "100", "less than 100"),
        ("trailing.atr_period", "20", "is not known"),
    ],
)
def test_a_wrong_value_is_refused_by_the_rule_of_its_setting(key: str, value: str, rule: str) -> None:
    with pytest.raises(WrongSymbolSetting, match=rule) as caught:
        changed(NOTHING, {key: value}, SETTINGS)
    assert caught.value.key.split(".")[0] == key.split(".", maxsplit=1)[0]
    assert str(caught.value).startswith(key.split(".", maxsplit=1)[0])


def test_a_row_written_by_hand_is_checked_too() -> None:
    row: dict[str, Any] = to_row("BTCUSDT", SymbolSettings())
    assert from_row({**row, "trailing_overrides": {"callback_pct": 0.3}}, SETTINGS).trailing == {"callback_pct": 0.3}
    with pytest.raises(WrongSymbolSetting):
        from_row({**row, "trailing_overrides": {"callback_pct": -1}}, SETTINGS)
    with pytest.raises(WrongSymbolSetting):
        from_row({**row, "leverage": -1}, SETTINGS)

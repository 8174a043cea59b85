"""The settings.toml that is shipped says the truth: every key, its default, its marks."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from config.fields import Hot, Later, Unfurnished
from config.load import load_settings
from config.settings import Account, Settings

SHIPPED = Path(__file__).parents[3] / "settings.toml"
SECTIONS = {name: field for name, field in Settings.model_fields.items() if name != "accounts"}
KEYS = [
    (section, key)
    for section, field in SECTIONS.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    for key in field.annotation.model_fields
]
PATHS_UNSET = ("secrets_file", "archive_dir")
SECRETS = {
    ("signals", "token"),
    ("web", "diagnostics_api_key"),
    ("accounts", "api_key"),
    ("accounts", "secret"),
    ("notifier", "urls"),
    ("notifier", "heartbeat_url"),
}


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    with SHIPPED.open("rb") as file:
        return tomllib.load(file, parse_float=Decimal)


def line_of(section: str, key: str) -> str:
    body = SHIPPED.read_text().split(f"\n[{section}]")[1].split("\n[")[0]
    lines = [line for line in body.splitlines() if re.match(rf"{key} = ", line)]
    assert len(lines) == 1, f"{section}.{key}"
    return lines[0]


def test_it_holds_every_section_and_no_other(tables: dict[str, Any]) -> None:
    assert set(tables) == set(Settings.model_fields)
    assert list(tables["accounts"]) == ["main"]


@pytest.mark.parametrize(("section", "key"), sorted(set(KEYS) - SECRETS))
def test_each_key_stands_with_its_true_default(tables: dict[str, Any], section: str, key: str) -> None:
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    written = model.model_validate({key: None if key in PATHS_UNSET else tables[section][key]})
    assert getattr(written, key) == getattr(model(), key)
    assert re.search(r"# .+", line_of(section, key)), "a line says what it does"


def test_the_account_stands_with_its_defaults(tables: dict[str, Any]) -> None:
    assert Account.model_validate(tables["accounts"]["main"]) == Account(exchange="binanceusdm")
    assert set(tables["accounts"]["main"]) == set(Account.model_fields) - {"api_key", "secret"}


def test_secrets_are_named_as_comments_only() -> None:
    text = SHIPPED.read_text()
    assert "HOLDFAST_ACCOUNTS__MAIN__API_KEY" in text
    assert "HOLDFAST_ACCOUNTS__MAIN__SECRET" in text
    assert "HOLDFAST_SIGNALS__TOKEN" in text
    assert "HOLDFAST_NOTIFIER__URLS__NAME" in text
    assert "HOLDFAST_NOTIFIER__HEARTBEAT_URL" in text
    secret_fields = {
        (section, key) for section, key in KEYS if getattr(SECTIONS[section].default, key).__class__ is SecretStr
    }
    assert secret_fields == {
        ("signals", "token"),
        ("web", "diagnostics_api_key"),
        ("database", "url"),
        ("notifier", "heartbeat_url"),
    }


@pytest.mark.parametrize(("section", "key"), sorted(set(KEYS) - SECRETS))
def test_hot_and_later_marks_agree_with_the_model(section: str, key: str) -> None:
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    marks = model.model_fields[key].metadata
    line = line_of(section, key)
    assert ("(hot)" in line) == any(isinstance(mark, Hot) for mark in marks)
    assert ("(not yet:" in line) == any(isinstance(mark, Later) for mark in marks)


def test_reserved_sections_say_what_brings_their_keys() -> None:
    for name, field in SECTIONS.items():
        if field.annotation is Unfurnished:
            assert any(isinstance(mark, Later) for mark in field.metadata), name
            assert re.search(rf"^\[{name}\] +# no keys yet: ", SHIPPED.read_text(), re.MULTILINE), name


def test_it_loads_as_it_is() -> None:
    settings = load_settings(SHIPPED, {})
    assert settings.service.mode == "paper"
    assert settings.service.state_dir == SHIPPED.parent / "state"
    assert list(settings.without_effect()) == []

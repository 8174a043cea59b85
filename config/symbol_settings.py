"""What is set for one symbol alone, laid over the settings: one pure resolver that knows each value's source.

Rules of this file: an override obeys the very rules of the setting that it takes the place of, the rules between keys
too; what is not set here is the settings' own. Nothing is read or kept: rows come in, values go out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, cast

from pydantic import Field, ValidationError

from config.fields import Flag, PositiveOrOff, SecondsOrOff, Section, Whole
from config.settings import Protection, Settings, Trailing

SECTIONS = ("protection", "trailing")
FROM_DATABASE, FROM_SETTINGS, FROM_DEFAULT = "db", "settings", "default"
# Overrides of these would need more than one symbol's entries: candles are asked for once for all of a wish.
_GLOBAL_ONLY = {"trailing": ("atr_period", "atr_candle_minutes")}


class WrongSymbolSetting(ValueError):
    """A value for a symbol that breaks a rule; the message names key, value and rule."""

    def __init__(self, key: str, value: object, rule: str) -> None:
        super().__init__(f"{key} = {value}: {rule}")
        self.key = key
        self.value = value
        self.rule = rule


class SymbolSettings(Section):
    """One row of monitoring.symbol_settings; None and an absent override leave the settings' own value in force."""

    alert_enabled: Flag | None = None
    buy_alert_enabled: Flag | None = None
    sell_alert_enabled: Flag | None = None
    trade_enabled: Flag | None = None
    min_trade_usd: PositiveOrOff | None = None
    cooldown_seconds: SecondsOrOff | None = None
    leverage: Annotated[Whole, Field(ge=0, le=125)] | None = None
    protection: dict[str, Any] = Field(default_factory=dict)
    trailing: dict[str, Any] = Field(default_factory=dict)


NOTHING = SymbolSettings()
_PLAIN = tuple(name for name in SymbolSettings.model_fields if name not in SECTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """A value in force, and whether the database, the settings file or the built-in default says so."""

    value: Any
    source: str


def keys() -> tuple[str, ...]:
    """Everything that can be set for a symbol."""
    return (*_PLAIN, *(f"{section}.{key}" for section in SECTIONS for key in _overridable(section)))


def from_row(row: Mapping[str, Any], settings: Settings) -> SymbolSettings:
    """A row of the table, checked against the settings in force. Raises WrongSymbolSetting."""
    values = {name: row[name] for name in _PLAIN}
    values |= {section: row[f"{section}_overrides"] or {} for section in SECTIONS}
    return _checked(values, settings)


def sound_part(row: Mapping[str, Any], settings: Settings) -> tuple[SymbolSettings, tuple[WrongSymbolSetting, ...]]:
    """What of a row holds by the settings in force, and what does not: one wrong value switches no other off."""
    left, faults = dict(row), list[WrongSymbolSetting]()
    while True:
        try:
            return from_row(left, settings), tuple(faults)
        except WrongSymbolSetting as wrong:
            name = wrong.key.partition(".")[0]
            left[f"{name}_overrides" if name in SECTIONS else name] = None
            faults.append(wrong)


def to_row(symbol: str, own: SymbolSettings) -> dict[str, Any]:
    """The row of the table."""
    row: dict[str, Any] = {"symbol": symbol} | {name: getattr(own, name) for name in _PLAIN}
    return row | {f"{section}_overrides": getattr(own, section) or None for section in SECTIONS}


def changed(own: SymbolSettings, to: Mapping[str, object], settings: Settings) -> SymbolSettings:
    """`own` with these keys set, or unset where the value is None. Raises WrongSymbolSetting."""
    values: dict[str, Any] = {name: getattr(own, name) for name in _PLAIN}
    values |= {section: dict(getattr(own, section)) for section in SECTIONS}
    for key, value in to.items():
        section, dot, name = key.partition(".")
        if not dot:
            values[key] = value
        elif value is None:
            values[section].pop(name, None)
        else:
            values[section][name] = value
    return _checked(values, settings)


def over(settings: Settings, account: str, own: SymbolSettings) -> Settings:
    """The settings as they hold for an account's entries on the symbol. Raises WrongSymbolSetting."""
    if own is NOTHING:
        return settings
    update: dict[str, Any] = {}
    if own.cooldown_seconds is not None:
        update["entries"] = settings.entries.model_copy(update={"cooldown_s": own.cooldown_seconds})
    if own.leverage is not None:
        chosen = settings.accounts[account].model_copy(update={"leverage": own.leverage})
        update["accounts"] = {**settings.accounts, account: chosen}
    for section in SECTIONS:
        if getattr(own, section):
            update[section] = _section_over(getattr(settings, section), section, getattr(own, section))
    return settings.model_copy(update=update)


def resolved(settings: Settings, account: str, own: SymbolSettings) -> dict[str, Sourced]:
    """Every key for the symbol with its source. Raises WrongSymbolSetting."""
    found = {
        name: _sourced(getattr(own, name), default)
        for name, default in (
            ("alert_enabled", True),
            ("buy_alert_enabled", True),
            ("sell_alert_enabled", True),
            ("trade_enabled", True),
            ("min_trade_usd", Decimal(0)),
        )
    }
    below = {
        "cooldown_seconds": (settings.entries, "cooldown_s"),
        "leverage": (settings.accounts[account], "leverage"),
    }
    for name, (section, key) in below.items():
        value = getattr(own, name)
        found[name] = _of(section, key) if value is None else Sourced(value=value, source=FROM_DATABASE)
    together = over(settings, account, own)
    for name in SECTIONS:
        for key in _overridable(name):
            if key in getattr(own, name):
                found[f"{name}.{key}"] = Sourced(value=getattr(getattr(together, name), key), source=FROM_DATABASE)
            else:
                found[f"{name}.{key}"] = _of(getattr(settings, name), key)
    return found


def _sourced(value: Any, default: Any) -> Sourced:
    if value is None:
        return Sourced(value=default, source=FROM_DEFAULT)
    return Sourced(value=value, source=FROM_DATABASE)


def _of(section: Section, key: str) -> Sourced:
    value = getattr(section, key)
    default = type(section).model_fields[key].default
    return Sourced(value=value, source=FROM_DEFAULT if value == default else FROM_SETTINGS)


def _overridable(section: str) -> Iterator[str]:
    known = Settings.model_fields[section].annotation
    for key in cast("type[Section]", known).model_fields:
        if key not in _GLOBAL_ONLY.get(section, ()):
            yield key


def _checked(values: Mapping[str, Any], settings: Settings) -> SymbolSettings:
    try:
        own = SymbolSettings.model_validate(values)
    except ValidationError as error:
        raise _wrong(error, "", values) from error
    for section in SECTIONS:
        _section_over(getattr(settings, section), section, getattr(own, section))
    return own


def _section_over(base: Protection | Trailing, name: str, overrides: Mapping[str, Any]) -> Protection | Trailing:
    for key, value in overrides.items():
        if key not in tuple(_overridable(name)):
            raise WrongSymbolSetting(f"{name}.{key}", value, f"is not known; known: {', '.join(_overridable(name))}")
    try:
        return type(base).model_validate({**base.model_dump(), **overrides})
    except ValidationError as error:
        raise _wrong(error, f"{name}.", overrides) from error


def _wrong(error: ValidationError, prefix: str, values: Mapping[str, Any]) -> WrongSymbolSetting:
    detail = error.errors(include_url=False, include_input=False)[0]
    names = [str(part) for part in detail["loc"]]
    rule = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    name = names[0] if names else next(iter(values), "")
    return WrongSymbolSetting(f"{prefix}{name}", values.get(name), rule)

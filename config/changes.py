"""What a new reading of the settings changes: key by key, the hot ones apart from those that need a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config.fields import Hot, Section
from config.keys import may_be_shown
from config.settings import Settings
from config.sources import KeyPath

HIDDEN = "***"
ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that differs. `old` and `new` are for people: a secret is never in them."""

    key: str
    old: str
    new: str
    hot: bool


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Every key that differs, in the order of the settings file."""
    return tuple(_changes(old, new, ()))


def merged(old: Settings, new: Settings) -> Settings:
    """`old` with the hot keys of `new`: what may be in force without a restart."""
    merge: Settings = _merged(old, new)
    return merge


def is_hot(field: FieldInfo) -> bool:
    """Whether `settings.reload` may change the key."""
    return any(isinstance(mark, Hot) for mark in field.metadata)


def _changes(old: Section, new: Section, above: KeyPath) -> Iterator[Change]:
    for name, field in type(old).model_fields.items():
        was, is_now = getattr(old, name), getattr(new, name)
        path = (*above, name)
        if isinstance(was, Section):
            yield from _changes(was, is_now, path)
        elif path == ("accounts",):
            yield from _account_changes(was, is_now)
        elif was != is_now:
            yield Change(key=".".join(path), old=_shown(path, was), new=_shown(path, is_now), hot=is_hot(field))


def _account_changes(old: dict[str, Section], new: dict[str, Section]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if name in old and name in new:
            yield from _changes(old[name], new[name], ("accounts", name))
        else:
            known = [ABSENT if name not in accounts else "an account" for accounts in (old, new)]
            yield Change(key=f"accounts.{name}", old=known[0], new=known[1], hot=False)


def _merged(old: Any, new: Any, above: KeyPath = ()) -> Any:
    taken: dict[str, Any] = {}
    for name, field in type(old).model_fields.items():
        was, is_now = getattr(old, name), getattr(new, name)
        if isinstance(was, Section):
            taken[name] = _merged(was, is_now, (*above, name))
        elif (*above, name) == ("accounts",):
            both = {key: _merged(each, is_now[key], (*above, name, key)) for key, each in was.items() if key in is_now}
            taken[name] = {**was, **both}
        elif is_hot(field):
            taken[name] = is_now
    return old.model_copy(update=taken)


def _shown(path: KeyPath, value: object) -> str:
    if isinstance(value, SecretStr) or not may_be_shown(path):
        return HIDDEN
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, Section):
        return "{" + ", ".join(f"{name} = {_plain(each)}" for name, each in value) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_plain(each)}" for name, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What is known about the keys themselves: their types, their variables, which are secret, which one was meant."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr

from config.settings import Account, Settings
from config.sources import PREFIX, KeyPath

SECRET_NAMES = frozenset({"api_key", "secret", "token", "diagnostics_api_key", "heartbeat_url"})
CHANNELS = ("notifier", "urls")  # each address of a channel is a secret
# May carry a password or a token in the address itself, so they are never shown.
URL_NAMES = frozenset({"url", "rest_url", "ws_url"})


def key_type(path: KeyPath) -> Any:
    """The declared type of the key at `path`; None if there is no such key."""
    if len(path) == 3 and path[0] == "accounts":
        known = Account.model_fields.get(path[2])
    elif len(path) == 3 and path[:2] == CHANNELS:
        return SecretStr
    elif len(path) == 2 and (model := _section_model(path[0])) is not None:
        known = model.model_fields.get(path[1])
    else:
        known = None
    return None if known is None else known.annotation


def _section_model(name: str) -> type[BaseModel] | None:
    known = Settings.model_fields.get(name)
    if known is None or not isinstance(known.annotation, type) or not issubclass(known.annotation, BaseModel):
        return None
    return known.annotation


def keys_of(above: KeyPath) -> Iterable[str]:
    """The keys that the table at `above` may have."""
    if above[0] == "accounts":
        return Account.model_fields
    model = _section_model(above[0])
    return () if model is None or len(above) > 1 else model.model_fields


def known_variables(accounts: Iterable[str]) -> Iterator[str]:
    """Every variable there may be, with these accounts."""
    for section in Settings.model_fields:
        if section != "accounts":
            yield from (variable_name((section, key)) for key in keys_of((section,)))
    for name in accounts:
        yield from (variable_name(("accounts", name, key)) for key in Account.model_fields)


def takes_text(target: Any) -> bool:
    """Whether a key of this type wants text: then 123 from the environment stays "123"."""
    if target in (str, SecretStr, Path):
        return True
    if get_origin(target) is Literal:
        return True
    return any(takes_text(part) for part in get_args(target)) if type(None) in get_args(target) else False


def suggestion(name: str, known: Iterable[str]) -> str:
    """The nearest known name as the end of a sentence, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def variable_name(path: KeyPath) -> str:
    """The environment variable that sets this key."""
    return PREFIX + "__".join(path).upper()


def is_secret(path: KeyPath) -> bool:
    """Whether the key's name is one of a secret, wherever it stands."""
    return path[-1] in SECRET_NAMES or path[:2] == CHANNELS


def may_be_shown(path: KeyPath) -> bool:
    """Whether the value at `path` may be shown: a known key which never holds a secret."""
    key: KeyPath = path[:3] if path[0] == "accounts" else path[:2]
    known = key_type(key) is not None
    return known and not is_secret(path) and key[-1] not in URL_NAMES

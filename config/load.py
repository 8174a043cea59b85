"""From file, environment and secrets file to Settings, or to the whole list of what is wrong.

Rules of this file: nothing is guessed and nothing unknown passes; a message names its source, key, value and rule, but
never a secret, nor any value whose key is not known to be harmless.
"""

import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from config.fields import Later, Unfurnished
from config.keys import (
    is_secret,
    key_type,
    keys_of,
    known_variables,
    may_be_shown,
    suggestion,
    takes_text,
    variable_name,
)
from config.settings import Settings
from config.sources import (
    STATE_DIR,
    KeyPath,
    Problem,
    SettingsError,
    Variable,
    anchored,
    read_environment,
    read_toml,
    settings_file,
)

SECRETS_FILE = ("service", "secrets_file")
ARCHIVE_DIR = ("retention", "archive_dir")
TAPES = ("paper", "tape")
DATABASE_URL = ("database", "url")
STANDBY = ("service", "standby")
ELSEWHERE = "a secret stays out of settings.toml: use the environment ({variable}) or service.secrets_file (mode 0600)"
PERMISSIONS_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(slots=True)
class _Draft:
    """Raw values while they are put together, and the source of each."""

    values: dict[str, Any]
    file: str
    sources: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def set(self, path: KeyPath, value: object, source: str) -> None:
        table = self.values
        for name in path[:-1]:
            below = table.setdefault(name, {})
            if not isinstance(below, dict):
                self.refuse(path, f"cannot be set: {name} is not a table in {self.file}", source)
                return
            table = below
        table[path[-1]] = value
        self.sources[path] = source

    def get(self, path: KeyPath) -> Any:
        value: Any = self.values
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def accounts(self) -> Iterable[str]:
        """The accounts' names, a likely one where there are none yet."""
        accounts = self.get(("accounts",))
        return accounts if isinstance(accounts, dict) and accounts else ("main",)

    def refuse(self, path: KeyPath, rule: str, source: str | None = None) -> None:
        shown = _shown(self.get(path)) if may_be_shown(path) else None
        inside = " and ".join(dict.fromkeys(origin for p, origin in self.sources.items() if p[: len(path)] == path))
        above = next((self.sources[p] for p in _prefixes(path) if p in self.sources), None)
        origin = source or above or inside or self.file  # a table's rule is broken by whatever was set in it
        self.problems.append(Problem(source=origin, key=".".join(path), value=shown, rule=rule))


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of `path` (None: ./settings.toml) under the overrides of `environ`.

    Raises SettingsError with all problems at once: a missing or broken file, an unknown key or variable, a value
    against its rule, a secret in the wrong place, a combination that the mode does not allow.
    """
    file = settings_file(path)
    draft = _Draft(values=read_toml(file), file=str(file))
    _refuse_secrets_in_file(draft)
    _anchor_paths(draft, file.parent)
    _apply_environment(draft, read_environment(environ))
    _apply_secrets_file(draft, environ)
    settings = _validated(draft)
    draft.problems.extend(_mode_problems(draft))
    if draft.problems or settings is None:
        raise SettingsError(tuple(draft.problems))
    return settings


def _refuse_secrets_in_file(draft: _Draft) -> None:
    for path in list(_leaf_paths(draft.values)):
        if is_secret(path):
            draft.refuse(path, ELSEWHERE.format(variable=variable_name(path)))
    url = draft.get(DATABASE_URL)
    if isinstance(url, str) and _has_password(url):
        rule = "an address with a password stays out of settings.toml: use the environment or service.secrets_file"
        draft.refuse(DATABASE_URL, rule)


def _anchor_paths(draft: _Draft, base: Path) -> None:
    """Paths of the file count from the file's folder, the default too: `ctl` finds the service from anywhere."""
    service = draft.values.setdefault("service", {})
    if isinstance(service, dict):
        service.setdefault("state_dir", str(Settings.model_fields["service"].default.state_dir))
    for path in (STATE_DIR, SECRETS_FILE, ARCHIVE_DIR):
        value = draft.get(path)
        if isinstance(value, str):
            draft.values[path[0]][path[1]] = str(anchored(value, base)) if value else None
    tapes = draft.get(TAPES)
    if isinstance(tapes, list):
        draft.values["paper"]["tape"] = [_anchored_tape(tape, base) for tape in tapes]


def _anchored_tape(tape: object, base: Path) -> object:
    if not isinstance(tape, str) or not tape:
        return tape
    symbol, equals, file = tape.rpartition("=")
    return f"{symbol}{equals}{anchored(file, base)}"


def _apply_environment(draft: _Draft, variables: list[Variable]) -> None:
    given: dict[KeyPath, Variable] = {}
    for variable in variables:
        target = key_type(variable.path)
        if target is None:
            if variable.path[0] in Settings.model_fields:
                rule = _unknown_key(variable.path)
            else:
                rule = f"is not a known variable{suggestion(variable.name, known_variables(draft.accounts()))}"
            draft.problems.append(Problem(source="environment variable", key=variable.name, rule=rule))
            continue
        earlier = given.setdefault(variable.path, variable)
        if earlier is not variable and _truth_of(earlier.text) != _truth_of(variable.text):
            rule = f"contradicts {earlier.name}"
            draft.problems.append(Problem(source="environment variable", key=variable.name, rule=rule))
            continue
        value = _environment_value(variable, target)
        if variable.path in (STATE_DIR, SECRETS_FILE) and isinstance(value, str):
            value = str(anchored(value, Path.cwd())) if value else None
        if variable.path == TAPES and isinstance(value, list):
            value = [_anchored_tape(tape, Path.cwd()) for tape in value]
        draft.set(variable.path, value, f"environment variable {variable.name}")


def _truth_of(text: str) -> str:
    return {"true": "1", "false": "0"}.get(text.lower(), text)


def _environment_value(variable: Variable, target: Any) -> object:
    if is_secret(variable.path) or target is SecretStr:
        return variable.text
    parsed = _toml_value(variable.text)
    if parsed is None or (takes_text(target) and not isinstance(parsed, str)):
        return variable.text
    return parsed


def _toml_value(text: str) -> Any:
    """The text as one TOML value, or None where it is none: then it is plain text."""
    if "\n" in text or "\r" in text:
        return None
    try:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return None


def _apply_secrets_file(draft: _Draft, environ: Mapping[str, str]) -> None:
    """Values of the secrets file; the environment wins over it."""
    named = draft.get(SECRETS_FILE)
    if not isinstance(named, str) or not named:
        return
    path = Path(named)
    try:
        state = path.stat()
    except OSError as error:
        draft.refuse(SECRETS_FILE, f"cannot be read: {error.strerror}")
        return
    if not stat.S_ISREG(state.st_mode):
        draft.refuse(SECRETS_FILE, "must be a file")
        return
    if state.st_mode & PERMISSIONS_OF_OTHERS:
        mode = stat.S_IMODE(state.st_mode)
        draft.refuse(SECRETS_FILE, f"must be readable by its owner only (mode 0600), its mode is {mode:04o}")
        return
    if state.st_uid not in (os.geteuid(), 0):
        rule = f"must belong to the user of the service (uid {os.geteuid()}), not to uid {state.st_uid}"
        draft.refuse(SECRETS_FILE, rule)
        return
    try:
        secrets = read_toml(path)
    except SettingsError as error:
        draft.problems.extend(error.problems)
        return
    for key in list(_leaf_paths(secrets)):
        if not (is_secret(key) or key == DATABASE_URL) or key_type(key) is None:
            rule = (
                "is not a secret's key: only accounts.NAME.api_key, .secret, signals.token, database.url, "
                "notifier.urls.NAME and notifier.heartbeat_url go here"
            )
            draft.problems.append(Problem(source=str(path), key=".".join(key), rule=rule))
        elif variable_name(key) not in environ:
            draft.set(key, _at(secrets, key), str(path))


def _validated(draft: _Draft) -> Settings | None:
    try:
        return Settings.model_validate(draft.values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            path, rule = _explained(detail)
            draft.refuse(path, rule)
        return None


def _explained(detail: ErrorDetails) -> tuple[KeyPath, str]:
    """Key and rule in our words for one finding of pydantic."""
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    kind = detail["type"]
    if kind == "extra_forbidden":
        return path, _unknown_key(path)
    if "[key]" in detail["loc"]:
        rule = "an account's name must be at most 32 lower-case letters, digits and single underscores, a letter first"
        return path, rule
    if path == ("accounts",):
        return path, "at least one account is needed: [accounts.main] with its exchange"
    plain = {
        "missing": "is required",
        "model_type": "must be a table",
        "dict_type": "must be a table",
        "path_type": "must be a path",
        "tuple_type": 'must be a list, such as ["BTCUSDT"]',
        "finite_number": "must be a finite number",
        "decimal_type": "must be a number",
        "decimal_parsing": "must be a number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "string_type": "must be text",
        "string_pattern_mismatch": "must be a symbol's name, such as BTCUSDT",
    }
    said = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return path, plain.get(kind, said)


def _unknown_key(path: KeyPath) -> str:
    *above, name = path
    if not above:
        return f"is not a known section{suggestion(name, Settings.model_fields)}"
    section = Settings.model_fields.get(above[0])
    if section is not None and section.annotation is Unfurnished:
        later = next(mark for mark in section.metadata if isinstance(mark, Later))
        return f"section [{above[0]}] takes no keys yet: they come with {later.comes_with}"
    return f"is not a known key{suggestion(name, keys_of(tuple(above)))}"


def _mode_problems(draft: _Draft) -> Iterator[Problem]:
    """What each mode forbids, what needs another key: judged on raw values to be told together with everything else."""
    mode = draft.get(("service", "mode")) or "paper"
    found = len(draft.problems)
    if mode == "live":
        defaults = Settings.model_fields["paper"].default
        for path, default in (
            (("chaos", "enabled"), False),
            (("paper", "control"), defaults.control),
            (("paper", "demo_signals"), defaults.demo_signals),
        ):
            value = draft.get(path)
            if (default if value is None else value) in (True, 1):
                draft.refuse(path, "must be false in live mode")
    if draft.get(STANDBY) in (True, 1, "1", "true") and not draft.get(DATABASE_URL):
        draft.refuse(STANDBY, "needs database.url: nobody else reaches the embedded database, so nobody could stand by")
    enabled, symbols = draft.get(("strategy", "enabled")), draft.get(("strategy", "symbols"))
    if mode in ("testnet", "live") and enabled in (True, 1, "1") and not symbols:
        draft.refuse(("strategy", "symbols"), f"is required in {mode} mode when strategy.enabled is true")
    accounts = draft.get(("accounts",))
    chosen = draft.get(("strategy", "accounts"))
    for name in chosen if isinstance(chosen, list) and isinstance(accounts, dict) else ():
        if name not in accounts:
            draft.refuse(("strategy", "accounts"), f"{name} is no account of these: {', '.join(accounts)}")
    needs_keys = isinstance(accounts, dict) and mode in ("testnet", "live")
    for name, account in accounts.items() if needs_keys else ():
        if not isinstance(account, dict):
            continue
        for key in ("api_key", "secret"):
            if not account.get(key):
                missing = ("accounts", name, key)
                rule = f"is required in {mode} mode: set {variable_name(missing)} or service.secrets_file"
                draft.refuse(missing, rule)
        if mode == "live" and account.get("demo") in (True, 1):
            draft.refuse(("accounts", name, "demo"), "must be false in live mode")
    late = draft.problems[found:]
    del draft.problems[found:]
    yield from late


def _shown(value: object) -> str | None:
    if value is None or isinstance(value, dict):
        return None
    text = repr(value) if isinstance(value, str) else _plain(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in cast(list[object], value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else str(value)


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.password is not None or "password=" in parts.query
    except ValueError:
        return True


def _prefixes(path: KeyPath) -> Iterator[KeyPath]:
    for length in range(len(path), 0, -1):
        yield path[:length]


def _leaf_paths(table: Mapping[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaf_paths(value, (*above, name))
        else:
            yield (*above, name)


def _at(table: Mapping[str, Any], path: KeyPath) -> Any:
    value: Any = table
    for name in path:
        value = value[name]
    return value

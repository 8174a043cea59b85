"""Where settings come from: the TOML file and the environment, read but not judged.

Light on purpose: `ctl` reads the place of the admin socket from here without loading the models, so that a mistake
in some other setting cannot keep an operator from a running service.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

DEFAULT_FILE = Path("settings.toml")
DEFAULT_STATE_DIR = "state"
PREFIX = "HOLDFAST_"
# Short names that INTERFACE gives.
SHORT_NAMES = {
    "DRY_RUN": ("service", "dry_run"),
    "DEBUG_TRADING": ("log", "debug_trading"),
    "DIAGNOSTICS_API_KEY": ("web", "diagnostics_api_key"),
}
STATE_DIR = ("service", "state_dir")

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the settings. `value` is None where it is absent or must not be shown."""

    source: str
    key: str
    rule: str
    value: str | None = None

    def __str__(self) -> str:
        named = self.key if self.value is None else f"{self.key} = {self.value}"
        return f"{self.source}: {named}: {self.rule}" if named else f"{self.source}: {self.rule}"


class SettingsError(Exception):
    """The settings cannot be used; `problems` holds everything that is wrong, not just the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable of ours: its name, the key it sets, its text as it stands."""

    name: str
    path: KeyPath
    text: str


def settings_file(path: Path | None) -> Path:
    """The file to read. Raises SettingsError, with advice, where there is none."""
    chosen = path or DEFAULT_FILE
    if chosen.is_file():
        return chosen
    found = "is not a file" if chosen.exists() else "does not exist"
    advice = "" if path else "; start in the folder that holds it, or name one with --settings FILE"
    raise SettingsError((Problem(source=str(chosen), key="", rule=f"settings file {found}{advice}"),))


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables, numbers with a point as exact decimals. Raises SettingsError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file, parse_float=Decimal)
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        rule = f"is not UTF-8 text (byte {error.start})"
    except tomllib.TOMLDecodeError as error:
        rule = f"is not valid TOML: {error}"
    raise SettingsError((Problem(source=str(path), key="", rule=rule),))


def read_environment(environ: Mapping[str, str]) -> list[Variable]:
    """The variables that mean Holdfast, in alphabetical order; empty short names count as unset."""
    found = [
        Variable(name=name, path=tuple(name.removeprefix(PREFIX).lower().split("__")), text=text)
        for name, text in sorted(environ.items())
        if name.startswith(PREFIX)
    ]
    found += [
        Variable(name=name, path=path, text=environ[name]) for name, path in SHORT_NAMES.items() if environ.get(name)
    ]
    return found


def anchored(path: str | Path, base: Path) -> Path:
    """A path of the settings as an absolute one: relative ones count from the folder of the file that names them.

    `~` is the user's home; `~somebody` whom this machine does not know is a name like any other.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        expanded = Path(path)
    return Path(base, expanded).absolute()


def admin_socket(path: Path | None, environ: Mapping[str, str]) -> Path:
    """Where the service of these settings listens for its operator.

    Raises SettingsError if the file is missing or broken; other settings are not looked at.
    """
    file = settings_file(path)
    override = environ.get(f"{PREFIX}{'__'.join(STATE_DIR).upper()}")
    if override:
        return anchored(override, Path.cwd()) / "admin.sock"
    service = read_toml(file).get("service", {})
    state_dir = service.get("state_dir", DEFAULT_STATE_DIR) if isinstance(service, dict) else None
    if not isinstance(state_dir, str) or not state_dir:
        rule = "must be the path of a folder"
        raise SettingsError((Problem(source=str(file), key="service.state_dir", rule=rule),))
    return anchored(state_dir, file.parent) / "admin.sock"

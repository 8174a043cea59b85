"""INTERFACE's table of methods, name by name, against what the service answers and what `ctl` helps with."""

from __future__ import annotations

import pytest

from actors.admin import METHODS
from adapters.admin.methods import method_of

# The page's own words, written here by hand: it is outside the project, and its names are fixed.
NAMES = (
    "status", "positions", "position.show", "position.close", "position.set_stop", "position.set_trailing",
    "position.release", "position.open", "close_all", "entries.pause", "entries.resume", "kill_switch.arm",
    "kill_switch.confirm", "kill_switch.reset", "signal.show", "signals", "reconcile", "zombies.scan", "actors",
    "actors.kill", "events", "events.follow", "alerts", "alerts.ack", "notify.test", "symbol.get", "symbol.set",
    "alerts_audit", "settings.reload", "log.level", "report", "shutdown",
)  # fmt: skip
PARAMETERS = {
    "positions": ("account", "symbol", "all"),
    "position.close": ("fraction",),
    "position.set_stop": ("price",),
    "position.open": ("account", "symbol", "side", "usd", "quantity", "stop_pct", "stop_price", "take_profits"),
    "close_all": ("account", "all"),
    "entries.pause": ("account", "reason"),
    "entries.resume": ("account", "reason"),
    "reconcile": ("account",),
    "zombies.scan": ("dry_run", "aggressive"),
    "actors.kill": ("how",),
    "events": ("since", "limit", "symbol", "type", "severity", "position", "correlation"),
    "events.follow": ("since", "limit", "symbol", "type", "severity", "position", "correlation"),
    "shutdown": ("all",),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_method_is_answered_and_helped_with(name: str) -> None:
    assert name in METHODS
    assert method_of(name) is not None


@pytest.mark.parametrize("name", PARAMETERS)
def test_help_names_its_parameters(name: str) -> None:
    method = method_of(name)
    assert method is not None
    assert [p for p in PARAMETERS[name] if f"{p}=" not in method.usage] == []

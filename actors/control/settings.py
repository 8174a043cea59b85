"""Settings of a running service: read anew, or one of them changed by hand."""

from __future__ import annotations

from typing import cast, get_args

from actors.control.answering import Answering
from actors.reloading import as_data
from adapters.admin.parameters import Parameters, required
from adapters.admin.protocol import REFUSED, AdminError, Caller
from config.fields import Level
from config.sources import SettingsError


def reload(house: Answering, params: Parameters, caller: Caller) -> object:
    """The settings file and the environment, anew: what changed, and what of it waits for a restart."""
    params.done()
    try:
        done = house.wiring.ruling.reloading.reload(f"uid {caller.uid}")
    except SettingsError as error:
        data = {"problems": [str(problem) for problem in error.problems]}
        raise AdminError(REFUSED, f"settings.reload refused, the old settings stay: {error}", data) from error
    told = [f"{change.key} needs restart" for change in done.needs_restart]
    return {
        "changed": as_data(done.changed),
        "needs_restart": as_data(done.needs_restart),
        "note": "; ".join(told) or None,
    }


def log_level(house: Answering, params: Parameters, caller: Caller) -> object:
    """How much is logged, until the next reload or start."""
    level = required("level", params.choice("level", *get_args(Level)))
    params.done()
    house.wiring.ruling.reloading.set_log_level(cast("Level", level), f"uid {caller.uid}")
    return {"level": level}

"""How the service is, in one word and with reasons: pure, from what its parts say.

`unhealthy`: something that protects positions is not as it should be, or a position is bare. `degraded`: positions are
protected as ever, something else is wanting (signals, alerts, entries). Nobody restarts a service for either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.position import trailing
from domain.position.state import Position, TrailState

BARE_S = 5.0
RUNNING = "RUNNING"
PROTECTS = ("journal", "warden", "gateway/", "positions/", "position/", "market_feed/", "account_feed/", "reconciler/")
STREAMS = ("market_feed/", "account_feed/")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What an account's standing says."""

    account: str
    exchange: str
    closed_because: str | None


def health(
    status: Row, actors: Sequence[Row], accounts: Iterable[AccountView], owned: Sequence[Position], now: datetime
) -> dict[str, Any]:
    """INTERFACE `/health`, from `status` and `actors` as the control socket gives them."""
    components = {each["name"]: each for each in status["components"]}
    rows = {each["name"]: each for each in actors}
    streams = [each for name, each in components.items() if name.startswith(STREAMS)]
    exchanges = [_exchange(each, rows.get(f"gateway/{each.account}")) for each in accounts]
    database = components.get("database", {"name": "database", "state": "down", "reason": "its journal says nothing"})
    grave = [*_bare(owned, now), *_told([database, *exchanges, *streams], "down")]
    grave += [_idle(each) for each in actors if each["state"] != RUNNING and each["name"].startswith(PROTECTS)]
    light = [*_told([database, *exchanges, *streams], "degraded")]
    light += [_idle(each) for each in actors if each["state"] != RUNNING and not each["name"].startswith(PROTECTS)]
    others = [each for name, each in components.items() if name != "database" and not name.startswith(STREAMS)]
    light += [*_told(others, "down"), *_told(others, "degraded")]
    why = status["entries"]["why"]
    if why:
        light += [f"entries of {account} are closed: {reason}" for account, reason in why.items()]
    signals = components.get("signal_feed")
    return {
        "status": "unhealthy" if grave else "degraded" if light else "healthy",
        "reasons": list(dict.fromkeys([*grave, *light])),
        "database": database,
        "exchanges": exchanges,
        "positions": counts(owned),
        "trailing_stops": _trails(owned),
        "websocket": {"state": _worst(streams), "streams": streams},
        "last_signal": None if signals is None else signals.get("last_at"),
        "uptime_seconds": status["uptime_s"],
        "components": [*components.values(), *exchanges],
    }


def counts(owned: Sequence[Position]) -> dict[str, int]:
    """How many there are, and how they are covered."""
    bare = sum(p.unprotected_since is not None for p in owned)
    protected = sum(p.unprotected_since is None and trailing.stop_in_force(p) is not None for p in owned)
    return {
        "open": len(owned),
        "protected": protected,
        "unprotected": bare,
        "need_intervention": sum(p.needs_intervention for p in owned),
    }


def _trails(owned: Sequence[Position]) -> dict[str, int]:
    states = [p.trail.state for p in owned]
    moving = sum(state is TrailState.TRAILING for state in states)
    waiting = sum(state is TrailState.WAITING for state in states)
    return {"trailing": moving, "waiting": waiting, "inactive": len(states) - moving - waiting}


def _exchange(account: AccountView, gateway: Row | None) -> dict[str, Any]:
    state, reason = "healthy", None
    if gateway is None or gateway["state"] != RUNNING:
        state = "down"
        reason = "its gateway is not there" if gateway is None else _idle(gateway)
    elif account.closed_because is not None:
        state, reason = "degraded", account.closed_because
    return {
        "name": f"exchange/{account.account}",
        "account": account.account,
        "exchange": account.exchange,
        "state": state,
        "reason": reason,
        "entries_closed_because": account.closed_because,
    }


def _bare(owned: Iterable[Position], now: datetime) -> Iterable[str]:
    for p in owned:
        if p.unprotected_since is not None and (seconds := (now - p.unprotected_since).total_seconds()) > BARE_S:
            yield f"position {p.id} ({p.symbol}) has been unprotected for {seconds:.0f} s"
        if p.needs_intervention:
            yield f"position {p.id} ({p.symbol}) needs a human"


def _told(parts: Iterable[Row], state: str) -> Iterable[str]:
    for part in parts:
        if part["state"] == state:
            yield f"{part['name']} is {state}: {part.get('reason') or 'no reason given'}"


def _idle(actor: Row) -> str:
    error = actor.get("last_error")
    return f"actor {actor['name']} is {actor['state']}" + (f": {error}" if error else "")


def _worst(parts: Iterable[Row]) -> str:
    states = {part["state"] for part in parts}
    return "down" if "down" in states else "degraded" if "degraded" in states else "healthy"

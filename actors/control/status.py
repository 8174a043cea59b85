"""How the service is: `status`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from actors import messages
from actors.alerting_messages import ALARMS
from actors.control.alerts import alarms_health
from actors.control.answering import ANSWER_S, Answering
from actors.directory import Unanswered, Unavailable
from actors.messages import FeedState, Health, Show
from actors.switch_messages import KILL_SWITCH
from actors.views import database_health, outbox_health
from adapters.admin.parameters import Parameters
from adapters.admin.protocol import Caller
from domain.days import day_of
from persistence.database import DatabaseAway


def status(house: Answering, params: Parameters, _: Caller) -> object:
    params.done()
    wiring = house.wiring
    now = house.clock.now()
    owned = wiring.owners.all()
    closed = {name: reason for name, reason in house.closed().items() if reason is not None}
    return {
        "mode": wiring.mode,
        "dry_run": wiring.dry_run,
        "version": wiring.version,
        "uptime_s": int((now - wiring.started_at).total_seconds()),
        "accounts": [_account(house, name, exchange) for name, exchange in wiring.accounts.items()],
        "components": _components(house),
        "positions": len(owned),
        "unprotected_now": sum(1 for p in owned if p.unprotected_since is not None),
        "unprotected_seconds_today": _unprotected_today(house, now),
        "entries": {"open": not closed, "why": closed or None},
        "kill_switch": _kill_switch(house),
    }


def _account(house: Answering, name: str, exchange: str) -> dict[str, object]:
    owned = house.wiring.owners.all(name)
    return {"name": name, "exchange": exchange, "term": house.wiring.terms[name], "positions": len(owned)}


def _kill_switch(house: Answering) -> list[dict[str, object]] | None:
    """What it was fired for, account by account where it is in force; None: nowhere."""
    try:
        shown: dict[str, dict[str, object]] = house.directory.ask(KILL_SWITCH, Show(), ANSWER_S)
    except (Unavailable, Unanswered) as failure:
        return [{"account": None, "in_force": None, "error": str(failure)}]
    return [{"account": name, **each} for name, each in shown.items() if each["in_force"]] or None


def _components(house: Answering) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    feeds = [messages.SIGNAL_FEED]
    for name in house.wiring.accounts:
        feeds += [messages.market_feed(name), messages.account_feed(name), messages.strategy(name)]
    for name in feeds:
        if house.directory.newest_incarnation(name) is None:
            continue
        try:
            health: Health = house.directory.ask(name, FeedState(), ANSWER_S)
        except (Unavailable, Unanswered) as failure:
            health = Health(state="down", reason=str(failure), since=None, last_at=None)
        found.append({"name": name, "state": health.state, "reason": health.reason or None, "last_at": health.last_at})
    found.append(_component(house, "database", messages.JOURNAL, database_health))
    found.append(_component(house, "notifier", messages.NOTIFIER, outbox_health))
    found.append(_component(house, ALARMS, ALARMS, alarms_health))
    return found


def _component(
    house: Answering, name: str, actor: str, judge: Callable[[Any], tuple[str, str | None]]
) -> dict[str, object]:
    """A component as its actor tells of it; one that does not answer is down, the rest is shown all the same."""
    try:
        state, reason = judge(house.directory.ask(actor, Show(), ANSWER_S))
    except (Unavailable, Unanswered) as failure:
        state, reason = "down", str(failure)
    return {"name": name, "state": state, "reason": reason}


def _unprotected_today(house: Answering, now: datetime) -> Decimal | None:
    """None while the database, which alone knows the whole day, is away."""
    try:
        return house.wiring.reader.unprotected_so_far(day_of(now))
    except DatabaseAway:
        return None

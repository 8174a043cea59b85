"""What is and what was: positions, events, signals, actors. Nothing here changes anything."""

from __future__ import annotations

from typing import TypedDict

from actors import messages
from actors.control.answering import ANSWER_S, Answering
from actors.control.stories import signal_line, signal_story
from actors.root import census
from adapters.admin.parameters import Parameters, refused, required
from adapters.admin.protocol import UNKNOWN_ID, AdminError, Caller
from domain.catalogue import EventType
from domain.identity import PositionId
from persistence.database import DatabaseAway
from persistence.positions import load

MAX_EVENTS = 1000


class EventFilter(TypedDict):
    """What of all events is wanted; None: it does not matter."""

    symbol: str | None
    type_: str | None
    severity: str | None
    position: int | None
    correlation: str | None


def positions(house: Answering, params: Parameters, _: Caller) -> object:
    account, symbol, everything = params.text("account"), params.text("symbol"), params.flag("all")
    params.done()
    if account is not None:
        house.known_account(account)
    wanted = house.canonical(symbol) if symbol is not None else None
    now = house.clock.now()
    shown = [house.position(p, now) for p in house.wiring.owners.all(account) if wanted in (None, p.symbol)]
    if everything:
        live = {each["id"] for each in shown}
        rows = house.wiring.reader.positions(account=account, symbol=wanted, only_open=False, limit=500)
        over = [load(house.wiring.reader.pool, row["id"]) for row in rows if row["id"] not in live]
        shown = [house.position(p, now) for p in over if p is not None] + shown
    return {"positions": shown, "as_of": now}


def show(house: Answering, params: Parameters, _: Caller) -> object:
    position_id = required("id", params.whole("id"))
    params.done()
    state = house.wiring.owners.state(PositionId(position_id)) or load(
        house.wiring.reader.pool, PositionId(position_id)
    )
    if state is None:
        raise AdminError(UNKNOWN_ID, f"position {position_id}: there is no such position", {"id": position_id})
    shown = house.position(state, house.clock.now())
    try:
        rows = house.wiring.reader.orders(PositionId(position_id))
    except DatabaseAway as away:
        return {**shown, "orders": None, "orders_missing": f"the database cannot be reached: {away}"}
    names = ("client_id", "exchange_id", "kind", "status", "side", "quantity", "trigger_price", "average_price")
    orders = [{**{name: row[name] for name in names}, "filled": row["cumulative_quantity"]} for row in rows]
    return {**shown, "orders": orders}


def event_filter(house: Answering, params: Parameters) -> EventFilter:
    """What of all events is wanted. Raises AdminError."""
    symbol, kind = params.text("symbol"), params.text("type")
    severity = params.choice("severity", "debug", "info", "warning", "error", "critical")
    position, correlation = params.whole("position"), params.text("correlation")
    if kind is not None and kind not in {event.value for event in EventType}:
        raise refused("type", kind, "is no event type")
    return {
        "symbol": house.canonical(symbol) if symbol is not None else None,
        "type_": kind,
        "severity": severity,
        "position": position,
        "correlation": correlation,
    }


def events(house: Answering, params: Parameters, _: Caller) -> object:
    since, limit = params.whole("since"), params.whole("limit", least=1, most=MAX_EVENTS)
    wanted = event_filter(house, params)
    params.done()
    if limit is None and (wanted["position"] is not None or wanted["correlation"] is not None):
        limit = MAX_EVENTS  # a whole life, as far as that goes
    rows = house.wiring.reader.events(since=since, limit=limit or 100, **wanted)
    next_since = rows[-1]["seq"] if rows else since if since is not None else house.wiring.reader.last_event_seq()
    return {"events": rows, "next_since": next_since}


def signal(house: Answering, params: Parameters, _: Caller) -> object:
    signal_id = required("id", params.text("id"))
    params.done()
    row = house.wiring.reader.signal(signal_id)
    if row is None:
        raise AdminError(UNKNOWN_ID, f"signal {signal_id}: there is no such signal", {"id": signal_id})
    position = None if row["position_id"] is None else house.wiring.reader.position(row["position_id"])
    return signal_story(row, position)


def signals(house: Answering, params: Parameters, _: Caller) -> object:
    limit, symbol = params.whole("limit", least=1, most=1000), params.text("symbol")
    outcome = params.text("outcome")
    params.done()
    spelled = None if symbol is None else house.wiring.ruling.spellings.anywhere().spelled(symbol)
    rows = house.wiring.reader.signals(limit=limit or 50, spelled=spelled, outcome=outcome)
    return {"signals": [signal_line(row) for row in rows]}


def actors(house: Answering, params: Parameters, _: Caller) -> object:
    params.done()
    found, now = census(messages.ROOT, house.directory, ANSWER_S), house.clock.monotonic()
    abandoned = house.directory.abandoned()
    return {
        "actors": [
            {
                "name": each.name,
                "state": each.state.value,
                "epoch": each.incarnation,
                "restarts": each.restarts,
                "last_error": each.last_error,
                "mailbox": each.mailbox,
                "heartbeat_age_s": round(each.heartbeat_age_s, 2),
                "parent": each.parent,
            }
            for each in found
        ],
        "dead_letters": house.directory.dead_letter_counts(),
        "abandoned": [each.name for each in abandoned],
        "abandoned_threads": [
            {"name": each.name, "epoch": each.incarnation, "since_s": round(now - each.since, 1)} for each in abandoned
        ],
    }

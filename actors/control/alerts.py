"""Alerts: what stands and what was told, an operator who knows of it, and a trial of every channel."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from actors import messages
from actors.alerting_messages import ALARMS, Acknowledge, ShowAlarms, ShowTrial, Tried, TryChannels
from actors.control.answering import ANSWER_S, LOOK_EVERY_S, Answering
from actors.messages import Write
from actors.recording import log, plain_event
from adapters.admin.parameters import Parameters, required
from adapters.admin.protocol import UNKNOWN_ID, AdminError, Caller
from domain.alerting.standing import Standing
from domain.catalogue import EventType
from domain.records import AlertChange
from persistence.database import DatabaseAway

TRIAL_S = 25.0
LATEST, MOST = 20, 1000


def alerts(house: Answering, params: Parameters, _: Caller) -> object:
    """What stands first, then the latest that were told. Without the database only what stands."""
    limit = params.whole("limit", least=1, most=MOST) or LATEST
    params.done()
    now = house.clock.now()
    standing: tuple[Standing, ...] = house.directory.ask(ALARMS, ShowAlarms(), ANSWER_S)
    try:
        rows, away = house.wiring.reader.alerts(limit), None
    except DatabaseAway as gone:
        rows, away = [], str(gone)
    return {
        "standing": [
            {
                "id": each.alert_id,
                "severity": each.condition.severity,
                "type": each.condition.topic,
                "text": each.condition.text,
                "account": each.condition.account,
                "symbol": each.condition.symbol,
                "position_id": each.condition.position_id,
                "raised_at": each.raised_at,
                "stands_s": int((now - each.raised_at).total_seconds()),
                "acknowledged_by": each.acknowledged_by,
            }
            for each in sorted(standing, key=_gravest)
        ],
        "latest": [_shown(row) for row in rows],
        "database": away,
    }


def _gravest(standing: Standing) -> tuple[int, Any]:
    order = [*type(standing.condition.severity)]
    return -order.index(standing.condition.severity), standing.raised_at


def _shown(row: Mapping[str, Any]) -> dict[str, object]:
    names = ("severity", "type", "text", "symbol", "raised_at", "sent_at", "cleared_at", "acknowledged_at")
    return {
        "id": row["alert_id"],
        "number": row["id"],
        **{name: row[name] for name in names},
        "acknowledged_by": row["acknowledged_by"],
        "error": row["error"],
        "channels": row["channels"],
    }


def acknowledge(house: Answering, params: Parameters, caller: Caller) -> object:
    """A standing one by its id or condition, any other by id or number."""
    wanted = required("id", params.text("id"))
    params.done()
    if house.directory.ask(ALARMS, Acknowledge(alert_id=wanted, uid=caller.uid), ANSWER_S):
        return {"id": wanted, "acknowledged_by": f"uid {caller.uid}"}
    row = house.wiring.reader.alert(wanted)
    if row is None:
        raise AdminError(UNKNOWN_ID, f"alert {wanted}: there is no such alert", {"id": wanted})
    now, by = house.clock.now(), f"uid {caller.uid}"
    data = {"alert": row["alert_id"], "condition": row["condition"], "uid": caller.uid}
    event = plain_event(EventType.ALERT_ACKNOWLEDGED, now, data, symbol=row["symbol"], account=row["account"])
    log([event])
    known = AlertChange(alert_id=row["alert_id"], at=now, acknowledged_at=now, acknowledged_by=by)
    record = house.recorder.record(now, events=[event], alerts=(known,))
    house.directory.tell(messages.JOURNAL, Write(record=record))
    return {"id": row["alert_id"], "acknowledged_by": by}


def trial(house: Answering, params: Parameters, caller: Caller) -> object:
    """`notify.test`: a trial message by every channel, and what each made of it."""
    params.done()
    number: int = house.directory.ask(messages.NOTIFIER, TryChannels(uid=caller.uid), ANSWER_S)
    until = house.clock.monotonic() + TRIAL_S
    while True:
        tried: Mapping[str, Tried | None] = house.directory.ask(
            messages.NOTIFIER, ShowTrial(number=number), ANSWER_S
        )
        if None not in tried.values() or house.clock.monotonic() >= until:
            break
        threading.Event().wait(LOOK_EVERY_S)
    return {
        "channels": [
            {
                "channel": name,
                "delivered": result is not None and result.error is None,
                "error": f"no end within {TRIAL_S:.0f} s" if result is None else result.error,
                "took_s": None if result is None else round(result.took_s, 3),
            }
            for name, result in tried.items()
        ]
    }


def alarms_health(standing: tuple[Standing, ...]) -> tuple[str, str | None]:
    """Healthy, or degraded by what stands."""
    texts = [f"{each.condition.topic}: {each.condition.text}" for each in sorted(standing, key=_gravest)]
    return ("degraded", "; ".join(texts)) if texts else ("healthy", None)

"""The running of the service: entries paused and resumed, a look at the exchange now, an actor broken, the end."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Literal, cast

from actors import messages
from actors.agreement_messages import ReconcileReport
from actors.control.answering import ANSWER_S, LOOK_EVERY_S, Answering
from actors.messages import PauseEntries, ReconcileNow, ResumeEntries, Show
from actors.supervision import Crash
from actors.views import what_stays
from adapters.admin.parameters import Parameters, required
from adapters.admin.protocol import NOT_NOW, REFUSED, UNKNOWN_ID, AdminError, Caller
from domain.catalogue import EventType

RECONCILE_S = 20.0
SETTLED_S = 8.0  # what is doubtful is looked at again meanwhile, so that its repair can be shown


def pause(house: Answering, params: Parameters, caller: Caller) -> object:
    account, reason = params.text("account"), params.text("reason")
    params.done()
    if account is not None:
        house.known_account(account)
    why = reason or f"paused by uid {caller.uid}"
    house.directory.tell(messages.ENTRY_DESK, PauseEntries(account=account, reason=why, uid=caller.uid))
    return _entries(house)


def resume(house: Answering, params: Parameters, caller: Caller) -> object:
    account = params.text("account")
    params.text("reason")
    params.done()
    if account is not None:
        house.known_account(account)
    house.directory.ask(messages.ENTRY_DESK, ResumeEntries(account=account, uid=caller.uid), ANSWER_S)
    return _entries(house)


def _entries(house: Answering) -> object:
    entries = house.closed()
    return {name: {"open": reason is None, "why": reason} for name, reason in entries.items()}


def reconcile(house: Answering, params: Parameters, _: Caller) -> object:
    account = params.text("account")
    params.done()
    names = [house.known_account(account)] if account is not None else list(house.wiring.accounts)
    return {"accounts": [_reconcile_one(house, name) for name in names]}


def _reconcile_one(house: Answering, account: str) -> dict[str, object]:
    asked_at = house.clock.now()
    name = messages.reconciler(account)
    before: ReconcileReport = house.directory.ask(name, Show(), ANSWER_S)
    house.directory.tell(name, ReconcileNow(reason="operator"))
    deadline, settled_by = (asked_at + timedelta(seconds=s) for s in (RECONCILE_S, SETTLED_S))
    while house.clock.now() < deadline:
        report: ReconcileReport = house.directory.ask(name, Show(), ANSWER_S)
        fresh = report.asked_at is not None and report.asked_at >= asked_at
        settled = not (report.doubtful and report.findings) or house.clock.now() >= settled_by
        if (fresh and settled) or (report.error is not None and report.cycle > before.cycle):
            return {
                "account": account,
                "cycle": report.cycle,
                "positions": report.positions,
                "findings": list(report.findings),
                "repairs": [repair for repair in report.repairs if cast("datetime", repair["at"]) >= asked_at],
                "error": report.error,
            }
        threading.Event().wait(LOOK_EVERY_S)
    raise AdminError(NOT_NOW, f"reconcile: no reading of {account} within {RECONCILE_S:.0f} s")


def kill(house: Answering, params: Parameters, caller: Caller) -> object:
    name = required("name", params.text("name"))
    how = params.choice("how", "exception", "exit", "hang") or "exception"
    params.done()
    if not house.wiring.chaos:
        raise AdminError(REFUSED, "actors.kill: chaos.enabled is false in the settings")
    if house.directory.ref(name) is None:
        raise AdminError(UNKNOWN_ID, f"actor {name}: there is no such actor", {"name": name})
    house.report(EventType.OPERATOR_COMMAND, {"method": "actors.kill", "name": name, "how": how, "uid": caller.uid})
    house.directory.tell(name, Crash(how=cast("Literal['exception', 'exit', 'hang']", how)))
    return {"name": name, "how": how}


def shutdown(house: Answering, params: Parameters, caller: Caller) -> object:
    params.flag("all")
    params.done()
    house.report(EventType.OPERATOR_COMMAND, {"method": "shutdown", "uid": caller.uid})
    stays = what_stays(house.wiring.owners)
    house.wiring.request_stop(f"shutdown by uid {caller.uid}")
    return {"stays": stays}

"""An operator's hunt for zombie orders: asked of each account's reconciler, and waited for until it is over."""

from __future__ import annotations

import threading
from datetime import timedelta

from actors import messages
from actors.control.answering import ANSWER_S, LOOK_EVERY_S, Answering
from actors.zombie_messages import ScanReport, ScanZombies, ShowScan
from adapters.admin.parameters import Parameters
from adapters.admin.protocol import NOT_NOW, AdminError, Caller
from domain.catalogue import EventType

SCAN_S = 60.0


def scan(house: Answering, params: Parameters, caller: Caller) -> object:
    account = params.text("account")
    dry_run, aggressive = params.flag("dry_run") or False, params.flag("aggressive") or False
    params.done()
    names = [house.known_account(account)] if account is not None else list(house.wiring.accounts)
    told = {"method": "zombies.scan", "dry_run": dry_run, "aggressive": aggressive, "uid": caller.uid}
    order = ScanZombies(dry_run=dry_run, aggressive=aggressive, uid=caller.uid)
    begun: dict[str, int] = {}
    for name in names:
        house.report(EventType.OPERATOR_COMMAND, told, account=name)
        number: int | None = house.directory.ask(messages.reconciler(name), order, ANSWER_S)
        if number is None:
            raise AdminError(NOT_NOW, f"zombies.scan: one is under way on {name}", {"account": name})
        begun[name] = number
    deadline = house.clock.now() + timedelta(seconds=SCAN_S)
    reports = {name: _over(house, name, number, deadline - house.clock.now()) for name, number in begun.items()}
    return {
        "dry_run": dry_run,
        "aggressive": aggressive,
        "accounts": [
            {
                "account": name,
                "asked_at": report.asked_at,
                "orders": report.orders,
                "error": report.error,
                "totals": dict(report.totals),
            }
            for name, report in reports.items()
        ],
        "zombies": [{"account": name, **zombie} for name, report in reports.items() for zombie in report.zombies],
    }


def _over(house: Answering, account: str, number: int, patience: timedelta) -> ScanReport:
    """The scan's report once it is over."""
    deadline = house.clock.now() + patience
    while True:
        asked = ShowScan(number=number)
        report: ScanReport | None = house.directory.ask(messages.reconciler(account), asked, ANSWER_S)
        if report is None:
            raise AdminError(NOT_NOW, f"zombies.scan: the reconciler of {account} was replaced; scan again")
        if report.done:
            return report
        if house.clock.now() >= deadline:
            raise AdminError(NOT_NOW, f"zombies.scan: not over on {account} within {SCAN_S:.0f} s; it goes on")
        threading.Event().wait(LOOK_EVERY_S)

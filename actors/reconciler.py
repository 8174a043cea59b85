"""The reconciler: reads the account, compares, tells the owners. It never writes to a position and sends no order.

A cycle costs a fixed number of requests. What has no owner is looked at again a second later before anything is done.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from actors import messages
from actors.clock import Cancellable
from actors.guard import ActorContext
from actors.messages import (
    Adopt,
    AskSnapshot,
    CancelOrphan,
    GatewayStarted,
    Reconciled,
    ReconcileNow,
    ReconcileReport,
    Show,
    SnapshotFailed,
    SnapshotTaken,
    Tick,
)
from actors.owners import Owners
from actors.recording import Recorder
from actors.reporting import ReportingActor
from domain.agreement.reconcile import Comparison, Orphan, Untracked, compare
from domain.catalogue import EventType
from domain.instrument import Instrument
from domain.orders import AccountSnapshot, OrderRef

LOOK_AGAIN_S = 1.0
NEEDED = 2
ANSWER_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a reconciler is given; `interval_s` lies between two readings."""

    account: str
    instance: str
    interval_s: float
    untracked: Literal["adopt", "alert", "close"]
    exclude: frozenset[str]
    instruments: dict[str, Instrument]
    owners: Owners
    recorder: Recorder


class Reconciler(ReportingActor):
    """One reading after another."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._cycle = 0
        self._under_way = False
        self._seen: dict[str, int] = {}
        self._timer: Cancellable | None = None
        self._last = ReconcileReport(account=wiring.account, cycle=0, asked_at=None, positions=0, findings=())

    def started(self) -> None:
        """Look at once: at start before any entry."""
        self._look("start")

    def receive(self, message: Any) -> object:
        """A reading, a wish to look, or the time."""
        match message:
            case SnapshotTaken(snapshot=snapshot):
                self._compare(snapshot)
            case SnapshotFailed(text=text):
                self._failed(text)
            case ReconcileNow(reason=reason):
                self._look(reason)
            case GatewayStarted():
                self._under_way = False
                self._look("gateway started")
            case Tick():
                self._under_way = False
                self._look("interval")
            case Show():
                return self._last
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _look(self, reason: str) -> None:
        if self._under_way:
            return
        self._under_way = True
        self._cycle += 1
        self.report(
            EventType.RECONCILE_STARTED,
            {
                "run_id": self.recorder.run_id,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "cycle": self._cycle,
                "reason": reason,
            },
        )
        self.tell(messages.gateway(self._wiring.account), AskSnapshot(reply_to=self.name))
        self._again_after(max(ANSWER_LIMIT_S, self._wiring.interval_s))

    def _again_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.remind_after(seconds, Tick())

    def _failed(self, text: str) -> None:
        self._under_way = False
        self.report(EventType.RECONCILE_FAILED, {"cycle": self._cycle, "error": text})
        self._last = ReconcileReport(
            account=self._wiring.account, cycle=self._cycle, asked_at=None, positions=0, findings=(), error=text
        )
        self._again_after(min(5.0, self._wiring.interval_s))

    def _compare(self, snapshot: AccountSnapshot) -> None:
        self._under_way = False
        wiring = self._wiring
        found = compare(snapshot, wiring.owners.all(wiring.account), wiring.instance, wiring.exclude)
        for position_id, view in found.views.items():
            self.tell(messages.position(position_id), view)
        strangers = {finding.report.symbol: finding.report.quantity for finding in found.untracked}
        for row in snapshot.positions:
            wiring.owners.show_foreign(wiring.account, row.symbol, strangers.get(row.symbol, Decimal(0)))
        doubtful = self._doubtful(found)
        self.tell(messages.ENTRY_DESK, Reconciled(account=wiring.account))
        self._report(snapshot, found)
        self._again_after(LOOK_AGAIN_S if doubtful else wiring.interval_s)

    def _doubtful(self, found: Comparison) -> bool:
        """Count sightings; act on what was seen often enough. True if something has to be seen again."""
        seen: dict[str, int] = {}
        findings: tuple[Untracked | Orphan, ...] = (*found.untracked, *found.orphans)
        for finding in findings:
            count = self._seen.get(finding.key, 0) + 1
            seen[finding.key] = count
            if count <= NEEDED:
                data = {"finding": finding.key, "seen": f"{count}/{NEEDED}"}
                self.report(EventType.RECONCILE_FINDING, data, symbol=finding.report.symbol)
            if count == NEEDED:
                self._act(finding)
        self._seen = seen
        return any(count < NEEDED for count in seen.values())

    def _act(self, finding: Untracked | Orphan) -> None:
        wiring = self._wiring
        if isinstance(finding, Orphan):
            report = finding.report
            ref = OrderRef(
                symbol=report.symbol,
                client_id=report.client_id,
                exchange_id=report.exchange_id,
                conditional=report.conditional,
            )
            self.tell(messages.gateway(wiring.account), CancelOrphan(ref=ref))
            return
        instrument = wiring.instruments.get(finding.report.symbol)
        if wiring.untracked == "alert" or instrument is None:
            return
        adopt = Adopt(
            account=wiring.account,
            instrument=instrument,
            side=finding.side,
            quantity=abs(finding.report.quantity),
            entry_price=finding.report.entry_price,
            mark_price=finding.report.mark_price,
            close=wiring.untracked == "close",
        )
        self.tell(messages.ENTRY_DESK, adopt)

    def _report(self, snapshot: AccountSnapshot, found: Comparison) -> None:
        findings: list[dict[str, object]] = [dict(difference) for difference in found.differences]
        findings += [
            {"finding": "untracked", "symbol": u.report.symbol, "exchange": str(u.report.quantity)}
            for u in found.untracked
        ]
        findings += [
            {"finding": "orphan", "symbol": o.report.symbol, "order_id": o.report.client_id} for o in found.orphans
        ]
        findings += [{"finding": "unseen", "position": position_id} for position_id in found.unseen]
        took = int((snapshot.answered_at - snapshot.asked_at).total_seconds() * 1000)
        self._last = ReconcileReport(
            account=self._wiring.account,
            cycle=self._cycle,
            asked_at=snapshot.asked_at,
            positions=len(found.views),
            findings=tuple(findings),
        )
        self.report(
            EventType.RECONCILE_FINISHED,
            {"cycle": self._cycle, "positions": len(found.views), "findings": len(findings), "took_ms": took},
        )

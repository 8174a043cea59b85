"""The reconciler: reads the account, compares, tells the owners. It never writes to a position and sends no order.

A cycle costs a fixed number of requests. A doubtful finding is looked at again a second later, as often as it takes to
be believed, before anything is done about it; what is done and did not help is done again in the next cycle. Where
doubt does not end (humans who act all the time) the looks come more slowly: each costs a share of what may be asked.
A reading that somebody wanted tells what no stream will tell any more: one that fails, or stays without an answer, is
followed by the next within seconds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from actors import hunt, messages
from actors.agreement_messages import Adopt, ReconcileReport, StrangerSeen
from actors.clock import Cancellable
from actors.disagreements import Disagreements, Told
from actors.disagreements import Wiring as Watched
from actors.guard import ActorContext
from actors.messages import (
    AskSnapshot,
    GatewayStarted,
    Reconciled,
    ReconcileNow,
    Show,
    SnapshotFailed,
    SnapshotTaken,
    Tick,
)
from actors.reporting import ReportingActor
from actors.switch_messages import CloseStranger, CloseStrangers
from actors.zombie_messages import HuntOn, PositionOver, ScanZombies, ShowScan, SymbolRead, ZombieAnswered
from domain.agreement.reconcile import Untracked, compare
from domain.catalogue import EventType
from domain.instrument import PositionSide
from domain.orders import AccountSnapshot

INTERVAL = "interval"
FIRST_LOOK_S = 1.0
FEW_OWNERS = 17  # a reading costs the venue's weight of so many questions about one position
LOOK_AGAIN_S = 1.0
QUICK_LOOKS = 4
SLOW_LOOK_S = 6.0
FAILED_AGAIN_S = 5.0
PATIENCE_S = 3.0
ANSWER_LIMIT_S = 20.0
STRANGERS_WITHIN_S = 15.0
OVERTAKEN = timedelta(seconds=ANSWER_LIMIT_S)


def _nothing_set(_symbol: str) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring(Watched):
    """What a reconciler is given; `interval_s` lies between two readings, `exclude` is by the venue's spelling.

    `leverage`: what is set before an entry on a symbol, 0: nothing. What is asked for each time may change while the
    service runs.
    """

    interval_s: Callable[[], float]
    exclude: Callable[[], frozenset[str]]
    hunt: hunt.Wiring
    leverage: Callable[[str], int] = _nothing_set


class Reconciler(ReportingActor):
    """One reading after another."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._cycle = 0
        self._under_way = False
        self._wanted: str | None = None
        self._owed: str | None = None
        self._unanswered = 0
        self._failures = 0
        self._give_up_at = 0.0
        self._quick_looks = 0
        self._quick_at = -SLOW_LOOK_S
        self._stranger_at = -SLOW_LOOK_S
        self._due_at = 0.0
        self._disagreements = Disagreements(self, wiring)
        self._bare_since: dict[str, datetime] = {}
        self._over: dict[tuple[str, PositionSide | None], datetime] = {}
        self._newest: datetime | None = None
        self._close_strangers_until = 0.0
        self._timer: Cancellable | None = None
        self._hunt = hunt.Hunt(self, wiring.hunt, self._look)
        self._last = ReconcileReport(account=wiring.account, cycle=0, asked_at=None, positions=0, findings=())

    def started(self) -> None:
        """Look before any entry: when the account's stream is up, which asks for it, or without it a second later."""
        self._again_after(FIRST_LOOK_S)

    def receive(self, message: Any) -> object:
        """A reading, a wish to look, or the time."""
        match message:
            case SnapshotTaken(snapshot=snapshot):
                self._compare(snapshot)
            case SnapshotFailed(text=text):
                self._failed(text)
            case ReconcileNow(reason=reason):
                self._look(reason)
            case CloseStrangers():
                self._close_strangers_until = self.clock.monotonic() + STRANGERS_WITHIN_S
                self._look("close_all")
            case StrangerSeen(symbol=symbol):
                self._stranger(symbol)
            case GatewayStarted():
                self._hunt.restarted()
                self._under_way, self._unanswered = False, 0
                self._look("gateway started")
            case Tick():
                self._under_way = False
                self._look(self._wanted or self._owed or (INTERVAL if self._cycle else "start"))
            case Show():
                return self._last
            case ScanZombies():
                return self._scan(message)
            case ShowScan(number=number):
                return self._hunt.report(number)
            case PositionOver(symbol=symbol, side=side, last_fill_at=at):
                if at is not None:
                    self._over[symbol, side] = at
                self._hunt.hear(message)
            case SymbolRead() | ZombieAnswered() | HuntOn():
                self._hunt.hear(message)
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _look(self, reason: str) -> None:
        """Begin a reading. One that is under way began before whatever this one is wanted for: then another follows.

        If the answer does not come it may have been lost on the way, and the other goes out beside it; once.
        """
        now = self.clock.monotonic()
        if self._under_way:
            self._wanted = reason
            self._again_after(max(self._give_up_at - now, 0.0))
            return
        patience_s = ANSWER_LIMIT_S if self._unanswered else PATIENCE_S
        self._unanswered += 1
        self._give_up_at = now + patience_s
        self._under_way, self._wanted = True, None
        self._owed = self._owed if reason == INTERVAL else reason
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
        self._again_after(patience_s if self._owed is not None else max(ANSWER_LIMIT_S, self._wiring.interval_s()))

    def _stranger(self, symbol: str) -> None:
        """What is to be protected is looked at now, not a cycle later; at most as often as doubt is."""
        wiring, now = self._wiring, self.clock.monotonic()
        if wiring.untracked == "alert" or symbol in self._wiring.exclude():
            return
        wait = self._stranger_at + SLOW_LOOK_S - now
        if wait <= 0:
            self._stranger_at = now
            self._look("a stranger's position")
        elif now + wait < self._due_at:
            self._again_after(wait)

    def _scan(self, order: ScanZombies) -> int | None:
        """Hunt in the next reading that begins."""
        number = self._hunt.scan(order, self._cycle + 1)
        if number is not None:
            self._look("zombie scan")
        return number

    def _again_after(self, seconds: float) -> None:
        self._due_at = self.clock.monotonic() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.remind_after(seconds, Tick())

    def _failed(self, text: str) -> None:
        self._under_way, self._unanswered, self._failures = False, 0, self._failures + 1
        self._hunt.unread(self._cycle, text)
        self.report(EventType.RECONCILE_FAILED, {"cycle": self._cycle, "error": text})
        self._last = replace(
            self._last, cycle=self._cycle, asked_at=None, positions=0, findings=(), error=text, doubtful=True
        )
        # A wish outlives the reading that failed, for it or beside it: it is for what no other source tells.
        owed = self._wanted is not None or (self._owed is not None and self._failures <= QUICK_LOOKS)
        self._again_after(min(LOOK_AGAIN_S if owed else FAILED_AGAIN_S, self._wiring.interval_s()))

    def _compare(self, snapshot: AccountSnapshot) -> None:
        if self._newest is not None and timedelta(0) < self._newest - snapshot.asked_at < OVERTAKEN:
            return  # overtaken by a reading that was asked for later; much later means that the clock was set back
        self._newest = snapshot.asked_at
        self._under_way, self._owed, self._unanswered, self._failures = False, None, 0, 0
        wiring = self._wiring
        owned = wiring.owners.all(wiring.account)
        found = compare(snapshot, owned, self._wiring.exclude(), wiring.leverage, self._over)
        for position_id, view in found.views.items():
            self.tell(messages.position(position_id), view)
        for (symbol, side), quantity in found.foreign.items():
            wiring.owners.show_foreign(wiring.owners.place(wiring.account, symbol, side), quantity)
        self._date(found.untracked, snapshot.asked_at)
        told = self._disagreements.take(found)
        unowned = {each.key: each for each in found.untracked}
        for key in told.believed:
            if key in unowned:
                self._act(unowned[key])
        doubtful = told.doubtful | self._too_early(snapshot)
        self.tell(messages.ENTRY_DESK, Reconciled(account=wiring.account))
        self._finished(snapshot, len(found.views), told, doubtful, self._hunt.read(snapshot))
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self._look(wanted)
        else:
            self._again_after(min(self._until_next(doubtful), wiring.interval_s()))

    def _date(self, untracked: tuple[Untracked, ...], at: datetime) -> None:
        """Since when what nobody owns was seen to be bare."""
        self._bare_since = {each.key: self._bare_since.get(each.key, at) for each in untracked if not each.covered}

    def _until_next(self, doubtful: bool) -> float:
        if not doubtful:
            self._quick_looks = 0
            return self._wiring.interval_s()
        now = self.clock.monotonic()
        if now - self._quick_at >= LOOK_AGAIN_S / 2:  # several readings for other reasons in one moment are one
            self._quick_looks, self._quick_at = self._quick_looks + 1, now
        return LOOK_AGAIN_S if self._quick_looks <= QUICK_LOOKS else SLOW_LOOK_S

    def _too_early(self, snapshot: AccountSnapshot) -> bool:
        """Whether so many owners began after this reading that another costs less than their own questions would.

        One is enough where it waits for a reading before it misses a stop: no question of its own answers that.
        """
        at = snapshot.asked_at
        owners = self._wiring.owners.all(self._wiring.account)
        late = [p for p in owners if p.last_activity_at is not None and p.last_activity_at >= at]
        return any(p.unread_until is not None for p in late) or sum(p.verify_wanted for p in late) > FEW_OWNERS

    def _act(self, finding: Untracked) -> None:
        wiring = self._wiring
        instrument = wiring.instruments.get(finding.report.symbol)
        ordered = self.clock.monotonic() < self._close_strangers_until
        if instrument is None or (wiring.untracked == "alert" and not ordered):
            return
        adopt = (CloseStranger if ordered else Adopt)(
            account=wiring.account,
            instrument=instrument,
            side=finding.side,
            quantity=abs(finding.report.quantity),
            entry_price=finding.report.entry_price,
            mark_price=finding.report.mark_price,
            close=ordered or wiring.untracked == "close",
            seen_at=self._newest or self.clock.now(),
            bare_since=self._bare_since.get(finding.key),
            orders=finding.orders,
            mark_at=finding.report.at,
        )
        self.tell(messages.ENTRY_DESK, adopt)

    def _finished(
        self,
        snapshot: AccountSnapshot,
        positions: int,
        told: Told,
        doubtful: bool,
        zombies: tuple[Mapping[str, object], ...],
    ) -> None:
        """The end of a cycle, with its figures."""
        took = int((snapshot.answered_at - snapshot.asked_at).total_seconds() * 1000)
        self._last = ReconcileReport(
            account=self._wiring.account,
            cycle=self._cycle,
            asked_at=snapshot.asked_at,
            positions=positions,
            findings=(*(finding.told() for finding in told.findings), *zombies),
            repairs=self._disagreements.repairs(),
            doubtful=doubtful,
            totals=self._disagreements.totals(),
        )
        self.report(
            EventType.RECONCILE_FINISHED,
            {
                "cycle": self._cycle,
                "positions": positions,
                "findings": len(told.findings),
                **({"kinds": told.kinds()} if told.findings else {}),
                "repairs": told.repaired,
                "zombies": len(zombies),
                "doubtful": doubtful,
                "took_ms": took,
            },
        )

"""The reconciler: reads the account, compares, tells the owners. It never writes to a position and sends no order.

A cycle costs a fixed number of requests. A doubtful finding is looked at again a second later, as often as it takes to
be believed, before anything is done about it; what is done and did not help is done again in the next cycle. Where
doubt does not end (humans who act all the time) the looks come more slowly: each costs a share of what may be asked.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

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
from actors.switch_messages import CloseStranger, CloseStrangers
from actors.symbol_lists import Spellings, as_spelled
from domain.agreement.reconcile import Comparison, Orphan, Untracked, compare
from domain.catalogue import EventType
from domain.instrument import Instrument
from domain.orders import AccountSnapshot, OrderRef

FIRST_LOOK_S = 1.0
FEW_OWNERS = 17  # a reading costs the venue's weight of so many questions about one position
LOOK_AGAIN_S = 1.0
QUICK_LOOKS = 4
SLOW_LOOK_S = 6.0
FAILED_AGAIN_S = 5.0
PATIENCE_S = 3.0
APART_S = 0.8
NEEDED = 2
NEEDED_FOR_ABSENCE = 3
ANSWER_LIMIT_S = 20.0
STRANGERS_WITHIN_S = 15.0
OVERTAKEN = timedelta(seconds=ANSWER_LIMIT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a reconciler is given; `interval_s` lies between two readings, `exclude` may spell symbols in any way.

    Both are asked for each time: they may change while the service runs.
    """

    account: str
    instance: str
    interval_s: Callable[[], float]
    untracked: Literal["adopt", "alert", "close"]
    exclude: Callable[[], frozenset[str]]
    instruments: dict[str, Instrument]
    spellings: Spellings
    owners: Owners
    recorder: Recorder


class Sighting(NamedTuple):
    """How often a finding was seen, each time a second apart, and when last (monotonic: wall clocks are stepped)."""

    times: int
    at: float


class Reconciler(ReportingActor):
    """One reading after another."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._cycle = 0
        self._under_way = False
        self._wanted: str | None = None
        self._give_up_at = 0.0
        self._quick_looks = 0
        self._of_other_size: frozenset[tuple[str, str]] = frozenset()
        self._seen: dict[str, Sighting] = {}
        self._newest: datetime | None = None
        self._close_strangers_until = 0.0
        self._timer: Cancellable | None = None
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
            case GatewayStarted():
                self._under_way = False
                self._look("gateway started")
            case Tick():
                self._under_way = False
                self._look(self._wanted or ("interval" if self._cycle else "start"))
            case Show():
                return self._last
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
        self._give_up_at = now + (ANSWER_LIMIT_S if self._wanted is not None else PATIENCE_S)
        self._under_way, self._wanted = True, None
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
        self._again_after(max(ANSWER_LIMIT_S, self._wiring.interval_s()))

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
        # A wish outlives the reading that failed beside it: it is for what happened since that one began.
        self._again_after(min(LOOK_AGAIN_S if self._wanted is not None else FAILED_AGAIN_S, self._wiring.interval_s()))

    def _compare(self, snapshot: AccountSnapshot) -> None:
        if self._newest is not None and timedelta(0) < self._newest - snapshot.asked_at < OVERTAKEN:
            return  # overtaken by a reading that was asked for later; much later means that the clock was set back
        self._newest = snapshot.asked_at
        self._under_way = False
        wiring = self._wiring
        exclude = as_spelled(wiring.exclude(), wiring.spellings.of(wiring.account))
        found = compare(snapshot, wiring.owners.all(wiring.account), wiring.instance, exclude)
        for position_id, view in found.views.items():
            self.tell(messages.position(position_id), view)
        for (symbol, side), quantity in found.foreign.items():
            wiring.owners.show_foreign(wiring.owners.place(wiring.account, symbol, side), quantity)
        doubtful = self._doubtful(found) | self._of_another_size(found) | self._too_early(snapshot)
        self.tell(messages.ENTRY_DESK, Reconciled(account=wiring.account))
        self._report(snapshot, found)
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self._look(wanted)
        else:
            self._again_after(min(self._until_next(doubtful), wiring.interval_s()))

    def _until_next(self, doubtful: bool) -> float:
        self._quick_looks = self._quick_looks + 1 if doubtful else 0
        if not doubtful:
            return self._wiring.interval_s()
        return LOOK_AGAIN_S if self._quick_looks <= QUICK_LOOKS else SLOW_LOOK_S

    def _doubtful(self, found: Comparison) -> bool:
        """Count sightings; act on what was seen often enough. True if something has to be seen again."""
        now = self.clock.monotonic()
        seen: dict[str, Sighting] = {}
        doubtful = False
        unowned: tuple[Untracked | Orphan, ...] = (*found.untracked, *found.orphans)
        sightings = [(each.key, each.report.symbol, NEEDED, each) for each in unowned]
        for key, symbol, needed, finding in (*sightings, *_absences(found)):
            last = self._seen.get(key)
            if last is not None and now - last.at < APART_S:
                seen[key] = last
            else:
                count = 1 if last is None else last.times + 1
                seen[key] = Sighting(count, now)
                if count <= needed:
                    data = {"finding": key, "seen": f"{count}/{needed}"}
                    self.report(EventType.RECONCILE_FINDING, data, symbol=symbol)
                if count >= needed and finding is not None:
                    self._act(finding)
            doubtful = doubtful or seen[key].times < needed
        self._seen = seen
        return doubtful

    def _of_another_size(self, found: Comparison) -> bool:
        """Whether an owner needs a second look: a reading from before its last order proves nothing to it."""
        shown = _sizes(found)
        new, self._of_other_size = shown - self._of_other_size, shown
        return bool(new)

    def _too_early(self, snapshot: AccountSnapshot) -> bool:
        """Whether so many owners began after this reading that another costs less than their own questions would.

        One is enough where it waits for a reading before it misses a stop: no question of its own answers that.
        """
        at = snapshot.asked_at
        owners = self._wiring.owners.all(self._wiring.account)
        late = [p for p in owners if p.last_activity_at is not None and p.last_activity_at >= at]
        return any(p.unread_until is not None for p in late) or sum(p.verify_wanted for p in late) > FEW_OWNERS

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


def _absences(found: Comparison) -> Iterable[tuple[str, str | None, int, None]]:
    """What the book has and the exchange does not show: nothing is done here, its owner hears of each reading."""
    for difference in found.differences:
        if difference["finding"] == "phantom":
            yield f"phantom {difference['symbol']}", str(difference["symbol"]), NEEDED_FOR_ABSENCE, None
    for position_id in found.unseen:
        yield f"unseen {position_id}", None, NEEDED_FOR_ABSENCE, None


def _sizes(found: Comparison) -> frozenset[tuple[str, str]]:
    """Where there is more or less than the book or the stops say: symbol, and what the exchange shows."""
    # Another side is no such case: its owner asks for the size itself, and readings are scarce where humans turn over.
    kinds = ("quantity", "cover")
    return frozenset((str(d["symbol"]), str(d["exchange"])) for d in found.differences if d["finding"] in kinds)

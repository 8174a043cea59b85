"""What a reconciler tells of what it finds: an event for each finding and each repair, counts, and alarms.

Used by the reconciler's thread alone. Nothing is done about a finding here: what is believed goes back to it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from actors.owners import Owners
from actors.recording import Recorder, position_event
from actors.reporting import ReportingActor
from config.settings import Reconciler
from domain.agreement.alarms import WITHIN, Alarms, Thresholds
from domain.agreement.findings import Finding, Kind
from domain.agreement.reconcile import Comparison
from domain.agreement.sightings import Look, Sightings
from domain.catalogue import EventType, Happening, Severity
from domain.decimals import plain
from domain.instrument import Instrument
from domain.position.state import Position

REPAIRS_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """`untracked`: what is done with a position that nobody owns. `thresholds`: from when on a human is told."""

    account: str
    untracked: Literal["adopt", "alert", "close"]
    instruments: dict[str, Instrument]
    owners: Owners
    recorder: Recorder
    thresholds: Callable[[], Thresholds] = Thresholds


def thresholds(limits: Reconciler) -> Thresholds:
    """As the settings say."""
    return Thresholds(
        findings=limits.alert_findings,
        unrepaired=timedelta(seconds=limits.alert_unrepaired_s),
        recoveries=limits.alert_recoveries,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one reading added. `believed`: the keys of all that was seen often enough and is still there."""

    findings: tuple[Finding, ...]
    believed: tuple[str, ...]
    repaired: int
    doubtful: bool

    def kinds(self) -> str:
        """'cover=1 quantity=2'."""
        counted = Counter(finding.kind.value for finding in self.findings)
        return " ".join(f"{kind}={number}" for kind, number in sorted(counted.items()))


class Disagreements:
    """What was seen so far on one account, by one life of its reconciler."""

    def __init__(self, actor: ReportingActor, wiring: Wiring) -> None:
        """`actor` is who tells the journal."""
        self._actor = actor
        self._wiring = wiring
        self._sightings = Sightings()
        self._alarms = Alarms()
        self._repairs: deque[Mapping[str, object]] = deque(maxlen=REPAIRS_KEPT)
        self._totals: Counter[str] = Counter()

    def take(self, found: Comparison) -> Told:
        """Count and tell what a complete reading shows."""
        findings = self._findings(found)
        look = self._sightings.look(findings, self._elapsed())
        self._tell(look)
        self._alert(look)
        return Told(
            findings=tuple(finding for finding in findings if not finding.early),
            believed=tuple(sighting.finding.key for sighting in look.believed),
            repaired=len(look.gone),
            doubtful=look.doubtful,
        )

    def repairs(self) -> tuple[Mapping[str, object], ...]:
        """The last findings that are no more, newest last."""
        return tuple(self._repairs)

    def totals(self) -> Mapping[str, int]:
        """How many of each kind were believed."""
        return dict(self._totals)

    def _findings(self, found: Comparison) -> list[Finding]:
        """All that a reading shows, owned and not."""
        listed = list(found.differences)
        for each in found.untracked:
            symbol = each.report.symbol
            listed.append(
                Finding(
                    kind=Kind.UNTRACKED,
                    key=each.key,
                    symbol=symbol,
                    shown=each.side.value,
                    figures={"exchange": plain(each.report.quantity), "covered": "yes" if each.covered else "no"},
                    lasting=self._stays(symbol),
                )
            )
        for position_id in found.unseen:
            owner = self._wiring.owners.state(position_id)
            symbol = "" if owner is None else owner.symbol
            key = f"unseen {position_id}"
            listed.append(Finding(kind=Kind.UNSEEN, key=key, symbol=symbol, shown="", position_id=position_id))
        return listed

    def _stays(self, symbol: str) -> bool:
        """Whether nobody is to put right that a position there has no owner."""
        known = symbol in self._wiring.instruments
        left = self._wiring.owners.left_to_humans(self._wiring.account, symbol)
        return self._wiring.untracked == "alert" or not known or left

    def _tell(self, look: Look) -> None:
        """An event each time a finding is seen until it is believed, and one when it is no more."""
        for sighting in look.told:
            finding = sighting.finding
            data = {"finding": finding.key, "kind": finding.kind.value, "seen": sighting.seen, **finding.figures}
            severity = Severity.WARNING if sighting.believed else Severity.INFO
            self._say(EventType.RECONCILE_FINDING, finding, data, severity)
        for sighting in look.gone:
            finding = sighting.finding
            seconds = str(round((self._elapsed() - sighting.first).total_seconds(), 1))
            result = self._result(finding)
            data = {
                "finding": finding.key,
                "kind": finding.kind.value,
                "seen": sighting.seen,
                "seconds": seconds,
                "result": result,
            }
            severity = Severity.INFO if sighting.believed else Severity.DEBUG
            self._say(EventType.RECONCILE_REPAIRED, finding, data, severity)
            at = self._actor.clock.now()
            self._repairs.append({**finding.told(), "seen": sighting.seen, "result": result, "at": at})
        self._totals.update(sighting.finding.kind.value for sighting in look.fresh)

    def _result(self, finding: Finding) -> str:
        """How it came right, as far as the book tells."""
        if finding.kind is Kind.UNTRACKED and self._wiring.owners.owners_on(self._wiring.account, finding.symbol):
            return "has an owner"
        if finding.position_id is None:
            return "no longer there"
        return "agrees" if self._wiring.owners.state(finding.position_id) is not None else "the position is over"

    def _alert(self, look: Look) -> None:
        """Tell a human of what goes beyond the thresholds, and when it is over."""
        limit, now = self._wiring.thresholds(), self._elapsed()
        alarm = self._alarms.of_findings(look, self._sightings.open(), limit, now)
        if alarm is not None:
            event = EventType.RECONCILE_ALARM_OVER if alarm.over else EventType.RECONCILE_ALARM
            self._actor.report(event, {"why": alarm.why, **alarm.figures})
        for position, times in self._alarms.of_stops(self._wiring.owners.all(self._wiring.account), limit, now):
            data: dict[str, str | int | bool | None] = {
                "times": times,
                "within_s": int(WITHIN.total_seconds()),
                "recoveries": position.recoveries,
                "why": "somebody else keeps taking its stop away or changing it",
            }
            self._write(Happening(EventType.STOP_LOSS_FOUGHT_OVER, data), position)

    def _say(self, event: EventType, finding: Finding, data: Mapping[str, str], severity: Severity) -> None:
        """In the life of the position that it concerns, if there is one."""
        owner = None if finding.position_id is None else self._wiring.owners.state(finding.position_id)
        if owner is None:
            self._actor.report(event, data, symbol=finding.symbol or None, severity=severity)
        else:
            self._write(Happening(event, dict(data), severity), owner)

    def _elapsed(self) -> timedelta:
        return timedelta(seconds=self._actor.clock.monotonic())

    def _write(self, happening: Happening, position: Position) -> None:
        self._actor.write(position_event(happening, position, self._actor.clock.now()))

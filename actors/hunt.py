"""The hunt for zombie orders: part of the reconciler, on its thread (SYSTEM C4).

Every reading of the account is searched for suspects, at no cost. Rules of this file:
- A suspicion is looked at again a second later, by a reading of its symbol alone that shows explicit rows; only what
  is there both times is cancelled. Whoever is gone by then is forgotten; what a cancel did not end is found again.
- After each end of a position of ours the orders of its symbol are read at once, its rows if something is suspect. One
  such reading is under way at a time; where many end together one of the whole account serves them all.
- Strangers' orders are touched where the settings or the operator of this very scan say so, never else (LAWS S9).
- Whatever is asked for gets an end: a reading or a cancel that nobody answers is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actors import messages
from actors.clock import Cancellable
from actors.hunt_rounds import (
    CANCELLED,
    GONE,
    LISTED,
    REFUSED,
    UNKNOWN,
    VANISHED,
    Alarm,
    Failures,
    Round,
    Totals,
    shown,
)
from actors.owners import Owners
from actors.recording import plain_event
from actors.reporting import ReportingActor
from actors.ruling import Ruling
from actors.zombie_messages import (
    AskSymbol,
    CancelZombie,
    HuntOn,
    PositionOver,
    ScanReport,
    ScanZombies,
    SymbolRead,
    ZombieAnswered,
)
from config.settings import Zombies
from domain.agreement import zombies
from domain.agreement.zombies import Place, Rules, Zombie
from domain.catalogue import EventType, Severity
from domain.orders import AccountSnapshot, CancelResult

LOOK_AGAIN_S = 1.0
APART_S = 0.8
ANSWER_LIMIT_S = 15.0
SCAN_LIMIT_S = 60.0
MANY = 10
_RESULTS = {
    CancelResult.DONE: CANCELLED,
    CancelResult.GONE: GONE,
    CancelResult.REFUSED: REFUSED,
    CancelResult.UNKNOWN: UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a hunt is given. `exclude`: by the venue's spelling; `recall`: a kept fact, raises DatabaseAway."""

    account: str
    instance: str
    owners: Owners
    exclude: Callable[[], frozenset[str]]
    settings: Callable[[], Zombies]
    recall: Callable[[str], Any]
    dry_run: bool


def wired(account: str, instance: str, owners: Owners, ruling: Ruling, recall: Callable[[str], Any]) -> Wiring:
    """An account's, by what is set now, each time it is asked."""

    return Wiring(
        account=account,
        instance=instance,
        owners=owners,
        exclude=lambda: ruling.excluded(account),
        settings=lambda: ruling.in_force.now.zombies,
        recall=recall,
        dry_run=ruling.in_force.now.service.dry_run,
    )


@dataclass(slots=True, kw_only=True)
class _Suspect:
    zombie: Zombie
    seen_at: float
    round: Round


@dataclass(slots=True, kw_only=True)
class _Cancel:
    zombie: Zombie
    sent_at: float
    round: Round


@dataclass(slots=True, kw_only=True)
class _Look:
    """A reading of one symbol: due, or `asked_at` under way. `round`: the end of a position that wants it; then it is a
    first look, at the orders alone, unless there are suspects already.
    """

    due_at: float
    asked_at: float | None = None
    asked_from: datetime | None = None
    rows: bool = True
    round: Round | None = None


class Hunt:
    """One account's."""

    def __init__(self, actor: ReportingActor, wiring: Wiring, look: Callable[[str], None]) -> None:
        """`look` has the whole account read."""
        self._actor = actor
        self._wiring = wiring
        self._look = look
        self._totals = Totals(wiring.account, wiring.recall)
        self._numbers = 0
        self._suspects: dict[str, _Suspect] = {}
        self._cancels: dict[str, _Cancel] = {}
        self._looks: dict[str, _Look] = {}
        self._rounds: list[Round] = []
        self._scan: Round | None = None
        self._past: set[Place] = set()
        self._alarm = Alarm()
        self._failures = Failures()
        self._listed: set[str] = set()
        self._timer: Cancellable | None = None

    def hear(self, message: object) -> None:
        """Whatever is said about zombies."""
        match message:
            case PositionOver():
                self._over(message)
            case SymbolRead(symbol=symbol, snapshot=None, error=error):
                self._unread(symbol, error or "no reading")
            case SymbolRead(symbol=symbol, snapshot=snapshot) if snapshot is not None:
                self._read_symbol(symbol, snapshot)
            case ZombieAnswered():
                self._answered(message)
            case HuntOn():
                self._give_up()
        self._go_on()

    # What is asked for.

    def scan(self, order: ScanZombies, cycle: int) -> int | None:
        """Begin an operator's scan on the reading of this cycle; None: one is under way."""
        if self._scan is not None and not self._scan.done:
            return None
        self._scan = self._begin(
            "operator",
            dry_run=order.dry_run,
            aggressive=order.aggressive,
            uid=order.uid,
            cycle=cycle,
            wanted_at=self._actor.clock.now(),
        )
        self._go_on()
        return self._scan.number

    def report(self, number: int) -> ScanReport | None:
        """How an operator's scan stands; None: it is not known (any more)."""
        if self._scan is None or self._scan.number != number:
            return None
        self._totals.facts()
        return self._scan.report(self._totals.now())

    def _over(self, over: PositionOver) -> None:
        """Its own orders are over, as far as its owner knew: see whether the venue agrees."""
        self._past.add((over.symbol, over.side))
        look = self._looks.get(over.symbol)
        if look is not None and look.asked_at is None and look.round is not None:
            return
        if look is None and sum(each.round is not None for each in self._looks.values()) >= MANY:
            self._look("positions ended")
            return
        begun = self._begin(f"{over.reason} {over.symbol}")
        self._looks[over.symbol] = _Look(due_at=self._now(), round=begun)

    # Readings.

    def read(self, snapshot: AccountSnapshot) -> tuple[Mapping[str, object], ...]:
        """Search a reading of the whole account; gives what is suspected, for the operator's eyes."""
        self._forget_past(snapshot)
        scan = self._scan
        if scan is not None and scan.awaits(snapshot.asked_at):
            scan.cycle, scan.asked_at, scan.orders = None, snapshot.asked_at, len(snapshot.orders)
            found = self._find(snapshot, scan.aggressive or self._wiring.settings().aggressive)
            for zombie in found:
                self._suspect(zombie, scan)
        else:
            found = self._find(snapshot, self._wiring.settings().aggressive)
            new = [zombie for zombie in found if self._is_new(zombie.key)]
            if new:
                begun = self._begin("reading")
                begun.asked_at, begun.orders = snapshot.asked_at, len(snapshot.orders)
                for zombie in new:
                    self._suspect(zombie, begun)
        keys = {zombie.key for zombie in found}
        self._failures.keep(keys)
        self._listed &= keys
        self._judge_alert()
        self._go_on()
        return tuple({"finding": "zombie", **shown(zombie)} for zombie in found)

    def unread(self, cycle: int, text: str) -> None:
        """The whole account could not be read."""
        scan = self._scan
        if scan is not None and scan.cycle is not None and cycle >= scan.cycle:
            scan.cycle, scan.error = None, text
        self._go_on()

    def restarted(self) -> None:
        """A new gateway: what was under way gets no answer any more."""
        for symbol in [symbol for symbol, look in self._looks.items() if look.asked_at is not None]:
            self._unread(symbol, "the gateway was replaced")
        for key in list(self._cancels):
            self._end_cancel(key, UNKNOWN, "the gateway was replaced")
        self._go_on()

    def _read_symbol(self, symbol: str, snapshot: AccountSnapshot) -> None:
        look = self._looks.get(symbol)
        if look is None or look.asked_from is None or snapshot.asked_at < look.asked_from:
            return  # of a question that was given up, or from before what is to be seen
        del self._looks[symbol]
        if look.round is not None:
            look.round.asked_at, look.round.orders = snapshot.asked_at, len(snapshot.orders)
        suspects = {key: each for key, each in self._suspects.items() if each.zombie.ref.symbol == symbol}
        aggressive = self._wiring.settings().aggressive
        found = self._find(snapshot, aggressive or any(s.round.aggressive for s in suspects.values()), proved=look.rows)
        for zombie in found:
            suspect = suspects.pop(zombie.key, None) if look.rows else suspects.get(zombie.key)
            if suspect is not None and look.rows:
                self._seen_again(suspect, zombie)
            elif suspect is not None:
                continue  # without rows there is no proof: the look that follows has them
            elif self._is_new(zombie.key) and (zombie.ours or aggressive):
                self._suspect(zombie, look.round or self._begin("reading"))
        for key, suspect in suspects.items() if look.rows else ():
            del self._suspects[key]
            suspect.round.became(key, VANISHED)
        if suspects and not look.rows:
            self._looks.setdefault(symbol, _Look(due_at=self._now() + LOOK_AGAIN_S))

    def _unread(self, symbol: str, text: str) -> None:
        """Nothing is known: what is there is found again by the next reading."""
        look = self._looks.pop(symbol, None)
        if look is not None and look.round is not None:
            look.round.error = text
        for key in [key for key, each in self._suspects.items() if each.zombie.ref.symbol == symbol]:
            self._suspects.pop(key).round.became(key, UNKNOWN, text)

    def _is_new(self, key: str) -> bool:
        """Whether nobody has it in hand; what is only to be listed is listed once."""
        listed = key in self._listed and self._only_lists()
        return not (key in self._suspects or key in self._cancels or listed or self._failures.pauses(key, self._now()))

    def _has_suspects(self, symbol: str) -> bool:
        return any(each.zombie.ref.symbol == symbol for each in self._suspects.values())

    def _only_lists(self) -> bool:
        return self._wiring.dry_run or self._wiring.settings().dry_run

    def _find(self, snapshot: AccountSnapshot, aggressive: bool, *, proved: bool = False) -> tuple[Zombie, ...]:
        wiring = self._wiring
        rules = Rules(
            instance=wiring.instance,
            aggressive=aggressive,
            exclude=wiring.exclude(),
            past=frozenset(self._past),
        )
        return zombies.find(snapshot, wiring.owners.all(wiring.account), rules, proved=proved)

    def _forget_past(self, snapshot: AccountSnapshot) -> None:
        """What is attached where somebody has opened a position since is not ours any more."""
        if self._past:
            self._past -= {(row.symbol, row.position_side) for row in snapshot.positions if row.quantity}

    # Suspects.

    def _suspect(self, zombie: Zombie, begun: Round) -> None:
        """Seen once (again, by a scan: then it is the scan's)."""
        if zombie.key in self._cancels:
            return
        known = self._suspects.get(zombie.key)
        if known is not None:
            known.round.found.pop(zombie.key, None)
            known.round = begun
        else:
            self._suspects[zombie.key] = _Suspect(zombie=zombie, seen_at=self._now(), round=begun)
            self._tell_found(zombie, "1/2")
        begun.note(zombie)
        self._looks.setdefault(zombie.ref.symbol, _Look(due_at=self._now() + LOOK_AGAIN_S))

    def _seen_again(self, suspect: _Suspect, zombie: Zombie) -> None:
        now = self._now()
        if now - suspect.seen_at < APART_S:
            self._looks.setdefault(zombie.ref.symbol, _Look(due_at=suspect.seen_at + LOOK_AGAIN_S))
            return
        del self._suspects[zombie.key]
        self._tell_found(zombie, "2/2")
        if suspect.round.dry_run or self._only_lists():
            suspect.round.became(zombie.key, LISTED)
            self._listed.add(zombie.key)
            return
        if zombie.key not in self._failures:
            self._alarm.found(now)
            self._judge_alert()
        self._cancels[zombie.key] = _Cancel(zombie=zombie, sent_at=now, round=suspect.round)
        order = CancelZombie(key=zombie.key, ref=zombie.ref, reply_to=self._actor.name)
        self._actor.tell(messages.gateway(self._wiring.account), order)

    def _tell_found(self, zombie: Zombie, seen: str) -> None:
        self._actor.report(EventType.ZOMBIE_FOUND, {**shown(zombie), "seen": seen}, symbol=zombie.ref.symbol)

    def _answered(self, answer: ZombieAnswered) -> None:
        outcome = answer.outcome
        self._end_cancel(answer.key, _RESULTS[outcome.result], outcome.text or None)

    def _end_cancel(self, key: str, result: str, error: str | None) -> None:
        cancel = self._cancels.pop(key, None)
        if cancel is None:
            return
        done = result in (CANCELLED, GONE)
        event = EventType.ZOMBIE_CANCELLED if done else EventType.ZOMBIE_CANCEL_FAILED
        data = {**shown(cancel.zombie), "result": result, "error": None if done else error}
        self._actor.report(event, data, symbol=cancel.zombie.ref.symbol)
        cancel.round.became(key, result, None if done else error)
        if not done:
            self._failures.note(key, self._now())

    # Rounds.

    def _begin(self, reason: str, **more: Any) -> Round:
        self._numbers += 1
        begun = Round(number=self._numbers, reason=reason, began=self._now(), **more)
        self._rounds.append(begun)
        data = {
            "number": begun.number,
            "reason": reason,
            "dry_run": begun.dry_run,
            "aggressive": begun.aggressive or self._wiring.settings().aggressive,
            "uid": begun.uid,
        }
        self._actor.report(EventType.ZOMBIE_SCAN_STARTED, data, severity=_severity(begun))
        return begun

    def _finish_rounds(self) -> None:
        busy = {id(suspect.round) for suspect in self._suspects.values()}
        busy |= {id(cancel.round) for cancel in self._cancels.values()}
        busy |= {id(look.round) for look in self._looks.values() if look.round is not None}
        for each in [r for r in self._rounds if r.cycle is None and id(r) not in busy]:
            self._rounds.remove(each)
            each.done = True
            figures = each.figures(self._now())
            self._totals.add(figures)
            kept = self._totals.facts() if each.found or each is self._scan else None
            now = self._actor.clock.now()
            told = plain_event(
                EventType.ZOMBIE_SCAN_FINISHED, now, figures, severity=_severity(each), account=self._wiring.account
            )
            self._actor.write(told, facts=kept)

    def _judge_alert(self) -> None:
        """See `Alarm`."""
        limit = self._wiring.settings().alert_over
        much = self._alarm.changed(self._now(), limit)
        if much is not None:
            event = EventType.ZOMBIES_MANY if much else EventType.ZOMBIES_FEW
            self._actor.report(event, {"within_an_hour": self._alarm.count, "alert_over": limit})

    # Time.

    def _go_on(self) -> None:
        """Ask for the next reading of a symbol that is due, end what is over, and see to be woken for the rest."""
        now = self._now()
        waiting = sorted((look.due_at, symbol) for symbol, look in self._looks.items() if look.asked_at is None)
        under_way = any(look.asked_at is not None for look in self._looks.values())
        if waiting and not under_way and waiting[0][0] <= now:
            _due_at, symbol = waiting.pop(0)
            self._looks[symbol].asked_at, self._looks[symbol].asked_from = now, self._actor.clock.now()
            gateway = messages.gateway(self._wiring.account)
            rows = self._looks[symbol].rows = self._looks[symbol].round is None or self._has_suspects(symbol)
            self._actor.tell(gateway, AskSymbol(symbol=symbol, reply_to=self._actor.name, rows=rows))
            under_way = True
        self._finish_rounds()
        wake = [each + ANSWER_LIMIT_S for each in self._under_way()]
        wake += [r.began + SCAN_LIMIT_S for r in self._rounds if r.cycle is not None]
        if waiting and not under_way:
            wake.append(waiting[0][0])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake:
            self._timer = self._actor.remind_after(max(min(wake) - now, 0.001), HuntOn())

    def _under_way(self) -> list[float]:
        asked = [look.asked_at for look in self._looks.values() if look.asked_at is not None]
        return asked + [cancel.sent_at for cancel in self._cancels.values()]

    def _give_up(self) -> None:
        now = self._now()
        limit = now - ANSWER_LIMIT_S
        for symbol in [s for s, look in self._looks.items() if look.asked_at is not None and look.asked_at <= limit]:
            self._unread(symbol, f"no answer within {ANSWER_LIMIT_S:.0f} s")
        for key in [key for key, cancel in self._cancels.items() if cancel.sent_at <= limit]:
            self._end_cancel(key, UNKNOWN, f"no answer within {ANSWER_LIMIT_S:.0f} s")
        for each in self._rounds:
            if each.cycle is not None and each.began <= now - SCAN_LIMIT_S:
                each.cycle, each.error = None, f"the account was not read within {SCAN_LIMIT_S:.0f} s"

    def _now(self) -> float:
        return self._actor.clock.monotonic()


def _severity(of: Round) -> Severity:
    """What nobody asked for is told quietly."""
    return Severity.DEBUG if of.uid is None else Severity.INFO

"""The kill switch: fires, remembers, has everything owned closed by its owners, and opens entries again when reset.

Firing is one step after another: entries closed (each desk and gateway reads the account's standing), remembered on
this machine's disk, written in the journal, owners told. Rules of this file:
- It sends no order. An owner is told until its state shows that it closes: whoever is being restarted hears nothing,
  and a position that began in the moment of firing is found by the next look.
- Once remembered it is carried out by whatever life comes next; what could not be remembered is carried out all the
  same, and shouted about.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger

from actors import messages
from actors.clock import Cancellable
from actors.closings import Closings
from actors.foundation import Ground
from actors.guard import ActorContext, patience
from actors.loss_watch import Book as LossBook
from actors.loss_watch import LossWatch
from actors.marks import Marks
from actors.messages import Show, Tick
from actors.owners import Owners
from actors.recording import Recorder, plain_event
from actors.reporting import ReportingActor
from actors.standing import Standing
from actors.switch_memory import SWITCH_FACT, Book, as_fact
from actors.switch_messages import (
    ArmSwitch,
    CloseAll,
    CloseStrangers,
    ConfirmSwitch,
    ResetSwitch,
    SwitchRefused,
)
from config.in_force import SettingsInForce
from domain.catalogue import EventType
from domain.identity import PositionId
from domain.judgement.kill_switch import (
    CONFIRM_WITHIN_S,
    Armed,
    Cause,
    arm,
    fired,
    reset,
    to_close,
    to_row,
    wrong_confirmation,
)
from domain.judgement.losses import Limits
from domain.position.state import CloseReason

LOOK_EVERY_S = 1.0
CLOSING_EVERY_S = 0.1
BEGINNING_S = 15.0  # for so long a start does not wait a whole second to see what its day is counted from
DISK_LIMIT_S = 10.0
# Neither 0 and O nor 1 and I: it is read from one terminal and typed in another.
LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the kill switch is given; `standings` by account.

    `written`: which change of each account's switch was handed to the journal; a successor tells the others.
    """

    standings: Mapping[str, Standing]
    owners: Owners
    book: Book
    written: dict[str, int]
    recorder: Recorder
    dry_run: bool
    marks: Marks
    reader: LossBook
    limits: Callable[[], Limits]


def wiring_of(
    ground: Ground,
    owners: Owners,
    marks: Marks,
    in_force: SettingsInForce,
    written: dict[str, int],
    recorder: Recorder,
) -> Wiring:
    """What it is given in a tree on this ground."""
    return Wiring(
        standings=ground.standings,
        owners=owners,
        book=ground.book,
        written=written,
        recorder=recorder,
        dry_run=ground.settings.service.dry_run,
        marks=marks,
        reader=ground.reader,
        limits=lambda: Limits(
            daily_loss_usd=in_force.now.risk.kill_switch_daily_loss_usd,
            drawdown_pct=in_force.now.risk.kill_switch_drawdown_pct,
        ),
    )


class KillSwitch(ReportingActor):
    """One for all accounts."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """How it stands is in the standings, which outlive this actor."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._armed: Armed | None = None
        self._closings = Closings(self, wiring.owners)
        self._losses = LossWatch(
            self, wiring.standings, wiring.owners, wiring.marks, wiring.reader, wiring.book, wiring.limits
        )
        self._hurried_until = self.clock.monotonic() + BEGINNING_S
        self._flat: set[str] = set()
        self._timer: Cancellable | None = None

    def started(self) -> None:
        """Go on with what is in force; the database may not know of it yet."""
        self._flat = {name for name, standing in self._wiring.standings.items() if not standing.kill_switch.in_force}
        for name, standing in self._wiring.standings.items():
            if standing.kill_switch.number > self._wiring.written.get(name, 0):
                self._tell_of(name)
        self._judge()
        self._look()

    def receive(self, message: Any) -> object:
        """An operator's wish, or the time to look."""
        match message:
            case ArmSwitch():
                return self._arm(message)
            case ConfirmSwitch():
                return self._confirm(message)
            case ResetSwitch():
                return self._reset(message)
            case CloseAll():
                return self._close_all(message)
            case Tick():
                self._judge()
                self._look()
            case Show():
                return self._shown()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    # What operators want.

    def _arm(self, wanted: ArmSwitch) -> dict[str, object]:
        accounts = self._named(wanted.account)
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
        self._armed = arm(code, accounts, wanted.reason, self.clock.monotonic())
        positions = {name: len(self._wiring.owners.all(name)) for name in accounts}
        data = {"accounts": ",".join(accounts), "reason": wanted.reason or None, "uid": wanted.uid}
        self.report(EventType.KILL_SWITCH_ARMED, data)
        return {"code": code, "confirm_within_s": CONFIRM_WITHIN_S, "closes": positions}

    def _confirm(self, wanted: ConfirmSwitch) -> object:
        """Raises SwitchRefused."""
        armed = self._armed
        wrong = wrong_confirmation(armed, wanted.code, self.clock.monotonic())
        if wrong is not None or armed is None:
            raise SwitchRefused(wrong)
        self._armed = None
        figures = {"reason": armed.reason} if armed.reason else {}
        for account in armed.accounts:
            self.fire(account, Cause.OPERATOR, f"uid {wanted.uid}", figures)
        return self._shown()

    def _reset(self, wanted: ResetSwitch) -> object:
        """Raises SwitchRefused."""
        accounts = [name for name in self._named(wanted.account) if self._standing(name).kill_switch.in_force]
        if not accounts:
            raise SwitchRefused("the kill switch is not in force")
        for account in accounts:
            standing = self._standing(account)
            standing.kill_switch = reset(standing.kill_switch, f"uid {wanted.uid}")
            self._losses.anew(account)
            self._tell_of(account)
        return self._shown()

    def _close_all(self, wanted: CloseAll) -> list[PositionId]:
        """Raises SwitchRefused."""
        if self._wiring.dry_run:
            raise SwitchRefused("dry run: nothing is sent")
        data = {"method": "close_all", "uid": wanted.uid, "all": wanted.strangers}
        self.report(EventType.OPERATOR_COMMAND, data, account=wanted.account)
        ids = [p.id for name in self._named(wanted.account) for p in self._wiring.owners.all(name)]
        for position_id in ids:
            self._closings.want(position_id, CloseReason.OPERATOR)
        if wanted.strangers:
            for name in self._named(wanted.account):
                self.tell(messages.reconciler(name), CloseStrangers())
        self._look()
        return ids

    def _named(self, account: str | None) -> tuple[str, ...]:
        return tuple(self._wiring.standings) if account is None else (account,)

    def _standing(self, account: str) -> Standing:
        return self._wiring.standings[account]

    def _shown(self) -> dict[str, object]:
        return {
            name: {
                **to_row(standing.kill_switch),
                "in_force": standing.kill_switch.in_force,
                "positions": len(self._wiring.owners.all(name)),
            }
            for name, standing in self._wiring.standings.items()
        }

    # What it does.

    def fire(self, account: str, cause: Cause, by: str, figures: Mapping[str, str]) -> None:
        """In force from this moment on; nothing happens where it is so already."""
        standing, now = self._standing(account), self.clock.now()
        if standing.kill_switch.in_force:
            return
        standing.kill_switch = fired(standing.kill_switch, cause, by, figures, now)
        self._flat.discard(account)
        self._tell_of(account)
        self._look()

    def _judge(self) -> None:
        """Fire by itself where two sources agree that a limit is passed; say so where they go on to differ."""
        for account, verdict in self._losses.look():
            if self._standing(account).kill_switch.in_force:
                continue
            if verdict.doubt:
                data = {"account": account, "cause": verdict.cause.value, **verdict.figures}
                self.report(EventType.KILL_SWITCH_DOUBTFUL, data, account=account)
            else:
                self.fire(account, verdict.cause, "itself", verdict.figures)
        fact = self._losses.to_keep()
        if fact is not None:
            self.write(facts=fact)

    def _tell_of(self, account: str) -> None:
        """The last change: on this machine's disk first, from where it holds after a kill and without the database."""
        self._remember()
        switch = self._standing(account).kill_switch
        data = {"account": account, "by": switch.by, "positions": len(self._wiring.owners.all(account))}
        if switch.fired_at is not None and switch.cause is not None:
            data |= {"cause": switch.cause.value, "fired_at": switch.fired_at.isoformat(), **switch.figures}
        kind = EventType.KILL_SWITCH_FIRED if switch.in_force else EventType.KILL_SWITCH_RESET
        event = plain_event(kind, self.clock.now(), data, account=account)
        if self.write(event, facts={SWITCH_FACT: as_fact(self._wiring.standings)}):
            self._wiring.written[account] = switch.number

    def _remember(self) -> None:
        fact, book = as_fact(self._wiring.standings), self._wiring.book
        if book.fact(SWITCH_FACT) == fact:
            return
        patience(DISK_LIMIT_S)
        try:
            book.keep(SWITCH_FACT, fact)
        except OSError as error:
            logger.critical("KILL_SWITCH_UNREMEMBERED error={!r}: it is in force in this process", str(error))

    def _look(self) -> None:
        """Tell the owners that have to close and do not yet."""
        if not self._wiring.dry_run:
            for name, standing in self._wiring.standings.items():
                for position_id in to_close(standing.kill_switch, self._wiring.owners.all(name)):
                    self._closings.want(position_id, CloseReason.KILL_SWITCH)
            for _ in self._closings.push():
                pass  # no signal waits for any of these
        for name, standing in self._wiring.standings.items():
            self._note_flat(name, standing)
        if self._timer is not None:
            self._timer.cancel()
        hurry = self._closings or (self._losses.beginning and self.clock.monotonic() < self._hurried_until)
        self._timer = self.remind_after(CLOSING_EVERY_S if hurry else LOOK_EVERY_S, Tick())

    def _note_flat(self, account: str, standing: Standing) -> None:
        """Say, once, that nothing is left of what was to be closed."""
        at = standing.kill_switch.fired_at
        if at is None or account in self._flat:
            return
        if any(not (p.adopted and p.opened_at > at) for p in self._wiring.owners.all(account)):
            return
        self._flat.add(account)
        took = (self.clock.now() - at).total_seconds()
        self.report(EventType.KILL_SWITCH_FLAT, {"account": account, "after_s": f"{took:.1f}"}, account=account)

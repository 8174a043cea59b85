"""The kill switch in a schedule: an operator fires it in the middle of whatever happens, and resets it later.

Judged from what the exchange takes and holds, and from what a start would read on this machine's disk. From when it is
remembered there no entry is taken by the exchange (but for what was on the wire), and when all faults are over nothing
is left of what was owned, and no owner but of what was adopted since; until it is reset.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from actors.switch_memory import SWITCH_FACT
from actors.switch_messages import KILL_SWITCH, ArmSwitch, ConfirmSwitch, ResetSwitch
from domain.identity import OrderKind, parse_client_id
from tests.simulation.liveness import Found
from tests.simulation.plan import Switching
from tests.simulation.process import ACCOUNT
from tests.simulation.world import World

UID = 1000
AGAIN_S = 2.0
ANSWERED_S = 0.5
LOOK_S = 0.1
RESET_WITHIN_S = 5.0
ON_THE_WIRE_S = 2.5
"""The receive window, and half a second: a clock of ours may be wrong by so much before the venue refuses."""


class Operator:
    """Has it fired, once, whatever dies meanwhile; and reset."""

    def __init__(self, world: World, plan: Switching) -> None:
        """Nothing happens before its time."""
        self._world = world
        self._plan = plan
        self._wanted: bool | None = None
        self._since_s: float | None = None
        self._others = world.exchange.accepted
        world.exchange.accepted = self._accepted
        world.scheduler.after(plan.fire_s, self._fire)
        self._look()

    def reset(self) -> None:
        """Entries again, as soon as somebody hears it."""
        self._wanted = False
        self._insist()

    def ends(self) -> None:
        """All faults are over for long: what it was to do is done, and entries are open again when they are to be."""
        for law, text in self._left_over():
            self._world.violate(law, text)
        self.reset()
        self._world.pass_time(RESET_WITHIN_S)
        if self._fired_at is not None:
            self._world.violate("B12", f"in force {RESET_WITHIN_S} s after its reset")

    def _left_over(self) -> Found:
        """What is still held or owned while it is in force."""
        world, at = self._world, self._fired_at
        if at is None:
            return []
        found = [
            ("B12", f"{symbol}: {world.exchange.quantity(symbol)} is held, the kill switch is in force")
            for symbol in sorted(world.markets)
            if world.exchange.quantity(symbol) and world.is_ours(symbol)
        ]
        return found + [
            ("B12", f"{p.symbol}: {p.id} has an owner ({p.phase.value}), the kill switch is in force")
            for p in world.owners()
            if not (p.adopted and p.opened_at > at)
        ]

    def _fire(self) -> None:
        self._wanted = True
        self._insist()
        if self._plan.reset_s is not None:
            self._world.scheduler.after(self._plan.reset_s, self.reset)

    # What an operator does at a console: asks, and asks again where nobody answered.

    def _insist(self) -> None:
        world, wanted = self._world, self._wanted
        if wanted is None or wanted is (self._fired_at is not None):
            return
        if wanted:
            self._ask(ArmSwitch(account=None, reason="sim", uid=UID), self._confirm)
        else:
            self._ask(ResetSwitch(account=None, uid=UID), None)
        world.scheduler.after(AGAIN_S, self._insist)

    def _confirm(self, answer: Any) -> None:
        if self._wanted:
            self._ask(ConfirmSwitch(code=str(answer["code"]), uid=UID), None)

    def _ask(self, message: object, then: Any) -> None:
        process = self._world.process
        ref = None if process is None or process.tree is None else process.tree.directory.ref(KILL_SWITCH)
        if ref is None:
            return
        self._world.tell(f"OPERATOR {type(message).__name__}")
        asked: Any = ref.ask(message, block=False)
        if then is not None:
            self._world.scheduler.after(ANSWERED_S, lambda: self._answered(asked, then))

    def _answered(self, asked: Any, then: Any) -> None:
        if asked.answer is not None:
            then(asked.answer)

    # What has to be so.

    @property
    def _fired_at(self) -> datetime | None:
        """When it was fired, by the process's clock; None: it is not in force."""
        facts: Any = self._world.disk.facts.get(SWITCH_FACT) or {}
        at = facts.get(ACCOUNT, {}).get("fired_at")
        return None if at is None else datetime.fromisoformat(at)

    def _look(self) -> None:
        in_force = self._fired_at is not None
        if in_force and self._since_s is None:
            self._world.tell("KILL SWITCH in force")
        self._since_s = (self._since_s or self._world.now_s) if in_force else None
        self._world.scheduler.after(LOOK_S, self._look)

    def _accepted(self, client_id: str) -> None:
        self._others(client_id)
        ours, since = parse_client_id(client_id), self._since_s
        if ours is None or ours.kind is not OrderKind.ENTRY or since is None:
            return
        if self._fired_at is not None and self._world.now_s - since > ON_THE_WIRE_S:
            self._world.violate("B12", f"{client_id} was accepted {self._world.now_s - since:.1f} s after it was fired")

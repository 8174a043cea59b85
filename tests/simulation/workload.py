"""What is asked of a world: signals, right and wrong ones, and an operator's commands.

The operator is not the admin actor (a socket is no part of a simulation) but says what that says to the same actors.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from actors import messages
from actors.messages import OpenByHand, OperatorInput, PauseEntries, ReconcileNow, ResumeEntries
from domain.instrument import PositionSide
from domain.position.inputs import CloseWanted, StopWanted, TrailingWanted
from domain.position.plan import TrailingRules
from domain.position.state import CloseReason, Position
from tests.simulation.faults import Fault
from tests.simulation.plan import Wish
from tests.simulation.process import ACCOUNT
from tests.simulation.venue import START_MS
from tests.simulation.world import World

UID = 1000
POLL_S = 0.5
ASK_LIMIT_S = 20.0


class Workload:
    """Says what is wished."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0
        self._answers: dict[Wish, Callable[[str], object]] = {
            Wish.OPEN: self._open,
            Wish.CLOSE_SIGNAL: lambda symbol: self._signal(symbol, "CLOSE"),
            Wish.OPEN_BY_HAND: self._open_by_hand,
            Wish.CLOSE: lambda symbol: self._close(symbol, Decimal(1)),
            Wish.CLOSE_HALF: lambda symbol: self._close(symbol, Decimal("0.5")),
            Wish.SET_STOP: self._set_stop,
            Wish.SET_TRAILING: self._set_trailing,
            Wish.PAUSE: lambda _: self._tell(messages.ENTRY_DESK, PauseEntries(account=None, reason="sim", uid=UID)),
            Wish.RESUME: lambda _: self._tell(messages.ENTRY_DESK, ResumeEntries(account=None, uid=UID)),
            Wish.RECONCILE: lambda _: self._tell(messages.reconciler(ACCOUNT), ReconcileNow(reason="operator")),
            Wish.WAIT: lambda _: None,
        }

    def wish(self, wish: Wish, symbol: str) -> None:
        """Ask for it now."""
        self._world.tell(f"WISH {wish} {symbol}")
        self._answers[wish](symbol)

    # Signals.

    def _open(self, symbol: str) -> None:
        self._signal(symbol, self._world.chance.choice(("BUY", "SELL")))

    def _signal(self, symbol: str, action: str) -> None:
        world, faults = self._world, self._world.faults
        self._number += 1
        age_s = 7200 if faults.strikes(Fault.SIGNAL_STALE, symbol) else 0
        signal: dict[str, object] = {
            "id": f"s{self._number}",
            "symbol": symbol if self._number % 2 else symbol.removesuffix("USDT") + "/USDT:USDT",
            "exchange": "binanceusdm",
            "action": action,
            "created_at": START_MS + round((world.now_s - age_s) * 1000),
        }
        world.signals.send(signal)
        if faults.strikes(Fault.SIGNAL_DOUBLED, symbol):
            again = dict(signal)
            if world.chance.random() < 0.5:
                self._number += 1
                again["id"] = f"s{self._number}"
            world.scheduler.after(world.chance.uniform(0.0, 2.0), lambda: world.signals.send(again))
        if faults.strikes(Fault.SIGNAL_MALFORMED, symbol):
            wrong: list[dict[str, object]] = [
                {"id": "x", "symbol": symbol},
                {**signal, "id": f"m{self._number}", "action": 7},
                {**signal, "id": f"n{self._number}", "created_at": "yesterday"},
                {**signal, "id": "", "symbol": "\x00"},
            ]
            world.signals.send(world.chance.choice(wrong), remembered=False)
            world.signals.send_rubbish("{[")

    # The operator.

    def _open_by_hand(self, symbol: str) -> None:
        order = OpenByHand(
            account=ACCOUNT,
            symbol=symbol,
            side=self._world.chance.choice((PositionSide.LONG, PositionSide.SHORT)),
            usd=Decimal(400),
            quantity=None,
            stop_pct=Decimal("0.8"),
            stop_price=None,
            trails=None,
            uid=UID,
        )
        self._ask(messages.ENTRY_DESK, order)
        # As the admin does: the first answer may be that bid and ask are still being asked for.
        self._world.scheduler.after(POLL_S, lambda: self._ask(messages.ENTRY_DESK, order))

    def _close(self, symbol: str, fraction: Decimal) -> None:
        self._operate(symbol, CloseWanted(reason=CloseReason.OPERATOR, fraction=fraction), "position.close")

    def _set_stop(self, symbol: str) -> None:
        p = self._position(symbol)
        if p is None or p.mark_price is None:
            return
        away = Decimal(self._world.chance.choice(("0.3", "0.6", "1.5")))
        price = p.mark_price * (1 - p.side.sign * away / 100)
        self._watch(symbol, self._operate(symbol, StopWanted(price=price), "position.set_stop"), 0)

    def _set_trailing(self, symbol: str) -> None:
        on = self._world.chance.random() < 0.7
        rules = TrailingRules(
            enabled=on, activation_pct=Decimal("0.2"), callback_pct=Decimal("0.2"), min_interval_s=Decimal(1)
        )
        self._operate(symbol, TrailingWanted(rules=rules), "position.set_trailing")

    def _watch(self, symbol: str, asked: Any, waited: int) -> None:
        """The oracle excuses a looser stop for a while after an operator's act: an act lasts until it is done."""
        if asked is None:
            return
        self._world.operator_acts(symbol)
        p = self._position(symbol)
        in_force = p is None or (p.operator_stop is not None and [s.trigger for s in p.stops] == [p.operator_stop])
        if waited * POLL_S < ASK_LIMIT_S and not in_force:
            self._world.scheduler.after(POLL_S, lambda: self._watch(symbol, asked, waited + 1))

    def _operate(self, symbol: str, wanted: object, method: str) -> Any:
        owner = self._world.owner_of(symbol)
        if owner is None:
            return None
        return self._ask(messages.position(owner), OperatorInput(input=wanted, method=method, uid=UID))

    def _position(self, symbol: str) -> Position | None:
        return next((p for p in self._world.owners() if p.symbol == symbol), None)

    def _ask(self, name: str, message: object) -> Any:
        """Ask without waiting: what the answer is, is the actor's business."""
        process = self._world.process
        ref = None if process is None or process.tree is None else process.tree.directory.ref(name)
        return None if ref is None else ref.ask(message, block=False)

    def _tell(self, name: str, message: object) -> None:
        process = self._world.process
        if process is not None and process.tree is not None:
            process.tree.directory.tell(name, message)

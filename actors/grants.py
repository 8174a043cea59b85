"""What is granted of a wish: the checks with what the gate knows, then the plan that the position will live by.

The one way to a plan, for signals and for operators. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

from actors.entry_gate import EntryGate
from actors.entry_judgement import Judgement
from actors.openings import Openings
from actors.reporting import ReportingActor
from actors.volatility import Volatility
from domain.catalogue import EventType
from domain.entries.situation import Grant, Refusal, Wish
from domain.entries.sizing import Asked
from domain.entries.terms import Terms
from domain.position.plan import Plan, TakeProfit

AS_SET = Asked()


class Grants:
    """Used by the desk's thread alone."""

    def __init__(
        self, desk: ReportingActor, gate: EntryGate, judgement: Judgement, openings: Openings, volatility: Volatility
    ) -> None:
        """`desk` has the clock."""
        self._desk = desk
        self._gate = gate
        self._judgement = judgement
        self._openings = openings
        self._volatility = volatility

    def consider(
        self,
        wish: Wish,
        terms: Terms,
        asked: Asked = AS_SET,
        goals: Collection[TakeProfit] | None = None,
    ) -> Grant | Refusal | None:
        """The size, or which check refuses it; None while something is being asked for. Raises DatabaseAway."""
        closed = self._gate.closed_because(wish.account)
        last = self._gate.last_order_at(wish.account, wish.instrument.base)
        now = self._desk.clock.now()
        granted = self._judgement.consider(wish, terms, closed, last, now, asked, goals)
        if isinstance(granted, Grant) and granted.warning is not None:
            said = {"code": granted.warning.code, "signal_key": wish.key, **granted.warning.figures}
            self._desk.report(EventType.SPREAD_WIDE, said, symbol=wish.symbol, account=wish.account)
        return granted

    def plan(self, wish: Wish, granted: Grant, terms: Terms) -> Plan | Refusal | None:
        """What the position will live by, or why it cannot; None while the market's ATR is being asked for."""
        plan, trailing = self._openings.plan(wish, terms, granted), terms.trailing
        if not trailing.enabled or trailing.atr_multiple is None:
            return plan
        atr = self._volatility.atr(wish, terms.atr, trailing.atr_multiple, plan.reference_price)
        return replace(plan, atr=atr) if isinstance(atr, Decimal) else atr

"""An operator's entry: the same checks as a signal's, answered at once, with a stop and targets of its own if given."""

from __future__ import annotations

from dataclasses import replace

from actors.entry_gate import EntryGate
from actors.entry_judgement import Judgement, Wiring
from actors.grants import Grants
from actors.messages import EntriesRefused, OpenByHand
from actors.openings import Openings
from actors.reporting import ReportingActor
from adapters.exchange.symbols import UnknownSymbol
from domain.catalogue import EventType
from domain.decimals import plain
from domain.entries.opening import wrong_stop, wrong_targets
from domain.entries.situation import Grant, Refusal, Wish
from domain.entries.sizing import Asked
from domain.entries.terms import Terms
from domain.position.plan import Plan
from domain.position.state import Position

NOT_YET = "not_yet"


class HandEntries:
    """Used by the desk's thread alone."""

    def __init__(
        self,
        desk: ReportingActor,
        wiring: Wiring,
        gate: EntryGate,
        judgement: Judgement,
        grants: Grants,
        openings: Openings,
    ) -> None:
        """`desk` is who reports."""
        self._desk = desk
        self._wiring = wiring
        self._gate = gate
        self._judgement = judgement
        self._grants = grants
        self._openings = openings

    def open(self, order: OpenByHand) -> Position | EntriesRefused:
        """The position, or why not. Raises DatabaseAway: nothing was done then."""
        wish = self._wish(order)
        if isinstance(wish, EntriesRefused):
            return wish
        terms = self._wiring.terms(order.account, wish.symbol)
        if order.trails is not None:
            terms = replace(terms, trailing=replace(terms.trailing, enabled=order.trails))
        asked = Asked(usd=order.usd, quantity=order.quantity, stop_pct=order.stop_pct, stop_price=order.stop_price)
        granted = self._grants.consider(wish, terms, asked, order.take_profits)
        if isinstance(granted, Refusal):
            return EntriesRefused(code=granted.code, figures=granted.figures)
        plan = self._plan(wish, terms, granted, order)
        if isinstance(plan, EntriesRefused):
            return plan
        if self._wiring.dry_run:
            decided = {"method": "position.open", "uid": order.uid, "outcome": "dry_run", "side": order.side.value}
            figures = {"quantity": plain(plan.quantity)}
            data = {**decided, **figures}
            self._desk.report(EventType.OPERATOR_COMMAND, data, symbol=wish.symbol, account=order.account)
            return EntriesRefused(code="dry_run", figures=figures)
        position = self._openings.open(wish, plan, f"operator uid={order.uid}")
        self._gate.ordered(wish.account, wish.instrument.base, position.opened_at)
        return position

    def _wish(self, order: OpenByHand) -> Wish | EntriesRefused:
        desk = self._wiring.accounts.get(order.account)
        if desk is None:
            known = ",".join(self._wiring.accounts)
            return EntriesRefused(code="unknown_account", figures={"account": order.account, "known": known})
        not_yet = self._gate.not_yet(order.account)
        if not_yet is not None:
            return EntriesRefused(code=NOT_YET, figures={"reason": not_yet})
        try:
            symbol = self._judgement.symbols(order.account).canonical(order.symbol)
        except UnknownSymbol as unknown:
            return EntriesRefused(code="unknown_symbol", figures={"error": str(unknown)})
        return Wish(
            account=order.account,
            symbol=symbol,
            instrument=desk.instruments[symbol],
            side=order.side,
            key=None,
            created_at=None,
        )

    def _plan(self, wish: Wish, terms: Terms, granted: Grant | None, order: OpenByHand) -> Plan | EntriesRefused:
        planned = None if granted is None else self._grants.plan(wish, granted, terms)
        if planned is None:
            return EntriesRefused(code=NOT_YET, figures={"reason": "the venue is being asked about the market"})
        if isinstance(planned, Refusal):
            return EntriesRefused(code=planned.code, figures=planned.figures)
        plan = replace(
            planned,
            stop_price=order.stop_price,
            take_profits=planned.take_profits if order.take_profits is None else order.take_profits,
        )
        wrong = wrong_stop(wish.side, plan) or wrong_targets(plan)
        return plan if wrong is None else EntriesRefused(code=wrong.code, figures=wrong.figures)

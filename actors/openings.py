"""How a position begins: minted, claimed, written down, its owner started, in this order.

What becomes of it is its owner's; nothing here sends anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from loguru import logger

from actors import messages
from actors.agreement_messages import Adopt
from actors.entry_judgement import Wiring
from actors.messages import Write
from actors.position import position_spec
from actors.recording import log, position_event
from actors.reporting import ReportingActor
from actors.signal_answers import NO_STORY, Story
from actors.supervision import StartChild
from actors.ticket import Ticket
from domain.catalogue import EventType, Happening
from domain.entries.opening import adopted_position, new_position
from domain.entries.signal import Signal
from domain.entries.situation import Grant, Wish
from domain.entries.terms import Terms
from domain.identity import mint_position_id
from domain.position import foreign
from domain.position.plan import Plan
from domain.position.state import Position
from domain.position.turn import happening
from domain.records import SignalOutcome

OWNER_COMES_WITHIN = timedelta(seconds=5)


class Openings:
    """Used by the desk's thread alone."""

    def __init__(self, desk: ReportingActor, wiring: Wiring) -> None:
        """`desk` is who tells journal and supervisors."""
        self._desk = desk
        self._wiring = wiring
        self._numbers = itertools.count()
        self.rules_known = wiring.owners.rule_changes.number
        """How many changes of the rules there were when this turn of the desk began: all its terms are at least so new.
        """

    def plan(self, wish: Wish, terms: Terms, granted: Grant) -> Plan:
        """What a position of this size will live by, at the mark price of now."""
        protection = terms.protection
        if granted.stop_pct is not None:
            protection = replace(protection, stop_pct=granted.stop_pct)
        mark = self._wiring.marks.get(wish.account, wish.symbol)
        return Plan(
            quantity=granted.quantity,
            protection=protection,
            trailing=terms.trailing,
            take_profits=terms.take_profits,
            reference_price=None if mark is None else mark.price,
            slippage_pct=terms.slippage_pct,
            venue=self._wiring.accounts[wish.account].venue,
        )

    def open(
        self,
        wish: Wish,
        plan: Plan,
        by: str,
        signal: Signal | None = None,
        figures: Mapping[str, object] | None = None,
        story: Story = NO_STORY,
    ) -> Position:
        """A position that its owner will enter; a signal's answer, with figures and story, is in the same record."""
        desk = self._wiring.accounts[wish.account]
        now = self._desk.clock.now()
        position_id = mint_position_id(now, next(self._numbers))
        position = new_position(
            position_id=position_id,
            account=wish.account,
            exchange=desk.exchange,
            instance=desk.instance,
            instrument=wish.instrument,
            side=wish.side,
            plan=plan,
            epoch=desk.positions.epoch(1),
            now=now,
            correlation_id=signal.id if signal is not None else f"operator-{position_id}",
            signal_id=signal.id if signal is not None else None,
            signal_key=wish.key if signal is not None else None,
        )
        created = happening(
            EventType.POSITION_CREATED,
            {
                "side": wish.side.value,
                "quantity": plan.quantity,
                "stop_pct": plan.protection.stop_pct,
                "stop_price": plan.stop_price,
                "by": by,
            },
        )
        self._start(position, (created,), signal, figures or {}, story)
        return position

    def adopt(self, adopt: Adopt) -> Position:
        """A position that somebody else opened, with an owner from now on: a stop and its trail, no take-profits."""
        desk = self._wiring.accounts[adopt.account]
        terms = self._wiring.terms(adopt.account, adopt.instrument.symbol)
        now = self._desk.clock.now()
        position_id = mint_position_id(now, next(self._numbers))
        position = adopted_position(
            position_id=position_id,
            account=adopt.account,
            exchange=desk.exchange,
            instance=desk.instance,
            instrument=adopt.instrument,
            side=adopt.side,
            quantity=adopt.quantity,
            entry_price=adopt.entry_price,
            mark_price=adopt.mark_price,
            plan=Plan(
                quantity=adopt.quantity,
                protection=terms.protection,
                trailing=terms.trailing,
                venue=desk.venue,
                adopt_stops=desk.adopt_stops,
            ),
            epoch=desk.positions.epoch(1),
            now=now,
            correlation_id=f"adopted-{position_id}",
            bare_since=adopt.bare_since,
            orders=adopt.orders,
            mark_at=adopt.mark_at,
        )
        adopted = happening(
            EventType.POSITION_ADOPTED,
            {
                "side": adopt.side.value,
                "quantity": adopt.quantity,
                "entry_price": adopt.entry_price,
                "bare_since": adopt.bare_since,
            },
        )
        kept = (foreign.kept(position.symbol, stop) for stop in position.stops if position.protected_once)
        self._start(position, (adopted, *kept))
        return position

    def mend(self) -> None:
        """Finish or undo what a desk left half-done that hung or fell on its way: a place claimed, and no owner come.

        What was handed to the journal goes on from there (told twice it is written once); else there was nothing yet,
        and its signal, or the stranger's position, is found again.
        """
        now, owners = self._desk.clock.now(), self._wiring.owners
        for position in owners.all():
            wiring = self._wiring.accounts[position.account].positions
            opened_here = position.epoch == wiring.epoch(1)
            came = self._desk.directory.newest_incarnation(messages.position(position.id)) is not None
            ticket = owners.ticket(position.id)
            on_its_way = ticket is not None and now - position.opened_at < OWNER_COMES_WITHIN
            if came or not opened_here or on_its_way:
                continue
            if ticket is None and not owners.let_go(owners.place_of(position), position.id):
                continue  # handed over this very moment
            begun = ticket is not None
            logger.warning("OPENING_MENDED position={} symbol={} begun={}", position.id, position.symbol, begun)
            if ticket is None:
                continue
            if not ticket.settled:
                self._desk.tell(messages.JOURNAL, Write(record=ticket.record, ticket=ticket))
            self._desk.tell(messages.positions(position.account), StartChild(spec=position_spec(wiring, position.id)))

    def _start(
        self,
        position: Position,
        happenings: Sequence[Happening],
        signal: Signal | None = None,
        figures: Mapping[str, object] | None = None,
        story: Story = NO_STORY,
    ) -> None:
        """Raises RuntimeError when the place has an owner (the desk asks before it opens), or this desk was replaced.

        Who claims a place answers for it: what is told after the claim is told even if a successor came in between,
        unless that one has let go of the claim.
        """
        owners, place = self._wiring.owners, self._wiring.owners.place_of(position)
        if not owners.claim(place, position, self.rules_known):
            raise RuntimeError(f"{position.symbol} on {position.account} has an owner already")
        if self._desk.fenced:
            owners.let_go(place, position.id)  # else nobody would ever enter it, nor answer the signal
            raise RuntimeError(f"{position.symbol} on {position.account}: a desk that was replaced opens nothing")
        now = self._desk.clock.now()
        events = [position_event(each, position, now) for each in happenings]
        outcomes: tuple[SignalOutcome, ...] = ()
        if signal is not None:
            told = {"signal": signal.id, "action": signal.action.value, **story.place}
            accepted = Happening(EventType.SIGNAL_ACCEPTED, told)
            events = [position_event(accepted, position, now), *events, *story.summary]
            answer = SignalOutcome(
                signal_id=signal.id,
                outcome="opened",
                at=now,
                figures=figures or {},
                position_id=position.id,
                ranked=story.ranked,
                checks=story.checks,
            )
            outcomes = (answer,)
        log(events)
        record = self._desk.recorder.record(now, events=events, position=position, outcomes=outcomes)
        ticket = Ticket(record)
        if not owners.handed_over(position, ticket):
            raise RuntimeError(f"{position.symbol} on {position.account}: a desk that was replaced opens nothing")
        self._desk.directory.tell(messages.JOURNAL, Write(record=record, ticket=ticket))
        spec = position_spec(self._wiring.accounts[position.account].positions, position.id)
        self._desk.directory.tell(messages.positions(position.account), StartChild(spec=spec))

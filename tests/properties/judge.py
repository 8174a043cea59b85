"""The laws, judged from the venue's side after every change there (LAWS S1-S7), by what was accepted, live and filled.

The judge reads the model venue only, never the position under test. The few excuses that the laws grant (an outsider's
act, a fill that overtook our cancel, a price that the venue refused or the mark has passed) are counted by name.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

from domain.identity import OrderKind, parse_client_id
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderStatus, RejectReason
from domain.position.plan import Plan
from tests.properties.venue import ZERO, Venue, VenueOrder, Watcher

EXCUSED_S = 5
TRIGGERING_S = 1


class Breach(AssertionError):
    """A law was broken: names the law, the moment and the figures."""


class Judge:
    """Watches one venue for one position of ours."""

    def __init__(self, side: PositionSide, plan: Plan, *, holes: bool = False) -> None:
        self.side = side
        self.plan = plan
        self.holes = holes
        self.venue: Venue
        self.excuses: Counter[str] = Counter()
        self.seen_ids: set[str] = set()
        self.entries: list[VenueOrder] = []
        self.best: Decimal | None = None
        self.allowed_stops: set[Decimal] = set()
        self.refused_at: datetime | None = None
        self.passed_at: datetime | None = None
        self.outside_at: datetime | None = None
        self.grown_at: datetime | None = None
        self.last_size = ZERO
        self.blind = False
        self.was_flat = False

    def watcher(self) -> Watcher:
        """What the venue calls."""
        return Watcher(
            accepted=self.accepted,
            changing=self.changing,
            refused=self.refused,
            cancelling=self.cancelling,
            changed=self.changed,
        )

    def breach(self, law: str, what: str) -> None:
        """A law was broken."""
        raise Breach(f"{law}: {what}")

    # What is measured.

    def size(self) -> Decimal:
        """How much of the position is in our direction."""
        return max(self.venue.quantity * self.side.sign, ZERO)

    def stops(self) -> list[VenueOrder]:
        """Our live stops; one that is triggering counts for a second."""
        limit = self.venue.now - timedelta(seconds=TRIGGERING_S)
        return [
            o
            for o in self.venue.stops()
            if o.status is OrderStatus.NEW or (o.triggered_at is not None and o.triggered_at > limit)
        ]

    def in_force(self) -> Decimal | None:
        """The trigger that would be met first."""
        triggers = [o.trigger for o in self.stops() if o.trigger is not None]
        if not triggers:
            return None
        return max(triggers) if self.side is PositionSide.LONG else min(triggers)

    def allow(self, price: Decimal) -> None:
        """The stop may be here: an operator said so, or it is the journalled emergency stop."""
        self.allowed_stops.add(price)
        if self.best is not None:
            self.best = self.side.worst(self.best, price)

    # What is heard.

    def accepted(self, order: VenueOrder) -> None:
        """An order of ours was taken."""
        parsed = parse_client_id(order.client_id)
        if parsed is None:
            assert order.attached, f"{order} is nobody's"
            assert order.trigger is not None
            self._at(order.trigger, "attached with the entry")
            return
        if order.client_id in self.seen_ids:
            self.breach("S7", f"{order.client_id} accepted twice")
        self.seen_ids.add(order.client_id or "")
        if parsed.kind is OrderKind.ENTRY:
            self._entered(order)
            self.was_flat = False
        if parsed.kind is not OrderKind.ENTRY and not order.reduce_only:
            self.breach("S2", f"{order.client_id} can add risk")
        if order.trigger is None:
            return
        if order.take_profit:
            self._target(order)
            return
        live = [o for o in self.venue.stops() if o.status is OrderStatus.NEW]
        if len(live) > 2:
            self.breach("S5", f"{len(live)} live stops: {[(o.client_id, str(o.trigger)) for o in live]}")
        self._at(order.trigger, f"{order.client_id}")

    def _entered(self, order: VenueOrder) -> None:
        """An entry of ours was taken: the only one, or with a slippage bound the second for what the first left."""
        self.entries.append(order)
        first, *rest = self.entries
        if len(rest) > (1 if self.plan.slippage_pct else 0):
            self.breach("S7", f"entry {len(self.entries)} was accepted")
        if rest and first.status in (OrderStatus.NEW, OrderStatus.PART_FILLED):
            self.breach("S7", f"a second entry was accepted beside {first.client_id}")
        if sum((o.quantity for o in rest), first.filled if rest else first.quantity) > self.plan.quantity:
            self.breach("S7", f"entries of {[str(o.quantity) for o in self.entries]}, {first.filled} filled first")

    def _within_bounds(self) -> None:
        """No entry filled beyond the set distance from the price decided on."""
        reference, pct = self.plan.reference_price, self.plan.slippage_pct
        if not pct or reference is None:
            return
        for trade in self.venue.trades[-1:]:
            worse = (trade.price - reference) * self.side.sign
            if any(o.exchange_id == trade.exchange_id for o in self.entries) and worse * 100 > reference * pct:
                self.breach("A7", f"filled at {trade.price}, {pct} % from {reference} were allowed")

    def _target(self, order: VenueOrder) -> None:
        """A take-profit of ours was taken: not before the position is covered, and not a second one for a target."""
        twins = [o for o in self.targets() if o.trigger == order.trigger and o is not order]
        if twins:
            self.breach("S7", f"{order.client_id} at {order.trigger} beside {twins[0].client_id}")
        cover = sum((self.venue.closes(o) for o in self.stops()), ZERO)
        if cover >= self.size() or self._excused("a target before the stop", grown=False):
            return
        limit = self.venue.now - timedelta(seconds=EXCUSED_S)
        fired = any(o.triggered_at is not None and o.triggered_at > limit for o in self.venue.orders.values())
        if fired or self.holes:
            self.excuses["a target left while its stop rested"] += 1
        else:
            self.breach("B3", f"{order.client_id}: a take-profit while {cover} of {self.size()} is covered")

    def targets(self) -> list[VenueOrder]:
        """Our live take-profits."""
        return [o for o in self.venue.resting() if o.take_profit and o.status is OrderStatus.NEW]

    def changing(self, order: VenueOrder, intent: OrderIntent) -> None:
        """A resting stop of ours is about to be changed in place: no hole, but it may not become looser or smaller."""
        if intent.client_id in self.seen_ids:
            self.breach("S7", f"{intent.client_id} accepted twice")
        self.seen_ids.add(intent.client_id)
        assert intent.trigger_price is not None
        covers = order.attached or intent.quantity >= min(self.size(), order.quantity)
        if not covers and not self._excused("made too small"):
            self.breach("S1/S4", f"{intent.client_id} makes {order.client_id} too small: {intent.quantity}")
        self._at(intent.trigger_price, f"{intent.client_id} in place of {order.trigger}", changed=True)

    def _at(self, trigger: Decimal, what: str, *, changed: bool = False) -> None:
        """A stop of ours is at `trigger` from now on."""
        if self.best is not None and self.size() > 0 and self.side.better(self.best, trigger):
            self._looser(trigger, f"{what} at {trigger} after one at {self.best}", changed=changed)
        if self.best is None or trigger in self.allowed_stops:
            self.best = trigger
        else:
            self.best = self.side.best(self.best, trigger)

    def _looser(self, trigger: Decimal, what: str, *, changed: bool) -> None:
        if self._allowed([trigger]):
            self.excuses["operator's stop"] += 1
        elif self.passed_at is not None or self.refused_at is not None:
            self.excuses["the better price was refused or passed"] += 1
        elif not changed and self.stops() and self.in_force() != trigger:
            return  # beside a better one that is live: the cancel is judged
        else:
            self.breach("S3", what)

    def refused(self, intent: OrderIntent, _: RejectReason) -> None:
        """An order of ours was refused."""
        if intent.trigger_price is not None:
            self.refused_at = self.venue.now

    def cancelling(self, order: VenueOrder) -> None:
        """We are about to cancel this order: remember what it is good for."""
        if self.size() > 0 and order.trigger is not None and not order.take_profit:
            left = [o for o in self.stops() if o is not order]
            # While two overlap their sum says little: the better of the two has to be left.
            held = max((self.venue.closes(o) for o in self.stops()), default=ZERO)
            enough = sum((self.venue.closes(o) for o in left), ZERO) >= min(self.size(), held)
            if not enough and self.holes:
                self.excuses["cancelled first: this venue has no other way of moving a stop"] += 1
            elif not enough and self.was_flat:
                self.excuses["cancelled too much: somebody else's position since"] += 1
            elif not enough and not self._excused("cancelled too much"):
                self.breach("S1/S4", f"we cancelled {order.client_id}: {left} stay for {self.size()}")
            triggers = [o.trigger for o in left if o.trigger is not None]
            worse = triggers and all(self.side.better(order.trigger, t) for t in triggers)
            if worse and self.venue.closes(order) < min(self.size(), max(self.venue.closes(o) for o in left)):
                self.excuses["kept a worse stop: it covers more"] += 1
            elif worse and not self._allowed(triggers) and not self._excused("kept a worse stop"):
                self.breach("S3", f"we cancelled {order.client_id} at {order.trigger} and kept {triggers}")

    def _allowed(self, triggers: list[Decimal]) -> bool:
        """Whether one of these is not looser than what an operator asked for."""
        return any(not self.side.better(asked, t) for asked in self.allowed_stops for t in triggers)

    def _excused(self, what: str, *, grown: bool = True) -> bool:
        if self.blind:
            self.excuses[f"{what}: the news never came"] += 1
            return True
        limit = self.venue.now - timedelta(seconds=EXCUSED_S)
        causes = [("an outsider acted", self.outside_at)] + ([("it had just grown", self.grown_at)] if grown else [])
        for cause, at in causes:
            if at is not None and at >= limit:
                self.excuses[f"{what}: {cause}"] += 1
                return True
        return False

    def changed(self, cause: str) -> None:
        """Anything happened at the venue."""
        size = self.size()
        self._within_bounds()
        if cause in ("human", "liquidation", "venue"):
            self.outside_at = self.venue.now
        if size > self.last_size:
            self.grown_at = self.venue.now
        if self.best is not None and not self.side.better(self.venue.mark, self.best):
            self.passed_at = self.venue.now
        if size == 0:
            self.best = None if self.entries else self.best
            self.was_flat = self.was_flat or self.last_size > 0
        self.last_size = size

    def ended(self, *, proven_gone: bool) -> None:
        """The owner says that the life is over."""
        if proven_gone and self.size() > 0 and self.was_flat:
            self.excuses["over, and somebody else's position since"] += 1
        elif proven_gone and self.size() > 0 and not self._excused("over too early"):
            self.breach("S11", f"called over, but the venue shows {self.size()}")

    # What must be true once all is quiet and well.

    def at_rest(self, *, final: bool, released: bool) -> None:
        """Liveness: flat, clean and over; or exactly one stop of exactly the right size."""
        live = [o for o in self.venue.stops() if o.status is OrderStatus.NEW]
        targets = self.targets()
        if released:
            return
        if final:
            if live or targets:
                self.breach("S6", f"over, but {[(o.client_id, str(o.trigger)) for o in (*live, *targets)]} live")
            return
        if sum((o.quantity for o in targets), ZERO) > self.size():
            self.breach("S2", f"size {self.size()}, take-profits {[str(o.quantity) for o in targets]}")
        if self.size() == 0:
            self.breach("L1", "flat at the venue, but not over")
        if len(live) != 1 or self.venue.closes(live[0]) != self.size():
            shown = [(o.client_id, str(o.quantity), str(o.trigger)) for o in live]
            self.breach("L1", f"size {self.size()}, live stops {shown}")

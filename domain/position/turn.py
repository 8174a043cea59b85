"""One turn of the machine: the position as it changes, and what it says and wants on the way.

A turn lives for one call of `machine.handle` and never leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.catalogue import EventType, Happening, Severity
from domain.decimals import plain
from domain.identity import ClientOrderId, OrderKind, mint_client_id, parse_client_id
from domain.orders import OrderIntent, OrderRef, OrderStatus
from domain.position.effects import Effect, Find, Place, Transition
from domain.position.state import ExitOrder, Position, StopOrder, TargetOrder, TrackedOrder
from domain.records import OrderChange, Trade


class Turn:
    """Collects the changes of one turn. `now` is the time of the input, `began` the position before it."""

    def __init__(self, position: Position, now: datetime) -> None:
        self.position = position
        self.began = position
        self.now = now
        self.effects: list[Effect] = []
        self.happenings: list[Happening] = []
        self.orders: list[OrderChange] = []
        self.trades: list[Trade] = []
        self.wake: datetime | None = None
        self.record = False

    def set(self, **changes: Any) -> None:
        """Change facts that have to be remembered."""
        self.position = self.position.changed(**changes)
        self.record = True

    def note(self, **changes: Any) -> None:
        """Change facts that a restart may forget (the last price)."""
        self.position = self.position.changed(**changes)

    def say(
        self,
        event: EventType,
        data: dict[str, object] | None = None,
        severity: Severity | None = None,
        order_id: str | None = None,
    ) -> None:
        """Report something that happened."""
        self.happenings.append(happening(event, data or {}, severity, order_id))
        self.record = True

    def want(self, effect: Effect) -> None:
        """Ask for something to be done."""
        self.effects.append(effect)

    def wake_at(self, moment: datetime) -> None:
        """Wake the machine then, or earlier."""
        self.wake = moment if self.wake is None else min(self.wake, moment)

    def mint(self, kind: OrderKind) -> ClientOrderId:
        """The next client order id of this position."""
        p = self.position
        self.set(sequence=p.sequence + 1)
        return mint_client_id(p.instance, p.id, p.epoch, p.sequence + 1, kind)

    def place(self, intent: OrderIntent) -> None:
        """Send an order: its intent goes into the same record as the state that knows of it."""
        self.orders.append(
            OrderChange(
                client_id=intent.client_id,
                position_id=intent.position_id,
                status=OrderStatus.NEW,
                at=self.now,
                intent=intent,
            )
        )
        self.want(Place(intent=intent))

    def order_changed(
        self,
        client_id: str,
        status: OrderStatus,
        *,
        exchange_id: str | None = None,
        cumulative_quantity: Decimal | None = None,
        average_price: Decimal | None = None,
        reason: str | None = None,
    ) -> None:
        """Write down what is now known of an order of ours; a stranger's order has no row of ours."""
        if parse_client_id(client_id) is None:
            return
        self.orders.append(
            OrderChange(
                client_id=client_id,
                position_id=self.position.id,
                status=status,
                at=self.now,
                exchange_id=exchange_id,
                cumulative_quantity=cumulative_quantity,
                average_price=average_price,
                reason=reason,
            )
        )
        self.record = True

    def ref(self, order: TrackedOrder) -> OrderRef:
        """How to name an order of ours to the venue. A change in place is looked for where it was to be made.

        A take-profit that has triggered is over as such: from then on its child is meant.
        """
        child_id = order.child_id if isinstance(order, TargetOrder) else None
        if child_id is not None:
            return OrderRef(
                symbol=self.position.symbol,
                client_id=None,
                exchange_id=child_id,
                conditional=False,
                position_side=self.position.side,
            )
        stop = order if isinstance(order, StopOrder) else None
        exchange_id = order.exchange_id
        if exchange_id is None and stop is not None and stop.replaces is not None:
            changed = self.order(stop.replaces)
            exchange_id = changed.exchange_id if changed is not None else None
        return OrderRef(
            symbol=self.position.symbol,
            client_id=order.client_id,
            exchange_id=exchange_id,
            conditional=isinstance(order, StopOrder | TargetOrder),
            attached=stop is not None and stop.attached,
            position_side=self.position.side,
        )

    def find(self, order: TrackedOrder) -> None:
        """Ask the venue about an order."""
        self.want(Find(ref=self.ref(order)))

    def put(self, order: TrackedOrder) -> None:
        """Replace what is known of one order, found by its client id."""
        p = self.position
        if isinstance(order, StopOrder):
            self.set(stops=tuple(order if s.client_id == order.client_id else s for s in p.stops))
        elif isinstance(order, ExitOrder):
            self.set(exits=tuple(order if x.client_id == order.client_id else x for x in p.exits))
        elif isinstance(order, TargetOrder):
            self.set(targets=tuple(order if t.client_id == order.client_id else t for t in p.targets))
        elif p.earlier is not None and order.client_id == p.earlier.client_id:
            self.set(earlier=order)
        else:
            self.set(entry=order)

    def tracked(self) -> tuple[TrackedOrder, ...]:
        """All orders of ours, oldest first."""
        p = self.position
        entries = tuple(order for order in (p.earlier, p.entry) if order is not None)
        return entries + p.stops + p.exits + p.targets

    def order(self, client_id: str | None, exchange_id: str | None = None) -> TrackedOrder | None:
        """The order of ours with this client id, else with this exchange id; one that is not over comes first."""
        orders = sorted(self.tracked(), key=lambda order: order.state.over)
        for order in orders:
            if client_id is not None and client_id in (order.client_id, getattr(order, "wire_id", None)):
                return order
        for order in orders:
            if exchange_id is not None and order.exchange_id == exchange_id:
                return order
        return None

    def transition(self) -> Transition:
        """What came of the turn."""
        if self.record:
            self.position = self.position.changed(version=self.position.version + 1)
        return Transition(
            position=self.position,
            effects=tuple(self.effects),
            happenings=tuple(self.happenings),
            orders=tuple(self.orders),
            trades=tuple(self.trades),
            wake_at=self.wake,
            record=self.record,
        )


def happening(
    event: EventType, data: Mapping[str, object], severity: Severity | None = None, order_id: str | None = None
) -> Happening:
    """Something that happened, its figures as the journal has them."""
    return Happening(event, {key: _plain(value) for key, value in data.items()}, severity, order_id)


def _plain(value: object) -> str | int | bool | None:
    """A JSON-ready value: money as an exact decimal string, times in ISO 8601."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)

"""A small venue of the tests' own: one symbol, one-way mode, exact decimals, and every mischief on request.

Rules of this file: it shares nothing with the rules under test but the values that are spoken (reports, fills). It only
does what it is told to, at once; delays, losses and chance belong to `world`. Whatever changes is told to `told`, in
order, as the private stream would say it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from domain.identity import ClientOrderId, OrderKind
from domain.instrument import Side
from domain.orders import Fill, OrderIntent, OrderReport, OrderStatus, PositionReport, RejectReason, Source

ZERO = Decimal(0)
LIVE = (OrderStatus.NEW, OrderStatus.TRIGGERING)
News = OrderReport | Fill | PositionReport


class Refused(Exception):
    """The venue takes no such order."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(slots=True)
class VenueOrder:
    """One order as the venue has it. `owner` is 'us', 'human' or 'venue'."""

    exchange_id: str
    client_id: str | None
    owner: str
    side: Side
    quantity: Decimal
    reduce_only: bool
    status: OrderStatus
    at: datetime
    trigger: Decimal | None = None
    child_id: str | None = None
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    triggered_at: datetime | None = None
    sent_at: datetime | None = None
    attached: bool = False
    close_position: bool = False
    attached_stop: Decimal | None = None
    limit: Decimal | None = None
    take_profit: bool = False

    def reached(self, mark: Decimal) -> bool:
        """Whether a mark price triggers it, or would at once."""
        assert self.trigger is not None
        falling = (self.side is Side.SELL) is not self.take_profit
        return mark <= self.trigger if falling else mark >= self.trigger


@dataclass(slots=True)
class Watcher:
    """Whoever judges: told of each change, with its cause, right after it happened."""

    accepted: Callable[[VenueOrder], None]
    changing: Callable[[VenueOrder, OrderIntent], None]
    refused: Callable[[OrderIntent, RejectReason], None]
    cancelling: Callable[[VenueOrder], None]
    changed: Callable[[str], None]


@dataclass(slots=True)
class Venue:
    """The account's one symbol."""

    symbol: str
    mark: Decimal
    watcher: Watcher
    told: Callable[[News], None]
    now: datetime
    tick: Decimal
    attaches: bool = False
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    orders: dict[str, VenueOrder] = field(default_factory=dict)
    trades: list[Fill] = field(default_factory=list)
    marks: list[tuple[datetime, Decimal]] = field(default_factory=list)
    number: int = 100

    def mint(self) -> str:
        """The next id of anything."""
        self.number += 1
        return str(self.number)

    # What we ask of it.

    def place(self, intent: OrderIntent, sent_at: datetime) -> VenueOrder:
        """Take an order of ours; a market order then waits for `execute`. Raises Refused."""
        for order in self.orders.values():
            if order.client_id == intent.client_id:
                raise Refused(RejectReason.DUPLICATE_ID)
        if intent.trigger_price is not None:
            falling = (intent.side is Side.SELL) is not (intent.kind is OrderKind.TAKE_PROFIT)
            if (intent.trigger_price >= self.mark) if falling else (intent.trigger_price <= self.mark):
                raise Refused(RejectReason.WOULD_TRIGGER)
        elif intent.reduce_only and self.quantity * intent.side.sign >= 0:
            raise Refused(RejectReason.REDUCE_ONLY)
        if intent.attached_stop is not None and (intent.attached_stop - self.mark) * intent.side.sign >= 0:
            raise Refused(RejectReason.WOULD_TRIGGER)
        if intent.attached and self.quantity * intent.side.sign >= 0:
            raise Refused(RejectReason.OTHER)
        resting = self.find(intent.replaces.exchange_id, None) if intent.replaces else None
        if intent.attached:
            resting = self.attached()
        if resting is not None or intent.replaces is not None:
            return self._change(resting, intent)
        if intent.close_position and any(o.close_position and o.status is OrderStatus.NEW for o in self.resting()):
            raise Refused(RejectReason.LIMIT)
        order = VenueOrder(
            exchange_id=self.mint(),
            client_id=intent.client_id,
            owner="us",
            side=intent.side,
            quantity=intent.quantity,
            reduce_only=intent.reduce_only,
            status=OrderStatus.NEW,
            at=self.now,
            trigger=intent.trigger_price,
            sent_at=sent_at,
            attached=intent.attached,
            close_position=intent.close_position,
            attached_stop=intent.attached_stop,
            limit=intent.limit_price,
            take_profit=intent.kind is OrderKind.TAKE_PROFIT,
        )
        self.orders[order.exchange_id] = order
        self.watcher.accepted(order)
        self.tell(order)
        return order

    def _change(self, order: VenueOrder | None, intent: OrderIntent) -> VenueOrder:
        """Change a resting stop in place."""
        if order is None or order.status is not OrderStatus.NEW or intent.trigger_price is None:
            raise Refused(RejectReason.OTHER)
        self.watcher.changing(order, intent)
        order.trigger, order.quantity = intent.trigger_price, intent.quantity
        self.tell(order)
        if order.attached:
            self.told(self.report(Source.STREAM))
        self.watcher.changed("our change")
        return order

    def attached(self) -> VenueOrder | None:
        """The stop that stands on the position."""
        return next((o for o in self.resting() if o.attached and o.status is OrderStatus.NEW), None)

    def _attach(self, entry: VenueOrder) -> None:
        """The first fill of an entry brings its stop along."""
        if entry.attached_stop is None or self.attached() is not None or self.quantity * entry.side.sign <= 0:
            return
        stop = VenueOrder(
            exchange_id=self.mint(),
            client_id=None,
            owner="us",
            side=Side.SELL if entry.side is Side.BUY else Side.BUY,
            quantity=entry.quantity,
            reduce_only=True,
            status=OrderStatus.NEW,
            at=self.now,
            trigger=entry.attached_stop,
            attached=True,
        )
        entry.attached_stop = None
        self.orders[stop.exchange_id] = stop
        self.watcher.accepted(stop)
        self.tell(stop)

    def _gone_with_the_position(self) -> None:
        for order in self.resting():
            if (order.attached or order.close_position) and order.status is OrderStatus.NEW:
                self._end(order, OrderStatus.CANCELED)

    def closes(self, order: VenueOrder) -> Decimal:
        """What a stop would close."""
        return abs(self.quantity) if order.attached or order.close_position else order.quantity

    def cancel(self, exchange_id: str | None, client_id: str | None, by: str = "us") -> bool:
        """Cancel a resting conditional order; False when no such order rests."""
        order = self.find(exchange_id, client_id)
        if order is None or order.status is not OrderStatus.NEW or order.trigger is None:
            return False
        if by == "us":
            self.watcher.cancelling(order)
        self._end(order, OrderStatus.CANCELED)
        self.watcher.changed("our cancel" if by == "us" else by)
        return True

    def find(self, exchange_id: str | None, client_id: str | None) -> VenueOrder | None:
        """One order, by whichever id is known."""
        for order in self.orders.values():
            if order.exchange_id == exchange_id or (client_id is not None and order.client_id == client_id):
                return order
        return None

    # What happens to orders.

    def price_of(self, side: Side) -> Decimal:
        """What a buyer pays, or a seller gets."""
        return self.mark + self.tick * side.sign

    def execute(self, order: VenueOrder, quantity: Decimal, *, last: bool) -> None:
        """Fill some of an ordinary order; `last`: what is left of it expires. Nothing fills beyond a limit."""
        if order.limit is not None and (self.price_of(order.side) - order.limit) * order.side.sign > 0:
            quantity = ZERO
        if order.status not in (OrderStatus.NEW, OrderStatus.PART_FILLED):
            return
        room = order.quantity - order.filled
        if order.reduce_only:
            room = min(room, max(-self.quantity * order.side.sign, ZERO))
        quantity = min(quantity, room)
        if quantity > 0:
            before = self.quantity
            self._trade(order, quantity)
            if self.quantity * before <= 0 < abs(before):
                self._gone_with_the_position()
            self._attach(order)
        if order.filled == order.quantity:
            order.status = OrderStatus.FILLED
        elif last or quantity == 0:
            order.status = OrderStatus.EXPIRED
        else:
            order.status = OrderStatus.PART_FILLED
        self.tell(order)
        if quantity > 0:
            self.told(self.trades[-1])
            self.told(self.report(Source.STREAM))
        self.watcher.changed("fill" if order.owner == "us" else order.owner)

    def move(self, mark: Decimal) -> list[VenueOrder]:
        """A new mark price. Returns the conditionals that it triggers: they wait for `fire`."""
        self.mark = mark
        self.marks.append((self.now, mark))
        touched = []
        for order in self.orders.values():
            if order.trigger is None or order.status is not OrderStatus.NEW:
                continue
            if order.reached(mark):
                order.status, order.triggered_at = OrderStatus.TRIGGERING, self.now
                self.tell(order)
                touched.append(order)
        self.watcher.changed("mark")
        return touched

    def fire(self, order: VenueOrder, *, refuse: bool = False) -> VenueOrder | None:
        """A triggering conditional makes its child, which waits for `execute`; or the venue rejects it."""
        if order.status is not OrderStatus.TRIGGERING:
            return None
        if refuse or self.quantity * order.side.sign >= 0:
            self._end(order, OrderStatus.REJECTED if refuse else OrderStatus.EXPIRED)
            self.watcher.changed("venue")
            return None
        child = VenueOrder(
            exchange_id=self.mint(),
            client_id=None,  # a child is known by its parent's `child_id` only
            owner=order.owner,
            side=order.side,
            quantity=self.closes(order),
            reduce_only=True,
            status=OrderStatus.NEW,
            at=self.now,
        )
        order.child_id, order.status = child.exchange_id, OrderStatus.TRIGGERED
        self.orders[child.exchange_id] = child
        self.tell(order)
        self.tell(child)
        return child

    # What others do.

    def outsider(self, side: Side, quantity: Decimal, owner: str = "human") -> None:
        """A market order that is not ours, filled whole: a human's, or the venue's own liquidation."""
        order = VenueOrder(
            exchange_id=self.mint(),
            client_id="autoclose-1" if owner == "liquidation" else "web_1",
            owner=owner,
            side=side,
            quantity=quantity,
            reduce_only=False,
            status=OrderStatus.NEW,
            at=self.now,
        )
        self.orders[order.exchange_id] = order
        self.execute(order, quantity, last=True)

    # What it shows.

    def report(self, source: Source, at: datetime | None = None) -> PositionReport:
        """The position as it is now."""
        return PositionReport(
            symbol=self.symbol,
            position_side=None,
            quantity=self.quantity,
            entry_price=self.entry_price if self.quantity else None,
            mark_price=self.mark if source is not Source.STREAM else None,
            liquidation_price=None,
            at=at or self.now,
            source=source,
            attached_stop=self._attached_trigger() if self.attaches else None,
        )

    def _attached_trigger(self) -> Decimal:
        stop = self.attached()
        return ZERO if stop is None or stop.trigger is None else stop.trigger

    def shown(self, order: VenueOrder, source: Source) -> OrderReport:
        """An order as it is now."""
        conditional = order.trigger is not None
        return OrderReport(
            symbol=self.symbol,
            client_id=ClientOrderId(order.client_id) if order.client_id and not order.attached else None,
            exchange_id=order.exchange_id,
            conditional=conditional,
            side=order.side,
            status=order.status,
            quantity=order.quantity,
            filled=ZERO if conditional else order.filled,
            average_price=order.notional / order.filled if order.filled else None,
            trigger_price=order.trigger,
            reduce_only=order.reduce_only,
            close_position=order.close_position,
            position_side=None,
            child_id=order.child_id,
            reason="",
            at=order.at,
            source=source,
            attached=order.attached,
        )

    def stops(self) -> list[VenueOrder]:
        """Stops of ours that are live."""
        return [o for o in self.resting() if not o.take_profit]

    def resting(self) -> list[VenueOrder]:
        """Conditional orders of ours that are live."""
        return [o for o in self.orders.values() if o.owner == "us" and o.trigger is not None and o.status in LIVE]

    def tell(self, order: VenueOrder) -> None:
        """Say on the stream what an order has become."""
        order.at = self.now
        self.told(self.shown(order, Source.STREAM))

    def _end(self, order: VenueOrder, status: OrderStatus) -> None:
        order.status = status
        self.tell(order)

    def _trade(self, order: VenueOrder, quantity: Decimal) -> None:
        price = self.price_of(order.side)
        before, signed = self.quantity, quantity * order.side.sign
        realized = ZERO
        if before * signed < 0:
            closed = min(abs(before), quantity)
            realized = (price - self.entry_price) * closed * (1 if before > 0 else -1)
        after = before + signed
        if before * signed >= 0:
            self.entry_price = (self.entry_price * abs(before) + price * quantity) / (abs(before) + quantity)
        elif before * after < 0:
            self.entry_price = price
        self.quantity = after
        order.filled += quantity
        order.notional += price * quantity
        self.trades.append(
            Fill(
                trade_id=self.mint(),
                symbol=self.symbol,
                exchange_id=order.exchange_id,
                client_id=ClientOrderId(order.client_id) if order.client_id else None,
                side=order.side,
                position_side=None,
                quantity=quantity,
                price=price,
                fee=price * quantity / 2000,
                fee_currency="USDT",
                realized_pnl=realized,
                at=self.now,
                liquidation=order.owner == "liquidation",
                by_attached_stop=any(o.attached and o.child_id == order.exchange_id for o in self.orders.values()),
            )
        )

"""Zombie orders: what rests at the venue and has no position to act on, or would act on the wrong one (SYSTEM C4).

Pure: a reading of the account, the positions that have an owner and the rules in; verdicts out. Rules of this file:
- Of ours (by the prefix of this database) an order is a zombie once its position is over. Anybody else's, an older
  database's of ours among them, is one in aggressive mode only, and never while it is young (LAWS S9).
- What closes some of a live position, anybody's, protects it. It is named only where the position is ours and the stops
  that stay cover it whole without.
- What is attached to a position comes with the entry: nothing is taken off a place whose owner may be about to enter.
- A symbol that is excluded has no zombies.
- What a reading does not list proves nothing: `proved` counts only explicit rows (LAWS S11). The list of all positions
  may leave out what is flat; then a verdict is a suspicion, and the symbol has to be read by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from domain.identity import OrderKind, ParsedClientId, PositionId, parse_client_id
from domain.instrument import PositionSide
from domain.orders import AccountSnapshot, OrderRef, OrderReport, OrderStatus, PositionReport
from domain.position.state import Position

Place = tuple[str, PositionSide | None]
"""A symbol, and in hedge mode a side of it."""
YOUNG = timedelta(seconds=10)
"""Somebody may just be about to open the position that a stranger's order is for."""
_RESTING = (OrderStatus.NEW, OrderStatus.ACK, OrderStatus.PART_FILLED)
_ZERO = Decimal(0)


class Kind(StrEnum):
    """What is wrong with an order."""

    NO_POSITION = "no_position"
    WRONG_SIDE = "wrong_side"
    STALE = "stale"
    PAST_POSITION = "past_position"
    WOULD_ADD = "would_add"
    WOULD_FLIP = "would_flip"
    ATTACHED = "attached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a hunt goes by. `past`: where a position of ours has ended; what is still attached there is ours."""

    instance: str
    aggressive: bool = False
    exclude: frozenset[str] = frozenset()
    past: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Zombie:
    """One verdict: what it is, whose, and how to find it. `order` None: the position's own row shows it."""

    kind: Kind
    ours: bool
    ref: OrderRef
    order: OrderReport | None = None
    trigger: Decimal | None = None

    @property
    def key(self) -> str:
        """What makes two sightings the same."""
        side = f" {self.ref.position_side.value}" if self.ref.attached and self.ref.position_side else ""
        return f"zombie {self.ref.symbol}{side} {self.ref.exchange_id or self.kind.value}"


def find(
    snapshot: AccountSnapshot, owned: Iterable[Position], rules: Rules, *, proved: bool = False
) -> tuple[Zombie, ...]:
    """Every zombie of a reading. `proved`: only where explicit rows show it, as a reading of one symbol does."""
    owners = tuple(owned)
    return tuple(
        zombie
        for symbol in sorted({o.symbol for o in snapshot.orders} | {r.symbol for r in snapshot.positions})
        if symbol not in rules.exclude
        for zombie in _Symbol(symbol, snapshot, owners, rules, proved).zombies()
    )


class _Symbol:
    """One symbol of one reading."""

    def __init__(
        self, symbol: str, snapshot: AccountSnapshot, owners: Sequence[Position], rules: Rules, proved: bool
    ) -> None:
        self._rules = rules
        self._proved = proved
        self._asked_at = snapshot.asked_at
        self._rows = [row for row in snapshot.positions if row.symbol == symbol]
        self._orders = [order for order in snapshot.orders if order.symbol == symbol and order.status in _RESTING]
        self._owners: Mapping[PositionId, Position] = {p.id: p for p in owners}
        self._owned_sides = {p.side for p in owners if p.symbol == symbol}

    def zombies(self) -> Iterable[Zombie]:
        """Those that protect nobody; then those without which the rest still covers everything."""
        spare: list[tuple[OrderReport, Zombie, PositionReport]] = []
        attached: dict[Place, Zombie] = {}
        for order in self._orders:
            ours = parse_client_id(order.client_id)
            mine = ours is not None and ours.instance == self._rules.instance
            if ours is not None and mine and ours.position_id in self._owners:
                kind = self._misplaced(order, ours, self._owners[ours.position_id])
            elif order.attached:
                attached |= self._left_on_position(order)
                continue
            else:
                kind = self._loose(order, mine)
            if kind is None or not (mine or self._may_touch(order)):
                continue
            zombie = _named(kind, order, mine)
            closed = self._closed_by(order)
            if closed is None:
                yield zombie
            elif self._is_ours(closed):
                spare.append((order, zombie, closed))
        for row in self._rows:
            attached |= self._shown_on_row(row)
        yield from attached.values()
        gone = {id(order) for order, _, _ in spare}
        staying = [order for order in self._orders if id(order) not in gone]
        for _order, zombie, row in spare:
            if _cover(row, staying) >= abs(row.quantity):
                yield zombie

    def _misplaced(self, order: OrderReport, ours: ParsedClientId, owner: Position) -> Kind | None:
        """An order with the id of a living position that is not where that position is."""
        elsewhere = order.symbol != owner.symbol or order.position_side not in (None, owner.side)
        wrong = ours.kind is not OrderKind.ENTRY and order.side is not owner.side.closing
        unproved = self._proved and not self._facing(order)
        return Kind.WRONG_SIDE if (elsewhere or wrong) and not unproved else None

    def _loose(self, order: OrderReport, mine: bool) -> Kind | None:
        """What an order is that no living position of ours sent."""
        held = self._held(order)
        if not held:
            if self._proved and not self._facing(order):
                return None
            return Kind.WRONG_SIDE if any(row.quantity for row in self._rows) else Kind.NO_POSITION
        closed = self._closed_by(order)
        if closed is None:
            if order.reduce_only or order.close_position:
                return Kind.STALE
            return Kind.WOULD_ADD if mine or any(self._is_ours(row) for row in held) else None
        if mine:
            return Kind.PAST_POSITION
        flips = closed.position_side is None and not (order.reduce_only or order.close_position)
        return Kind.WOULD_FLIP if flips and order.quantity > abs(closed.quantity) else None

    def _left_on_position(self, order: OrderReport) -> dict[Place, Zombie]:
        place = (order.symbol, order.position_side)
        if self._owned_sides or self._held(order) or (self._proved and not self._facing(order)):
            return {}
        mine = place in self._rules.past
        if not (mine or self._may_touch(order)):
            return {}
        return {place: _on_position(place, mine, order.trigger_price, order)}

    def _shown_on_row(self, row: PositionReport) -> dict[Place, Zombie]:
        """A row that is flat and still shows a stop or a take-profit."""
        place = (row.symbol, row.position_side)
        mine = place in self._rules.past
        shown = row.attached_stop or row.attached_profit
        if self._owned_sides or row.quantity or not shown or not (mine or self._rules.aggressive):
            return {}
        return {place: _on_position(place, mine, shown, None)}

    def _may_touch(self, order: OrderReport) -> bool:
        return self._rules.aggressive and self._asked_at - order.at >= YOUNG

    def _facing(self, order: OrderReport) -> list[PositionReport]:
        """The rows that an order may act on; one of another position mode than the rows may act on any."""
        side = order.position_side
        return [row for row in self._rows if side is None or row.position_side in (None, side)]

    def _held(self, order: OrderReport) -> list[PositionReport]:
        return [row for row in self._facing(order) if row.quantity]

    def _closed_by(self, order: OrderReport) -> PositionReport | None:
        """The live position that an order would close some of, whoever sent it and however it is marked."""
        return next((row for row in self._held(order) if order.side is side_of(row).closing), None)

    def _is_ours(self, row: PositionReport) -> bool:
        return side_of(row) in self._owned_sides


def side_of(row: PositionReport) -> PositionSide:
    """Which way an open position earns."""
    return row.position_side or (PositionSide.LONG if row.quantity > 0 else PositionSide.SHORT)


def _named(kind: Kind, order: OrderReport, mine: bool) -> Zombie:
    ref = OrderRef(
        symbol=order.symbol,
        client_id=order.client_id,
        exchange_id=order.exchange_id,
        conditional=order.conditional,
        position_side=order.position_side,
    )
    return Zombie(kind=kind, ours=mine, ref=ref, order=order, trigger=order.trigger_price)


def _on_position(place: Place, mine: bool, trigger: Decimal | None, order: OrderReport | None) -> Zombie:
    ref = OrderRef(
        symbol=place[0],
        client_id=None,
        exchange_id=None,
        conditional=True,
        attached=True,
        position_side=place[1],
        with_profit=True,
    )
    return Zombie(kind=Kind.ATTACHED, ours=mine, ref=ref, order=order, trigger=trigger)


def _cover(row: PositionReport, orders: Iterable[OrderReport]) -> Decimal:
    """How much of a position the stops among these would close: reducing, triggered on its losing side."""
    size, side = abs(row.quantity), side_of(row)
    if row.attached_stop:
        return size
    total = _ZERO
    for order in orders:
        reducing = order.reduce_only or order.close_position or (side is row.position_side is order.position_side)
        trigger = order.trigger_price
        if not (order.conditional and reducing and order.side is side.closing) or trigger is None:
            continue
        adverse = row.mark_price is None or not side.better(trigger, row.mark_price)
        if adverse and order.position_side is row.position_side:
            total += size if order.close_position else order.quantity
    return total

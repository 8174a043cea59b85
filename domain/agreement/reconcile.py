"""One complete reading of an account against its owners: pure, so that every kind of difference can be tested.

Nothing is written to a position here. Its owner gets its view; what has no owner is a finding, and a doubtful finding
is to be seen again at once before anything is done about it (DESIGN 2, 'Reconciling').
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.agreement.findings import Finding, Kind
from domain.decimals import plain, text_of
from domain.identity import PositionId, parse_client_id
from domain.instrument import PositionSide
from domain.orders import AccountSnapshot, OrderReport, OrderStatus, PositionReport
from domain.position import average, ledger, trailing
from domain.position.inputs import View
from domain.position.state import OrderState, Position

NOTHING_OVER: Mapping[tuple[str, PositionSide | None], datetime] = {}
_BUSY = (OrderState.SENDING, OrderState.UNKNOWN, OrderState.CANCELLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Untracked:
    """A position at the venue that nobody owns. `covered`: a stop that closes all of it rests there; `orders`: all that
    rests on its side.
    """

    report: PositionReport
    side: PositionSide
    covered: bool = False
    orders: tuple[OrderReport, ...] = ()

    @property
    def key(self) -> str:
        """What makes two sightings the same. Not the size: who builds a position up step by step has one all along."""
        return f"untracked {self.report.symbol} {self.side.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a reading means: a view for each owner, what has none, and how each owner's book differs.

    `foreign` is what stands without an owner of ours on each row read (symbol, and side in hedge mode), signed; 0 is
    nothing.
    """

    views: Mapping[PositionId, View]
    untracked: tuple[Untracked, ...]
    differences: tuple[Finding, ...]
    unseen: tuple[PositionId, ...]
    foreign: Mapping[tuple[str, PositionSide | None], Decimal]


def _as_it_is(_symbol: str) -> int:
    return 0


def compare(
    snapshot: AccountSnapshot,
    owned: Iterable[Position],
    exclude: frozenset[str],
    leverage: Callable[[str], int] = _as_it_is,
    over: Mapping[tuple[str, PositionSide | None], datetime] = NOTHING_OVER,
) -> Comparison:
    """Sort what the venue shows by owner. A position without an explicit row is unseen: that proves nothing (S11).

    No untracked position is found on the symbols of `exclude`.
    `leverage`: what is set before an entry on a symbol; 0: nothing, so nothing differs. `over`: our last execution
    where a position of ours has ended: a row from before it shows no stranger.
    """
    owners = list(owned)
    rows = {(row.symbol, row.position_side): row for row in snapshot.positions}
    views: dict[PositionId, View] = {}
    differences: list[Finding] = []
    unseen: list[PositionId] = []
    for p in owners:
        row = rows.get((p.symbol, p.side)) or rows.get((p.symbol, None))
        if row is None:
            unseen.append(p.id)
            continue
        orders = tuple(report for report in snapshot.orders if _concerns(report, p))
        views[p.id] = View(report=row, orders=orders, asked_at=snapshot.asked_at)
        early = p.last_activity_at is not None and snapshot.asked_at <= p.last_activity_at
        differences.extend(_differences(p, row, orders, leverage(p.symbol), early=early))
    taken = {(p.symbol, p.side) for p in owners}
    unowned = tuple(
        found
        for found in _unowned(snapshot, taken)
        if not ledger.outdated(found.report, over.get((found.report.symbol, found.report.position_side)))
    )
    foreign = {(row.symbol, row.position_side): Decimal(0) for row in snapshot.positions}
    for found in unowned:
        foreign[found.report.symbol, found.report.position_side] = found.report.quantity
    return Comparison(
        views=views,
        untracked=tuple(found for found in unowned if found.report.symbol not in exclude),
        differences=tuple(differences),
        unseen=tuple(unseen),
        foreign=foreign,
    )


def _concerns(report: OrderReport, p: Position) -> bool:
    ours = parse_client_id(report.client_id)
    if ours is not None:
        return ours.position_id == p.id
    return report.symbol == p.symbol and report.position_side in (None, p.side)


def _differences(
    p: Position, row: PositionReport, orders: tuple[OrderReport, ...], leverage: int, *, early: bool
) -> Iterable[Finding]:
    """Everything in which the venue's row and orders differ from the book of their owner."""

    def finding(kind: Kind, shown: object, *, lasting: bool = False, **figures: object) -> Finding:
        return Finding(
            kind=kind,
            key=f"{kind.value} {p.symbol} {p.side.value}",
            symbol=p.symbol,
            shown=text_of(shown),
            figures={name: text_of(value) for name, value in figures.items()},
            position_id=p.id,
            early=early,
            lasting=lasting,
        )

    shown, book = row.quantity * p.side.sign, ledger.book(p)
    if shown != book:
        kind = Kind.PHANTOM if shown == 0 else Kind.SIDE if shown < 0 else Kind.QUANTITY
        yield finding(kind, shown, book=book, exchange=shown)
    if shown <= 0:
        return
    if leverage > 0 and row.leverage is not None and row.leverage != leverage:
        # Never changed under an open position (DESIGN 3, 'Hands off'): said, and set before the next entry.
        yield finding(Kind.LEVERAGE, row.leverage, lasting=True, book=leverage, exchange=row.leverage)
    price = ledger.entry_price(p)
    if shown == book and price is not None and row.entry_price is not None and average.differs(p, row.entry_price):
        yield finding(Kind.ENTRY_PRICE, row.entry_price, book=price, exchange=row.entry_price)
    stops = [report for report in orders if _closes(report, p.side, row.mark_price)]
    cover = sum((_cover(report, shown) for report in stops), Decimal(0))
    if cover < shown:
        yield finding(Kind.COVER, f"{plain(cover)} of {plain(shown)}", exchange=shown, cover=cover)
    yield from _stops_differ(p, row, stops, finding)


def _stops_differ(
    p: Position, row: PositionReport, stops: list[OrderReport], finding: Callable[..., Finding]
) -> Iterable[Finding]:
    """More than one stop of ours, or one in another place; not while one is being moved, which needs two (S5)."""
    if any(stop.state in _BUSY for stop in p.stops):
        return
    ours = [report for report in stops if parse_client_id(report.client_id) is not None]
    if len(ours) > 1:
        yield finding(Kind.DOUBLED_STOP, len(ours), book=1, exchange=len(ours))
    stop = trailing.stop_in_force(p)
    if stop is None:
        return
    if stop.attached:
        standing = row.attached_stop or None
    else:
        names = (stop.client_id, stop.wire_id)
        at = (r.trigger_price for r in stops if r.exchange_id == stop.exchange_id or r.client_id in names)
        standing = next(at, None)
    if standing is not None and standing != stop.trigger:
        yield finding(Kind.STOP_PRICE, standing, book=stop.trigger, exchange=standing)


def _closes(report: OrderReport, side: PositionSide, mark: Decimal | None) -> bool:
    """Whether an order is cover: live, closing, and triggered on the losing side (a take-profit is none)."""
    live = not report.status.terminal and report.status is not OrderStatus.TRIGGERED
    reducing = report.reduce_only or report.close_position or report.position_side is side
    if not (report.conditional and live and reducing and report.side is side.closing):
        return False
    trigger = report.trigger_price
    return trigger is not None and (mark is None or not side.better(trigger, mark))


def _cover(report: OrderReport, shown: Decimal) -> Decimal:
    return shown if report.close_position else report.quantity


def _unowned(snapshot: AccountSnapshot, taken: set[tuple[str, PositionSide]]) -> Iterable[Untracked]:
    for row in snapshot.positions:
        if row.quantity == 0:
            continue
        side = row.position_side or (PositionSide.LONG if row.quantity > 0 else PositionSide.SHORT)
        other = PositionSide.SHORT if side is PositionSide.LONG else PositionSide.LONG
        one_way_owner = row.position_side is None and (row.symbol, other) in taken
        if (row.symbol, side) not in taken and not one_way_owner:
            orders = tuple(
                order
                for order in snapshot.orders
                if order.symbol == row.symbol and order.position_side in (None, row.position_side)
            )
            yield Untracked(report=row, side=side, covered=_has_stop(row, side, orders), orders=orders)


def _has_stop(row: PositionReport, side: PositionSide, orders: tuple[OrderReport, ...]) -> bool:
    """Whether what nobody owns is covered whole, by whoever opened it."""
    size = abs(row.quantity)
    cover = sum((_cover(order, size) for order in orders if _closes(order, side, row.mark_price)), Decimal(0))
    return bool(row.attached_stop) or cover >= size

"""One complete reading of an account against its owners: pure, so that every kind of difference can be tested.

Nothing is written to a position here. Its owner gets its view; what has no owner is a finding, and a doubtful finding
is to be seen again at once before anything is done about it (DESIGN 2, 'Reconciling').
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal

from domain.identity import PositionId, parse_client_id
from domain.instrument import PositionSide
from domain.orders import AccountSnapshot, OrderReport, OrderStatus, PositionReport
from domain.position import ledger
from domain.position.inputs import View
from domain.position.state import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Untracked:
    """A position at the venue that nobody owns."""

    report: PositionReport
    side: PositionSide

    @property
    def key(self) -> str:
        """What makes two sightings the same."""
        return f"untracked {self.report.symbol} {self.side.value} {self.report.quantity}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An order of ours whose position is over, on a symbol where it protects nobody any more."""

    report: OrderReport

    @property
    def key(self) -> str:
        """What makes two sightings the same."""
        return f"orphan {self.report.client_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a reading means: a view for each owner, findings, differences for the operator's eyes.

    `foreign` is what stands without an owner of ours on each row read (symbol, and side in hedge mode), signed; 0 is
    nothing.
    """

    views: Mapping[PositionId, View]
    untracked: tuple[Untracked, ...]
    orphans: tuple[Orphan, ...]
    differences: tuple[Mapping[str, object], ...]
    unseen: tuple[PositionId, ...]
    foreign: Mapping[tuple[str, PositionSide | None], Decimal]


def compare(
    snapshot: AccountSnapshot, owned: Iterable[Position], instance: str, exclude: frozenset[str]
) -> Comparison:
    """Sort what the venue shows by owner. A position without an explicit row is unseen: that proves nothing (S11).

    Nothing is found on the symbols of `exclude`: neither untracked positions nor orphans. An order of ours whose
    position is over stays while somebody else holds the symbol: it may be the stop of a released position.
    """
    owners = list(owned)
    rows = {(row.symbol, row.position_side): row for row in snapshot.positions}
    views: dict[PositionId, View] = {}
    differences: list[Mapping[str, object]] = []
    unseen: list[PositionId] = []
    for p in owners:
        row = rows.get((p.symbol, p.side)) or rows.get((p.symbol, None))
        if row is None:
            unseen.append(p.id)
            continue
        orders = tuple(report for report in snapshot.orders if _concerns(report, p))
        views[p.id] = View(report=row, orders=orders, asked_at=snapshot.asked_at)
        differences.extend(_differences(p, row, orders))
    taken = {(p.symbol, p.side) for p in owners}
    unowned = tuple(_unowned(snapshot, taken))
    foreign = {(row.symbol, row.position_side): Decimal(0) for row in snapshot.positions}
    for found in unowned:
        foreign[found.report.symbol, found.report.position_side] = found.report.quantity
    held_by_others = {found.report.symbol for found in unowned}
    return Comparison(
        views=views,
        untracked=tuple(found for found in unowned if found.report.symbol not in exclude),
        orphans=tuple(_orphans(snapshot, {p.id for p in owners}, instance, held_by_others | exclude)),
        differences=tuple(differences),
        unseen=tuple(unseen),
        foreign=foreign,
    )


def _concerns(report: OrderReport, p: Position) -> bool:
    ours = parse_client_id(report.client_id)
    if ours is not None:
        return ours.position_id == p.id
    return report.symbol == p.symbol and report.position_side in (None, p.side)


def _differences(p: Position, row: PositionReport, orders: tuple[OrderReport, ...]) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    shown, book = row.quantity * p.side.sign, ledger.book(p)
    if shown != book:
        kind = "phantom" if shown == 0 else "side" if shown < 0 else "quantity"
        found.append({"finding": kind, "symbol": p.symbol, "book": str(book), "exchange": str(shown)})
    cover = sum((_cover(report, shown) for report in orders if _is_stop(report, p, row.mark_price)), Decimal(0))
    if shown > 0 and cover < shown:
        found.append({"finding": "cover", "symbol": p.symbol, "exchange": str(shown), "cover": str(cover)})
    return found


def _is_stop(report: OrderReport, p: Position, mark: Decimal | None) -> bool:
    """Whether an order is cover: live, closing, and triggered on the losing side (a take-profit is none)."""
    live = not report.status.terminal and report.status is not OrderStatus.TRIGGERED
    reducing = report.reduce_only or report.close_position or report.position_side is p.side
    if not (report.conditional and live and reducing and report.side is p.side.closing):
        return False
    trigger = report.trigger_price
    return trigger is not None and (mark is None or not p.side.better(trigger, mark))


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
            yield Untracked(report=row, side=side)


def _orphans(
    snapshot: AccountSnapshot, owned: set[PositionId], instance: str, untouched: AbstractSet[str]
) -> Iterable[Orphan]:
    for report in snapshot.orders:
        ours = parse_client_id(report.client_id)
        over = ours is not None and ours.instance == instance and ours.position_id not in owned
        if over and not report.status.terminal and report.symbol not in untouched:
            yield Orphan(report=report)

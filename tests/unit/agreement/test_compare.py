"""One reading against the book: every kind of finding, and what is no proof of anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.agreement.reconcile import Comparison, compare
from domain.entries.opening import adopted_position
from domain.identity import Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import PositionSide, Side
from domain.orders import AccountSnapshot, OrderReport, OrderStatus, PositionReport, Source
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import Position
from tests.unit.domain.samples import BTC

D = Decimal
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
MINE, OVER, FOREIGN = PositionId(7), PositionId(5), "xx99"


def owned(symbol: str = "BTCUSDT", side: PositionSide = LONG, quantity: str = "2", number: int = MINE) -> Position:
    """A position of ours of this size."""
    return adopted_position(
        position_id=PositionId(number),
        account="main",
        exchange="binanceusdm",
        instance="ab12",
        instrument=replace(BTC, symbol=symbol),
        side=side,
        quantity=D(quantity),
        entry_price=D(50_000),
        mark_price=D(50_000),
        plan=Plan(quantity=D(quantity), protection=Protection(), trailing=TrailingRules()),
        epoch=Epoch(1, 1),
        now=NOON,
        correlation_id="c",
    )


def row(symbol: str = "BTCUSDT", quantity: str = "2", side: PositionSide | None = None) -> PositionReport:
    return PositionReport(
        symbol=symbol,
        position_side=side,
        quantity=D(quantity),
        entry_price=D(50_000),
        mark_price=D(50_000),
        liquidation_price=None,
        at=NOON,
        source=Source.SNAPSHOT,
    )


def order(position: int | None = MINE, instance: str = "ab12", **changes: Any) -> OrderReport:
    """A stop that covers the long position whole; `position` None: a stranger's."""
    client_id = None if position is None else mint_client_id(
        instance, PositionId(position), Epoch(1, 1), 1, OrderKind.STOP
    )  # fmt: skip
    good: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "client_id": client_id,
        "exchange_id": "900",
        "conditional": True,
        "side": Side.SELL,
        "status": OrderStatus.ACK,
        "quantity": D(2),
        "filled": D(0),
        "average_price": None,
        "trigger_price": D(49_000),
        "reduce_only": True,
        "close_position": False,
        "position_side": None,
        "child_id": None,
        "reason": "",
        "at": NOON,
        "source": Source.SNAPSHOT,
    }
    return OrderReport(**{**good, **changes})


def read(
    book: list[Position], rows: list[PositionReport], orders: list[OrderReport], exclude: frozenset[str] = frozenset()
) -> Comparison:
    snapshot = AccountSnapshot(
        account="main",
        asked_at=NOON,
        answered_at=NOON + timedelta(milliseconds=80),
        positions=tuple(rows),
        orders=tuple(orders),
    )
    return compare(snapshot, book, "ab12", exclude)


def kinds(found: Comparison) -> list[object]:
    return [difference["finding"] for difference in found.differences]


def test_all_agrees() -> None:
    found = read([owned()], [row(), row("ETHUSDT", "0")], [order()])
    assert (kinds(found), found.untracked, found.orphans, found.unseen) == ([], (), (), ())
    view = found.views[MINE]
    assert (view.report, view.orders, view.asked_at) == (row(), (order(),), NOON)
    assert found.foreign == {("BTCUSDT", None): 0, ("ETHUSDT", None): 0}


@pytest.mark.parametrize(
    ("side", "shown", "kind"),
    [
        (LONG, "0", "phantom"),
        (LONG, "1.5", "quantity"),
        (LONG, "2.5", "quantity"),
        (LONG, "-2", "side"),
        (SHORT, "0", "phantom"),
        (SHORT, "2", "side"),
        (SHORT, "-1", "quantity"),
        (SHORT, "-2", None),
    ],
)
def test_sizes_that_differ(side: PositionSide, shown: str, kind: str | None) -> None:
    found = read([owned(side=side)], [row(quantity=shown)], [order(close_position=True, side=side.closing)])
    assert [k for k in kinds(found) if k != "cover"] == ([] if kind is None else [kind])
    assert found.untracked == ()
    assert MINE in found.views


STOPS: dict[str, dict[str, Any]] = {
    "smaller": {"quantity": D("1.9")},
    "a take-profit": {"trigger_price": D(51_000)},
    "over": {"status": OrderStatus.CANCELED},
    "triggered": {"status": OrderStatus.TRIGGERED},
    "adding": {"side": Side.BUY},
    "able to add": {"reduce_only": False},
    "a plain order": {"conditional": False},
    "without a trigger": {"trigger_price": None},
}


@pytest.mark.parametrize("change", STOPS.values(), ids=STOPS.keys())
def test_what_is_no_cover(change: dict[str, Any]) -> None:
    assert kinds(read([owned()], [row()], [order(**change)])) == ["cover"]


@pytest.mark.parametrize(
    "orders",
    [
        [order()],
        [order(None)],
        [order(close_position=True, quantity=D(0))],
        [order(quantity=D(1)), order(quantity=D(1), exchange_id="901")],
        [order(reduce_only=False, position_side=LONG)],
    ],
)
def test_what_is_cover_whosever_it_is(orders: list[OrderReport]) -> None:
    assert kinds(read([owned()], [row(side=orders[0].position_side)], orders)) == []


def test_no_row_is_no_conclusion() -> None:
    found = read([owned(), owned("ETHUSDT", number=8)], [row()], [order()])
    assert found.unseen == (8,)
    assert PositionId(8) not in found.views
    assert kinds(found) == []
    assert read([owned()], [], []).unseen == (MINE,)


def test_hedge_rows_go_to_the_owner_of_their_side() -> None:
    book = [owned(), owned(side=SHORT, number=8)]
    found = read(book, [row(side=LONG), row(quantity="-2", side=SHORT)], [])
    assert found.views[MINE].report.position_side is LONG
    assert found.views[PositionId(8)].report.position_side is SHORT
    assert found.untracked == ()


def test_untracked() -> None:
    rows = [row(), row("ETHUSDT", "-3"), row("XRPUSDT", "0"), row("DOGEUSDT", "5")]
    found = read([owned()], rows, [order()], frozenset({"DOGEUSDT"}))
    (finding,) = found.untracked
    assert (finding.report.symbol, finding.side) == ("ETHUSDT", SHORT)
    assert finding.key != replace(finding, report=row("ETHUSDT", "-4")).key
    assert found.foreign == {("BTCUSDT", None): 0, ("ETHUSDT", None): -3, ("XRPUSDT", None): 0, ("DOGEUSDT", None): 5}


def test_orphans_are_ours_alone() -> None:
    orders = [order(OVER, exchange_id="1"), order(None, exchange_id="2"), order(OVER, FOREIGN, exchange_id="3")]
    found = read([], [row(quantity="0")], orders)
    assert [orphan.report.exchange_id for orphan in found.orphans] == ["1"]


def test_an_orphan_is_none_while_it_may_protect_somebody() -> None:
    """A released position keeps its stop; what belonged to one that closed must not touch the next one of ours."""
    left = order(OVER)
    assert read([], [row()], [left]).orphans == ()
    assert [o.report for o in read([owned()], [row()], [left]).orphans] == [left]
    assert [o.report for o in read([], [row(quantity="0")], [left]).orphans] == [left]


def test_excluded_symbols_and_orders_that_are_over_are_left_alone() -> None:
    flat = [row(quantity="0")]
    assert read([], flat, [order(OVER)], frozenset({"BTCUSDT"})).orphans == ()
    assert read([], flat, [order(OVER, status=OrderStatus.CANCELED)]).orphans == ()


@given(
    st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from(["-2", "0", "2"])), unique_by=lambda r: r[0]),
    st.sets(st.sampled_from(["A", "B", "C"])),
    st.sets(st.sampled_from(["A", "B", "C"])),
)
def test_every_position_has_one_answer(shown: list[tuple[str, str]], held: set[str], exclude: set[str]) -> None:
    book = [owned(symbol, number=number) for number, symbol in enumerate(sorted(held), 1)]
    found = read(book, [row(symbol, quantity) for symbol, quantity in shown], [], frozenset(exclude))
    assert {*found.views} | {*found.unseen} == {p.id for p in book}
    assert not {*found.views} & {*found.unseen}
    open_symbols = {symbol for symbol, quantity in shown if quantity != "0"}
    assert {finding.report.symbol for finding in found.untracked} == open_symbols - held - exclude


def test_a_difference_tells_both_figures() -> None:
    found = read([owned()], [row(quantity="0.5")], [order(quantity=D("0.2"))])
    assert found.differences == (
        {"finding": "quantity", "symbol": "BTCUSDT", "book": "2", "exchange": "0.5"},
        {"finding": "cover", "symbol": "BTCUSDT", "exchange": "0.5", "cover": "0.2"},
    )


def test_an_owner_is_shown_its_own_orders_and_strangers_of_its_side() -> None:
    mine, child = order(), order(None, exchange_id="901")
    elsewhere = order(None, exchange_id="902", symbol="ETHUSDT")
    others, other_side = order(8, exchange_id="903"), order(None, exchange_id="904", position_side=SHORT)
    found = read([owned()], [row()], [mine, child, elsewhere, others, other_side])
    assert found.views[MINE].orders == (mine, child)


def test_a_small_position_of_a_stranger_is_found_on_its_side() -> None:
    found = read([], [row(quantity="0.5"), row("ETHUSDT", "-0.5")], [])
    assert [(u.report.symbol, u.side, u.key) for u in found.untracked] == [
        ("BTCUSDT", LONG, "untracked BTCUSDT long 0.5"),
        ("ETHUSDT", SHORT, "untracked ETHUSDT short -0.5"),
    ]


def test_what_strangers_hold_on_both_sides_is_kept_apart() -> None:
    found = read([], [row(quantity="3", side=LONG), row(quantity="-1", side=SHORT)], [])
    assert found.foreign == {("BTCUSDT", LONG): 3, ("BTCUSDT", SHORT): -1}
    assert [u.side for u in found.untracked] == [LONG, SHORT]


def test_two_sightings_of_an_orphan_are_the_same_by_its_id() -> None:
    (orphan,) = read([], [row(quantity="0")], [order(OVER)]).orphans
    assert orphan.key == f"orphan {order(OVER).client_id}"

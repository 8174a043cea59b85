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
from domain.position.state import OrderState, Position, Purpose, StopOrder
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
    return compare(_snapshot(rows, orders), book, exclude)


def _snapshot(rows: list[PositionReport], orders: list[OrderReport]) -> AccountSnapshot:
    return AccountSnapshot(
        account="main",
        asked_at=NOON,
        answered_at=NOON + timedelta(milliseconds=80),
        positions=tuple(rows),
        orders=tuple(orders),
    )


def with_stop(p: Position, trigger: str, **changes: Any) -> Position:
    """With a stop of ours that rests, as `order` shows it."""
    known: dict[str, Any] = {
        "client_id": order().client_id,
        "exchange_id": "900",
        "quantity": D(2),
        "trigger": D(trigger),
        "purpose": Purpose.FIRST,
        "state": OrderState.LIVE,
        "sent_at": NOON,
    }
    return replace(p, stops=(StopOrder(**{**known, **changes}),))


def kinds(found: Comparison) -> list[object]:
    return [difference.kind.value for difference in found.differences]


def test_all_agrees() -> None:
    found = read([owned()], [row(), row("ETHUSDT", "0")], [order()])
    assert (kinds(found), found.untracked, found.unseen) == ([], (), ())
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
    found = kinds(read([owned()], [row(side=orders[0].position_side)], orders))
    assert "cover" not in found
    assert found == ["doubled_stop"] * (len(orders) - 1)


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
    assert finding.key == replace(finding, report=row("ETHUSDT", "-4")).key
    assert finding.key != replace(finding, report=row("ETHUSDT", "3"), side=LONG).key
    assert found.foreign == {("BTCUSDT", None): 0, ("ETHUSDT", None): -3, ("XRPUSDT", None): 0, ("DOGEUSDT", None): 5}


@pytest.mark.parametrize(
    ("changed_s", "read_s", "seen"), [(-60, 2, False), (-60, 16, True), (1, 2, True), (None, 2, True)]
)
def test_a_row_from_before_our_last_execution_shows_no_stranger(changed_s: int | None, read_s: int, seen: bool) -> None:
    """A cached list shows a position of ours that is over: for 15 s it is taken for what it is, then believed."""
    changed_at = None if changed_s is None else NOON + timedelta(seconds=changed_s)
    shown = replace(row(), changed_at=changed_at, at=NOON + timedelta(seconds=read_s))
    found = compare(_snapshot([shown], []), [], frozenset(), over={("BTCUSDT", None): NOON})
    assert bool(found.untracked) is seen
    assert found.foreign["BTCUSDT", None] == (2 if seen else 0)


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
    where = {"symbol": "BTCUSDT", "position": MINE}
    assert [difference.told() for difference in found.differences] == [
        {"finding": "quantity", **where, "book": "2", "exchange": "0.5"},
        {"finding": "cover", **where, "exchange": "0.5", "cover": "0.2"},
    ]


def test_an_owner_is_shown_its_own_orders_and_strangers_of_its_side() -> None:
    mine, child = order(), order(None, exchange_id="901")
    elsewhere = order(None, exchange_id="902", symbol="ETHUSDT")
    others, other_side = order(8, exchange_id="903"), order(None, exchange_id="904", position_side=SHORT)
    found = read([owned()], [row()], [mine, child, elsewhere, others, other_side])
    assert found.views[MINE].orders == (mine, child)


def test_a_small_position_of_a_stranger_is_found_on_its_side() -> None:
    found = read([], [row(quantity="0.5"), row("ETHUSDT", "-0.5")], [])
    assert [(u.report.symbol, u.side, u.key) for u in found.untracked] == [
        ("BTCUSDT", LONG, "untracked BTCUSDT long"),
        ("ETHUSDT", SHORT, "untracked ETHUSDT short"),
    ]


def test_what_strangers_hold_on_both_sides_is_kept_apart() -> None:
    found = read([], [row(quantity="3", side=LONG), row(quantity="-1", side=SHORT)], [])
    assert found.foreign == {("BTCUSDT", LONG): 3, ("BTCUSDT", SHORT): -1}
    assert [u.side for u in found.untracked] == [LONG, SHORT]


def test_leverage_is_told_and_never_a_matter_for_repair() -> None:
    shown = replace(row(), leverage=D(20))
    (finding,) = compare(_snapshot([shown], [order()]), [owned()], frozenset(), {"BTCUSDT": 10}.__getitem__).differences
    assert (finding.kind.value, finding.lasting) == ("leverage", True)
    assert finding.figures == {"book": "10", "exchange": "20"}


@pytest.mark.parametrize(("set_to", "shown"), [(0, D(20)), (20, D(20)), (20, None)])
def test_leverage_that_is_not_set_or_not_shown_differs_from_nothing(set_to: int, shown: Decimal | None) -> None:
    snapshot = _snapshot([replace(row(), leverage=shown)], [order()])
    assert compare(snapshot, [owned()], frozenset(), lambda _: set_to).differences == ()


@pytest.mark.parametrize(
    ("shown", "found"), [("50000", []), ("50024", []), ("50026", ["entry_price"]), ("49974", ["entry_price"])]
)
def test_an_entry_price_differs_beyond_what_rounding_makes(shown: str, found: list[str]) -> None:
    assert kinds(read([owned()], [replace(row(), entry_price=D(shown))], [order()])) == found


def test_while_the_sizes_differ_the_average_price_says_nothing() -> None:
    assert kinds(read([owned()], [replace(row(quantity="3"), entry_price=D(60_000))], [order(quantity=D(3))])) == [
        "quantity"
    ]


def test_a_stop_of_ours_in_another_place() -> None:
    p = with_stop(owned(), trigger="49000")
    assert kinds(read([p], [row()], [order()])) == []
    (finding,) = read([p], [row()], [order(trigger_price=D(48_000))]).differences
    assert (finding.kind.value, finding.figures) == ("stop_price", {"book": "49000", "exchange": "48000"})


def test_a_stop_on_the_position_in_another_place() -> None:
    p = with_stop(owned(), trigger="49000", attached=True)
    assert "stop_price" not in kinds(read([p], [replace(row(), attached_stop=D(49_000))], []))
    assert "stop_price" in kinds(read([p], [replace(row(), attached_stop=D(48_000))], []))


def test_a_stop_that_is_being_moved_differs_from_nothing() -> None:
    """Two rest, and either price is right: the owner knows of it."""
    p = with_stop(owned(), trigger="49000", state=OrderState.CANCELLING)
    assert kinds(read([p], [row()], [order(trigger_price=D(48_000)), order(exchange_id="901")])) == []


def test_a_reading_from_before_the_owners_last_act_is_early() -> None:
    acted = replace(owned(), last_activity_at=NOON)
    (finding,) = read([acted], [row(quantity="3")], [order(quantity=D(3))]).differences
    assert finding.early
    (finding,) = read([owned()], [row(quantity="3")], [order(quantity=D(3))]).differences
    assert not finding.early


@pytest.mark.parametrize(
    ("orders", "attached", "covered"),
    [
        ([], None, False),
        ([], "49000", True),
        ([order(None)], None, True),
        ([order(None, quantity=D(1))], None, False),
        ([order(None, quantity=D(0), close_position=True)], None, True),
        ([order(None, trigger_price=D(51_000))], None, False),
        ([order(None, symbol="ETHUSDT")], None, False),
    ],
)
def test_whether_what_nobody_owns_is_covered(orders: list[OrderReport], attached: str | None, covered: bool) -> None:
    shown = replace(row(), attached_stop=None if attached is None else D(attached))
    (found,) = read([], [shown], orders).untracked
    assert found.covered is covered


@pytest.mark.parametrize("digits", ["2.50", "2.5", "25E-1"])
def test_one_size_is_one_finding_however_it_is_written(digits: str) -> None:
    """Else two readings in other spellings were two findings, each seen once, and scripts saw two sizes."""
    (difference, *_) = read([owned()], [row(quantity=digits)], [order()]).differences
    assert (difference.shown, difference.figures["exchange"]) == ("2.5", "2.5")

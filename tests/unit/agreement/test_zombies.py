"""Which orders of a reading are zombies: every kind, whose may be touched, and that nobody's protection ever is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agreement.zombies import Kind, Rules, Zombie, find
from domain.identity import ClientOrderId, Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import PositionSide, Side
from domain.orders import AccountSnapshot, OrderReport, OrderStatus, PositionReport
from domain.position.state import Position
from tests.unit.agreement.test_compare import FOREIGN, LONG, MINE, NOON, OVER, SHORT, D, order, owned, row

RULES = Rules(instance="ab12")
AGGRESSIVE = replace(RULES, aggressive=True)
OLD = NOON - timedelta(minutes=5)
PLAIN = {"reduce_only": False}
BUY = {"side": Side.BUY}


def read(
    orders: Sequence[OrderReport],
    rows: Sequence[PositionReport],
    book: Sequence[Position] = (),
    rules: Rules = RULES,
    *,
    proved: bool = False,
) -> tuple[Zombie, ...]:
    snapshot = AccountSnapshot(
        account="main", asked_at=NOON, answered_at=NOON, positions=tuple(rows), orders=tuple(orders)
    )
    return find(snapshot, book, rules, proved=proved)


def kinds(*args: Any, **more: Any) -> list[str]:
    return [zombie.kind.value for zombie in read(*args, **more)]


def stranger(**changes: Any) -> OrderReport:
    return order(None, **{"at": OLD, "exchange_id": "77", **changes})


def flat(side: PositionSide | None = None) -> PositionReport:
    return row(quantity="0", side=side)


def test_an_order_of_ours_without_a_position_is_found_by_its_id() -> None:
    (zombie,) = read([order(OVER)], [flat()])
    assert (zombie.kind, zombie.ours, zombie.ref.exchange_id) == (Kind.NO_POSITION, True, "900")
    assert zombie.key == "zombie BTCUSDT 900"
    assert zombie.ref.conditional


@pytest.mark.parametrize("rules", [RULES, AGGRESSIVE])
def test_whose_order_it_is(rules: Rules) -> None:
    """Another instance's of Holdfast, an older database's of ours too, are strangers' (DESIGN 3)."""
    orders = [order(OVER), stranger(), order(OVER, FOREIGN, exchange_id="3", at=OLD), order(OVER, "zz99", at=OLD)]
    whose = [zombie.ours for zombie in read(orders, [flat()], rules=rules)]
    assert whose == ([True] if not rules.aggressive else [True, False, False, False])


def test_what_is_over_or_on_its_way_is_left_alone() -> None:
    for status in OrderStatus:
        resting = status in (OrderStatus.NEW, OrderStatus.ACK, OrderStatus.PART_FILLED)
        assert len(read([order(OVER, status=status)], [flat()])) == resting


def test_an_excluded_symbol_has_none() -> None:
    rules = replace(AGGRESSIVE, exclude=frozenset({"BTCUSDT"}))
    assert read([order(OVER), stranger()], [flat()], rules=rules) == ()


def test_a_living_owners_orders_are_its_own_business() -> None:
    assert read([order(), order(exchange_id="901")], [row()], [owned()], AGGRESSIVE) == ()
    assert read([order()], [flat()], [owned()], AGGRESSIVE) == ()


def test_unless_they_are_not_where_it_is() -> None:
    for change in ({"symbol": "ETHUSDT"}, BUY, {"position_side": SHORT, **BUY}):
        rows = [row(), row("ETHUSDT", "0")]
        assert kinds([order(**change)], rows, [owned()]) == ["wrong_side"], change


STRANGERS: dict[str, tuple[dict[str, Any], str]] = {
    "a stop": ({}, "no_position"),
    "a limit order": ({"conditional": False, "trigger_price": None, **PLAIN}, "no_position"),
    "a take-profit": ({"trigger_price": D(60_000)}, "no_position"),
}


@pytest.mark.parametrize(("change", "kind"), STRANGERS.values(), ids=STRANGERS.keys())
def test_strangers_without_a_position(change: dict[str, Any], kind: str) -> None:
    assert kinds([stranger(**change)], [flat()]) == []
    assert kinds([stranger(**change)], [flat()], rules=AGGRESSIVE) == [kind]


def test_a_young_order_of_a_stranger_is_left_alone() -> None:
    """Its position may be about to open."""
    young = stranger(at=NOON - timedelta(seconds=9))
    assert read([young], [flat()], rules=AGGRESSIVE) == ()
    assert len(read([replace(young, at=NOON - timedelta(seconds=10))], [flat()], rules=AGGRESSIVE)) == 1


ON_OURS: dict[str, tuple[dict[str, Any], str | None]] = {
    "a stop beside ours": ({}, None),
    "a take-profit": ({"trigger_price": D(60_000)}, None),
    "one that closes the position": ({"close_position": True, "quantity": D(0)}, None),
    "a plain sell of a part": ({**PLAIN, "quantity": D(1)}, None),
    "a plain sell of more": ({**PLAIN, "quantity": D(3)}, "would_flip"),
    "a plain buy": ({**PLAIN, **BUY}, "would_add"),
    "what is left of a short": (BUY, "stale"),
}


@pytest.mark.parametrize(("change", "kind"), ON_OURS.values(), ids=ON_OURS.keys())
def test_strangers_on_a_position_of_ours(change: dict[str, Any], kind: str | None) -> None:
    found = kinds([order(), stranger(**change)], [row()], [owned()], AGGRESSIVE)
    assert found == ([] if kind is None else [kind])


def test_what_would_flip_stays_while_nothing_else_covers() -> None:
    flips = stranger(**PLAIN, quantity=D(3))
    short = order(quantity=D("1.9"))
    assert kinds([short, flips], [row()], [owned()], AGGRESSIVE) == []
    assert kinds([flips], [row()], [owned()], AGGRESSIVE) == []
    assert kinds([flips], [replace(row(), attached_stop=D(49_000))], [owned()], AGGRESSIVE) == ["would_flip"]


ON_THEIRS: dict[str, tuple[dict[str, Any], str | None]] = {
    "its stop": ({}, None),
    "a plain sell of more": ({**PLAIN, "quantity": D(3)}, None),
    "more of it": ({**PLAIN, **BUY}, None),
    "what is left of a short": (BUY, "stale"),
}


@pytest.mark.parametrize(("change", "kind"), ON_THEIRS.values(), ids=ON_THEIRS.keys())
def test_strangers_on_their_own_position(change: dict[str, Any], kind: str | None) -> None:
    """What somebody arranges around a position of his own is his, save what can do nothing to it."""
    assert kinds([stranger(**change)], [row()], rules=AGGRESSIVE) == ([] if kind is None else [kind])


def test_the_stop_of_a_past_position_of_ours() -> None:
    """A released position keeps it. On the next one of ours it goes once that one is covered without it (S1, S6)."""
    left = order(OVER)
    assert kinds([left], [row()]) == []
    assert kinds([left], [row()], [owned()]) == []
    assert kinds([left, order(exchange_id="901")], [row()], [owned()]) == ["past_position"]
    assert kinds([left, order(exchange_id="901", trigger_price=D(51_000))], [row()], [owned()]) == []
    assert kinds([left], [row(quantity="-2")]) == ["stale"]


def test_two_stops_of_the_past_do_not_cover_for_each_other() -> None:
    left = [order(OVER), order(6, exchange_id="901")]
    assert kinds(left, [row()], [owned()]) == []


def test_sides_are_apart_in_hedge_mode() -> None:
    rows = [row(quantity="0", side=LONG), row(quantity="-1", side=SHORT)]
    of_long = order(OVER, position_side=LONG)
    assert kinds([of_long], rows) == ["wrong_side"]
    assert kinds([of_long], [flat(LONG), flat(SHORT)]) == ["no_position"]
    assert kinds([of_long], [row(side=LONG), flat(SHORT)]) == []
    assert kinds([stranger(position_side=LONG, **BUY, **PLAIN)], rows, rules=AGGRESSIVE) == ["wrong_side"]
    adds = stranger(position_side=SHORT, side=Side.SELL, **PLAIN)
    book = [owned(side=SHORT, quantity="1")]
    assert kinds([adds], rows, book, AGGRESSIVE) == ["would_add"]
    assert kinds([adds], rows, rules=AGGRESSIVE) == []


def test_what_no_row_shows_is_a_suspicion_only() -> None:
    """Bybit lists what is open; a page that was lost looks like a flat account (LAWS S11)."""
    assert kinds([order(OVER)], []) == ["no_position"]
    assert kinds([order(OVER)], [], proved=True) == []
    assert kinds([order(OVER)], [flat()], proved=True) == ["no_position"]
    assert kinds([order(OVER, position_side=LONG)], [flat(SHORT)], proved=True) == []


def test_what_is_left_on_a_flat_position() -> None:
    """Ours where a position of ours has ended; an entry may be on its way where one of ours lives."""
    attached = order(None, at=OLD, attached=True, close_position=True)
    left = replace(flat(), attached_stop=D(49_000))
    profit = replace(flat(), attached_profit=D(60_000))
    past = replace(RULES, past=frozenset({("BTCUSDT", None)}))
    for rows, orders in (([left], []), ([profit], []), ([flat()], [attached]), ([left], [attached])):
        assert read(orders, rows) == ()
        assert read(orders, rows, [owned()], past) == ()
        assert [z.ours for z in read(orders, rows, rules=AGGRESSIVE)] == [False]
        (zombie,) = read(orders, rows, rules=past)
        assert (zombie.kind, zombie.ours, zombie.ref.attached, zombie.ref.with_profit) == (
            Kind.ATTACHED, True, True, True,
        )  # fmt: skip
        assert zombie.key == "zombie BTCUSDT attached"
    for held in (replace(row(), attached_stop=D(49_000)), replace(row(quantity="-2"), attached_profit=D(1))):
        assert read([attached], [held], rules=replace(AGGRESSIVE, past=past.past)) == ()
    assert read([attached], [], rules=past, proved=True) == ()


# Properties. The judge below shares no line with the code: it counts what would close a position, before and after.


@st.composite
def _orders(draw: st.DrawFn) -> OrderReport:
    whose = draw(st.sampled_from(["mine", "over", "older", "stranger"]))
    ids = {"mine": (MINE, "ab12"), "over": (OVER, "ab12"), "older": (OVER, "zz99")}
    kind = draw(st.sampled_from(list(OrderKind)))
    number, instance = ids.get(whose, (0, ""))
    client_id: str | None = draw(st.sampled_from([None, "x"]))
    if number:
        client_id = mint_client_id(instance, PositionId(number), Epoch(1, 1), 1, kind)
    conditional = draw(st.booleans())
    attached = whose == "stranger" and draw(st.booleans())
    return replace(
        order(),
        client_id=None if client_id is None else ClientOrderId(client_id),
        exchange_id=str(draw(st.integers(1, 10_000))),
        symbol=draw(st.sampled_from(["BTCUSDT", "ETHUSDT"])),
        side=draw(st.sampled_from(list(Side))),
        position_side=draw(st.sampled_from([None, LONG, SHORT])),
        conditional=conditional or attached,
        trigger_price=D(draw(st.sampled_from([40_000, 60_000]))) if conditional or attached else None,
        reduce_only=draw(st.booleans()) or attached,
        close_position=attached or draw(st.booleans()),
        attached=attached,
        quantity=D(draw(st.integers(1, 4))),
        at=draw(st.sampled_from([OLD, NOON])),
        status=draw(st.sampled_from([OrderStatus.ACK, OrderStatus.ACK, OrderStatus.TRIGGERING])),
    )


@st.composite
def _rows(draw: st.DrawFn) -> list[PositionReport]:
    found: list[PositionReport] = []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        if draw(st.booleans()):
            found.append(row(symbol, str(draw(st.integers(-2, 2)))))
        else:
            found.append(row(symbol, str(draw(st.integers(0, 2))), LONG))
            found.append(row(symbol, str(draw(st.integers(-2, 0))), SHORT))
    stops = [D(0), D(0), D(40_000)]
    return [replace(each, attached_stop=draw(st.sampled_from(stops))) for each in found if draw(st.integers(0, 9))]


def _closes(report: OrderReport, held: PositionReport) -> bool:
    """Whether it would make this position smaller."""
    other_side = report.side is (Side.SELL if held.quantity > 0 else Side.BUY)
    same_place = report.position_side is None or held.position_side in (None, report.position_side)
    return held.quantity != 0 and report.symbol == held.symbol and other_side and same_place


def _cover(orders: Sequence[OrderReport], held: PositionReport) -> Decimal:
    size, total = abs(held.quantity), D(0)
    for each in orders:
        losing = each.trigger_price == (40_000 if held.quantity > 0 else 60_000)
        bound = each.reduce_only or each.close_position or each.position_side is not None
        exact = each.position_side is held.position_side
        if _closes(each, held) and each.conditional and losing and bound and exact:
            total += size if each.close_position else each.quantity
    return size if held.attached_stop else min(total, size)


@settings(deadline=None)
@given(
    orders=st.lists(_orders(), max_size=7, unique_by=lambda o: o.exchange_id),
    rows=_rows(),
    side=st.sampled_from([None, LONG, SHORT]),
    aggressive=st.booleans(),
    proved=st.booleans(),
    exclude=st.sampled_from([frozenset(), frozenset({"ETHUSDT"})]),
    past=st.sampled_from([frozenset(), frozenset({("BTCUSDT", None)})]),
)
def test_nobodys_protection_is_ever_named(
    orders: list[OrderReport],
    rows: list[PositionReport],
    side: PositionSide | None,
    aggressive: bool,
    proved: bool,
    exclude: frozenset[str],
    past: frozenset[Any],
) -> None:
    rules = Rules(instance="ab12", aggressive=aggressive, exclude=exclude, past=past)
    book = [] if side is None else [owned(side=side)]
    named = read(orders, rows, book, rules, proved=proved)
    assert len({zombie.key for zombie in named}) == len(named)
    taken = {zombie.ref.exchange_id for zombie in named}
    staying = [each for each in orders if each.exchange_id not in taken and each.status is OrderStatus.ACK]
    resting = [each for each in orders if each.status is OrderStatus.ACK]
    for held in rows:
        owners = [p for p in book if p.symbol == held.symbol and p.side.sign * held.quantity > 0]
        for zombie in named:
            if zombie.ref.attached:
                here = zombie.ref.symbol == held.symbol and zombie.ref.position_side in (None, held.position_side)
                assert not (here and held.quantity), "taken off a live position"
            elif zombie.order is not None and _closes(zombie.order, held):
                assert owners, "what closes a stranger's position"
                assert _cover(staying, held) >= abs(held.quantity), "the last cover of ours"
        assert _cover(staying, held) >= min(_cover(resting, held), abs(held.quantity) if owners else D(99))
    for zombie in named:
        assert zombie.ref.symbol not in exclude
        assert zombie.ours or aggressive
        report = zombie.order
        if report is not None:
            assert report.status is OrderStatus.ACK
            assert zombie.ours or report.at == OLD
            assert zombie.ours is bool(report.client_id and report.client_id.startswith("hfab12-")) or report.attached
        elsewhere = any(each.symbol == zombie.ref.symbol for each in rows)
        assert elsewhere or not proved

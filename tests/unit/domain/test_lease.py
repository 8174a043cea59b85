"""The table of DESIGN 3 'Who may send, and when', cell by cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.identity import OrderKind
from domain.lease import LEASE_S, RECEIVE_WINDOW_S, Deed, deed_of, deed_of_cancel, successor_waits, withheld
from domain.orders import OrderIntent
from domain.position.state import CloseReason, ExitOrder, OrderState, Position, Purpose, StopOrder
from tests.actors.order_path.scripted import Owner
from tests.persistence.samples import NOON, position

OLD_S = LEASE_S + 1


@pytest.mark.parametrize("deed", list(Deed))
@pytest.mark.parametrize("rival", [False, True])
def test_within_the_lease_everything_may_leave(deed: Deed, rival: bool) -> None:
    assert withheld(deed, LEASE_S, rival=rival) is None


@pytest.mark.parametrize("unproven_s", [OLD_S, None])
@pytest.mark.parametrize(
    ("deed", "rival", "leaves"),
    [
        (Deed.ENTRY, False, False),
        (Deed.ENTRY, True, False),
        (Deed.COVER, False, True),
        (Deed.COVER, True, True),
        (Deed.EXIT, False, True),
        (Deed.EXIT, True, True),
        (Deed.UPKEEP, False, True),
        (Deed.UPKEEP, True, False),
    ],
)
def test_after_the_lease_the_table_decides(deed: Deed, rival: bool, leaves: bool, unproven_s: float | None) -> None:
    assert (withheld(deed, unproven_s, rival=rival) is None) is leaves


def stop(purpose: Purpose, number: int = 1, state: OrderState = OrderState.LIVE) -> StopOrder:
    return StopOrder(
        client_id=Owner(sequence=number).intent().client_id,
        quantity=Decimal(1),
        state=state,
        sent_at=NOON,
        trigger=Decimal(49_000),
        purpose=purpose,
    )


def owned(*stops: StopOrder, held: Decimal = Decimal(1)) -> Position:
    return replace(position(), stops=stops, exits=(), fills=(), adopted_quantity=held, reported=None, over_at=None)


def intent(order: StopOrder) -> OrderIntent:
    return replace(Owner().intent(), client_id=order.client_id)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_what_covers_first_is_no_move(purpose: Purpose) -> None:
    sent, resting = stop(purpose, 2, OrderState.SENDING), stop(Purpose.FIRST, 1)
    first = purpose in (Purpose.FIRST, Purpose.EMERGENCY)
    assert deed_of(intent(sent), owned(resting, sent)) is (Deed.COVER if first else Deed.UPKEEP)
    assert deed_of(intent(sent), owned(sent)) is Deed.COVER
    assert deed_of(intent(sent), owned(resting, sent, held=Decimal(2))) is Deed.COVER


@pytest.mark.parametrize("reason", list(CloseReason))
def test_every_exit_but_a_passed_target_is_one(reason: CloseReason) -> None:
    wanted = Owner().intent(OrderKind.EXIT)
    order = ExitOrder(
        client_id=wanted.client_id, quantity=Decimal(1), state=OrderState.SENDING, sent_at=NOON, reason=reason
    )
    expected = Deed.UPKEEP if reason is CloseReason.TAKE_PROFIT else Deed.EXIT
    assert deed_of(wanted, replace(owned(), exits=(order,))) is expected


def test_entries_and_targets() -> None:
    assert deed_of(Owner().intent(OrderKind.ENTRY), owned()) is Deed.ENTRY
    assert deed_of(replace(Owner().intent(), kind=OrderKind.TAKE_PROFIT), owned()) is Deed.UPKEEP


def test_a_cancel_tidies_up_only_behind_a_flat_position() -> None:
    assert deed_of_cancel(owned(stop(Purpose.FIRST))) is Deed.UPKEEP
    assert deed_of_cancel(replace(owned(held=Decimal(0)), over_at=NOON)) is Deed.EXIT
    assert deed_of_cancel(None) is Deed.EXIT


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_a_successor_waits_out_the_lease_and_the_wire() -> None:
    whole = seconds(LEASE_S + RECEIVE_WINDOW_S)
    assert successor_waits(seconds(0), released=False, surely_dead=False) == whole
    assert successor_waits(seconds(1), released=False, surely_dead=False) == whole - seconds(1)
    assert successor_waits(seconds(0), released=False, surely_dead=True) == seconds(RECEIVE_WINDOW_S)
    assert successor_waits(seconds(99), released=False, surely_dead=False) == seconds(0)
    assert successor_waits(seconds(0), released=True, surely_dead=False) == seconds(0)

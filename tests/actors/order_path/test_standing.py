"""What is shared of an account: who closed its entries, and how many conditional orders count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from actors.standing import ACCOUNT, MAINTENANCE, Standing, slots_needed, slots_of
from domain.accounts import AccountFacts, MarginMode
from domain.identity import PositionId
from domain.instrument import Side
from domain.orders import AccountSnapshot, OrderReport, OrderStatus, Source
from domain.position.plan import TakeProfit, VenueRules
from domain.position.state import OrderState, Purpose, StopOrder
from tests.actors.order_path.scripted import Owner
from tests.persistence.samples import BTC, position

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TARGETS = (TakeProfit(pct=Decimal(2), fraction=Decimal("0.5")), TakeProfit(pct=Decimal(4), fraction=Decimal("0.5")))
ATTACHED = VenueRules(attached_stop=True)


def order(
    client_id: str | None, symbol: str = BTC.symbol, *, conditional: bool = True, attached: bool = False
) -> OrderReport:
    return OrderReport(
        symbol=symbol,
        client_id=client_id,  # type: ignore[arg-type]
        exchange_id="1",
        conditional=conditional,
        side=Side.SELL,
        status=OrderStatus.ACK,
        quantity=Decimal(1),
        filled=Decimal(0),
        average_price=None,
        trigger_price=Decimal(1),
        reduce_only=True,
        close_position=False,
        position_side=None,
        child_id=None,
        reason="",
        at=NOW,
        source=Source.SNAPSHOT,
        attached=attached,
    )


def snapshot(*orders: OrderReport) -> AccountSnapshot:
    return AccountSnapshot(account="main", asked_at=NOW, answered_at=NOW, positions=(), orders=orders)


ACTS = st.tuples(st.sampled_from([ACCOUNT, MAINTENANCE]), st.none() | st.sampled_from(["a", "b"]))


@given(st.lists(ACTS, max_size=9))
def test_entries_are_closed_while_anybody_closes_them(acts: list[tuple[str, str | None]]) -> None:
    standing, last = Standing(), {}
    for by, reason in acts:
        standing.close(by, reason)
        last[by] = reason
        wanted = sorted(text for text in last.values() if text is not None)
        assert sorted((standing.closed_because or "").split("; ")) == (wanted or [""])


def test_what_no_position_of_ours_accounts_for_counts_as_a_strangers() -> None:
    standing = Standing()
    ours, former = Owner(number=7).intent().client_id, Owner(number=8).intent().client_id
    seen = snapshot(
        order(ours),
        order(former),
        order("somebody-else"),
        order(None, "ETHUSDT"),
        order(None, attached=True),
        order("market", conditional=False),
    )
    standing.seen(seen, [PositionId(7)])
    found = standing.slots(BTC, (), 1)
    assert (found.used, found.used_on_symbol) == (3, 2)
    standing.seen(snapshot(), [PositionId(7)])
    assert standing.slots(BTC, (), 1).used == 0


def test_a_position_counts_with_what_it_will_need() -> None:
    held = position(7)
    whole = replace(held.plan, take_profits=TARGETS)
    assert slots_of(held.changed(stops=())) == 1
    assert slots_of(held.changed(stops=(), plan=whole)) == 3
    assert slots_of(held.changed(stops=(), plan=replace(whole, venue=ATTACHED))) == 2
    assert slots_needed((), ATTACHED) == 0
    standing = Standing()
    elsewhere = held.changed(stops=(), instrument=replace(BTC, symbol="ETHUSDT"))
    found = standing.slots(BTC, (held.changed(stops=(), plan=whole), elsewhere), 1)
    assert (found.used, found.used_on_symbol) == (4, 3)


def test_stops_that_rest_beside_each_other_count_each() -> None:
    held = position(7)
    stop = StopOrder(
        client_id=Owner().intent().client_id,
        quantity=Decimal(1),
        state=OrderState.LIVE,
        sent_at=NOW,
        trigger=Decimal(1),
        purpose=Purpose.FIRST,
    )
    assert slots_of(held.changed(stops=(stop, replace(stop, state=OrderState.SENDING)))) == 2
    assert slots_of(held.changed(stops=(stop, replace(stop, state=OrderState.DONE)))) == 1
    assert slots_of(held.changed(stops=(stop, replace(stop, attached=True)))) == 1


def test_limits_come_from_the_venue_and_the_instrument() -> None:
    standing = Standing()
    assert (standing.slots(BTC, (), 1).limit, standing.slots(BTC, (), 1).limit_on_symbol) == (None, 10)
    standing.found(AccountFacts(conditional_limit=200), (), None)
    assert standing.slots(BTC, (), 2) == replace(standing.slots(BTC, (), 1), limit=200, needed=2)


def test_a_symbols_margin_mode_is_judged_only_when_one_is_set_and_known() -> None:
    standing = Standing()
    facts = AccountFacts(margin_modes={BTC.symbol: MarginMode.CROSS})
    standing.found(facts, (), None)
    assert standing.margin_refusal(BTC.symbol) is None
    standing.found(facts, (), MarginMode.ISOLATED)
    assert "isolated is set" in (standing.margin_refusal(BTC.symbol) or "")
    assert standing.margin_refusal("ETHUSDT") is None
    standing.found(facts, (), MarginMode.CROSS)
    assert standing.margin_refusal(BTC.symbol) is None


def test_a_stream_that_came_back_wants_a_reading_asked_for_afterwards() -> None:
    standing = Standing()
    standing.stream_lost("not connected yet")
    assert standing.closed_because == "the account's stream is down: not connected yet"
    standing.stream_connected(NOW + timedelta(seconds=1))
    standing.seen(snapshot(), ())
    assert standing.closed_because == "the account has not been read since its stream came back"
    standing.seen(replace(snapshot(), asked_at=NOW + timedelta(seconds=1)), ())
    assert standing.closed_because is None

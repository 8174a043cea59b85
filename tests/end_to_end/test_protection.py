"""Protection against a market and an exchange that a test moves by hand."""

from __future__ import annotations

from decimal import Decimal

from tests.end_to_end.service import ServiceProcess
from tests.oracle.facts import Order
from tests.oracle.judge import Judge
from tests.oracle.reader import read_lines


def test_trails_then_stops_out(shared: ServiceProcess) -> None:
    opened = shared.open("ETHUSDT")
    top = shared.move_mark("ETHUSDT", "2.5", steps=5, pause_s=0.3)
    trailed = shared.wait_trailed(opened["id"], top)
    assert trailed["trailing"]["state"] == "TRAILING"
    assert Decimal(trailed["stop_price"]) > Decimal(trailed["entry_price"])
    assert int(trailed["trailing"]["updates"]) >= 1
    shared.move_mark("ETHUSDT", "-1.5")
    closed = shared.wait_state(opened["id"], "CLOSED")
    assert closed["state"] == "CLOSED"
    types = {e["type"] for e in shared.events(position=opened["id"])}
    assert {"trailing_activated", "trailing_moved", "stop_loss_cancelled", "position_closed"} <= types
    life = next(life for life in shared.verdict().lives if life.owner == opened["id"])
    assert life.ended_by == "stop"
    assert life.moves >= 1


def test_first_stop_stops_out(shared: ServiceProcess) -> None:
    opened = shared.open("SOLUSDT", "short")
    shared.move_mark("SOLUSDT", "2.2")
    shared.wait_state(opened["id"], "CLOSED")
    assert next(life for life in shared.verdict().lives if life.owner == opened["id"]).ended_by == "stop"


def test_refused_stop_is_rolled_back_to_flat(shared: ServiceProcess) -> None:
    shared.control(
        "reject", next=20, code=-4045, msg="Reach max stop order limit.", path="algoOrder", symbol="LINKUSDT"
    )
    try:
        opened = shared.ctl("position.open", account="main", symbol="LINKUSDT", side="long", usd="500")
        shared.wait_state(opened["id"], "ROLLED_BACK")
    finally:
        use_up_faults(shared)
    assert "LINKUSDT" not in shared.control("state")["positions"]
    started = shared.wait_event("rollback_started", position=opened["id"])
    assert started["severity"] == "critical"
    rolled = shared.wait_event("position_rolled_back", position=opened["id"])
    assert rolled["severity"] == "critical"
    assert shared.verdict().broken() == set()


def use_up_faults(service: ServiceProcess) -> None:
    """Let requests of nobody's take the refusals that the service did not."""
    trigger = service.on_tick("LINKUSDT", service.mark("LINKUSDT") * Decimal("0.9"))
    query = f"symbol=LINKUSDT&side=SELL&type=STOP_MARKET&quantity=1&triggerPrice={trigger}"
    for _ in range(service.control("state")["faults_left"]):
        try:
            service.exchange("POST", f"/fapi/v1/algoOrder?{query}", {})
        except AssertionError:
            continue


def test_lost_reply_to_a_stop_makes_no_double(shared: ServiceProcess) -> None:
    shared.control("drop_reply", next=1, path="algoOrder", symbol="BNBUSDT")
    opened = shared.open("BNBUSDT")
    shared.wait_for(
        lambda: sum(o.our_stop for o in live_orders(shared, "BNBUSDT")) == 1 or None, 20, "exactly one stop"
    )
    assert shared.position(opened["id"])["state"] == "ACTIVE"


def live_orders(service: ServiceProcess, symbol: str) -> list[Order]:
    """The orders that rest on the exchange, as its timeline shows them."""
    judge = Judge(service.terms)
    for line in read_lines(service.timeline):
        judge.hear(line)
    return [order for order in judge.book.resting.get((symbol, "BOTH"), []) if order.live]


def test_lost_reply_to_an_entry_opens_once(shared: ServiceProcess) -> None:
    shared.control("drop_reply", next=1, path="order", symbol="ADAUSDT")
    opened = shared.open("ADAUSDT")
    held = Decimal(shared.control("state")["positions"]["ADAUSDT"])
    # It is ACTIVE from the first part of its entry on that a stop covers: the rest may fill yet.
    shared.wait_position(opened["id"], lambda p: Decimal(p["quantity"]) == held, 20, f"the whole of {held}")
    lives = [life for life in shared.verdict().open_lives if life.key[0] == "ADAUSDT"]
    assert [life.owner for life in lives] == [opened["id"]]


def test_stop_cancelled_by_hand_is_put_right(shared: ServiceProcess) -> None:
    opened = shared.open("LTCUSDT")
    shared.control("cancel", algoId=int(opened["stop_order_id"]))
    again = shared.wait_position(
        opened["id"],
        lambda p: p["state"] == "ACTIVE" and p["stop_order_id"] not in (None, "", opened["stop_order_id"]),
        10,
        "a new stop",
    )
    assert Decimal(again["stop_price"]) >= Decimal(opened["stop_price"])
    shared.wait_event("stop_loss_recovered", position=opened["id"])


def test_position_closed_by_hand(shared: ServiceProcess) -> None:
    opened = shared.open("DOTUSDT")
    shared.control("order", symbol="DOTUSDT", side="SELL", quantity=opened["quantity"], reduceOnly=True)
    shared.wait_state(opened["id"], "CLOSED")
    shared.wait_for(lambda: not live_orders(shared, "DOTUSDT") or None, 20, "no order left")


def test_streams_cut_and_market_moves(shared: ServiceProcess) -> None:
    opened = shared.open("BCHUSDT")
    shared.control("cut_streams")
    shared.move_mark("BCHUSDT", "2.5")
    moved = shared.wait_position(
        opened["id"], lambda p: Decimal(p["stop_price"]) > Decimal(opened["stop_price"]), 20, "a moved stop"
    )
    assert moved["state"] == "ACTIVE"

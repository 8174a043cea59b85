"""What a position tells of its life: each event with its figures, each row of its orders. Others query these names."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.catalogue import Severity
from domain.identity import OrderKind
from domain.orders import OrderStatus
from domain.position.effects import Cancel, Place
from domain.position.inputs import CandlesHeard, Release, StopWanted, TrailingWanted, Wake
from domain.position.plan import TrailingRules
from domain.position.state import Phase
from domain.records import Trade
from tests.unit.domain.conversation import (
    ENTRY,
    SIZE,
    Conversation,
    closing,
    protected,
)
from tests.unit.domain.samples import D
from tests.unit.domain.telling import due, exit_sent, rows, severities, stop_sent, told


def test_from_the_entry_to_the_first_cover() -> None:
    talk = Conversation()
    assert told(talk) == [
        (
            "entry_placed",
            {"side": "buy", "symbol": "BTCUSDT", "order_id": "1e", "quantity": "0.01", "reference_price": "60000"},
            "1e",
        )
    ]
    assert rows(talk) == [("1e", "new", None, None)]
    entry = talk.placed()
    talk.accept(entry, filled=D("0.004"))
    assert told(talk) == [
        ("entry_accepted", {"order_id": "x-1e", "source": "1/3 reply"}, "1e"),
        stop_sent("58800", "first", "2s", "0.004"),
        ("position_unprotected", {"symbol": "BTCUSDT", "quantity": "0.004", "cover": "0"}, None),
    ]
    assert severities(talk)["position_unprotected"] is Severity.INFO  # an entry that fills has no stop yet
    assert rows(talk) == [("1e", "ack", "x-1e", None), ("2s", "new", None, None)]
    stop = talk.placed()
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=D(60_010))
    filled = {"side": "buy", "symbol": "BTCUSDT", "order_id": "x-1e", "quantity": "0.01", "price": "60010"}
    assert told(talk) == [("entry_filled", {**filled, "status": "filled", "source": "2/3 stream"}, "1e")]
    (row,) = talk.last.orders
    assert (row.status, row.exchange_id, row.cumulative_quantity, row.average_price) == (
        OrderStatus.FILLED,
        "x-1e",
        SIZE,
        D(60_010),
    )
    talk.size(SIZE)
    assert (told(talk), talk.last.record) == ([], False)
    talk.accept(stop)
    placed = {"symbol": "BTCUSDT", "order_id": "x-1e", "sl_order_id": "x-2s", "tp_order_id": None}
    assert told(talk) == [
        (
            "stop_loss_placed",
            {**placed, "stop_price": "58800", "quantity": "0.004", "purpose": "first", "source": "1/3 reply"},
            "2s",
        ),
        (
            "trailing_stop_created",
            {"activation_price": "60910.15", "activation_pct": "1.5", "callback_pct": "0.5"},
            None,
        ),
        stop_sent("58800", "resize", "3s"),
    ]
    assert rows(talk) == [("2s", "ack", "x-2s", None), ("3s", "new", None, None)]
    talk.accept(talk.placed())
    moved = {"old_stop": "58800", "new_stop": "58800", "mark_price": None, "extreme_price": None}
    assert told(talk) == [
        ("stop_loss_moved", {**moved, "quantity": "0.01", "purpose": "resize", "updates": 0}, "3s"),
        ("stop_loss_cancel_sent", {"stop_price": "58800"}, "2s"),
        ("position_protected", {"symbol": "BTCUSDT", "unprotected_seconds": "0.2", "cover": "0.014"}, None),
    ]
    talk.cancelled(talk.wants(Cancel)[0])
    assert told(talk) == [("stop_loss_cancelled", {"stop_price": "58800"}, "2s")]
    assert rows(talk) == [("2s", "canceled", "x-2s", "cancelled by us")]
    assert due(talk) is None


def test_from_the_first_move_to_the_end() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    assert told(talk) == [
        ("trailing_activated", {"extreme_price": "61000", "activation_price": "60900", "by": "price"}, None),
        stop_sent("60695", "trail", "3s"),
    ]
    moved = talk.placed()
    talk.accept(moved)
    figures = {"old_stop": "58800", "new_stop": "60695", "mark_price": "61000", "extreme_price": "61000"}
    assert told(talk) == [
        ("trailing_moved", {**figures, "quantity": "0.01", "purpose": "trail", "updates": 1}, "3s"),
        ("stop_loss_cancel_sent", {"stop_price": "58800"}, "2s"),
    ]
    talk.cancelled(talk.wants(Cancel)[0])
    talk.see(moved, OrderStatus.TRIGGERED, child="77")
    fired = {"stop_price": "60695", "mark_price": "61000", "child_order_id": "77"}
    assert told(talk) == [("stop_loss_triggered", fired, "3s")]
    assert rows(talk) == [("3s", "triggered", "x-3s", None)]
    fill = talk.execution("77", moved.side, SIZE, D(60_690), realized_pnl=D("6.8"))
    talk.fill("77", moved.side, SIZE, D(60_690), realized_pnl=D("6.8"))
    sold = {"side": "sell", "quantity": "0.01", "price": "60690", "fee": "0.1", "realized_pnl": "6.8"}
    sold |= {"fee_currency": "USDT", "fee_usdt": "0.1"}
    assert told(talk) == [("fill", {**sold, "trade_id": "102", "liquidation": False}, "77")]
    assert talk.last.trades == (
        Trade(
            position_id=talk.position.id,
            account="main",
            exchange="binanceusdm",
            fill=replace(fill, trade_id="102"),
        ),
    )
    talk.size(D(0))
    talk.listed()
    assert told(talk)[-1] == (
        "position_closed",
        {
            "symbol": "BTCUSDT",
            "side": "long",
            "reason": "trailing_stop",
            "entry_price": "60000",
            "exit_price": "60690",
            "quantity": "0.01",
            "realized_pnl": "6.8",
            "fees": "0.2",
            "net_pnl": "6.6",
            "unprotected_seconds": "0.1",
            "stop_updates": 1,
        },
        None,
    )
    assert talk.position.closed_at == talk.now


def test_break_even() -> None:
    talk, _ = protected(breakeven_pct=D("0.5"))
    talk.mark(D(60_400))
    assert told(talk) == [
        ("trailing_breakeven", {"extreme_price": "60400", "stop_price": "60000"}, None),
        stop_sent("60000", "breakeven", "3s"),
    ]
    talk.accept(talk.placed())
    figures = {"old_stop": "58800", "new_stop": "60000", "mark_price": "60400", "extreme_price": "60400"}
    assert told(talk)[0] == (
        "trailing_moved",
        {**figures, "quantity": "0.01", "purpose": "breakeven", "updates": 1},
        "3s",
    )


def test_what_operators_do() -> None:
    talk, _ = protected()
    talk.hear(StopWanted(price=D(57_000)))
    assert told(talk) == [
        ("stop_overridden", {"old_stop": "58800", "new_stop": "57000"}, None),
        stop_sent("57000", "operator", "3s"),
    ]
    talk.accept(talk.placed())
    figures = {"old_stop": "58800", "new_stop": "57000", "mark_price": "60000", "extreme_price": "60000"}
    assert told(talk)[0] == (
        "stop_loss_moved",
        {**figures, "quantity": "0.01", "purpose": "operator", "updates": 0},
        "3s",
    )
    talk.cancelled(talk.wants(Cancel)[0])
    talk.hear(TrailingWanted(rules=TrailingRules(enabled=False)))
    assert told(talk) == [
        ("trailing_removed", {"extreme_price": "60000"}, None),
        ("trailing_changed", {"enabled": False, "activation_pct": "1.5", "callback_pct": "0.5"}, None),
    ]
    talk.hear(TrailingWanted(rules=TrailingRules(activation_pct=D(3), callback_pct=D(1))))
    assert told(talk) == [
        ("trailing_changed", {"enabled": True, "activation_pct": "3", "callback_pct": "1"}, None),
    ]
    talk.hear(closing("0.5"))
    assert told(talk) == [
        ("close_requested", {"reason": "operator", "fraction": "0.5"}, None),
        exit_sent("0.005", "operator", "60000", "4x"),
    ]
    talk.accept(talk.placed(OrderKind.EXIT), filled=D("0.005"))
    talk.hear(Release())
    assert told(talk) == [("position_released", {"symbol": "BTCUSDT", "stop_price": "57000"}, None)]
    assert severities(talk)["position_released"] is Severity.WARNING


def test_a_new_owner() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    talk.cancelled(talk.wants(Cancel)[0])
    talk.restart()
    assert told(talk) == [("position_recovered", {"phase": "active", "epoch": "2_1"}, None)]
    assert due(talk) == 3.0
    talk.hear(CandlesHeard(low=D(60_800), high=D(62_000)))
    assert told(talk) == [
        ("trailing_extreme_recovered", {"old_extreme": "61000", "extreme_price": "62000"}, None),
    ]
    talk.hear(CandlesHeard(low=D(60_800), high=D(62_000)))
    assert told(talk) == []


def test_a_size_that_differs_until_it_is_believed() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    talk.size(D("0.005"), asked=True)
    found = {"book": "0.01", "exchange": "0.005", "seen": "1/2", "finding": "quantity"}
    assert told(talk) == [("reconcile_finding", found, None)]
    talk.wait(1.5)
    talk.size(D("0.005"), asked=True)
    assert told(talk) == [
        ("position_changed_outside", {"book": "0.01", "exchange": "0.005", "difference": "-0.005"}, None),
        stop_sent("58800", "resize", "3s", "0.005"),
    ]
    assert severities(talk)["position_changed_outside"] is Severity.WARNING


def test_a_phantom_is_seen_three_times() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    for seen in ("1/3", "2/3"):
        talk.size(D(0), asked=True)
        found = {"book": "0.01", "exchange": "0", "seen": seen, "finding": "phantom"}
        assert told(talk) == [("reconcile_finding", found, None)]
        talk.wait(1.2)


def test_a_stuck_stop() -> None:
    talk, _ = protected()
    talk.mark(D(58_000))
    assert due(talk) == 0.5
    talk.hear(Wake(), 0.5)
    assert due(talk) == 1.0
    talk.hear(Wake(), 1)
    assert told(talk) == [
        ("stop_loss_stuck", {"stop_price": "58800", "mark_price": "58000"}, None),
        exit_sent("0.01", "stop_stuck", "58000", "3x"),
    ]
    assert [e.intent.kind for e in talk.wants(Place)] == [OrderKind.EXIT]


def test_what_a_triggered_stop_left() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, D("0.004"), D(58_800))
    talk.hear(Wake(), 0.95)
    assert told(talk) == [
        ("stop_loss_stuck", {"stop_price": "58800", "quantity": "0.006"}, None),
        exit_sent("0.006", "stop_stuck", "60000", "3x"),
        ("position_unprotected", {"symbol": "BTCUSDT", "quantity": "0.006", "cover": "0"}, None),
    ]


def test_a_gap_beyond_the_stops_place() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.mark(D(58_000))
    talk.accept(entry, filled=SIZE)
    passed = {"reason": "the mark price has passed the stop", "stop_price": "58800", "mark_price": "58000"}
    assert ("rollback_started", passed, None) in told(talk)


def test_an_adopted_positions_own_stop() -> None:
    talk = Conversation(adopted=True)
    talk.position = replace(talk.position, phase=Phase.PENDING_SL, adopted_quantity=SIZE, adopted_price=ENTRY)
    _, model = protected()
    talk.view(SIZE, replace(talk.order(model, OrderStatus.ACK), client_id=None, exchange_id="555"))
    exists = {"symbol": "BTCUSDT", "order_id": "555", "existing_orders": 1, "stop_price": "58800"}
    assert told(talk)[0] == ("stop_loss_exists", exists, None)


def test_a_liquidation() -> None:
    talk, _ = protected()
    talk.fill("900", talk.side.closing, SIZE, D(50_000), client_id="autoclose-1", liquidation=True)
    assert told(talk)[0][1]["liquidation"] is True
    assert told(talk)[0][2] == "autoclose-1"
    talk.size(D(0))
    talk.cancelled(talk.wants(Cancel)[0])
    talk.listed()
    event, figures, _ = told(talk)[-1]
    assert (event, figures["reason"], figures["exit_price"]) == ("position_liquidated", "liquidation", "50000")


def test_a_place_that_the_mark_has_passed_before_the_stop_could_move_there_is_traded_upon() -> None:
    talk, _ = protected(min_interval_s=D(5))
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    talk.cancelled(talk.wants(Cancel)[0])
    talk.mark(D(62_000))  # its stop belongs at 61,690, and has to wait
    talk.mark(D(61_500))
    assert talk.last.effects == ()
    talk.hear(Wake(), 5)
    figures = {"reason": "trailing_stop", "stop_price": "61690", "mark_price": "61500"}
    assert told(talk)[0] == ("close_requested", figures, None)
    assert [e.intent.kind for e in talk.wants(Place)] == [OrderKind.EXIT]

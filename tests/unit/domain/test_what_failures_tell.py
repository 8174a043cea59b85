"""What a position tells when stops, exits or entries cannot be had, and how grave it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from domain.catalogue import Severity
from domain.orders import OrderStatus, RejectReason
from domain.position.effects import Place
from domain.position.inputs import Wake
from domain.position.state import OrderState, Phase
from tests.unit.domain.conversation import (
    ENTRY,
    SIZE,
    Conversation,
    closing,
    exit_like,
    protected,
    stop_like,
)
from tests.unit.domain.samples import D
from tests.unit.domain.telling import REFUSAL, due, exit_sent, rows, sending, severities, stop_sent, told


def test_a_stop_that_cannot_be_had_is_followed_by_a_close() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    talk.mark(ENTRY)
    for n, order in enumerate(("2s", "3s", "4s"), 1):
        talk.refuse(stop_like(talk, sending(talk)))
        refused = ("stop_loss_refused", {**REFUSAL, "purpose": "first", "stop_price": "58800"}, order)
        if n < 3:
            assert told(talk) == [refused]
            assert rows(talk) == [(order, "rejected", None, "other -1")]
            assert due(talk) == 0.4
            talk.wait(0.5)
        else:
            bare = {"symbol": "BTCUSDT", "quantity": "0.01"}
            rollback = {"reason": "other", "refusals": 3, "quantity": "0.01", "symbol": "BTCUSDT"}
            assert told(talk) == [
                refused,
                ("rollback_started", rollback, None),
                exit_sent("0.01", "rollback", "60000", "5x"),
                ("position_unprotected", {**bare, "seconds": 1, "phase": "closing"}, None),
            ]
            graves = {h.type.value: h.grave.value for h in talk.last.happenings}
            assert (graves["rollback_started"], graves["position_unprotected"]) == ("critical", "critical")
            assert rows(talk) == [("4s", "rejected", None, "other -1"), ("5x", "new", None, None)]


def helpless() -> Conversation:
    """A position whose first stop and two exits were refused: an emergency stop is on its way."""
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    talk.mark(ENTRY)
    for n in range(3):
        talk.refuse(stop_like(talk, sending(talk)))
        talk.wait(0.5 if n < 2 else 0)
    talk.refuse(exit_like(talk))
    assert told(talk) == [("exit_refused", {**REFUSAL, "refusals": 1}, "5x")]
    assert due(talk) == 0.5
    talk.hear(Wake(), 0.5)
    assert told(talk) == [exit_sent("0.01", "rollback", "60000", "6x")]
    talk.refuse(exit_like(talk))
    return talk


def test_an_exit_that_cannot_be_had_either_is_followed_by_an_emergency_stop() -> None:
    talk = helpless()
    assert told(talk) == [
        ("exit_refused", {**REFUSAL, "refusals": 2}, "6x"),
        stop_sent("54000", "emergency", "7s"),
    ]
    assert due(talk) == 1.0
    talk.accept(stop_like(talk, sending(talk)))
    figures = {
        "symbol": "BTCUSDT",
        "order_id": "x-1e",
        "sl_order_id": "x-7s",
        "tp_order_id": None,
        "stop_price": "54000",
        "quantity": "0.01",
        "purpose": "emergency",
        "source": "1/3 reply",
    }
    assert told(talk)[:2] == [("stop_loss_placed", figures, "7s"), ("emergency_stop", figures, "7s")]
    assert severities(talk)["emergency_stop"] is Severity.CRITICAL
    assert talk.position.trail.updates == 0


def test_a_human_is_called_when_nothing_works_and_told_when_something_does() -> None:
    talk = helpless()
    talk.hear(Wake(), 1)
    talk.refuse(stop_like(talk, sending(talk)))
    assert told(talk) == [("stop_loss_refused", {**REFUSAL, "purpose": "emergency", "stop_price": "54000"}, "7s")]
    talk.refuse(exit_like(talk))
    assert told(talk) == [
        ("exit_refused", {**REFUSAL, "refusals": 3}, "8x"),
        (
            "position_needs_intervention",
            {"symbol": "BTCUSDT", "quantity": "0.01", "exit_refusals": 3, "stop_refusals": 4},
            None,
        ),
    ]
    assert severities(talk)["position_needs_intervention"] is Severity.CRITICAL
    while not any(s.state is OrderState.SENDING for s in talk.position.stops):
        talk.hear(Wake(), max(due(talk) or 0, 0.001))
    talk.accept(stop_like(talk, sending(talk)))
    assert told(talk)[-1] == ("position_intervention_over", {"symbol": "BTCUSDT"}, None)
    assert not talk.position.needs_intervention


def test_a_human_is_no_longer_called_once_it_is_over() -> None:
    talk = helpless()
    talk.hear(Wake(), 1)
    talk.refuse(stop_like(talk, sending(talk)))
    talk.refuse(exit_like(talk))
    assert talk.position.needs_intervention
    while not any(x.state is OrderState.SENDING for x in talk.position.exits):
        talk.hear(Wake(), max(due(talk) or 0, 0.001))
    talk.accept(exit_like(talk), filled=SIZE)
    for intent in [e.intent for e in talk.wants(Place)]:
        talk.refuse(intent)
    talk.size(D(0))
    talk.listed()
    assert not talk.position.needs_intervention


def test_five_seconds_without_cover_are_critical_and_told_once() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.CANCELED)
    assert told(talk) == [
        ("stop_loss_lost", {"stop_price": "58800", "status": "canceled", "error": ""}, "2s"),
        stop_sent("58800", "guard", "3s"),
        ("position_unprotected", {"symbol": "BTCUSDT", "quantity": "0.01", "cover": "0"}, None),
    ]
    assert severities(talk)["position_unprotected"] is Severity.WARNING
    assert severities(talk)["stop_loss_lost"] is Severity.WARNING
    began = talk.now
    critical: list[tuple[float, dict[str, Any]]] = []
    while talk.now < began + timedelta(seconds=9):
        talk.hear(Wake(), min(max(due(talk) or 1, 0.001), 1))
        critical += [
            ((talk.now - began).total_seconds(), h.data)
            for h in talk.last.happenings
            if h.type.value == "position_unprotected" and h.severity is Severity.CRITICAL
        ]
    assert critical == [(5.0, {"symbol": "BTCUSDT", "quantity": "0.01", "seconds": 5, "phase": "active"})]


def test_a_lost_stop_that_is_there_again() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.CANCELED)
    talk.accept(talk.placed())
    assert told(talk)[1:] == [
        ("stop_loss_recovered", {"stop_price": "58800", "what": "missing", "recoveries": 1}, None),
        ("position_protected", {"symbol": "BTCUSDT", "unprotected_seconds": "0.05", "cover": "0.01"}, None),
    ]
    assert talk.position.unprotected_seconds == D("0.15")


def test_a_refused_move_and_one_of_unknown_fate() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    move = talk.placed()
    talk.lose(move)
    assert told(talk) == [("stop_loss_unknown", {"error": "timed out"}, "3s")]
    assert rows(talk) == [("3s", "unknown", None, "timed out")]
    talk.refuse(move)
    failed = {**REFUSAL, "purpose": "trail", "stop_price": "60695"}
    assert told(talk) == [("trailing_move_failed", failed, "3s")]
    assert rows(talk) == [("3s", "rejected", None, "other -1")]
    assert due(talk) == 2.0


def test_an_entry_that_never_arrived() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.lose(entry)
    assert told(talk) == [("entry_unknown", {"error": "timed out"}, "1e")]
    talk.now += timedelta(seconds=4)
    talk.absent(entry)
    ((event, figures, _),) = told(talk)
    assert (event, figures) == ("entry_refused", {"reason": "absent", "code": "", "error": "never reached the venue"})
    assert rows(talk) == [("1e", "rejected", None, "absent after the receive window")]
    talk.size(D(0), asked=True)
    ((event, figures, _),) = told(talk)
    assert (event, figures["reason"], figures["quantity"]) == ("position_failed", "entry_absent", "0")
    assert (figures["entry_price"], figures["exit_price"]) == (None, None)


def test_an_exit_of_unknown_fate_that_was_filled() -> None:
    talk, _ = protected()
    talk.hear(closing())
    assert told(talk) == [
        ("close_requested", {"reason": "operator", "fraction": "1"}, None),
        exit_sent("0.01", "operator", "60000", "3x"),
    ]
    order = talk.placed()
    talk.lose(order)
    assert told(talk) == [("exit_unknown", {"error": "timed out"}, "3x")]
    talk.found(order, OrderStatus.FILLED, filled=SIZE, price=D(59_990))
    filled = {"side": "sell", "symbol": "BTCUSDT", "order_id": "x-3x", "quantity": "0.01", "price": "59990"}
    assert told(talk) == [
        ("exit_accepted", {"order_id": "x-3x", "source": "3/3 query"}, "3x"),
        ("exit_filled", {**filled, "status": "filled", "source": "3/3 query"}, "3x"),
    ]
    assert rows(talk) == [("3x", "ack", "x-3x", None), ("3x", "filled", "x-3x", None)]


def test_a_refused_entry() -> None:
    talk = Conversation()
    talk.refuse(talk.placed(), RejectReason.NO_FUNDS)
    refused = ("entry_refused", {**REFUSAL, "reason": "no_funds"}, "1e")
    assert told(talk)[0] == refused
    assert rows(talk) == [("1e", "rejected", None, "no_funds -1")]
    assert told(talk)[1][1]["reason"] == "entry_refused"
    assert talk.position.phase is Phase.FAILED

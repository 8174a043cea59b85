"""The control endpoints in this process: what they do to answers, clock and keys, and what the timeline keeps."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.paper_exchange import control, faults, outsider
from adapters.paper_exchange.asked import ControlError
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import OrderStatus
from tests.unit.paper_exchange.hand import Hand
from tests.unit.paper_exchange.test_binance_streams import user_stream
from tests.unit.paper_exchange.venue import Venue

ALGO = "/fapi/v1/algoOrder"
OPEN_ALGOS = "/fapi/v1/openAlgoOrders"


# Answers


def test_stale_answers_come_from_the_book_as_it_was(venue: Venue, hand: Hand) -> None:
    venue.now += 5_000
    venue.buy()
    venue.stop()
    venue.now += 1_000
    hand("stale", path="openAlgoOrders", ms=2_000)
    assert hand.get(OPEN_ALGOS, symbol="BTCUSDT") == []
    assert len(hand.get(OPEN_ALGOS, symbol="BTCUSDT")) == 1
    hand("stale", path="positionRisk", ms=2_000, for_ms=1_000)
    assert hand.get("/fapi/v3/positionRisk") == []
    assert hand.get("/fapi/v2/positionRisk", symbol="BTCUSDT")[0]["positionAmt"] == "0"
    venue.now += 2_000
    assert len(hand.get("/fapi/v3/positionRisk")) == 1


def test_a_young_order_is_not_known_yet(venue: Venue, hand: Hand) -> None:
    venue.stop(clientAlgoId="s1")
    hand("hide", ms=300, for_ms=10_000)
    assert hand.get(ALGO, clientAlgoId="s1")["code"] == -2013
    assert hand.get(OPEN_ALGOS) == []
    venue.now += 301
    assert hand.get(ALGO, clientAlgoId="s1")["clientAlgoId"] == "s1"


def test_rows_are_missing(venue: Venue, hand: Hand) -> None:
    for trigger in ("61000.0", "62000.0", "63000.0"):
        venue.stop(trigger)
    hand("rows", path="openAlgoOrders", drop=1)
    assert len(hand.get(OPEN_ALGOS)) == 2
    hand("rows", path="openAlgoOrders")
    assert hand.get(OPEN_ALGOS) == []
    assert len(hand.get(OPEN_ALGOS)) == 3


def test_a_skewed_clock_is_told_and_refuses_and_the_log_does_not_run_backwards(venue: Venue, hand: Hand) -> None:
    hand("skew", ms=-60_000)
    assert venue.ok("GET", "/fapi/v1/time", signed=False)["serverTime"] == venue.now - 60_000
    assert venue.code("GET", "/fapi/v3/balance") == -1021
    assert venue.ok("GET", "/fapi/v3/balance", at=venue.now - 60_000)
    hand("skew", ms=0)
    stamps = [line["t"] for line in hand.lines("control", "request", "reply", "session", "price")]
    assert stamps == sorted(stamps)


def test_what_waits_goes_by_true_time(venue: Venue, hand: Hand) -> None:
    venue.stop()
    venue.now += 10_000
    hand("rows", path="openAlgoOrders", for_ms=1_000)
    hand("skew", ms=3_600_000)
    hand("stale", path="allAlgoOrders", ms=15_000)
    at = {"symbol": "BTCUSDT", "at": venue.now + 3_600_000}
    assert hand.get(OPEN_ALGOS, **at) == []
    assert hand.get("/fapi/v1/allAlgoOrders", **at) == []


def test_an_expired_key_is_announced_or_not(venue: Venue, hand: Hand) -> None:
    frames = user_stream(venue)
    hand("expire_listen_key")
    assert [frame["e"] for frame in frames] == ["listenKeyExpired"]
    frames = user_stream(venue)
    hand("expire_listen_key", silently=True)
    assert venue.code("PUT", "/fapi/v1/listenKey", signed=False) == -1125
    venue.buy()
    venue.dialect.second(venue.now)
    assert frames == []


def test_what_the_key_may_do(venue: Venue, hand: Hand) -> None:
    assert venue.ok("GET", "/sapi/v1/account/apiRestrictions")["enableWithdrawals"] is False
    hand("rights", withdraw=True, trade=False)
    rights = venue.ok("GET", "/sapi/v1/account/apiRestrictions")
    assert (rights["enableWithdrawals"], rights["enableFutures"]) == (True, False)
    assert venue.ok("GET", "/fapi/v1/accountConfig")["canTrade"] is False
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert venue.code("POST", "/fapi/v1/order", **order) == -2015


# The timeline


def test_every_act_is_written_before_what_came_of_it(venue: Venue, hand: Hand) -> None:
    hand("order", symbol="BTCUSDT", side="BUY", quantity="0.010")
    hand("stick")
    hand("price", symbol="BTCUSDT", mark="63500")
    venue.stop("63000.0")
    hand("price", symbol="BTCUSDT", mark="62000")
    lines = hand.lines("control", "struck", "order", "algo", "price")
    kinds = [(line["kind"], line.get("command") or line.get("what") or line.get("status")) for line in lines]
    assert kinds[-11:] == [
        ("control", "order"),
        ("order", "NEW"),
        ("order", "FILLED"),
        ("control", "stick"),
        ("control", "price"),
        ("price", None),
        ("algo", "NEW"),
        ("control", "price"),
        ("struck", "stick"),
        ("price", None),
        ("algo", "TRIGGERING"),
    ]


def test_a_refused_act_says_so_and_a_look_leaves_no_line(venue: Venue, hand: Hand) -> None:
    before = len(hand.lines("control"))
    hand("state")
    assert len(hand.lines("control")) == before
    with pytest.raises(ControlError, match="QUANTITY_ABOVE_MAX"):
        hand("order", symbol="BTCUSDT", side="BUY", quantity="1000")
    asked, refused = hand.lines("control")[before:]
    assert "refused" not in asked
    assert "QUANTITY_ABOVE_MAX" in refused["refused"]


def test_a_log_with_acts_and_strikes_is_read_again(venue: Venue, hand: Hand) -> None:
    hand("order", symbol="BTCUSDT", side="BUY", quantity="0.010")
    hand("cut_fill", share=0)
    venue.buy()
    venue.exchange.close(1)
    again = PaperExchange(venue.log.parent, venue.exchange.feeds, venue.exchange.engine.rules, lambda: venue.now)
    again.open(2, Decimal(1))
    assert again.book.position("BTCUSDT").quantity == Decimal("0.010")
    assert [order.status for order in again.book.orders.values()] == [OrderStatus.FILLED, OrderStatus.EXPIRED]
    venue.exchange = again


def test_connections_are_handed_on(hand: Hand) -> None:
    hand("cut_streams")
    hand("stall_streams", for_ms=250)
    hand("down", for_ms=1_500)
    assert hand.connections.done == [("cut", 0), ("stall", 0.25), ("shut", 1.5)]


def test_every_command_is_written_down(hand: Hand) -> None:
    pages = " ".join(str(page.__doc__) for page in (control, faults, outsider))
    with pytest.raises(ControlError) as refused:
        hand("dance")
    commands = str(refused.value).partition("choose from ")[2].split(", ")
    assert len(commands) > 40
    assert [command for command in commands if f"{command} {{" not in pages] == []


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("hang", {"next": 0}),
        ("hang", {"for_ms": 0}),
        ("hang", {"percent": 101}),
        ("hang", {"skip": -1}),
        ("hang", {"acted": "yes"}),
        ("hang", {"where": {"symbol": 3}}),
        ("hang", {"path": 3}),
        ("stale", {}),
        ("late", {"path": "x"}),
        ("hide", {"ms": -1}),
        ("rows", {"drop": 0}),
        ("rows", {"drop": "some"}),
        ("http", {"status": 99}),
        ("reject", {"msg": "no code"}),
        ("cut_fill", {"share": 101}),
        ("price", {"symbol": "BTCUSDT", "mark": "0"}),
        ("price", {"symbol": "BTCUSDT", "mark": "1", "last": "x"}),
        ("gap", {"symbol": "BTCUSDT", "percent": "-100"}),
        ("wild", {"symbol": "NOPE", "mark": "1"}),
        ("spread", {"bps": "0"}),
        ("contract", {"symbol": "BTCUSDT", "tick": "-1"}),
        ("halt", {"symbol": "BTCUSDT"}),
        ("expire", {"algoId": 5}),
        ("release", {"algoId": 5}),
        ("liquidate", {"symbol": "BTCUSDT"}),
        ("adl", {"symbol": "BTCUSDT"}),
        ("rights", {"withdraw": "yes"}),
        ("stop", {"symbol": "BTCUSDT", "side": "SELL", "trigger": "60000"}),
        ("position_stop", {"symbol": "BTCUSDT", "stop_loss": "60000"}),
        ("order", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "position_side": "LEFT"}),
        ("order", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "position_side": "LONG"}),
        ("mode", {"hedge": False}),
        ("leverage", {"symbol": "BTCUSDT", "leverage": 999}),
        ("skew", {"ms": "x"}),
        ("down", {}),
        ("clear", {"fault": "x"}),
    ],
)
def test_nonsense_is_refused(hand: Hand, command: str, asked: dict[str, Any]) -> None:
    with pytest.raises(ControlError):
        hand(command, **asked)

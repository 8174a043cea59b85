"""Binance in hedge mode: which orders are taken for which position, and how both positions are shown."""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.paper_exchange.test_binance_streams import user_stream
from tests.unit.paper_exchange.venue import Venue, stop_params

ORDER = "/fapi/v1/order"
ALGO = "/fapi/v1/algoOrder"
DUAL = "/fapi/v1/positionSide/dual"
MARKET: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


@pytest.fixture
def hedged(venue: Venue) -> Venue:
    assert venue.ok("POST", DUAL, dualSidePosition="true") == {"code": 200, "msg": "success"}
    return venue


def both(venue: Venue) -> None:
    """A long of 0.010 and a short of 0.020."""
    venue.buy("0.010", positionSide="LONG")
    venue.buy("0.020", side="SELL", positionSide="SHORT")


def test_the_mode_is_told(hedged: Venue) -> None:
    assert hedged.ok("GET", DUAL) == {"dualSidePosition": True}
    assert hedged.ok("GET", "/fapi/v1/accountConfig")["dualSidePosition"] is True
    assert hedged.code("POST", DUAL, dualSidePosition="true") == -4059


def test_the_mode_stays_while_anything_is_open(venue: Venue) -> None:
    stop = venue.stop()
    assert venue.code("POST", DUAL, dualSidePosition="true") == -4067
    venue.ok("DELETE", ALGO, algoId=stop["algoId"])
    venue.buy()
    assert venue.code("POST", DUAL, dualSidePosition="true") == -4068


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, -4061),
        ({"positionSide": "BOTH"}, -4061),
        ({"positionSide": "UP"}, -1130),
        ({"positionSide": "LONG", "reduceOnly": "true"}, -1106),
        ({"positionSide": "LONG", "reduceOnly": "false"}, -1106),
        ({"positionSide": "LONG", "side": "SELL"}, -2022),
        ({"positionSide": "SHORT", "side": "BUY"}, -2022),
    ],
)
def test_orders_that_are_refused(hedged: Venue, more: dict[str, Any], code: int) -> None:
    assert hedged.code("POST", ORDER, **MARKET | more) == code


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, -4061),
        ({"positionSide": "LONG"}, -1106),
        ({"positionSide": "LONG", "side": "BUY", "closePosition": "true", "quantity": None, "reduceOnly": None}, -4138),
        ({"positionSide": "SHORT", "closePosition": "true", "quantity": None, "reduceOnly": None}, -4138),
    ],
)
def test_conditionals_that_are_refused(hedged: Venue, more: dict[str, Any], code: int) -> None:
    both(hedged)
    assert hedged.code("POST", ALGO, **stop_params(**more)) == code


def test_two_positions_on_one_symbol(hedged: Venue) -> None:
    both(hedged)
    rows = {row["positionSide"]: row for row in hedged.ok("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")}
    assert {side: row["positionAmt"] for side, row in rows.items()} == {"LONG": "0.010", "SHORT": "-0.020"}
    assert Decimal(rows["SHORT"]["notional"]) < 0 < Decimal(rows["LONG"]["notional"])
    flat = hedged.ok("GET", "/fapi/v2/positionRisk", symbol="ETHUSDT")
    assert [(row["positionSide"], row["positionAmt"]) for row in flat] == [("LONG", "0"), ("SHORT", "0")]
    account = hedged.ok("GET", "/fapi/v3/account")["positions"]
    assert {row["positionSide"] for row in account} == {"LONG", "SHORT"}
    ranks = hedged.ok("GET", "/fapi/v1/adlQuantile")
    assert ranks == [{"symbol": "BTCUSDT", "adlQuantile": {"LONG": 1, "SHORT": 1}}]


def test_each_position_has_its_own_stop(hedged: Venue) -> None:
    both(hedged)
    frames = user_stream(hedged)
    long = hedged.stop("63000.0", positionSide="LONG", reduceOnly=None)
    short = hedged.stop("65000.0", side="BUY", positionSide="SHORT", reduceOnly=None, quantity="0.020")
    assert (long["positionSide"], short["positionSide"]) == ("LONG", "SHORT")
    hedged.move("62900.0")
    rows = hedged.ok("GET", "/fapi/v3/positionRisk")
    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [("SHORT", "-0.020")]
    flat = next(frame["a"]["P"] for frame in frames if frame["e"] == "ACCOUNT_UPDATE")
    assert [(row["ps"], row["pa"]) for row in flat] == [("LONG", "0")]
    hedged.move("65100.0")
    assert hedged.ok("GET", "/fapi/v3/positionRisk") == []
    trades = hedged.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
    assert [(row["positionSide"], row["side"]) for row in trades] == [
        ("LONG", "BUY"),
        ("SHORT", "SELL"),
        ("LONG", "SELL"),
        ("SHORT", "BUY"),
    ]


def test_a_close_position_stop_of_each_side(hedged: Venue) -> None:
    both(hedged)
    whole = {"closePosition": "true", "quantity": None, "reduceOnly": None}
    hedged.stop("63000.0", positionSide="LONG", **whole)
    hedged.stop("65000.0", side="BUY", positionSide="SHORT", **whole)
    again = stop_params(triggerPrice="62000.0", positionSide="LONG", **whole)
    assert hedged.code("POST", ALGO, **again) == -4130


def test_an_order_against_a_side_closes_no_more_than_it_holds(hedged: Venue) -> None:
    both(hedged)
    order = hedged.buy("0.015", side="SELL", positionSide="LONG")
    assert (order["status"], order["executedQty"], order["reduceOnly"]) == ("EXPIRED", "0.010", True)


def test_one_way_mode_takes_no_sides(venue: Venue) -> None:
    assert venue.code("POST", ORDER, **MARKET, positionSide="LONG") == -4061
    assert venue.code("POST", ORDER, **MARKET, positionSide="LONG", reduceOnly="true") == -4061
    assert venue.buy(positionSide="BOTH")["positionSide"] == "BOTH"

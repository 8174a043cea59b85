"""Binance REST as a client sees it: signatures, every error code, the shapes of the samples."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.paper_exchange.timeline import read_timeline
from adapters.paper_exchange.wire import Rejection
from tests.unit.paper_exchange.venue import Venue, stop_params

ORDER = "/fapi/v1/order"
ALGO = "/fapi/v1/algoOrder"
CLOSING: dict[str, Any] = {"closePosition": "true", "quantity": None, "reduceOnly": None}
MARKET: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


@pytest.mark.parametrize("in_query", [True, False])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_parameters_may_stand_in_query_or_body(venue: Venue, method: str, in_query: bool) -> None:
    stop = venue.stop()
    if method == "POST":
        assert venue.send("POST", ORDER, in_query=in_query, **MARKET).status == 200
    else:
        assert venue.ok("DELETE", ALGO, in_query=in_query, algoId=stop["algoId"])["code"] == "200"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"key": None}, -2014),
        ({"key": "other"}, -2015),
        ({"signed": False}, -1102),
        ({"tamper": lambda text: text.replace("0.010", "0.011")}, -1022),
        ({"tamper": lambda text: text.replace("signature=", "signature=0")}, -1022),
        ({"at": 1_800_000_000_000 - 5_001}, -1021),
        ({"at": 1_800_000_000_000 + 1_000}, -1021),
        ({"at": 1_800_000_000_000 - 2_001, "recvWindow": 2_000}, -1021),
        ({"at": "now"}, -1102),
        ({"recvWindow": 60_001}, -1131),
    ],
)
def test_who_may_not(venue: Venue, more: dict[str, Any], code: int) -> None:
    assert venue.code("POST", ORDER, **MARKET, **more) == code
    assert not venue.exchange.book.orders


def test_inside_the_window_is_fine(venue: Venue) -> None:
    assert venue.send("POST", ORDER, at=venue.now - 2_000, recvWindow=2_000, **MARKET).status == 200


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"symbol": ""}, -1102),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"side": "UP"}, -1117),
        ({"type": "WISH"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"type": "LIMIT", "price": "64000"}, -1102),
        ({"type": "LIMIT", "timeInForce": "IOC"}, -1102),
        ({"type": "LIMIT", "price": "64000", "timeInForce": "GTC"}, -4084),
        ({"type": "LIMIT", "price": "64000.05", "timeInForce": "IOC"}, -1111),
        ({"type": "LIMIT", "price": "0", "timeInForce": "IOC"}, -4006),
        ({"price": "64000"}, -1106),
        ({"quantity": ""}, -1102),
        ({"quantity": "1e-3"}, -1100),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "0"}, -4003),
        ({"quantity": "0.0101"}, -1111),
        ({"quantity": "121"}, -4005),
        ({"quantity": "0.001"}, -4164),
        ({"quantity": "100"}, -2019),
        ({"reduceOnly": "true"}, -2022),
        ({"reduceOnly": "yes"}, -1130),
        ({"positionSide": "LONG"}, -4061),
        ({"newClientOrderId": "x" * 37}, -1100),
        ({"newClientOrderId": "a b"}, -1100),
        ({"price": "1"}, -1106),
        ({"newOrderRespType": "ALL"}, -1130),
    ],
)
def test_orders_that_are_refused(venue: Venue, more: dict[str, Any], code: int) -> None:
    assert venue.code("POST", ORDER, **(MARKET | more)) == code
    assert not venue.exchange.book.orders


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"algoType": None}, -1102),
        ({"algoType": "VP"}, -1130),
        ({"type": "STOP"}, -4084),
        ({"type": "MARKET"}, -1116),
        ({"triggerPrice": None}, -1102),
        ({"triggerPrice": "63000.01"}, -1111),
        ({"triggerPrice": "0"}, -4006),
        ({"triggerPrice": "99999999.0"}, -4002),
        ({"triggerPrice": "64000.0"}, -2021),
        ({"quantity": None}, -1102),
        ({"quantity": "0.0001"}, -1111),
        ({"workingType": "LAST"}, -1130),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": None}, -1106),
        (CLOSING | {"side": "BUY", "triggerPrice": "65000"}, -4509),
        ({"reduceOnly": None, "quantity": "0.001"}, -4164),
        ({"clientAlgoId": "ü"}, -1100),
        ({"positionSide": "SHORT"}, -4061),
    ],
)
def test_conditionals_that_are_refused(venue: Venue, more: dict[str, Any], code: int) -> None:
    venue.buy()
    assert venue.code("POST", ALGO, **stop_params(**more)) == code
    assert not venue.exchange.book.algos


def test_conditionals_that_collide(venue: Venue) -> None:
    venue.buy()
    venue.stop(clientAlgoId="s1")
    assert venue.code("POST", ALGO, **stop_params(clientAlgoId="s1")) == -4116
    closing = stop_params(**CLOSING)
    venue.ok("POST", ALGO, **closing)
    assert venue.code("POST", ALGO, **closing) == -4130
    for number in range(8):
        venue.stop(f"{62000 + number}.0")
    assert venue.code("POST", ALGO, **stop_params()) == -4045


def test_an_open_orders_client_id_is_taken(tmp_path: Path) -> None:
    venue = Venue(tmp_path, partial_fills=100)
    first = venue.buy("0.100", newClientOrderId="e1")
    assert first["status"] == "PARTIALLY_FILLED"
    assert venue.code("POST", ORDER, **MARKET, newClientOrderId="e1") == -4116
    assert [row["clientOrderId"] for row in venue.ok("GET", "/fapi/v1/openOrders")] == ["e1"]
    cancelled = venue.ok("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="e1")
    assert (cancelled["status"], cancelled["executedQty"]) == ("CANCELED", first["executedQty"])
    venue.close()


@pytest.mark.parametrize(
    ("method", "path", "params", "code"),
    [
        ("DELETE", ORDER, {"symbol": "BTCUSDT", "orderId": 5}, -2011),
        ("DELETE", ORDER, {"symbol": "BTCUSDT"}, -1102),
        ("GET", ORDER, {"symbol": "BTCUSDT", "orderId": 5}, -2013),
        ("GET", ORDER, {"symbol": "BTCUSDT", "orderId": "x"}, -1100),
        ("GET", ORDER, {"symbol": "BTCUSDT", "origClientOrderId": "none"}, -2013),
        ("DELETE", ALGO, {"algoId": 5}, -2011),
        ("DELETE", ALGO, {"clientAlgoId": "none"}, -2011),
        ("GET", ALGO, {"algoId": 5}, -2013),
        ("GET", ALGO, {}, -1102),
        ("GET", "/fapi/v1/allOrders", {}, -1102),
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 0}, -1130),
        ("GET", "/fapi/v1/premiumIndex", {"symbol": "NOPEUSDT"}, -1121),
        ("GET", "/fapi/v3/positionRisk", {"symbol": "NOPEUSDT"}, -1121),
        ("POST", "/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": 126}, -4028),
        ("POST", "/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("POST", "/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "ISOLATED"}, -4084),
        ("POST", "/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("PUT", "/fapi/v1/listenKey", {}, -1125),
        ("GET", "/fapi/v1/nothing", {}, -5000),
    ],
)
def test_other_refusals(venue: Venue, method: str, path: str, params: dict[str, Any], code: int) -> None:
    assert venue.code(method, path, **params) == code


def test_a_filled_order_and_a_finished_conditional_are_found_but_not_cancelled(venue: Venue) -> None:
    bought = venue.buy(newClientOrderId="e1")
    stop = venue.stop(clientAlgoId="s1")
    venue.move("62900.0")
    assert venue.code("DELETE", ORDER, symbol="BTCUSDT", orderId=bought["orderId"]) == -2011
    assert venue.code("DELETE", ALGO, algoId=stop["algoId"]) == -2011
    found = venue.ok("GET", ALGO, clientAlgoId="s1")
    assert found["algoStatus"] == "FINISHED"
    child = venue.ok("GET", ORDER, symbol="BTCUSDT", orderId=found["actualOrderId"])
    assert (child["origType"], child["status"], child["reduceOnly"]) == ("STOP_MARKET", "FILLED", True)
    assert [row["algoId"] for row in venue.ok("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT")] == [stop["algoId"]]
    assert venue.ok("GET", "/fapi/v1/openAlgoOrders") == []


def test_positions_v3_leaves_flat_ones_out_and_v2_lists_them(venue: Venue) -> None:
    assert venue.ok("GET", "/fapi/v3/positionRisk") == []
    venue.buy()
    (row,) = venue.ok("GET", "/fapi/v3/positionRisk")
    assert (row["positionAmt"], row["entryPrice"], row["positionSide"]) == ("0.010", "64006.40000000", "BOTH")
    assert Decimal(row["notional"]) == Decimal("640.0")
    rows = venue.ok("GET", "/fapi/v2/positionRisk")
    assert {row["symbol"]: Decimal(row["positionAmt"]) for row in rows} == {"BTCUSDT": Decimal("0.010"), "ETHUSDT": 0}


def test_the_account_adds_up(venue: Venue) -> None:
    venue.buy()
    for path in ("/fapi/v2/account", "/fapi/v3/account"):
        account = venue.ok("GET", path)
        wallet, unrealized = Decimal(account["totalWalletBalance"]), Decimal(account["totalUnrealizedProfit"])
        assert wallet + unrealized == Decimal(account["totalMarginBalance"])
        assert wallet + unrealized - Decimal(account["totalInitialMargin"]) == Decimal(account["availableBalance"])
        assert account["assets"][0]["updateTime"] > 0
    balance = venue.ok("GET", "/fapi/v3/balance")[0]["balance"]
    incomes = venue.ok("GET", "/fapi/v1/income")
    assert Decimal(balance) == 10_000 + sum(Decimal(row["income"]) for row in incomes)


def test_all_open_orders_of_a_kind_are_cancelled_separately(venue: Venue) -> None:
    venue.buy()
    venue.stop()
    venue.ok("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert len(venue.ok("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")) == 1
    venue.ok("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
    assert venue.ok("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT") == []


def test_ack_and_result(venue: Venue) -> None:
    assert venue.ok("POST", ORDER, **MARKET)["status"] == "NEW"
    assert venue.ok("POST", ORDER, **MARKET, newOrderRespType="RESULT")["status"] == "FILLED"


def test_pages_go_from_an_id_a_time_or_back_from_the_newest(venue: Venue) -> None:
    ids = []
    for _ in range(5):
        venue.now += 1_000
        ids.append(venue.buy()["orderId"])

    def found(**params: Any) -> list[int]:
        return [row["orderId"] for row in venue.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", **params)]

    assert found() == ids
    assert found(limit=2) == ids[-2:]
    assert found(startTime=venue.now - 3_000, limit=2) == ids[1:3]
    assert found(orderId=ids[2]) == [ids[2]]


@pytest.mark.parametrize("path", ["/fapi/v1/klines", "/fapi/v1/markPriceKlines"])
@pytest.mark.parametrize(("limit", "weight"), [(99, "1"), (100, "2"), (499, "2"), (500, "5"), (1500, "10")])
def test_candles_are_paid_by_the_length_of_their_page(
    venue: Venue, path: str, limit: int, weight: str
) -> None:
    reply = venue.send("GET", path, signed=False, symbol="BTCUSDT", interval="1m", limit=limit)
    assert (reply.status, reply.headers["X-MBX-USED-WEIGHT-1M"]) == (200, weight)


def test_the_weight_is_counted_and_its_limit_kept(venue: Venue) -> None:
    reply = venue.send("GET", "/fapi/v1/openAlgoOrders")
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "40"
    for _ in range(59):
        reply = venue.send("GET", "/fapi/v1/openAlgoOrders")
    assert reply.status == 200
    refused = venue.send("GET", "/fapi/v1/time")
    assert (refused.status, refused.body["code"]) == (429, -1003)
    assert int(refused.headers["Retry-After"]) >= 1
    venue.now += 60_000
    assert venue.send("GET", "/fapi/v1/time").status == 200


def test_candles(venue: Venue) -> None:
    venue.move("64100.0")
    venue.now += 60_000
    venue.move("63900.0")
    rows = venue.ok("GET", "/fapi/v1/markPriceKlines", symbol="BTCUSDT", interval="1m", limit=2)
    assert [row[1:5] for row in rows] == [["64000.00", "64100.0", "64000.00", "64100.0"], ["63900.0"] * 4]
    hours = venue.ok("GET", "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=1500)
    assert 3 <= len(hours) <= 4
    assert {row[0] % 3_600_000 for row in hours} == {0}
    later = venue.ok("GET", "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=rows[0][0], limit=1)
    assert later[0][0] == rows[0][0]


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("/fapi/v1/ping", lambda body: body == {}),
        ("/fapi/v1/time", lambda body: body["serverTime"] == 1_800_000_000_000),
        ("/fapi/v1/exchangeInfo", lambda body: [s["symbol"] for s in body["symbols"]] == ["BTCUSDT", "ETHUSDT"]),
        ("/fapi/v1/premiumIndex", lambda body: len(body) == 2 and body[0]["markPrice"] == "64000.00"),
        ("/fapi/v1/premiumIndex?symbol=ETHUSDT", lambda body: body["symbol"] == "ETHUSDT"),
        ("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT", lambda body: body["bidPrice"] < "64000.00" < body["askPrice"]),
        ("/fapi/v1/ticker/24hr?symbol=BTCUSDT", lambda body: body["lastPrice"] > "6"),
        ("/fapi/v1/ticker/price", lambda body: len(body) == 2),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=5", lambda body: len(body["bids"]) == 5),
    ],
)
def test_public_data(venue: Venue, path: str, check: Callable[[Any], bool]) -> None:
    bare, _, query = path.partition("?")
    params = dict(pair.split("=") for pair in query.split("&") if pair)
    assert check(venue.ok("GET", bare, signed=False, key=None, **params))


def test_the_small_endpoints(venue: Venue) -> None:
    assert venue.ok("GET", "/fapi/v1/positionSide/dual") == {"dualSidePosition": False}
    assert venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=10)["leverage"] == 10
    assert venue.ok("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")[0]["leverage"] == "10"
    assert venue.ok("GET", "/fapi/v1/commissionRate", symbol="BTCUSDT")["takerCommissionRate"] == "0.0005"
    assert len(venue.ok("GET", "/fapi/v1/leverageBracket")) == 2
    assert venue.ok("GET", "/sapi/v1/account/apiRestrictions")["enableWithdrawals"] is False
    assert venue.ok("GET", "/sapi/v1/capital/config/getall") == []


def test_an_ordered_rejection_stands_in_for_the_rules(venue: Venue) -> None:
    reply = venue.send("POST", ORDER, rejection=Rejection(code=-2021, message="no"), **MARKET)
    assert reply.body == {"code": -2021, "msg": "no"}
    assert not venue.exchange.book.orders


def test_requests_and_replies_are_in_the_timeline_without_signature(venue: Venue, tmp_path: Path) -> None:
    venue.buy()
    venue.code("POST", ORDER, **(MARKET | {"quantity": "0"}))
    lines = list(read_timeline(tmp_path / "timeline.jsonl"))
    asked = [line for line in lines if line["kind"] == "request"]
    answered = [line for line in lines if line["kind"] == "reply"]
    assert [line["request"] for line in answered] == [line["id"] for line in asked]
    assert [line["code"] for line in answered] == [None, -4003]
    assert "signature" not in asked[0]["params"]
    assert asked[0]["params"]["quantity"] == "0.010"

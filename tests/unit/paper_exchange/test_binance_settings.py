"""Settings, limits and error codes of the Binance dialect."""

from typing import Any

import pytest

from adapters.paper_exchange.binance_codes import known_codes
from adapters.paper_exchange.binance_errors import from_refusal
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.wire import Rejection
from tests.unit.paper_exchange.venue import Venue, stop_params

ORDER = "/fapi/v1/order"
MARKET: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
# VENUES D.1, but for those that are about HTTP alone.
CODES_OF_VENUES = [
    -1000, -1001, -1003, -1006, -1007, -1008, -1013, -1015, -1021, -1022, -1102, -1106, -1111, -1116, -1121, -1125,
    -1128, -1130, -2010, -2011, -2013, -2014, -2015, -2017, -2018, -2019, -2020, -2021, -2022, -2023, -2024, -2025,
    -2027, -2028, -4045, -4046, -4047, -4048, -4059, -4061, -4062, -4067, -4068, -4116, -4117, -4118, -4120, -4130,
    -4131, -4137, -4138, -4140, -4141, -4142, -4164, -4192, -4400, -5021, -5022, -5028, -20124, -20132,
]  # fmt: skip


def test_settings_of_the_account(venue: Venue) -> None:
    config = venue.ok("GET", "/fapi/v1/accountConfig")
    assert (config["canTrade"], config["canWithdraw"], config["dualSidePosition"]) == (True, False, False)
    venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
    (row,) = venue.ok("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")
    assert (row["marginType"], row["leverage"]) == ("CROSSED", 7)
    assert len(venue.ok("GET", "/fapi/v1/symbolConfig")) == 2
    assert venue.ok("GET", "/fapi/v1/multiAssetsMargin") == {"multiAssetsMargin": False}
    assert venue.code("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="false") == -4171
    assert venue.code("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true") == -4084
    assert venue.ok("GET", "/fapi/v1/feeBurn") == {"feeBurn": False}
    assert venue.ok("GET", "/fapi/v1/apiTradingStatus")["indicators"] == {}
    assert {row["limit"] for row in venue.ok("GET", "/fapi/v1/rateLimit/order")} == {300, 1200}


def test_the_margin_type_stays_while_anything_is_open(venue: Venue) -> None:
    isolated = {"symbol": "BTCUSDT", "marginType": "ISOLATED"}
    stop = venue.stop()
    assert venue.code("POST", "/fapi/v1/marginType", **isolated) == -4047
    venue.ok("DELETE", "/fapi/v1/algoOrder", algoId=stop["algoId"])
    venue.buy()
    assert venue.code("POST", "/fapi/v1/marginType", **isolated) == -4048
    assert venue.code("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="WISH") == -1130


def test_the_dead_mans_switch_takes_the_stops(venue: Venue) -> None:
    venue.buy()
    venue.stop()
    venue.stop("3000.00", symbol="ETHUSDT")
    countdown = {"symbol": "BTCUSDT", "countdownTime": 5_000}
    assert venue.ok("POST", "/fapi/v1/countdownCancelAll", **countdown)["countdownTime"] == "5000"
    venue.now += 4_000
    venue.ok("POST", "/fapi/v1/countdownCancelAll", **countdown)
    venue.now += 4_999
    venue.dialect.second(venue.now)
    assert len(venue.exchange.book.open_algos) == 2
    venue.now += 1
    venue.dialect.second(venue.now)
    assert [algo.symbol for algo in venue.exchange.book.open_algos.values()] == ["ETHUSDT"]


def test_the_dead_mans_switch_is_disarmed(venue: Venue) -> None:
    venue.stop()
    for wait in (1_000, 0):
        venue.ok("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=wait)
    venue.now += 2_000
    venue.dialect.second(venue.now)
    assert len(venue.exchange.book.open_algos) == 1
    assert venue.code("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=-1) == -1130


def test_too_long_a_span_of_trades(venue: Venue) -> None:
    week = 7 * 24 * 3_600_000
    span = {"symbol": "BTCUSDT", "startTime": venue.now - week, "endTime": venue.now}
    assert venue.ok("GET", "/fapi/v1/userTrades", **span) == []
    assert venue.code("GET", "/fapi/v1/userTrades", **span | {"endTime": venue.now + 1}) == -4165


# Limits


def test_used_weight_and_orders_are_told(venue: Venue) -> None:
    venue.now += 60_000 - venue.now % 60_000
    first = venue.send("GET", "/fapi/v3/account")
    assert first.headers["X-MBX-USED-WEIGHT-1M"] == "5"
    venue.buy()
    second = venue.send("GET", "/fapi/v1/openAlgoOrders")
    assert second.headers["X-MBX-USED-WEIGHT-1M"] == "45"
    assert (second.headers["X-MBX-ORDER-COUNT-10S"], second.headers["X-MBX-ORDER-COUNT-1M"]) == ("1", "1")
    venue.now += 10_000
    assert venue.send("GET", "/fapi/v1/time").headers["X-MBX-ORDER-COUNT-10S"] == "0"
    venue.now += 50_000
    third = venue.send("GET", "/fapi/v1/time")
    assert (third.headers["X-MBX-USED-WEIGHT-1M"], third.headers["X-MBX-ORDER-COUNT-1M"]) == ("1", "0")


def test_a_limit_above_the_venues_own_is_told_as_a_smaller_count(venue: Venue) -> None:
    venue.exchange.request_limits["weight"] = 24_000
    venue.now += 60_000 - venue.now % 60_000
    replies = [venue.send("GET", "/fapi/v3/account") for _ in range(4)]
    assert [reply.headers["X-MBX-USED-WEIGHT-1M"] for reply in replies] == ["0", "1", "1", "2"]


def test_too_much_weight_is_refused_until_the_minute_is_over_and_then_banned(venue: Venue) -> None:
    venue.exchange.request_limits["weight"] = 10
    venue.now += 60_000 - venue.now % 60_000
    for _ in range(2):
        venue.ok("GET", "/fapi/v3/account")
    refused = venue.send("GET", "/fapi/v1/time", signed=False)
    assert (refused.status, refused.body["code"], refused.headers["Retry-After"]) == (429, -1003, "61")
    assert "10 requests per minute" in refused.body["msg"]
    venue.now += 60_000
    assert venue.send("GET", "/fapi/v1/time", signed=False).status == 200
    statuses = [venue.send("GET", "/fapi/v3/account").status for _ in range(13)]
    assert statuses == [200] + [429] * 10 + [418] * 2
    banned = venue.send("GET", "/fapi/v1/time", signed=False)
    assert banned.headers["Retry-After"] == "121"
    assert f"banned until {venue.now + 120_000}" in banned.body["msg"]
    venue.now += 119_999
    assert venue.send("GET", "/fapi/v1/time", signed=False).status == 418
    venue.now += 1
    assert venue.send("GET", "/fapi/v1/time", signed=False).status == 200


def test_the_next_ban_is_longer(venue: Venue) -> None:
    venue.exchange.request_limits["weight"] = 0
    waits = []
    for _ in range(2):
        replies = [venue.send("GET", "/fapi/v1/time", signed=False) for _ in range(11)]
        waits.append(replies[-1].headers["Retry-After"])
        venue.now += 3_600_000
    assert waits == ["121", "241"]


def test_too_many_orders(venue: Venue) -> None:
    venue.exchange.request_limits |= {"orders_10s": 2, "orders_1m": 3}
    venue.stop("61000.0")
    venue.stop("61500.0")
    refused = venue.send("POST", "/fapi/v1/algoOrder", **stop_params())
    assert (refused.status, refused.body["code"]) == (429, -1015)
    assert "2 orders per 10 SECOND" in refused.body["msg"]
    venue.now += 10_000
    venue.stop("62000.0")
    assert "3 orders per 1 MINUTE" in venue.send("POST", "/fapi/v1/algoOrder", **stop_params()).body["msg"]


# Codes


def test_every_code_of_the_list_is_known() -> None:
    assert set(CODES_OF_VENUES) <= set(known_codes())


@pytest.mark.parametrize("code", known_codes())
def test_every_code_on_demand(venue: Venue, code: int) -> None:
    reply = venue.send("POST", ORDER, rejection=Rejection(code=code), **MARKET)
    assert (reply.body["code"], bool(reply.body["msg"])) == (code, True)
    assert reply.status >= 400
    assert not venue.exchange.book.orders


def test_a_code_with_words_and_status_of_its_own(venue: Venue) -> None:
    rejection = Rejection(code=-1001, message="Unknown error, please check your request.", status=500)
    reply = venue.send("POST", ORDER, rejection=rejection, **MARKET)
    assert (reply.status, reply.body["msg"]) == (500, "Unknown error, please check your request.")


def test_a_ban_on_demand_names_its_end(venue: Venue) -> None:
    reply = venue.send("POST", ORDER, rejection=Rejection(code=-1003, status=418, retry_after_s=7), **MARKET)
    assert (reply.status, reply.headers["Retry-After"]) == (418, "7")
    assert f"banned until {venue.now + 7_000}" in reply.body["msg"]


def test_an_unknown_outcome_may_have_been_carried_out(venue: Venue) -> None:
    reply = venue.send("POST", ORDER, rejection=Rejection(code=-1007, acted=True), **MARKET, newClientOrderId="e1")
    assert (reply.status, reply.body["code"], reply.durable) == (408, -1007, True)
    assert venue.ok("GET", ORDER, symbol="BTCUSDT", origClientOrderId="e1")["status"] == "FILLED"


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_of_the_engine_has_a_code(reason: Reason) -> None:
    assert from_refusal(Refused(reason, "detail")).code in {
        *known_codes(),
        -4003,
        -4005,
        -4006,
        -4014,
        -4002,
        -4028,
        -4509,
        -5027,
    }

"""Refusals of the Bybit dialect: who asks, what is asked, how often; every retCode by itself or on demand."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.paper_exchange.bybit_errors import from_refusal, said
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.wire import Rejection
from tests.unit.paper_exchange.bybit_venue import SYMBOL, BybitVenue, protect_params, stop_params

_MARKET = {"side": "Buy", "orderType": "Market", "qty": "0.010"}
_LISTED = (
    10001, 10002, 10003, 10004, 10007, 33004, 10005, 10010, 10024, 10027, 10028, 10029, 10006, 10018, 10429, 10000,
    5004, 10016, 10014, 110001, 110008, 110010, 110003, 110094, 110004, 110006, 110007, 110012, 110014, 110044, 110045,
    110009, 110020, 110017, 110024, 110028, 110025, 110026, 110027, 110043, 34036, 34040, 110030, 110072, 110034,
    110079, 110092, 110093, 110061, 30228, 110066, 30208, 110090, 110100, 110103, 170007, 170213, 30084,
)  # fmt: skip


def _answer(venue: BybitVenue, **headers: str | None) -> tuple[int, str]:
    reply = venue.dialect.answer(venue.request("GET", "/v5/account/info", {}, **headers))
    assert reply.status == 200
    return reply.body["retCode"], reply.body["retMsg"]


def test_who_asks(bybit: BybitVenue) -> None:
    assert _answer(bybit)[0] == 0
    assert _answer(bybit, **{"X-BAPI-API-KEY": "other"}) == (10003, "API key is invalid.")
    code, text = _answer(bybit, **{"X-BAPI-SIGN": "0" * 64})
    assert code == 10004
    assert text.startswith("error sign! origin_string[1800000000000paper5000")
    code, text = _answer(bybit, **{"X-BAPI-SIGN": None})
    assert (code, text) == (10001, "empty value: apiTimestamp[1800000000000] apiKey[paper] apiSignature[]")


@pytest.mark.parametrize(
    ("ahead", "window", "code"), [(999, 5000, 0), (1000, 5000, 10002), (-2000, 2000, 0), (-2001, 2000, 10002)]
)
def test_the_receive_window(bybit: BybitVenue, ahead: int, window: int, code: int) -> None:
    headers = {"X-BAPI-TIMESTAMP": str(bybit.now + ahead), "X-BAPI-RECV-WINDOW": str(window)}
    found, text = _answer(bybit, **headers)
    assert found == code
    if code:
        assert f"server_timestamp[{bybit.now}]" in text


def test_the_signature_covers_the_body(bybit: BybitVenue) -> None:
    request = bybit.request("POST", "/v5/order/create", {"category": "linear", "symbol": SYMBOL} | _MARKET)
    forged = type(request)(
        method=request.method,
        path=request.path,
        query="",
        body=request.body.replace("0.010", "9.010"),
        headers=request.headers,
    )
    assert bybit.dialect.answer(forged).body["retCode"] == 10004
    assert not bybit.exchange.book.orders


def test_what_is_asked(bybit: BybitVenue) -> None:
    create = "/v5/order/create"
    assert bybit.refused(create, **_MARKET | {"category": "linea"}) == (10001, "Illegal category")
    assert bybit.refused(create, **_MARKET | {"category": "inverse"})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"symbol": "NOUSDT"}) == (10001, "params error: symbol invalid")
    assert bybit.refused(create, **_MARKET | {"side": "BUY"}) == (10001, "params error: side invalid")
    assert bybit.refused(create, **_MARKET | {"orderType": "Stop_market"})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"qty": 0.01}) == (10001, "params error: qty invalid")
    assert bybit.refused(create, **_MARKET | {"qty": "1e-2"})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"qty": "0"}) == (10001, "Qty invalid")
    assert bybit.refused(create, **_MARKET | {"qty": "0.0105"})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"qty": "121"})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"orderLinkId": "a" * 37})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"orderLinkId": "a.b"})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"positionIdx": 3})[0] == 10001
    assert bybit.refused(create, **_MARKET | {"reduceOnly": True, "stopLoss": "63000"})[0] == 10001
    assert bybit.refused(create, **stop_params(triggerDirection=None)) == (10001, "TriggerDirection invalid")
    assert bybit.refused(create, **stop_params("63000.05"))[0] == 10001
    assert bybit.refused(create, **stop_params(triggerBy="Mark"))[0] == 10001
    assert bybit.code("GET", "/v5/order/realtime", category="linear") == 10001
    assert bybit.code("GET", "/v5/order/realtime", category="linear", symbol=SYMBOL, limit=51) == 10001
    assert bybit.code("GET", "/v5/order/realtime", category="linear", symbol=SYMBOL, cursor="x") == 10001
    assert not bybit.exchange.book.orders


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v5/order/create", _MARKET | {"orderType": "Limit", "price": "60000"}),
        ("/v5/order/create", _MARKET | {"orderType": "Limit", "price": "60000", "timeInForce": "GTC"}),
        ("/v5/order/create", stop_params(stopLoss="60000")),
        ("/v5/order/create", stop_params(triggerBy="IndexPrice")),
        ("/v5/order/create", _MARKET | {"takeProfit": "66000", "tpOrderType": "Limit"}),
        ("/v5/position/trading-stop", {"trailingStop": "100", "positionIdx": 0}),
        ("/v5/position/set-leverage", {"buyLeverage": "5", "sellLeverage": "6"}),
        ("/v5/order/disconnected-cancel-all", {"product": "SPOT", "timeWindow": 10}),
    ],
)
def test_what_is_not_offered_says_so(bybit: BybitVenue, path: str, params: dict[str, Any]) -> None:
    code, text = bybit.refused(path, **params)
    assert code == 10001
    assert text.startswith("params error: the paper exchange has no ")


def test_a_body_that_is_no_object(bybit: BybitVenue) -> None:
    request = bybit.request("POST", "/v5/order/create", {})
    for body in ("[]", "{", "1"):
        spoilt = type(request)(method="POST", path=request.path, query="", body=body, headers=request.headers)
        assert bybit.dialect.answer(spoilt).body["retCode"] in (10001, 10004)


def _flat_reduce(venue: BybitVenue) -> tuple[int, str]:
    return venue.refused("/v5/order/create", side="Sell", orderType="Market", qty="0.010", reduceOnly=True)


def _too_many(venue: BybitVenue) -> tuple[int, str]:
    venue.buy("0.100")
    for place in range(10):
        venue.stop(f"{62000 + place}.0")
    return venue.refused("/v5/order/create", **stop_params())


def _too_many_parts(venue: BybitVenue) -> tuple[int, str]:
    venue.buy("0.100")
    for place in range(20):
        venue.protect(f"{62000 + place}", tpslMode="Partial", slSize="0.001")
    return venue.refused("/v5/position/trading-stop", **protect_params("62500", tpslMode="Partial", slSize="0.001"))


def _unchanged_amend(venue: BybitVenue) -> tuple[int, str]:
    venue.buy()
    venue.stop(orderLinkId="s")
    return venue.refused("/v5/order/amend", orderLinkId="s", triggerPrice="63000.0")


def _crossed_amend(venue: BybitVenue) -> tuple[int, str]:
    venue.buy()
    venue.stop(orderLinkId="s")
    return venue.refused("/v5/order/amend", orderLinkId="s", triggerPrice="64000.0")


@pytest.mark.parametrize(
    ("code", "text", "act"),
    [
        (110007, "ab not enough for new order", lambda v: v.refused("/v5/order/create", **_MARKET | {"qty": "10"})),
        (110017, "current position is zero, cannot fix reduce-only order qty", _flat_reduce),
        (
            110092,
            "expect Rising, but trigger_price[640000000] <= current[640000000]??LastPrice",
            lambda v: v.refused("/v5/order/create", **stop_params("64000.0", triggerDirection=1)),
        ),
        (
            110093,
            "expect Falling, but trigger_price[640001000] >= current[640000000]??LastPrice",
            lambda v: v.refused("/v5/order/create", **stop_params("64000.1")),
        ),
        (110093, "expect Falling", _crossed_amend),
        (
            110094,
            "Order does not meet minimum order value 100USDT",
            lambda v: v.refused("/v5/order/create", **_MARKET | {"qty": "0.001"}),
        ),
        (110009, "The number of stop orders exceeds", _too_many),
        (110061, "The number of take-profit and stop-loss orders", _too_many_parts),
        (10001, "The order remains unchanged as the parameters entered match the existing ones.", _unchanged_amend),
        (
            10001,
            "can not set tp/sl/ts for zero position",
            lambda v: v.refused("/v5/position/trading-stop", **protect_params("63000")),
        ),
    ],
)
def test_what_the_rules_forbid(
    bybit: BybitVenue, code: int, text: str, act: Callable[[BybitVenue], tuple[int, str]]
) -> None:
    found, said_ = act(bybit)
    assert found == code
    assert said_.startswith(text)


@pytest.mark.parametrize("code", _LISTED)
def test_every_listed_code_on_demand_in_its_own_words(bybit: BybitVenue, code: int) -> None:
    params: dict[str, Any] = {"category": "linear", "symbol": SYMBOL} | _MARKET
    reply = bybit.send("POST", "/v5/order/create", Rejection(code=code), **params)
    assert reply.body["retCode"] == code
    assert reply.body["retMsg"] == said(code).message
    assert reply.body["retMsg"] != f"Error {code}.", "a listed code without words"
    assert not bybit.exchange.book.orders
    reply = bybit.send("POST", "/v5/order/create", Rejection(code=code, message="other words", acted=True), **params)
    assert (reply.body["retCode"], reply.body["retMsg"]) == (code, "other words")
    assert len(bybit.exchange.book.orders) == 1, "carried out all the same"


def test_every_reason_of_the_engine_has_a_code() -> None:
    figures = {
        "trigger": 1, "base": 1, "rises": True, "kind": "", "side": "", "below": True, "working_type": "",
    }  # fmt: skip
    for reason in Reason:
        error = from_refusal(Refused(reason, "detail", **figures))
        assert error.code
        assert error.message


def test_the_limit_of_an_account(bybit: BybitVenue) -> None:
    asked = {"category": "linear", "symbol": SYMBOL}
    replies = [bybit.dialect.answer(bybit.request("POST", "/v5/order/cancel-all", asked)) for _ in range(21)]
    assert [reply.body["retCode"] for reply in replies] == [0] * 20 + [10006]
    assert replies[0].headers["X-Bapi-Limit"] == "20"
    assert [reply.headers["X-Bapi-Limit-Status"] for reply in replies[-3:]] == ["1", "0", "0"]
    assert int(replies[-1].headers["X-Bapi-Limit-Reset-Timestamp"]) == bybit.now + 1_000
    # Each endpoint has its own, and a second later it is open again.
    assert bybit.dialect.answer(bybit.request("POST", "/v5/order/cancel", asked)).body["retCode"] == 10001
    bybit.now += 1_000
    assert bybit.dialect.answer(bybit.request("POST", "/v5/order/cancel-all", asked)).body["retCode"] == 0
    bybit.exchange.request_limits["per_second"] = 1
    assert bybit.dialect.answer(bybit.request("POST", "/v5/order/cancel-all", asked)).body["retCode"] == 10006


def test_the_limit_of_an_address(bybit: BybitVenue) -> None:
    bybit.exchange.request_limits["ip_5s"] = 3
    time = bybit.request("GET", "/v5/market/time", {})
    replies = [bybit.dialect.answer(time) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 403]
    assert replies[-1].body == "access too frequent"
    bybit.now += 5_000
    assert bybit.dialect.answer(time).status == 200


def test_a_path_that_is_not_there(bybit: BybitVenue) -> None:
    assert bybit.dialect.answer(bybit.request("GET", "/v5/nothing", {})).status == 404
    assert bybit.dialect.answer(bybit.request("GET", "/v5/order/create", {})).status == 404


def test_a_key_that_may_not_trade(bybit: BybitVenue) -> None:
    bybit.exchange.key_rights["trade"] = False
    assert bybit.refused("/v5/order/create", **_MARKET)[0] == 10005
    permissions = bybit.ok("GET", "/v5/user/query-api")
    assert permissions["readOnly"] == 1
    assert permissions["permissions"]["ContractTrade"] == []


def test_the_log_names_the_request_that_caused_a_line(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="63000", orderLinkId="e1")
    bybit.protect("63500")
    bybit.refused("/v5/position/trading-stop", **protect_params("63500"))
    bybit.move("63400")
    lines = list(bybit.exchange._timeline.load())
    requests = {line["id"]: line for line in lines if line["kind"] == "request"}
    causes = [requests[line["request"]]["path"] for line in lines if line["kind"] == "algo" and "request" in line]
    assert causes == ["/v5/order/create", "/v5/position/trading-stop"]
    by_venue = [line["status"] for line in lines if line["kind"] == "algo" and "request" not in line]
    assert by_venue == ["TRIGGERING", "TRIGGERED", "FINISHED"]
    assert [line["code"] for line in lines if line["kind"] == "reply"] == [None, None, 34040]
    first = next(line for line in requests.values())
    assert first["params"]["orderLinkId"] == "e1"
    assert first["params"]["stopLoss"] == "63000"

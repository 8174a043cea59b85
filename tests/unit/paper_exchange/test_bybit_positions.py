"""Positions on the Bybit dialect: rows, stops that stand on them, both sides of hedge mode, leverage, modes."""

from typing import Any

import pytest

from adapters.paper_exchange.past import without_young_orders
from tests.unit.paper_exchange.bybit_venue import SYMBOL, BybitVenue, protect_params


def test_an_entry_brings_its_stop(bybit: BybitVenue) -> None:
    made = bybit.buy(stopLoss="63000", slTriggerBy="MarkPrice", takeProfit="66000", tpslMode="Full")
    assert bybit.order(orderId=made["orderId"])["stopLoss"] == "63000"
    position = bybit.position()
    assert (position["side"], position["size"]) == ("Buy", "0.010")
    assert (position["stopLoss"], position["takeProfit"]) == ("63000", "66000")
    legs = {row["stopOrderType"]: row for row in bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]}
    assert set(legs) == {"StopLoss", "TakeProfit"}
    stop = legs["StopLoss"]
    assert (stop["createType"], stop["tpslMode"], stop["qty"]) == ("CreateByStopLoss", "Full", "0")
    assert (stop["triggerBy"], legs["TakeProfit"]["triggerBy"]) == ("MarkPrice", "LastPrice")
    assert (stop["reduceOnly"], stop["closeOnTrigger"], stop["orderLinkId"]) == (True, True, "")
    assert (stop["side"], stop["triggerDirection"]) == ("Sell", 2)


@pytest.mark.parametrize("nothing", ["", "0"])
def test_no_stop_in_an_entry(bybit: BybitVenue, nothing: str) -> None:
    bybit.buy(stopLoss=nothing)
    assert bybit.position()["stopLoss"] == ""


def test_the_stop_is_set_changed_and_cleared(bybit: BybitVenue) -> None:
    bybit.buy()
    assert bybit.protect("63000") == {}
    (first,) = bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]
    bybit.protect("63500.1")
    (second,) = bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]
    assert (second["orderId"], second["triggerPrice"]) == (first["orderId"], "63500.1")
    assert bybit.refused("/v5/position/trading-stop", **protect_params("63500.1")) == (34040, "not modified")
    assert bybit.refused("/v5/position/trading-stop", **protect_params("63500.10")) == (34040, "not modified")
    before = bybit.position()["updatedTime"]
    bybit.protect("0")
    assert bybit.position()["stopLoss"] == ""
    assert int(bybit.position()["updatedTime"]) > int(before)
    assert bybit.order(orderId=first["orderId"])["orderStatus"] == "Deactivated"
    assert bybit.refused("/v5/position/trading-stop", **protect_params("0"))[0] == 34040


def test_a_leg_that_is_not_named_stays(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="63000", takeProfit="66000")
    bybit.post("/v5/position/trading-stop", takeProfit="67000", positionIdx=0)
    assert (bybit.position()["stopLoss"], bybit.position()["takeProfit"]) == ("63000", "67000")
    bybit.post("/v5/position/trading-stop", stopLoss="", takeProfit="0", positionIdx=0)
    assert (bybit.position()["stopLoss"], bybit.position()["takeProfit"]) == ("63000", "")
    assert bybit.refused("/v5/position/trading-stop", positionIdx=0)[0] == 10001


def test_partial_mode_adds(bybit: BybitVenue) -> None:
    bybit.buy("0.020", stopLoss="63000")
    for price in ("63200", "63100"):
        bybit.protect(price, tpslMode="Partial", slSize="0.005")
    kinds = [row["stopOrderType"] for row in bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]]
    assert sorted(kinds) == ["PartialStopLoss", "PartialStopLoss", "StopLoss"]
    assert bybit.position()["stopLoss"] == "63000"
    bybit.move("63150")
    assert bybit.position()["size"] == "0.015"
    (execution,) = bybit.get("/v5/execution/list", limit=1)["list"]
    assert (execution["stopOrderType"], execution["createType"]) == ("PartialStopLoss", "CreateByPartialStopLoss")


def test_the_trigger_closes_the_position_and_the_other_leg_dies(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="63000", takeProfit="66000")
    legs = {row["stopOrderType"]: row["orderId"] for row in bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]}
    bybit.move("62990")
    assert bybit.order(orderId=legs["StopLoss"])["orderStatus"] == "Filled"
    sibling = bybit.order(orderId=legs["TakeProfit"])
    assert (sibling["orderStatus"], sibling["cancelType"]) == ("Deactivated", "CancelByTpSlTsClear")
    flat = bybit.position()
    assert (flat["side"], flat["size"], flat["stopLoss"], flat["takeProfit"]) == ("", "0", "", "")


def test_a_stop_on_the_wrong_side_is_told_with_the_base_price(bybit: BybitVenue) -> None:
    market = {"side": "Buy", "orderType": "Market", "qty": "0.010"}
    code, text = bybit.refused("/v5/order/create", stopLoss="64000.1", slTriggerBy="MarkPrice", **market)
    assert code == 10001
    assert text == "StopLoss:640001000 set for Buy position should lower than base_price:640000000??MarkPrice"
    code, text = bybit.refused("/v5/order/create", takeProfit="63000", **market)
    last = bybit.exchange.book.prices[SYMBOL].last * 10_000
    assert text == f"TakeProfit:630000000 set for Buy position should higher than base_price:{last:.0f}??LastPrice"
    assert bybit.position()["size"] == "0", "a refused entry was filled"
    bybit.post("/v5/order/create", side="Sell", orderType="Market", qty="0.010")
    code, text = bybit.refused("/v5/position/trading-stop", **protect_params("63000"))
    assert text == "StopLoss:630000000 set for Sell position should higher than base_price:640000000??MarkPrice"


def test_rows_of_a_symbol_are_there_even_when_flat(bybit: BybitVenue) -> None:
    (row,) = bybit.get("/v5/position/list", symbol="ETHUSDT")["list"]
    assert (row["side"], row["size"], row["positionIdx"], row["symbol"]) == ("", "0", 0, "ETHUSDT")
    assert bybit.get("/v5/position/list", settleCoin="USDT")["list"] == []
    bybit.buy()
    assert [row["symbol"] for row in bybit.get("/v5/position/list", settleCoin="USDT")["list"]] == [SYMBOL]
    assert bybit.code("GET", "/v5/position/list", category="linear") == 10001


def test_pages_of_positions(bybit: BybitVenue) -> None:
    bybit.buy()
    bybit.post("/v5/order/create", symbol="ETHUSDT", side="Sell", orderType="Market", qty="0.100")
    first = bybit.get("/v5/position/list", settleCoin="USDT", limit=1)
    second = bybit.get("/v5/position/list", settleCoin="USDT", limit=1, cursor=first["nextPageCursor"])
    assert [row["symbol"] for row in first["list"] + second["list"]] == [SYMBOL, "ETHUSDT"]
    assert second["nextPageCursor"] == ""


def test_figures_of_a_position(bybit: BybitVenue) -> None:
    bybit.buy("0.100")
    bybit.move("65000")
    row = bybit.position()
    assert float(row["unrealisedPnl"]) == pytest.approx((65000 - float(row["avgPrice"])) * 0.1)
    assert float(row["positionIM"]) == pytest.approx(6500 / 20)
    assert float(row["curRealisedPnl"]) == pytest.approx(-float(row["avgPrice"]) * 0.1 * 0.0005)
    assert (row["markPrice"], row["leverage"], row["tradeMode"]) == ("65000", "20", 0)
    numbers = ("size", "avgPrice", "positionValue", "leverage", "markPrice", "unrealisedPnl", "createdTime")
    assert all(isinstance(row[name], str) for name in numbers)


def test_the_level_of_liquidation(bybit: BybitVenue) -> None:
    bybit.buy("1.000")
    level = float(bybit.position()["liqPrice"])
    assert 50_000 < level < 60_000
    bybit.move(f"{level - 50:.1f}")
    assert bybit.position()["size"] == "0"


def test_both_sides_of_a_hedge(hedged: BybitVenue) -> None:
    hedged.buy("0.010", positionIdx=1, stopLoss="63000")
    hedged.post(
        "/v5/order/create",
        side="Sell",
        orderType="Market",
        qty="0.020",
        positionIdx=2,
        stopLoss="65000",
        tpslMode="Full",
    )
    rows = {row["positionIdx"]: row for row in hedged.get("/v5/position/list", symbol=SYMBOL)["list"]}
    assert [(rows[i]["side"], rows[i]["size"], rows[i]["stopLoss"]) for i in (1, 2)] == [
        ("Buy", "0.010", "63000"),
        ("Sell", "0.020", "65000"),
    ]
    assert len(hedged.get("/v5/position/list", settleCoin="USDT")["list"]) == 2
    hedged.protect("62000", positionIdx=1)
    hedged.move("65100")
    assert hedged.position(2)["size"] == "0"
    assert (hedged.position(1)["size"], hedged.position(1)["stopLoss"]) == ("0.010", "62000")
    flat = hedged.get("/v5/position/list", symbol=SYMBOL)["list"]
    assert [(row["positionIdx"], row["size"]) for row in flat] == [(1, "0.010"), (2, "0")]


def test_a_hedge_side_closes_without_being_told_to_reduce(hedged: BybitVenue) -> None:
    hedged.buy("0.010", positionIdx=1)
    exit_ = hedged.post("/v5/order/create", side="Sell", orderType="Market", qty="0.010", positionIdx=1)
    assert hedged.order(orderId=exit_["orderId"])["reduceOnly"] is True
    code, text = hedged.refused("/v5/order/create", side="Sell", orderType="Market", qty="0.010", positionIdx=1)
    assert (code, text) == (110017, "current position is zero, cannot fix reduce-only order qty")


@pytest.mark.parametrize(("venue", "index"), [("bybit", 1), ("bybit", 2), ("hedged", 0)])
def test_an_index_of_the_other_mode(venue: str, index: int, request: pytest.FixtureRequest) -> None:
    asked: BybitVenue = request.getfixturevalue(venue)
    market = {"side": "Buy", "orderType": "Market", "qty": "0.010", "positionIdx": index}
    assert asked.refused("/v5/order/create", **market) == (10001, "position idx not match position mode")
    assert asked.refused("/v5/position/trading-stop", **protect_params("63000", positionIdx=index))[0] == 10001


def test_switching_the_mode(bybit: BybitVenue) -> None:
    def switch(mode: int, **more: Any) -> int:
        return bybit.refused("/v5/position/switch-mode", mode=mode, **more)[0]

    assert switch(0) == 110025
    bybit.buy(stopLoss="63000")
    assert switch(3) == 110024
    bybit.post("/v5/order/create", side="Sell", orderType="Market", qty="0.010", reduceOnly=True)
    bybit.stop()
    assert switch(3) == 110028
    bybit.post("/v5/order/cancel-all")
    bybit.post("/v5/position/switch-mode", mode=3)
    assert [row["positionIdx"] for row in bybit.get("/v5/position/list", symbol=SYMBOL)["list"]] == [1, 2]
    assert [row["positionIdx"] for row in bybit.get("/v5/position/list", symbol="ETHUSDT")["list"]] == [0]
    bybit.post("/v5/position/switch-mode", mode=3, symbol=None, coin="USDT")
    assert [row["positionIdx"] for row in bybit.get("/v5/position/list", symbol="ETHUSDT")["list"]] == [1, 2]
    assert switch(5) == 10001


def test_leverage(bybit: BybitVenue) -> None:
    bybit.post("/v5/position/set-leverage", buyLeverage="10", sellLeverage="10")
    assert bybit.position()["leverage"] == "10"
    again = bybit.refused("/v5/position/set-leverage", buyLeverage="10", sellLeverage="10.0")
    assert again == (110043, "Set leverage has not been modified.")
    assert bybit.refused("/v5/position/set-leverage", buyLeverage="500", sellLeverage="500")[0] == 110013
    assert bybit.refused("/v5/position/set-leverage", buyLeverage="5", sellLeverage="6")[0] == 10001


def test_isolated_margin_is_refused_plainly(bybit: BybitVenue) -> None:
    assert bybit.refused("/v5/position/switch-isolated", tradeMode=1, buyLeverage="10", sellLeverage="10")[0] == 100028
    assert bybit.code("POST", "/v5/account/set-margin-mode", setMarginMode="ISOLATED_MARGIN") == 3400045
    assert bybit.ok("POST", "/v5/account/set-margin-mode", setMarginMode="REGULAR_MARGIN") == {"reasons": []}


def test_what_stands_on_a_position_shows_with_it_while_young_orders_are_hidden(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="63000")
    bybit.stop()
    with bybit.exchange.answering_from(without_young_orders(bybit.exchange.book, 0)):
        assert [row["stopOrderType"] for row in bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]] == ["StopLoss"]
        assert (bybit.position()["size"], bybit.position()["stopLoss"]) == ("0.010", "63000")
    assert len(bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"]) == 2

"""Orders on the Bybit dialect: acknowledged by ids alone, seen in queries, ended, paged."""

from pathlib import Path
from typing import Any

import pytest

from adapters.paper_exchange import book
from tests.unit.paper_exchange.bybit_venue import SYMBOL, BybitVenue, stop_params


def test_a_reply_acknowledges_and_says_no_more(bybit: BybitVenue) -> None:
    reply = bybit.buy(orderLinkId="e1")
    assert set(reply) == {"orderId", "orderLinkId"}
    row = bybit.order(orderId=reply["orderId"])
    assert row["orderStatus"] == "Filled"
    assert row["orderLinkId"] == reply["orderLinkId"] == "e1"
    assert (row["qty"], row["cumExecQty"], row["leavesQty"]) == ("0.010", "0.010", "0")
    assert float(row["avgPrice"]) * 0.010 == pytest.approx(float(row["cumExecValue"]))
    assert row["reduceOnly"] is False
    assert row["positionIdx"] == 0
    assert isinstance(row["createdTime"], str)


def test_an_order_without_a_client_id_shows_none(bybit: BybitVenue) -> None:
    assert bybit.order(orderId=bybit.buy()["orderId"])["orderLinkId"] == ""


def test_a_client_id_names_its_order_open_or_over(bybit: BybitVenue) -> None:
    bybit.buy(orderLinkId="e1")
    bybit.stop(orderLinkId="s1")
    assert bybit.order(orderLinkId="s1")["orderStatus"] == "Untriggered"
    bybit.post("/v5/order/cancel", orderLinkId="s1")
    assert bybit.order(orderLinkId="s1")["orderStatus"] == "Deactivated"
    assert bybit.get("/v5/order/realtime", orderLinkId="never")["list"] == []
    (of_history,) = bybit.get("/v5/order/history", orderLinkId="s1")["list"]
    assert of_history["cancelType"] == "CancelByUser"


def test_a_client_id_is_never_used_twice(bybit: BybitVenue) -> None:
    bybit.buy(orderLinkId="e1")
    for again in ({"side": "Sell", "orderType": "Market", "qty": "0.010"}, stop_params()):
        code, text = bybit.refused("/v5/order/create", orderLinkId="e1", **again)
        assert (code, text) == (110072, "OrderLinkedID is duplicate")
    bybit.stop(orderLinkId="s1")
    bybit.post("/v5/order/cancel", orderLinkId="s1")
    assert bybit.refused("/v5/order/create", orderLinkId="s1", **stop_params())[0] == 110072


def test_a_conditional_keeps_its_id_when_it_triggers(bybit: BybitVenue) -> None:
    bybit.buy()
    stop = bybit.stop(orderLinkId="s1")
    resting = bybit.order(orderId=stop["orderId"])
    assert resting["orderStatus"] == "Untriggered"
    assert (resting["triggerPrice"], resting["triggerDirection"], resting["triggerBy"]) == ("63000.0", 2, "MarkPrice")
    assert (resting["stopOrderType"], resting["createType"]) == ("Stop", "CreateByUser")
    bybit.move("62900")
    row = bybit.order(orderId=stop["orderId"])
    assert (row["orderStatus"], row["orderLinkId"], row["cumExecQty"]) == ("Filled", "s1", "0.010")
    assert row["triggerPrice"] == "63000.0"
    assert bybit.get("/v5/order/realtime", settleCoin="USDT")["list"] == []
    history = bybit.get("/v5/order/history")["list"]
    assert [row["orderId"] for row in history].count(stop["orderId"]) == 1
    (execution,) = bybit.get("/v5/execution/list", orderId=stop["orderId"])["list"]
    assert (execution["orderLinkId"], execution["stopOrderType"], execution["closedSize"]) == ("s1", "Stop", "0.010")


def test_the_direction_follows_from_nothing_but_itself(bybit: BybitVenue) -> None:
    bybit.buy()
    profit = bybit.stop("65000.0", triggerDirection=1)
    bybit.move("64999.9")
    assert bybit.order(orderId=profit["orderId"])["orderStatus"] == "Untriggered"
    bybit.move("65000")
    assert bybit.order(orderId=profit["orderId"])["orderStatus"] == "Filled"


def test_a_conditional_is_amended_in_place(bybit: BybitVenue) -> None:
    bybit.buy()
    stop = bybit.stop(orderLinkId="s1")
    amended = bybit.post("/v5/order/amend", orderLinkId="s1", triggerPrice="63500.1", qty="0.008")
    assert amended == stop
    row = bybit.order(orderId=stop["orderId"])
    assert (row["triggerPrice"], row["qty"], row["orderStatus"]) == ("63500.1", "0.008", "Untriggered")
    assert row["triggerBy"] == "MarkPrice", "an amend that names no source changed it"
    bybit.post("/v5/order/amend", orderId=stop["orderId"], triggerPrice="63500.1", triggerBy="LastPrice")
    assert bybit.order(orderLinkId="s1")["triggerBy"] == "LastPrice"


def test_quantity_zero_closes_all_there_is(bybit: BybitVenue) -> None:
    bybit.buy("0.017")
    close = {"side": "Sell", "orderType": "Market", "qty": "0", "reduceOnly": True, "closeOnTrigger": True}
    bybit.post("/v5/order/create", **close)
    assert bybit.position()["size"] == "0"
    assert bybit.refused("/v5/order/create", **close)[0] == 110017


def test_a_whole_closing_conditional_grows_with_the_position(bybit: BybitVenue) -> None:
    bybit.buy("0.010")
    bybit.stop(qty="0", closeOnTrigger=True)
    bybit.buy("0.010")
    bybit.move("62900")
    assert bybit.position()["size"] == "0"


def test_more_than_the_position_is_cut_to_it(bybit: BybitVenue) -> None:
    bybit.buy("0.010")
    exit_ = bybit.post("/v5/order/create", side="Sell", orderType="Market", qty="0.030", reduceOnly=True)
    row = bybit.order(orderId=exit_["orderId"])
    assert (row["orderStatus"], row["cancelType"]) == ("Cancelled", "CancelByReduceOnly")
    assert (row["cumExecQty"], row["leavesQty"]) == ("0.010", "0")
    assert bybit.position()["size"] == "0"


def test_what_is_filled_in_parts(tmp_path: Path) -> None:
    venue = BybitVenue(tmp_path, partial_fills=100)
    made = venue.buy("0.100")
    row = venue.order(orderId=made["orderId"])
    assert row["orderStatus"] == "PartiallyFilled"
    assert 0 < float(row["cumExecQty"]) < 0.1
    assert float(row["leavesQty"]) == pytest.approx(0.1 - float(row["cumExecQty"]))
    while venue.exchange.book.open_orders:
        venue.exchange.work()
    assert venue.order(orderId=made["orderId"])["orderStatus"] == "Filled"
    executions = venue.get("/v5/execution/list", orderId=made["orderId"])["list"]
    assert len(executions) > 1
    assert sum(float(execution["execQty"]) for execution in executions) == pytest.approx(0.1)
    venue.close()


def test_what_is_left_of_an_order_is_cancelled(tmp_path: Path) -> None:
    venue = BybitVenue(tmp_path, partial_fills=100)
    made = venue.buy("0.100", orderLinkId="e1")
    assert venue.post("/v5/order/cancel", orderLinkId="e1") == made
    row = venue.order(orderId=made["orderId"])
    assert (row["orderStatus"], row["cancelType"], row["leavesQty"]) == ("Cancelled", "CancelByUser", "0")
    assert float(row["cumExecQty"]) > 0
    assert venue.position()["size"] == row["cumExecQty"]
    venue.close()


def test_executions_of_one_symbol(bybit: BybitVenue) -> None:
    bybit.buy()
    bybit.post("/v5/order/create", symbol="ETHUSDT", side="Buy", orderType="Market", qty="0.100")
    assert [row["symbol"] for row in bybit.get("/v5/execution/list", symbol=SYMBOL)["list"]] == [SYMBOL]
    made = bybit.get("/v5/order/history", symbol="ETHUSDT")["list"]
    assert [row["symbol"] for row in made] == ["ETHUSDT"]
    assert bybit.get("/v5/order/realtime", orderId=made[0]["orderId"], symbol=SYMBOL)["list"] == []
    found = bybit.get("/v5/execution/list", orderId=made[0]["orderId"])["list"]
    assert [row["symbol"] for row in found] == ["ETHUSDT"]


def test_what_is_long_over_is_forgotten_with_its_client_id(bybit: BybitVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "HISTORY", 3)
    bybit.buy(orderLinkId="e1")
    kept = bybit.stop("60000.0", orderLinkId="s1")
    for _ in range(4):
        bybit.buy("0.002")
        bybit.post("/v5/order/cancel", **bybit.stop())
    assert bybit.get("/v5/order/realtime", orderLinkId="e1")["list"] == []
    assert bybit.order(orderLinkId="s1")["orderId"] == kept["orderId"], "one that rests was forgotten"
    bybit.buy("0.002", orderLinkId="e1")
    assert bybit.order(orderLinkId="e1")["qty"] == "0.002"
    known = bybit.exchange.book
    assert set(known._orders_by_client_id.values()) == set(known.orders), "ids of forgotten orders pile up"
    assert set(known._algos_by_client_id.values()) == set(known.algos)


def test_cancel_all_takes_both_kinds_or_the_one_that_is_named(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="62000")
    bybit.stop()
    assert bybit.post("/v5/order/cancel-all", orderFilter="Order") == {"list": [], "success": "1"}
    gone = bybit.post("/v5/order/cancel-all")
    assert len(gone["list"]) == 2
    assert bybit.get("/v5/order/realtime", symbol=SYMBOL)["list"] == []
    assert bybit.position()["stopLoss"] == ""


@pytest.mark.parametrize("path", ["/v5/order/cancel", "/v5/order/amend"])
def test_what_is_gone_cannot_be_changed(bybit: BybitVenue, path: str) -> None:
    bybit.buy(orderLinkId="e1")
    stop = bybit.stop(orderLinkId="s1")
    bybit.post("/v5/order/cancel", orderLinkId="s1")
    for ids in ({"orderLinkId": "e1"}, {"orderLinkId": "s1"}, {"orderId": stop["orderId"]}, {"orderId": "x"}):
        code, text = bybit.refused(path, triggerPrice="62000.0", **ids)
        assert code == 110001
        assert text.startswith("order not exists or too late to")
    assert bybit.refused(path, triggerPrice="62000.0")[0] == 10001


def _walk(venue: BybitVenue, path: str, limit: int, **params: Any) -> list[Any]:
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        page = venue.get(path, limit=limit, cursor=cursor, **params)
        assert len(page["list"]) <= limit
        seen += page["list"]
        cursor = page["nextPageCursor"]
        assert bool(cursor) == bool(page["list"]), "the cursor is empty only after an empty page"
        if not cursor:
            return seen


def test_pages_of_open_orders(bybit: BybitVenue) -> None:
    bybit.buy("0.100")
    made = [bybit.stop(f"{63000 - place}.0", qty="0.001")["orderId"] for place in range(7)]
    assert [row["orderId"] for row in _walk(bybit, "/v5/order/realtime", 3, settleCoin="USDT")] == made[::-1]


def test_a_page_is_not_shifted_by_what_comes_in_meanwhile(bybit: BybitVenue) -> None:
    bybit.buy("0.100")
    made = [bybit.stop(f"{63000 - place}.0", qty="0.001")["orderId"] for place in range(4)]
    first = bybit.get("/v5/order/realtime", settleCoin="USDT", limit=2)
    bybit.stop("62000.0", qty="0.001")
    second = bybit.get("/v5/order/realtime", settleCoin="USDT", limit=2, cursor=first["nextPageCursor"])
    assert [row["orderId"] for row in first["list"] + second["list"]] == made[::-1]


def test_pages_of_what_is_over(bybit: BybitVenue) -> None:
    made = [bybit.buy("0.010")["orderId"] for _ in range(5)]
    made += [bybit.stop()["orderId"]]
    bybit.post("/v5/order/cancel", orderId=made[-1])
    assert [row["orderId"] for row in _walk(bybit, "/v5/order/history", 2)] == made[::-1]
    assert [row["orderId"] for row in _walk(bybit, "/v5/execution/list", 2)] == made[4::-1]
    filled = bybit.get("/v5/order/history", orderStatus="Filled")["list"]
    assert [row["orderId"] for row in filled] == made[4::-1]
    recent = bybit.get("/v5/order/realtime", symbol=SYMBOL, openOnly=1)["list"]
    assert {row["orderId"] for row in recent} == set(made)


def test_executions_of_a_span_and_a_kind(bybit: BybitVenue) -> None:
    bybit.buy()
    bybit.now += 1_000
    since = bybit.now
    bybit.buy()
    found = bybit.get("/v5/execution/list", startTime=since)["list"]
    assert [int(row["execTime"]) >= since for row in found] == [True]
    assert bybit.get("/v5/execution/list", endTime=since - 1)["list"]
    assert bybit.get("/v5/execution/list", execType="BustTrade")["list"] == []
    row = found[0]
    assert row["execType"] == "Trade"
    assert row["isMaker"] is False
    assert float(row["feeRate"]) == pytest.approx(0.0005)
    assert float(row["execFee"]) == pytest.approx(float(row["execValue"]) * 0.0005)


def test_liquidation_shows_as_the_venues_own_trade(bybit: BybitVenue) -> None:
    bybit.buy("0.010", stopLoss="60000")
    bybit.exchange.run(lambda now: bybit.exchange.engine.liquidate(now, SYMBOL))
    (row,) = bybit.get("/v5/execution/list", execType="BustTrade")["list"]
    assert (row["orderLinkId"], row["createType"]) == ("", "CreateByTakeOver_PassThrough")
    (closed,) = bybit.get("/v5/position/closed-pnl")["list"]
    assert closed["execType"] == "BustTrade"


def test_what_closing_orders_brought(bybit: BybitVenue) -> None:
    bybit.buy("0.020")
    bybit.move("65000")
    bybit.post("/v5/order/create", side="Sell", orderType="Market", qty="0.015", reduceOnly=True)
    (row,) = bybit.get("/v5/position/closed-pnl", symbol=SYMBOL)["list"]
    assert (row["closedSize"], row["side"]) == ("0.015", "Sell")
    gross = (float(row["avgExitPrice"]) - float(row["avgEntryPrice"])) * 0.015
    assert float(row["closedPnl"]) == pytest.approx(gross - float(row["closeFee"]))
    assert float(row["avgEntryPrice"]) == pytest.approx(64006.4)


def test_a_closing_order_in_parts_is_one_row(tmp_path: Path) -> None:
    venue = BybitVenue(tmp_path, partial_fills=100)
    for side in ("Buy", "Sell"):
        venue.post("/v5/order/create", side=side, orderType="Market", qty="0.100", reduceOnly=side == "Sell")
        while venue.exchange.book.open_orders:
            venue.exchange.work()
    (row,) = venue.get("/v5/position/closed-pnl")["list"]
    assert int(row["fillCount"]) > 1
    assert row["closedSize"] == "0.100"
    venue.close()


@pytest.mark.parametrize("hedge", [False, True])
def test_orders_by_hand_have_no_client_id(tmp_path: Path, hedge: bool) -> None:
    venue = BybitVenue(tmp_path, hedge=hedge)
    made = venue.buy(positionIdx=1 if hedge else 0, orderLinkId="e1")
    assert venue.order(orderId=made["orderId"])["positionIdx"] == (1 if hedge else 0)
    venue.close()

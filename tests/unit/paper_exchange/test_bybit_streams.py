"""The WebSockets of the Bybit dialect: auth, subscriptions, pings, tickers as they change, the account's messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.paper_exchange.requests import Fate
from tests.unit.paper_exchange.bybit_venue import SYMBOL, BybitVenue

PUBLIC = "/v5/public/linear"


def ask(stream: Any, **fields: Any) -> None:
    stream.receive(json.dumps(fields))


def test_other_paths_are_refused(bybit: BybitVenue) -> None:
    for path in ("/ws", "/v5/public/spot", "/v5/trade", "/v5/private/x"):
        assert bybit.dialect.connect(path, "", lambda _text: None) is None


def test_the_private_side_wants_auth_first(bybit: BybitVenue) -> None:
    stream, frames = bybit.stream(auth=False)
    ask(stream, op="subscribe", args=["order"])
    assert (frames[-1]["success"], frames[-1]["ret_msg"]) == (False, "Request not authorized")
    ask(stream, op="auth", args=bybit.auth_arguments())
    assert frames[-1] == {"success": True, "ret_msg": "", "op": "auth", "conn_id": frames[-1]["conn_id"]}
    ask(stream, op="subscribe", req_id="7", args=["order", "execution.linear", "wallet"])
    assert (frames[-1]["success"], frames[-1]["op"], frames[-1]["req_id"]) == (True, "subscribe", "7")


@pytest.mark.parametrize(
    "spoilt", [{"key": "other"}, {"secret": b"other"}, {"ahead_ms": 0}, {"ahead_ms": -1_000}, None]
)
def test_an_auth_that_is_wrong(bybit: BybitVenue, spoilt: dict[str, Any] | None) -> None:
    stream, frames = bybit.stream(auth=False)
    ask(stream, op="auth", args=[] if spoilt is None else bybit.auth_arguments(**spoilt))
    assert (frames[-1]["success"], frames[-1]["op"]) == (False, "auth")
    assert frames[-1]["ret_msg"]
    ask(stream, op="subscribe", args=["order"])
    assert frames[-1]["success"] is False
    bybit.buy()
    assert len(frames) == 2, "an unauthorized connection heard of the account"


def test_pings(bybit: BybitVenue) -> None:
    stream, frames = bybit.stream(PUBLIC)
    ask(stream, op="ping", req_id="9")
    pong = {"success": True, "ret_msg": "pong", "req_id": "9", "op": "ping"}
    assert {name: frames[-1][name] for name in pong} == pong
    stream, frames = bybit.stream(auth=False)
    ask(stream, op="ping")
    assert (frames[-1]["op"], frames[-1]["args"]) == ("pong", [str(bybit.now)])


def test_what_cannot_be_subscribed_to(bybit: BybitVenue) -> None:
    stream, frames = bybit.stream(PUBLIC)
    for topic in ("tickers.NOUSDT", "tickers", "order", "kline.7.BTCUSDT", "kline.BTCUSDT", "orderbook.3.BTCUSDT", "x"):
        ask(stream, op="subscribe", args=["tickers.ETHUSDT", topic])
        assert frames[-1]["success"] is False
        assert frames[-1]["ret_msg"] == f"error:handler not found,topic:{topic}"
    ask(stream, op="subscribe", args=["publicTrade.BTCUSDT"])
    ask(stream, op="subscribe", args=["publicTrade.BTCUSDT"])
    assert frames[-1]["ret_msg"] == "error:already subscribed,topic:publicTrade.BTCUSDT"
    for text in ("", "[]", "{", '{"op": "dance"}', '{"op": "subscribe", "args": "order"}', '{"op": "subscribe"}'):
        stream.receive(text)
        assert frames[-1]["success"] is False


def test_a_ticker_is_a_snapshot_and_then_what_changed(bybit: BybitVenue) -> None:
    stream, frames = bybit.stream(PUBLIC)
    ask(stream, op="subscribe", args=["tickers.BTCUSDT"])
    snapshot = frames[1]
    assert (snapshot["topic"], snapshot["type"], snapshot["data"]["symbol"]) == ("tickers.BTCUSDT", "snapshot", SYMBOL)
    assert float(snapshot["data"]["markPrice"]) == 64_000
    bybit.move("64100")
    delta = frames[2]
    assert delta["type"] == "delta"
    assert delta["data"]["markPrice"] == "64100"
    assert "fundingRate" not in delta["data"], "what did not change was sent"
    bybit.move("64100")
    bybit.dialect.second(bybit.now)
    assert len(frames) == 3, "a price that stands still is silent"
    bybit.move("3200", "ETHUSDT")
    assert len(frames) == 3, "another symbol's ticker came"
    ask(stream, op="unsubscribe", args=["tickers.BTCUSDT"])
    bybit.move("64200")
    assert [frame.get("op") for frame in frames[3:]] == ["unsubscribe"]


def test_a_late_listener_begins_with_a_snapshot(bybit: BybitVenue) -> None:
    first = bybit.listen("tickers.BTCUSDT", path=PUBLIC)
    bybit.move("64100")
    second = bybit.listen("tickers.BTCUSDT", path=PUBLIC)
    assert (second[0]["type"], second[0]["data"]["markPrice"]) == ("snapshot", "64100")
    bybit.move("64200")
    assert first[-1]["data"]["markPrice"] == second[-1]["data"]["markPrice"] == "64200"


def test_candles_trades_and_the_book(bybit: BybitVenue) -> None:
    frames = bybit.listen("kline.1.BTCUSDT", "publicTrade.BTCUSDT", "orderbook.1.BTCUSDT", path=PUBLIC)
    assert frames[0]["topic"] == "orderbook.1.BTCUSDT"
    bybit.now += 60_000
    bybit.move("64100")
    bybit.dialect.second(bybit.now)
    by_topic = {frame["topic"]: frame for frame in frames}
    trade = by_topic["publicTrade.BTCUSDT"]["data"][0]
    assert (trade["p"], trade["s"]) == ("64100", SYMBOL)
    book = by_topic["orderbook.1.BTCUSDT"]["data"]
    assert float(book["b"][0][0]) < 64_100 < float(book["a"][0][0])
    candles = [frame["data"][0] for frame in frames if frame["topic"].startswith("kline")]
    assert [(candle["confirm"], candle["close"]) for candle in candles][-1] == (False, "64100")
    assert [candle["confirm"] for candle in candles] == [True, False]
    assert candles[0]["end"] + 1 == candles[1]["start"]


def topics(frames: list[Any]) -> list[str]:
    return [frame["topic"] for frame in frames]


ALL = ("order", "execution", "position", "wallet")


def test_what_an_entry_with_its_stop_says(bybit: BybitVenue) -> None:
    frames = bybit.listen(*ALL)
    made = bybit.buy(stopLoss="63000", orderLinkId="e1")
    assert topics(frames) == ["order", "execution", "position", "order", "wallet"]
    entry, execution, position, stop, wallet = (frame["data"][0] for frame in frames)
    assert (entry["orderId"], entry["orderLinkId"], entry["orderStatus"]) == (made["orderId"], "e1", "Filled")
    assert (execution["orderLinkId"], execution["execQty"], execution["execPnl"]) == ("e1", "0.010", "0.00000000")
    assert (position["size"], position["stopLoss"], position["takeProfit"]) == ("0.010", "63000", "0")
    assert (position["entryPrice"], "avgPrice" in position) == (bybit.position()["avgPrice"], False)
    assert (stop["orderStatus"], stop["stopOrderType"], stop["orderLinkId"]) == ("Untriggered", "StopLoss", "")
    assert wallet["coin"][0]["coin"] == "USDT"
    assert {frame["creationTime"] for frame in frames} == {int(entry["createdTime"])}
    assert all(row["category"] == "linear" for row in (entry, execution, position, stop))


def test_a_stop_that_moves_or_goes_shows_in_order_and_position(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="63000")
    frames = bybit.listen(*ALL)
    bybit.protect("63500")
    bybit.protect("0")
    assert topics(frames) == ["order", "position"] * 2
    rows = [frame["data"][0] for frame in frames]
    assert (rows[0]["orderStatus"], rows[0]["triggerPrice"], rows[1]["stopLoss"]) == ("Untriggered", "63500", "63500")
    assert (rows[2]["orderStatus"], rows[2]["cancelType"], rows[3]["stopLoss"]) == (
        "Deactivated",
        "CancelByTpSlTsClear",
        "0",
    )
    assert rows[0]["orderId"] == rows[2]["orderId"]


def test_a_trigger_from_start_to_end(bybit: BybitVenue) -> None:
    bybit.buy(stopLoss="63000", takeProfit="66000")
    frames = bybit.listen(*ALL)
    bybit.move("62900")
    orders = [frame["data"][0] for frame in frames if frame["topic"] == "order"]
    assert [(row["stopOrderType"], row["orderStatus"]) for row in orders] == [
        ("StopLoss", "Triggered"),
        ("StopLoss", "Filled"),
        ("TakeProfit", "Deactivated"),
    ]
    assert len({row["orderId"] for row in orders[:2]}) == 1
    flat = next(frame["data"][0] for frame in frames if frame["topic"] == "position")
    assert (flat["side"], flat["size"], flat["stopLoss"]) == ("", "0", "0")
    execution = next(frame["data"][0] for frame in frames if frame["topic"] == "execution")
    assert (execution["stopOrderType"], execution["createType"]) == ("StopLoss", "CreateByStopLoss")
    assert execution["orderId"] == orders[0]["orderId"]
    assert float(execution["execPnl"]) < 0


@pytest.mark.parametrize(
    ("fate", "statuses"), [(Fate.STUCK, ["Triggered"]), (Fate.REJECTED, ["Triggered", "Rejected"])]
)
def test_a_trigger_that_goes_wrong(bybit: BybitVenue, fate: Fate, statuses: list[str]) -> None:
    bybit.buy()
    made = bybit.stop()
    frames = bybit.listen("order")
    bybit.exchange.engine.fate = lambda _algo: fate
    bybit.move("62900")
    assert [frame["data"][0]["orderStatus"] for frame in frames] == statuses
    assert bybit.order(orderId=made["orderId"])["orderStatus"] == statuses[-1]


def test_a_fill_in_parts_is_told_part_by_part(tmp_path: Path) -> None:
    venue = BybitVenue(tmp_path, partial_fills=100)
    frames = venue.listen("order", "execution")
    venue.buy("0.100")
    while venue.exchange.book.open_orders:
        venue.exchange.work()
    statuses = [frame["data"][0]["orderStatus"] for frame in frames if frame["topic"] == "order"]
    executions = [frame["data"][0] for frame in frames if frame["topic"] == "execution"]
    assert statuses == ["PartiallyFilled"] * (len(executions) - 1) + ["Filled"]
    assert len(executions) > 1
    fees = [frame["data"][0]["cumExecFee"] for frame in frames if frame["topic"] == "order"]
    sums = [sum(float(row["execFee"]) for row in executions[: place + 1]) for place in range(len(executions))]
    assert [float(fee) for fee in fees] == pytest.approx(sums)
    venue.close()


def test_a_trigger_filled_in_parts_within_one_step(tmp_path: Path) -> None:
    venue = BybitVenue(tmp_path, partial_fills=100)
    venue.buy("0.100", stopLoss="63000")
    while venue.exchange.book.open_orders:
        venue.exchange.work()
    frames = venue.listen("order", "execution")
    venue.move("62900")
    executions = [frame["data"][0] for frame in frames if frame["topic"] == "execution"]
    filled = [row for row in (frame["data"][0] for frame in frames if frame["topic"] == "order") if row["avgPrice"]]
    assert [row["orderStatus"] for row in filled] == ["PartiallyFilled"] * (len(executions) - 1) + ["Filled"]
    assert len(executions) > 1
    sums = [sum(float(row["execFee"]) for row in executions[: place + 1]) for place in range(len(executions))]
    assert [float(row["cumExecFee"]) for row in filled] == pytest.approx(sums)
    venue.close()


def test_both_sides_and_the_names_of_topics(hedged: BybitVenue) -> None:
    frames = hedged.listen("position.linear", "order.linear")
    hedged.buy(positionIdx=1)
    hedged.post("/v5/order/create", side="Sell", orderType="Market", qty="0.020", positionIdx=2)
    assert topics(frames) == ["order.linear", "position.linear"] * 2
    positions = [frame["data"][0] for frame in frames if frame["topic"] == "position.linear"]
    assert [(row["positionIdx"], row["side"]) for row in positions] == [(1, "Buy"), (2, "Sell")]


def test_leverage_is_told_by_position(hedged: BybitVenue) -> None:
    frames = hedged.listen("position")
    hedged.post("/v5/position/set-leverage", buyLeverage="7", sellLeverage="7")
    assert [(frame["data"][0]["positionIdx"], frame["data"][0]["leverage"]) for frame in frames] == [(1, "7"), (2, "7")]


def test_a_closed_connection_hears_nothing(bybit: BybitVenue) -> None:
    stream, frames = bybit.stream()
    ask(stream, op="subscribe", args=["order"])
    stream.closed()
    bybit.buy()
    assert len(frames) == 1

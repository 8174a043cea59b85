"""Bybit's own Python client, unmodified, against the Bybit dialect: REST, public and private streams."""

import queue
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pybit import unified_trading  # type: ignore[import-untyped]
from pybit.exceptions import InvalidRequestError  # type: ignore[import-untyped]
from websocket import WebSocketException

from tests.unit.paper_exchange.program import Program

pytestmark = pytest.mark.wire

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    options = ("--dialect", "bybit", "--volatility", "0", "--partial-fills", "0", "--hedge-mode", "--control")
    program = Program(tmp_path_factory.mktemp("pybit"), *options).start()
    yield program
    program.close()


@pytest.fixture(scope="module")
def http(program: Program) -> Any:
    client = unified_trading.HTTP(api_key="paper", api_secret="paper", retry_delay=0, max_retries=1)
    client.endpoint = program.endpoint["rest_url"]
    return client


@pytest.fixture
def streams(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Opens streams that end with the test."""
    base = program.endpoint["ws_url"]
    monkeypatch.setattr(unified_trading, "PRIVATE_WSS", base + "/v5/private")
    monkeypatch.setattr(unified_trading, "PUBLIC_WSS", base + "/v5/public/{CHANNEL_TYPE}")
    opened: list[Any] = []

    def open_(channel: str, **keys: str) -> Any:
        stream = unified_trading.WebSocket(channel, testnet=False, **keys)
        opened.append(stream)
        send = stream.ws.send

        def later(text: str) -> None:
            """The client notes a subscription after it has sent it: if the answer is quicker, it gives up for good."""
            timer = threading.Timer(0.05, send, [text])
            timer.daemon = True
            timer.start()

        stream.ws.send = later
        return stream

    yield open_
    for stream in opened:
        stream.exit()


def listening(stream: Any, *topics: str) -> Any:
    """A queue of what comes over the topics of a private stream, once the venue has agreed to send them."""
    inbox: queue.Queue[dict[str, Any]] = queue.Queue()
    for topic in topics:
        getattr(stream, f"{topic}_stream")(inbox.put)
    # The client tells nobody of an acknowledgement; a round trip behind it is one.
    deadline = time.monotonic() + 5
    while not stream.auth and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.4)
    return inbox


def test_market_data(http: Any) -> None:
    assert abs(int(http.get_server_time()["result"]["timeSecond"]) - time.time()) < 5
    rows = http.get_instruments_info(category="linear")["result"]["list"]
    assert {row["settleCoin"] for row in rows} == {"USDT"}
    (ticker,) = http.get_tickers(**LINEAR)["result"]["list"]
    assert Decimal(ticker["markPrice"]) == 64_000
    for candles in (http.get_kline, http.get_mark_price_kline):
        assert len(candles(interval=1, limit=2, **LINEAR)["result"]["list"]) == 2
    assert http.get_orderbook(**LINEAR)["result"]["b"]


def test_a_position_from_entry_to_exit(http: Any, streams: Any, program: Program) -> None:
    program.control("price", symbol="BTCUSDT", mark="64000")
    inbox = listening(
        streams("private", api_key="paper", api_secret="paper"), "order", "execution", "position", "wallet"
    )
    market = {**LINEAR, "orderType": "Market", "qty": "0.010"}
    made = http.place_order(
        side="Buy", positionIdx=1, stopLoss="63000", slTriggerBy="MarkPrice", orderLinkId="py-1", **market
    )["result"]
    heard = [inbox.get(timeout=5) for _ in range(5)]
    assert [frame["topic"] for frame in heard] == ["order", "execution", "position", "order", "wallet"]
    assert heard[0]["data"][0]["orderId"] == made["orderId"]
    assert heard[2]["data"][0]["stopLoss"] == "63000"

    rows = http.get_positions(**LINEAR)["result"]["list"]
    assert [(row["positionIdx"], row["size"], row["stopLoss"]) for row in rows] == [(1, "0.010", "63000"), (2, "0", "")]
    assert http.set_trading_stop(stopLoss="63500", slTriggerBy="MarkPrice", positionIdx=1, **LINEAR)["result"] == {}
    (stop,) = http.get_open_orders(**LINEAR)["result"]["list"]
    assert (stop["triggerPrice"], stop["stopOrderType"]) == ("63500", "StopLoss")
    http.place_order(side="Sell", positionIdx=1, triggerPrice="62000", triggerDirection=2, orderLinkId="py-2", **market)
    http.amend_order(orderLinkId="py-2", triggerPrice="62500", **LINEAR)
    assert http.get_open_orders(orderLinkId="py-2", **LINEAR)["result"]["list"][0]["triggerPrice"] == "62500"
    http.cancel_order(orderLinkId="py-2", **LINEAR)

    program.control("price", symbol="BTCUSDT", mark="63400")
    assert http.get_positions(**LINEAR)["result"]["list"][0]["size"] == "0"
    history = http.get_order_history(category="linear", orderId=stop["orderId"])["result"]["list"]
    assert [(row["orderStatus"], row["createType"]) for row in history] == [("Filled", "CreateByStopLoss")]
    executions = http.get_executions(category="linear")["result"]["list"]
    assert [row["orderId"] for row in executions] == [stop["orderId"], made["orderId"]]
    (closed,) = http.get_closed_pnl(category="linear")["result"]["list"]
    assert Decimal(closed["closedPnl"]) < 0
    wallet = http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    assert Decimal(wallet["totalEquity"]) < 10_000


@pytest.mark.parametrize(
    ("code", "call"),
    [
        (110017, lambda h: h.place_order(side="Sell", positionIdx=1, orderType="Market", qty="0.010", **LINEAR)),
        (10001, lambda h: h.place_order(side="Buy", positionIdx=0, orderType="Market", qty="0.010", **LINEAR)),
        (110001, lambda h: h.cancel_order(orderLinkId="never", **LINEAR)),
        (110025, lambda h: h.switch_position_mode(mode=3, **LINEAR)),
        (110043, lambda h: h.set_leverage(buyLeverage="20", sellLeverage="20", **LINEAR)),
        (10001, lambda h: h.set_trading_stop(stopLoss="63000", positionIdx=1, **LINEAR)),
    ],
)
def test_refusals(http: Any, code: int, call: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        call(http)
    assert caught.value.status_code == code


def test_account(http: Any) -> None:
    assert http.get_account_info()["result"]["unifiedMarginStatus"] == 6
    assert http.get_api_key_information()["result"]["uta"] == 1
    assert http.cancel_all_orders(category="linear", settleCoin="USDT")["result"]["success"] == "1"


def test_a_wrong_secret(program: Program) -> None:
    client = unified_trading.HTTP(api_key="paper", api_secret="other", max_retries=1)
    client.endpoint = program.endpoint["rest_url"]
    with pytest.raises(InvalidRequestError) as caught:
        client.get_account_info()
    assert caught.value.status_code == 10004


def test_public_streams(streams: Any, program: Program) -> None:
    program.control("price", symbol="BTCUSDT", mark="64000")
    inbox: queue.Queue[dict[str, Any]] = queue.Queue()
    stream = streams("linear")
    stream.ticker_stream("BTCUSDT", inbox.put)
    stream.trade_stream("BTCUSDT", inbox.put)
    stream.orderbook_stream(1, "BTCUSDT", inbox.put)
    first = [inbox.get(timeout=5) for _ in range(2)]
    assert {frame["topic"] for frame in first} == {"tickers.BTCUSDT", "orderbook.1.BTCUSDT"}
    program.control("price", symbol="BTCUSDT", mark="64100")
    frames = {frame["topic"]: frame for frame in (inbox.get(timeout=5) for _ in range(3))}
    # The client merges what changed into what it knows.
    assert frames["tickers.BTCUSDT"]["data"]["markPrice"] == "64100"
    assert frames["tickers.BTCUSDT"]["data"]["fundingRate"] == "0"
    assert frames["publicTrade.BTCUSDT"]["data"][0]["p"] == "64100"


def test_other_channels_are_not_there(streams: Any) -> None:
    with pytest.raises(WebSocketException):
        streams("spot", retries=1)

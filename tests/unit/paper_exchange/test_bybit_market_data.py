"""Public endpoints, wallet and account of the Bybit dialect."""

from decimal import Decimal
from itertools import pairwise

import pytest

from tests.unit.paper_exchange.bybit_venue import SYMBOL, BybitVenue


def test_time(bybit: BybitVenue) -> None:
    reply = bybit.send("GET", "/v5/market/time")
    assert reply.body["time"] == bybit.now
    assert reply.body["result"] == {"timeSecond": str(bybit.now // 1000), "timeNano": f"{bybit.now}000000"}


def test_instruments_in_pages(bybit: BybitVenue) -> None:
    first = bybit.get("/v5/market/instruments-info", limit=1)
    second = bybit.get("/v5/market/instruments-info", limit=1, cursor=first["nextPageCursor"])
    assert [row["symbol"] for row in first["list"] + second["list"]] == [SYMBOL, "ETHUSDT"]
    assert second["nextPageCursor"] == ""
    row = first["list"][0]
    assert (row["status"], row["contractType"], row["settleCoin"]) == ("Trading", "LinearPerpetual", "USDT")
    assert row["priceFilter"]["tickSize"] == "0.10"
    lot = row["lotSizeFilter"]
    assert (lot["qtyStep"], lot["minOrderQty"], lot["minNotionalValue"]) == ("0.001", "0.001", "100")
    assert bybit.get("/v5/market/instruments-info", status="PreLaunch")["list"] == []


def test_tickers(bybit: BybitVenue) -> None:
    rows = bybit.get("/v5/market/tickers")["list"]
    assert [row["symbol"] for row in rows] == [SYMBOL, "ETHUSDT"]
    (row,) = bybit.get("/v5/market/tickers", symbol=SYMBOL)["list"]
    assert Decimal(row["markPrice"]) == 64_000
    assert Decimal(row["bid1Price"]) < 64_000 < Decimal(row["ask1Price"])
    bybit.buy()
    assert bybit.position()["avgPrice"].startswith(row["ask1Price"]), "a market order was not filled at the ask"


def test_candles_come_newest_first(bybit: BybitVenue) -> None:
    opened: list[int] = []
    for path, columns in (("/v5/market/kline", 7), ("/v5/market/mark-price-kline", 5)):
        found = bybit.get(path, symbol=SYMBOL, interval="5", limit=3)["list"]
        assert [len(row) for row in found] == [columns] * 3
        opened = [int(row[0]) for row in found]
        assert opened == sorted(opened, reverse=True)
        assert {newer - older for newer, older in pairwise(opened)} == {300_000}
        assert all(isinstance(cell, str) for row in found for cell in row)
    since = opened[1]
    assert [int(row[0]) for row in bybit.get("/v5/market/kline", symbol=SYMBOL, interval="5", start=since)["list"]] == (
        opened[:2]
    )
    assert bybit.code("GET", "/v5/market/kline", category="linear", symbol=SYMBOL, interval="7") == 10001


def test_mark_candles_keep_the_extreme(bybit: BybitVenue) -> None:
    for mark in ("64000", "64900", "64100"):
        bybit.move(mark, last="64050")
    row = bybit.get("/v5/market/mark-price-kline", symbol=SYMBOL, interval="1", limit=1)["list"][0]
    assert (row[2], row[4]) == ("64900", "64100")


def test_the_order_book(bybit: BybitVenue) -> None:
    book = bybit.get("/v5/market/orderbook", symbol=SYMBOL, limit=5)
    bids, asks = ([Decimal(price) for price, _size in book[side]] for side in ("b", "a"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < 64_000 < asks[0]
    assert len(bids) == len(asks) == 5


def test_the_wallet(bybit: BybitVenue) -> None:
    bybit.buy("0.100")
    bybit.move("65000")
    (row,) = bybit.ok("GET", "/v5/account/wallet-balance", accountType="UNIFIED")["list"]
    (coin,) = row["coin"]
    book = bybit.exchange.book
    assert Decimal(coin["walletBalance"]) == book.wallet
    assert Decimal(row["totalEquity"]) == Decimal(coin["walletBalance"]) + Decimal(coin["unrealisedPnl"])
    assert Decimal(row["totalAvailableBalance"]) == pytest.approx(
        Decimal(row["totalEquity"]) - Decimal(row["totalInitialMargin"])
    )
    assert Decimal(coin["cumRealisedPnl"]) == book.wallet - 10_000
    assert bybit.code("GET", "/v5/account/wallet-balance", accountType="SPOT") == 10001


def test_account_and_key(bybit: BybitVenue) -> None:
    info = bybit.ok("GET", "/v5/account/info")
    assert (info["marginMode"], info["unifiedMarginStatus"], info["dcpStatus"]) == ("REGULAR_MARGIN", 6, "OFF")
    key = bybit.ok("GET", "/v5/user/query-api")
    assert (key["uta"], key["readOnly"], key["permissions"]["Wallet"]) == (1, 0, [])
    bybit.exchange.key_rights["withdraw"] = True
    assert "Withdraw" in bybit.ok("GET", "/v5/user/query-api")["permissions"]["Wallet"]
    fees = bybit.get("/v5/account/fee-rate", symbol=SYMBOL)["list"]
    assert [(row["symbol"], row["takerFeeRate"]) for row in fees] == [(SYMBOL, "0.0005")]


def test_the_dead_mans_switch(bybit: BybitVenue) -> None:
    assert bybit.ok("GET", "/v5/account/query-dcp-info") == {"dcpInfos": []}
    arm = "/v5/order/disconnected-cancel-all"
    assert bybit.code("POST", arm, product="DERIVATIVES", timeWindow=2) == 10001
    bybit.ok("POST", arm, product="DERIVATIVES", timeWindow=10)
    (armed,) = bybit.ok("GET", "/v5/account/query-dcp-info")["dcpInfos"]
    assert armed == {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "10"}
    assert bybit.ok("GET", "/v5/account/info")["dcpStatus"] == "ON"
    bybit.buy(stopLoss="63000")

    def stands_after(seconds: int) -> bool:
        bybit.now += seconds * 1_000
        bybit.dialect.second(bybit.now)
        return bool(bybit.position()["stopLoss"])

    assert stands_after(60), "nobody has watched the switch yet"
    stream, _frames = bybit.stream()
    stream.receive('{"op": "subscribe", "args": ["dcp.future"]}')
    assert stands_after(60), "the connection is there"
    stream.closed()
    assert stands_after(9)
    assert not stands_after(2)


def test_risk_tiers(bybit: BybitVenue) -> None:
    (row,) = bybit.get("/v5/market/risk-limit", symbol=SYMBOL)["list"]
    assert (row["maintenanceMargin"], row["maxLeverage"]) == ("0.004", "125.00")
    assert len(bybit.get("/v5/market/risk-limit")["list"]) == 2

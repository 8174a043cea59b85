"""Public endpoints of Binance USD-M: time, instruments, prices, candles, book."""

from decimal import Decimal
from typing import Any, Final

from adapters.paper_exchange.binance_errors import VenueError, unknown_symbol
from adapters.paper_exchange.binance_limits import RequestLimits
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Routes
from adapters.paper_exchange.binance_rows import Row, symbol_row
from adapters.paper_exchange.candles import INTERVALS, Bar, Candle
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import ASSET, ZERO, Price, Side

FUNDING_MS: Final = 8 * 3_600_000
_BOOK_SIZE: Final = Decimal(5_000)


class MarketData:
    """The handlers."""

    def __init__(self, exchange: PaperExchange, limits: RequestLimits) -> None:
        self._exchange = exchange
        self._limits = limits

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        return {
            ("GET", "/fapi/v1/ping"): Endpoint(handler=self.ping),
            ("GET", "/fapi/v1/time"): Endpoint(handler=self.time),
            ("GET", "/fapi/v1/exchangeInfo"): Endpoint(handler=self.exchange_info),
            ("GET", "/fapi/v1/premiumIndex"): Endpoint(handler=self.premium_index, weight_without_symbol=10),
            ("GET", "/fapi/v1/ticker/price"): Endpoint(handler=self.last_price, weight_without_symbol=2),
            ("GET", "/fapi/v2/ticker/price"): Endpoint(handler=self.last_price, weight_without_symbol=2),
            ("GET", "/fapi/v1/ticker/bookTicker"): Endpoint(
                handler=self.book_ticker, weight=2, weight_without_symbol=5
            ),
            ("GET", "/fapi/v1/ticker/24hr"): Endpoint(handler=self.day_ticker, weight_without_symbol=40),
            ("GET", "/fapi/v1/klines"): Endpoint(handler=self.klines, weight_by_limit=500),
            ("GET", "/fapi/v1/markPriceKlines"): Endpoint(handler=self.mark_klines, weight_by_limit=500),
            ("GET", "/fapi/v1/depth"): Endpoint(handler=self.depth, weight=2),
            ("GET", "/fapi/v1/trades"): Endpoint(handler=self.trades, weight=5),
            ("GET", "/fapi/v1/aggTrades"): Endpoint(handler=self.aggregate_trades, weight=20),
        }

    def ping(self, _params: Params) -> Row:
        """An empty object."""
        return {}

    def time(self, params: Params) -> Row:
        """The venue's clock."""
        return {"serverTime": params.now}

    def exchange_info(self, params: Params) -> Row:
        """Limits and instruments."""
        return {
            "timezone": "UTC",
            "serverTime": params.now,
            "futuresType": "U_MARGINED",
            "rateLimits": self._limits.rows(),
            "exchangeFilters": [],
            "assets": [{"asset": ASSET, "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [symbol_row(contract) for contract in self._exchange.engine.contracts.values()],
        }

    def premium_index(self, params: Params) -> Any:
        """Mark and index price."""
        return self._one_or_all(params, lambda price: premium_row(price, params.now))

    def last_price(self, params: Params) -> Any:
        """Last trade price."""
        return self._one_or_all(
            params, lambda price: {"symbol": price.symbol, "price": plain(price.last), "time": price.time}
        )

    def book_ticker(self, params: Params) -> Any:
        """Best bid and ask."""
        return self._one_or_all(params, self.quote_row)

    def day_ticker(self, params: Params) -> Any:
        """The last 24 hours."""
        return self._one_or_all(params, lambda price: self.day_row(price, params.now))

    def klines(self, params: Params) -> list[list[Any]]:
        """Candles of the last price."""
        return [_kline(candle, candle.last, span) for candle, span in self._candles(params)]

    def mark_klines(self, params: Params) -> list[list[Any]]:
        """Candles of the mark price, without volume."""
        return [_kline(candle, candle.mark, span, volume=False) for candle, span in self._candles(params)]

    def depth(self, params: Params) -> Row:
        """A thin made-up book around the mark."""
        price = self._price(params)
        contract = self._exchange.engine.contracts[price.symbol]
        levels = min(params.limit(500, 1_000), 20)
        sides: dict[str, list[list[str]]] = {}
        for name, side in (("bids", Side.SELL), ("asks", Side.BUY)):
            best = self._exchange.engine.fill_price(price.symbol, side)
            sides[name] = [
                [plain(best + side.sign * contract.tick * level), plain(self._size(best))] for level in range(levels)
            ]
        return {"lastUpdateId": price.step, "E": params.now, "T": price.time, **sides}

    def trades(self, params: Params) -> list[Row]:
        """The last print: the paper exchange keeps no others."""
        price = self._price(params)
        return [
            {
                "id": price.step,
                "price": plain(price.last),
                "qty": "1",
                "quoteQty": plain(price.last),
                "time": price.time,
                "isBuyerMaker": False,
                "isRPITrade": False,
            }
        ]

    def aggregate_trades(self, params: Params) -> list[Row]:
        """The last print, as an aggregate."""
        price = self._price(params)
        return [
            {
                "a": price.step,
                "p": plain(price.last),
                "q": "1",
                "f": price.step,
                "l": price.step,
                "T": price.time,
                "m": False,
            }
        ]

    def quote_row(self, price: Price) -> Row:
        """Best bid and ask of a symbol."""
        bid = self._exchange.engine.fill_price(price.symbol, Side.SELL)
        ask = self._exchange.engine.fill_price(price.symbol, Side.BUY)
        size = plain(self._size(price.mark))
        return {
            "symbol": price.symbol,
            "bidPrice": plain(bid),
            "bidQty": size,
            "askPrice": plain(ask),
            "askQty": size,
            "time": price.time,
            "lastUpdateId": price.step,
        }

    def _size(self, price: Decimal) -> Decimal:
        return (_BOOK_SIZE / price).quantize(Decimal("0.001")) + 1

    def _price(self, params: Params) -> Price:
        price = self._exchange.book.prices.get(params.text("symbol"))
        if price is None:
            raise unknown_symbol()
        return price

    def _one_or_all(self, params: Params, row: Any) -> Any:
        if "symbol" in params:
            return row(self._price(params))
        return [row(price) for price in self._exchange.book.prices.values()]

    def _candles(self, params: Params) -> list[tuple[Candle, int]]:
        symbol = self._price(params).symbol
        span = INTERVALS.get(params.text("interval"))
        if span is None:
            raise VenueError(-1120, "Invalid interval.")
        start = params.integer_or("startTime", 0)
        end = params.integer_or("endTime", 1 << 62)
        limit = params.limit(500, 1_500)
        found = [c for c in self._exchange.candles.candles(symbol, span) if start <= c.open_time <= end]
        # With a start time the venue counts from there, without one back from the newest.
        chosen = found[:limit] if "startTime" in params else found[-limit:]
        return [(candle, span) for candle in chosen]

    def day_row(self, price: Price, now: int) -> Row:
        day = [c for c in self._exchange.candles.minutes(price.symbol) if c.open_time > now - 86_400_000]
        whole = day[0]
        for candle in day[1:]:
            whole = whole.then(candle)
        bar = whole.last
        volume = Decimal(whole.points)
        return {
            "symbol": price.symbol,
            "priceChange": plain(bar.close - bar.open),
            "priceChangePercent": plain(((bar.close / bar.open - 1) * 100).quantize(Decimal("0.001"))),
            "weightedAvgPrice": plain(bar.close),
            "lastPrice": plain(price.last),
            "lastQty": "1",
            "openPrice": plain(bar.open),
            "highPrice": plain(bar.high),
            "lowPrice": plain(bar.low),
            "volume": plain(volume),
            "quoteVolume": plain(volume * bar.close),
            "openTime": whole.open_time,
            "closeTime": now,
            "firstId": 1,
            "lastId": price.step,
            "count": whole.points,
        }


def premium_row(price: Price, now: int) -> Row:
    """Mark and index price of a symbol; the paper exchange charges no funding."""
    return {
        "symbol": price.symbol,
        "markPrice": plain(price.mark),
        "indexPrice": plain(price.index),
        "estimatedSettlePrice": plain(price.index),
        "lastFundingRate": plain(ZERO),
        "interestRate": plain(ZERO),
        "nextFundingTime": now - now % FUNDING_MS + FUNDING_MS,
        "time": price.time,
    }


def _kline(candle: Candle, bar: Bar, span: int, *, volume: bool = True) -> list[Any]:
    traded = str(candle.points) if volume else "0"
    return [
        candle.open_time,
        *bar.values(),
        traded,
        candle.open_time + span - 1,
        plain(candle.points * bar.close) if volume else "0",
        candle.points,
        "0",
        "0",
        "0",
    ]

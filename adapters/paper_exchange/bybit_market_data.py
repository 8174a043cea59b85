"""Public endpoints of Bybit v5: time, instruments, tickers, candles, book."""

from decimal import Decimal
from typing import Final

from adapters.paper_exchange.bybit_errors import invalid
from adapters.paper_exchange.bybit_params import Params
from adapters.paper_exchange.bybit_routes import Endpoint, Routes, Row, page_at
from adapters.paper_exchange.candles import INTERVALS, Bar, Candle
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Price, Side

FUNDING_MS: Final = 8 * 3_600_000
SPANS: Final = {
    "1": INTERVALS["1m"],
    "3": INTERVALS["3m"],
    "5": INTERVALS["5m"],
    "15": INTERVALS["15m"],
    "30": INTERVALS["30m"],
    "60": INTERVALS["1h"],
    "120": INTERVALS["2h"],
    "240": INTERVALS["4h"],
    "360": INTERVALS["6h"],
    "720": INTERVALS["12h"],
    "D": INTERVALS["1d"],
}
_BOOK_SIZE: Final = Decimal(5_000)
_STATUS: Final = {True: "Trading", False: "Closed"}
_DAY: Final = 86_400_000
_HOUR: Final = 3_600_000


class MarketData:
    """The handlers."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        return {
            ("GET", "/v5/market/time"): Endpoint(handler=self.time),
            ("GET", "/v5/market/instruments-info"): Endpoint(handler=self.instruments),
            ("GET", "/v5/market/tickers"): Endpoint(handler=self.tickers),
            ("GET", "/v5/market/kline"): Endpoint(handler=self.candles),
            ("GET", "/v5/market/mark-price-kline"): Endpoint(handler=self.mark_candles),
            ("GET", "/v5/market/orderbook"): Endpoint(handler=self.book),
            ("GET", "/v5/market/risk-limit"): Endpoint(handler=self.risk_limits),
        }

    def time(self, params: Params) -> Row:
        """The venue's clock."""
        return {"timeSecond": str(params.now // 1000), "timeNano": f"{params.now}000000"}

    def instruments(self, params: Params) -> Row:
        """The contracts."""
        params.category()
        contracts = self._exchange.engine.contracts
        chosen = list(contracts.values()) if "symbol" not in params else [contracts[params.symbol(contracts)]]
        status = params.text_or("status")
        chosen = [contract for contract in chosen if status in ("", _STATUS[contract.trading])]
        page, cursor = page_at(params, chosen, default=500, largest=1_000)
        return {"category": "linear", "list": [instrument_row(each) for each in page], "nextPageCursor": cursor}

    def tickers(self, params: Params) -> Row:
        """Prices of one or all symbols."""
        params.category()
        prices = self._exchange.book.prices
        chosen = [self._price(params)] if "symbol" in params else list(prices.values())
        more = {"predictedDeliveryPrice": "", "basisRate": "", "deliveryFeeRate": "", "deliveryTime": "0", "basis": ""}
        return {"category": "linear", "list": [self.ticker_row(price, params.now) | more for price in chosen]}

    def candles(self, params: Params) -> Row:
        """Candles of the last price, newest first."""
        rows = [
            [str(c.open_time), *c.last.values(), str(c.points), plain(c.points * c.last.close)]
            for c in self._candles(params)
        ]
        return {"category": "linear", "symbol": params.text("symbol"), "list": rows}

    def mark_candles(self, params: Params) -> Row:
        """Candles of the mark price, newest first."""
        rows = [[str(c.open_time), *c.mark.values()] for c in self._candles(params)]
        return {"category": "linear", "symbol": params.text("symbol"), "list": rows}

    def book(self, params: Params) -> Row:
        """A thin made-up book around the mark."""
        params.category()
        price = self._price(params)
        row = self.levels(price, params.limit(25, 500))
        return row | {"ts": params.now, "seq": price.step, "cts": price.time}

    def risk_limits(self, params: Params) -> Row:
        """The one risk tier of each contract."""
        params.category()
        contracts = self._exchange.engine.contracts
        chosen = list(contracts.values()) if "symbol" not in params else [contracts[params.symbol(contracts)]]
        rows = [
            {
                "id": 1,
                "symbol": contract.symbol,
                "riskLimitValue": "2000000",
                "maintenanceMargin": plain(contract.maint_margin_rate),
                "initialMargin": plain((Decimal(1) / contract.max_leverage).quantize(Decimal("0.0001"))),
                "isLowestRisk": 1,
                "maxLeverage": f"{contract.max_leverage}.00",
                "mmDeduction": "",
            }
            for contract in chosen
        ]
        return {"category": "linear", "list": rows, "nextPageCursor": ""}

    def ticker_row(self, price: Price, now: int) -> Row:
        """All figures of a symbol's ticker; REST and the tickers stream share them."""
        day = self._since(price.symbol, now - _DAY)
        hour = self._since(price.symbol, now - _HOUR)
        bar = day.last
        return {
            "symbol": price.symbol,
            "prevPrice24h": plain(bar.open),
            "price24hPcnt": plain((price.last / bar.open - 1).quantize(Decimal("0.000001"))),
            "highPrice24h": plain(bar.high),
            "lowPrice24h": plain(bar.low),
            "prevPrice1h": plain(hour.last.open),
            "openInterest": "0",
            "openInterestValue": "0",
            "turnover24h": plain(day.points * bar.close),
            "volume24h": str(day.points),
            "fundingRate": "0",
            "nextFundingTime": str(now - now % FUNDING_MS + FUNDING_MS),
        } | self.quote_figures(price)

    def quote_figures(self, price: Price) -> Row:
        """The figures of a ticker that every price point changes."""
        levels = self.levels(price, 1)
        (bid, bid_size), (ask, ask_size) = levels["b"][0], levels["a"][0]
        return {
            "lastPrice": plain(price.last),
            "indexPrice": plain(price.index),
            "markPrice": plain(price.mark),
            "bid1Price": bid,
            "bid1Size": bid_size,
            "ask1Price": ask,
            "ask1Size": ask_size,
        }

    def levels(self, price: Price, depth: int) -> Row:
        """Bids and asks of a symbol, best first."""
        contract = self._exchange.engine.contracts[price.symbol]
        size = plain((_BOOK_SIZE / price.mark).quantize(Decimal("0.001")) + 1)
        sides: Row = {"s": price.symbol}
        for name, side in (("b", Side.SELL), ("a", Side.BUY)):
            best = self._exchange.engine.fill_price(price.symbol, side)
            sides[name] = [[plain(best + side.sign * contract.tick * level), size] for level in range(min(depth, 20))]
        return sides | {"u": price.step}

    def _since(self, symbol: str, begin: int) -> Candle:
        """All candles from a time on in one."""
        found = [c for c in self._exchange.candles.minutes(symbol) if c.open_time > begin]
        if not found:
            price = self._exchange.book.prices[symbol]
            bar = Bar.at(price.last)
            return Candle(symbol=symbol, open_time=price.time, mark=Bar.at(price.mark), last=bar, points=1)
        whole = found[0]
        for candle in found[1:]:
            whole = whole.then(candle)
        return whole

    def _price(self, params: Params) -> Price:
        return self._exchange.book.prices[params.symbol(self._exchange.book.prices)]

    def _candles(self, params: Params) -> list[Candle]:
        if "category" in params:
            params.category()
        symbol = self._price(params).symbol
        span = SPANS.get(params.text("interval"))
        if span is None:
            raise invalid("interval")
        start, end = params.integer_or("start", 0), params.integer_or("end", 1 << 62)
        limit = params.limit(200, 1_000)
        found = [c for c in self._exchange.candles.candles(symbol, span) if start <= c.open_time <= end]
        # Counted back from the end, even with a start given.
        return found[-limit:][::-1]


def instrument_row(contract: Contract) -> Row:
    """A contract as instruments-info lists it."""
    tick, step = plain(contract.tick), plain(contract.step)
    return {
        "symbol": contract.symbol,
        "contractType": "LinearPerpetual",
        "status": _STATUS[contract.trading],
        "baseCoin": contract.base,
        "quoteCoin": contract.quote,
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(contract.price_digits),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": f"{contract.max_leverage}.00",
            "leverageStep": "1",
        },
        "priceFilter": {"minPrice": tick, "maxPrice": plain(contract.max_price), "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": plain(contract.max_qty),
            "minOrderQty": plain(contract.min_qty),
            "qtyStep": step,
            "postOnlyMaxOrderQty": plain(contract.max_qty),
            "maxMktOrderQty": plain(contract.max_market_qty),
            "minNotionalValue": plain(contract.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": contract.quote,
        "copyTrading": "none",
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "displayName": "",
        "symbolType": "",
    }

"""Position endpoints of Bybit v5: the list, what stands on a position, leverage, position mode."""

from typing import Final

from adapters.paper_exchange.bybit_errors import PARAMETER, VenueError, invalid, not_offered, said
from adapters.paper_exchange.bybit_params import Params
from adapters.paper_exchange.bybit_routes import Endpoint, Routes, Row, page_at
from adapters.paper_exchange.bybit_rows import position_row
from adapters.paper_exchange.bybit_trading import attachment
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.margin import cushion
from adapters.paper_exchange.orders import ZERO
from adapters.paper_exchange.requests import CLEAR, Attachment, Clear, TradingStop

_HEDGE: Final = {0: False, 3: True}


class Positions:
    """The handlers."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        return {
            ("GET", "/v5/position/list"): Endpoint(handler=self.list, per_second=50),
            ("POST", "/v5/position/trading-stop"): Endpoint(handler=self.trading_stop, per_second=10, mutates=True),
            ("POST", "/v5/position/set-leverage"): Endpoint(handler=self.set_leverage, per_second=10, mutates=True),
            ("POST", "/v5/position/switch-mode"): Endpoint(handler=self.switch_mode, per_second=10, mutates=True),
            ("POST", "/v5/position/switch-isolated"): Endpoint(handler=self.switch_isolated, per_second=10),
            ("POST", "/v5/position/set-tpsl-mode"): Endpoint(handler=self.switch_isolated, per_second=10),
        }

    def list(self, params: Params) -> Row:
        """By symbol: its rows, flat ones too, both sides in hedge mode. By coin: the open ones only."""
        params.category()
        engine = self._exchange.engine
        book = engine.book
        if "symbol" in params:
            symbol = params.symbol(engine.contracts)
            found = [book.position(symbol, side) for side in book.sides(symbol)]
        elif "settleCoin" in params or "baseCoin" in params:
            found = sorted(book.open_positions(), key=lambda held: (held.symbol, held.position_side))
        else:
            raise VenueError(PARAMETER, "Missing some parameters that must be filled in, symbol or settleCoin")
        page, cursor = page_at(params, found, default=20, largest=200)
        whole = cushion(book, engine.contracts, book.open_positions())
        rows = [position_row(engine, position, whole) for position in page]
        return {"category": "linear", "nextPageCursor": cursor, "list": rows}

    def trading_stop(self, params: Params) -> Row:
        """Set, change or (with "0") clear what stands on a position; idempotent by value, 34040 says so."""
        params.category()
        symbol = params.symbol(self._exchange.engine.contracts)
        for name in ("trailingStop", "activePrice"):
            if name in params and params.number(name):
                raise not_offered("trailing stops")
        asked = TradingStop(
            symbol=symbol,
            position_side=params.position_side(),
            stop_loss=_leg(params, "stopLoss", "sl"),
            take_profit=_leg(params, "takeProfit", "tp"),
        )
        if asked.stop_loss is None and asked.take_profit is None:
            raise VenueError(PARAMETER, "params error: takeProfit, stopLoss and trailingStop are all empty")
        self._exchange.run(lambda at: self._exchange.engine.set_trading_stop(at, asked))
        return {}

    def set_leverage(self, params: Params) -> Row:
        """Set a symbol's leverage, the same for both sides."""
        params.category()
        symbol = params.symbol(self._exchange.engine.contracts)
        buy, sell = params.number("buyLeverage"), params.number("sellLeverage")
        if buy != sell:
            raise not_offered("leverage that differs between the sides")
        if buy != buy.to_integral_value():
            raise invalid("buyLeverage")
        if buy == self._exchange.book.leverage(symbol):
            raise said(110043)
        self._exchange.run(lambda _at: self._exchange.engine.set_leverage(symbol, int(buy)))
        return {}

    def switch_mode(self, params: Params) -> Row:
        """One-way (0) or hedge (3) mode of a symbol or, by coin, of all."""
        params.category()
        hedge = _HEDGE.get(params.integer_or("mode", -1))
        if hedge is None:
            raise invalid("mode")
        symbol = "" if "symbol" not in params else params.symbol(self._exchange.engine.contracts)
        if not symbol and params.text_or("coin") != "USDT":
            raise invalid("symbol or coin")
        self._exchange.run(lambda _at: self._exchange.engine.set_position_mode(hedge=hedge, symbol=symbol))
        return {}

    def switch_isolated(self, _params: Params) -> Row:
        """A unified account has one margin mode for all of it and a TP/SL mode with each request."""
        raise said(100028)


def _leg(params: Params, name: str, leg: str) -> Attachment | Clear | None:
    if name not in params:
        return None
    return CLEAR if params.number(name) == ZERO else attachment(params, name, leg)

"""How an account on Binance USD-M is set: modes, leverage, fees, rights of the key, the dead-man's switch.

Guesses, for want of a documented answer: the dead-man's switch takes conditional orders as well as ordinary ones (the
worse case for whoever has armed it); resting conditionals bar a change of the position mode as ordinary orders do.
"""

from functools import partial
from typing import Any

from adapters.paper_exchange.binance_errors import VenueError, not_supported, unknown_symbol
from adapters.paper_exchange.binance_limits import RequestLimits
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Routes, Security
from adapters.paper_exchange.binance_rows import LARGEST_NOTIONAL, Row, bracket_row
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import AlgoStatus


class Settings:
    """The handlers. Cross margin and single-asset mode only."""

    def __init__(self, exchange: PaperExchange, limits: RequestLimits) -> None:
        self._exchange = exchange
        self._limits = limits
        self._countdowns: dict[str, int] = {}

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        signed = Security.SIGNED
        return {
            ("GET", "/fapi/v1/accountConfig"): Endpoint(handler=self.account_config, weight=5, security=signed),
            ("GET", "/fapi/v1/symbolConfig"): Endpoint(handler=self.symbol_config, weight=5, security=signed),
            ("GET", "/fapi/v1/apiTradingStatus"): Endpoint(
                handler=self.trading_status, weight=1, weight_without_symbol=10, security=signed
            ),
            ("GET", "/fapi/v1/rateLimit/order"): Endpoint(handler=self.order_limits, security=signed),
            ("POST", "/fapi/v1/leverage"): Endpoint(handler=self.set_leverage, security=signed, mutates=True),
            ("GET", "/fapi/v1/leverageBracket"): Endpoint(handler=self.brackets, security=signed),
            ("POST", "/fapi/v1/marginType"): Endpoint(handler=self.set_margin_type, security=signed),
            ("GET", "/fapi/v1/positionSide/dual"): Endpoint(handler=self.mode, weight=30, security=signed),
            ("POST", "/fapi/v1/positionSide/dual"): Endpoint(handler=self.set_mode, security=signed, mutates=True),
            ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(handler=self.multi_assets, weight=30, security=signed),
            ("POST", "/fapi/v1/multiAssetsMargin"): Endpoint(handler=self.set_multi_assets, security=signed),
            ("GET", "/fapi/v1/feeBurn"): Endpoint(handler=self.fee_burn, weight=30, security=signed),
            ("GET", "/fapi/v1/commissionRate"): Endpoint(handler=self.commission, weight=20, security=signed),
            ("POST", "/fapi/v1/countdownCancelAll"): Endpoint(handler=self.count_down, weight=10, security=signed),
            ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(handler=self.restrictions, security=signed),
            ("GET", "/sapi/v1/capital/config/getall"): Endpoint(handler=self.nothing, weight=10, security=signed),
            ("GET", "/sapi/v1/margin/allPairs"): Endpoint(handler=self.nothing, security=Security.KEY),
        }

    def account_config(self, params: Params) -> Row:
        """Rights and modes of the account."""
        return {
            "feeTier": 0,
            "canTrade": self._may("trade", default=True),
            "canDeposit": True,
            "canWithdraw": self._may("withdraw", default=False),
            "dualSidePosition": self._exchange.book.hedged(),
            "updateTime": params.now,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }

    def symbol_config(self, params: Params) -> list[Row]:
        """Margin type and leverage of one or all symbols."""
        return [
            {
                "symbol": symbol,
                "marginType": "CROSSED",
                "isAutoAddMargin": False,
                "leverage": self._exchange.book.leverage(symbol),
                "maxNotionalValue": LARGEST_NOTIONAL,
            }
            for symbol in self._symbols(params)
        ]

    def trading_status(self, params: Params) -> Row:
        """The venue's indicators of abuse: none is tripped."""
        return {"indicators": {}, "updateTime": params.now}

    def order_limits(self, _params: Params) -> Any:
        """The limits on orders."""
        return [row for row in self._limits.rows() if row["rateLimitType"] == "ORDERS"]

    def set_leverage(self, params: Params) -> Row:
        """Set a symbol's leverage; repeating it is no error."""
        symbol, leverage = self._symbol(params), params.integer("leverage")
        self._exchange.run(lambda _at: self._exchange.engine.set_leverage(symbol, leverage))
        return {"leverage": leverage, "maxNotionalValue": LARGEST_NOTIONAL, "symbol": symbol}

    def brackets(self, params: Params) -> Any:
        """Leverage brackets of one or all symbols."""
        return [bracket_row(self._exchange.engine.contracts[symbol]) for symbol in self._symbols(params)]

    def set_margin_type(self, params: Params) -> Row:
        """Cross margin is all there is."""
        symbol, kind = self._symbol(params), params.text("marginType")
        if kind == "CROSSED":
            raise VenueError(-4046, "No need to change margin type.")
        if kind != "ISOLATED":
            raise VenueError(-1130, "Data sent for parameter 'marginType' is not valid.")
        book = self._exchange.book
        resting = [order.symbol for order in book.open_orders.values()]
        resting += [algo.symbol for algo in book.open_algos.values()]
        if symbol in resting:
            raise VenueError(-4047, "Margin type cannot be changed if there exists open orders.")
        if any(position.symbol == symbol for position in book.open_positions()):
            raise VenueError(-4048, "Margin type cannot be changed if there exists position.")
        raise not_supported("isolated margin")

    def mode(self, _params: Params) -> Row:
        """Hedge mode or one-way mode."""
        return {"dualSidePosition": self._exchange.book.hedged()}

    def set_mode(self, params: Params) -> Row:
        """Switch the position mode of all symbols."""
        params.text("dualSidePosition")
        hedge = params.flag("dualSidePosition")
        self._exchange.run(lambda _at: self._exchange.engine.set_position_mode(hedge=hedge))
        return {"code": 200, "msg": "success"}

    def multi_assets(self, _params: Params) -> Row:
        """Single-asset mode."""
        return {"multiAssetsMargin": False}

    def set_multi_assets(self, params: Params) -> Row:
        """Single-asset mode is all there is."""
        params.text("multiAssetsMargin")
        if params.flag("multiAssetsMargin"):
            raise not_supported("multi-assets mode")
        raise VenueError(-4171, "No need to change multi-assets mode.")

    def fee_burn(self, _params: Params) -> Row:
        """Fees are paid in USDT."""
        return {"feeBurn": False}

    def commission(self, params: Params) -> Row:
        """Fee rates."""
        return {
            "symbol": self._symbol(params),
            "makerCommissionRate": "0.000200",
            "takerCommissionRate": plain(self._exchange.engine.rules.taker_fee),
            "rpiCommissionRate": "0",
        }

    def count_down(self, params: Params) -> Row:
        """Arm (or with 0 disarm) the dead-man's switch of a symbol."""
        symbol, wait = self._symbol(params), params.integer("countdownTime")
        if wait < 0:
            raise VenueError(-1130, "Data sent for parameter 'countdownTime' is not valid.")
        if wait:
            self._countdowns[symbol] = params.now + wait
        else:
            self._countdowns.pop(symbol, None)
        return {"symbol": symbol, "countdownTime": str(wait)}

    def count_down_to(self, now: int) -> None:
        """Cancel the orders of every symbol whose countdown has ended."""
        for symbol in [symbol for symbol, due in self._countdowns.items() if due <= now]:
            del self._countdowns[symbol]
            self.cancel_all(symbol)

    def cancel_all(self, symbol: str) -> None:
        """Cancel every order and resting conditional of a symbol."""
        engine, book = self._exchange.engine, self._exchange.book
        for order in [order for order in book.open_orders.values() if order.symbol == symbol]:
            self._exchange.run(partial(engine.cancel_order, order_id=order.order_id))
        for algo in [
            algo for algo in book.open_algos.values() if algo.symbol == symbol and algo.status is AlgoStatus.NEW
        ]:
            self._exchange.run(partial(engine.cancel_conditional, algo_id=algo.algo_id))

    def restrictions(self, _params: Params) -> Row:
        """What the key may do: trade futures, not withdraw."""
        return {
            "ipRestrict": False,
            "createTime": 1_700_000_000_000,
            "enableReading": True,
            "enableWithdrawals": self._may("withdraw", default=False),
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": self._may("trade", default=True),
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": False,
            "enablePortfolioMarginTrading": False,
        }

    def nothing(self, _params: Params) -> list[Row]:
        """No coins, no margin pairs: ccxt, left to itself, asks for both lists (VENUES B.1)."""
        return []

    def _may(self, right: str, *, default: bool) -> bool:
        return self._exchange.key_rights.get(right, default)

    def _symbols(self, params: Params) -> list[str]:
        return [self._symbol(params)] if "symbol" in params else list(self._exchange.engine.contracts)

    def _symbol(self, params: Params) -> str:
        symbol = params.text("symbol")
        if symbol not in self._exchange.engine.contracts:
            raise unknown_symbol()
        return symbol

"""Account endpoints of Binance USD-M: positions, balance, income, liquidations, listen keys."""

import hashlib
from typing import Final

from adapters.paper_exchange.binance_errors import VenueError, unknown_symbol
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Routes, Security
from adapters.paper_exchange.binance_rows import (
    Row,
    account_position_row,
    asset_row,
    income_rows,
    order_row,
    position_row,
    position_row_v2,
)
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import ASSET, Origin, Position

LISTEN_KEY_MS: Final = 60 * 60_000


class Account:
    """The handlers."""

    def __init__(self, exchange: PaperExchange, key: str) -> None:
        self._exchange = exchange
        self._api_key = key

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        signed, key = Security.SIGNED, Security.KEY
        return {
            ("GET", "/fapi/v2/positionRisk"): Endpoint(handler=self.positions_v2, weight=5, security=signed),
            ("GET", "/fapi/v3/positionRisk"): Endpoint(handler=self.positions_v3, weight=5, security=signed),
            ("GET", "/fapi/v2/account"): Endpoint(handler=self.account_v2, weight=5, security=signed),
            ("GET", "/fapi/v3/account"): Endpoint(handler=self.account_v3, weight=5, security=signed),
            ("GET", "/fapi/v2/balance"): Endpoint(handler=self.balance, weight=5, security=signed),
            ("GET", "/fapi/v3/balance"): Endpoint(handler=self.balance, weight=5, security=signed),
            ("GET", "/fapi/v1/forceOrders"): Endpoint(
                handler=self.forced, weight=20, weight_without_symbol=50, security=signed
            ),
            ("GET", "/fapi/v1/adlQuantile"): Endpoint(handler=self.adl_ranks, weight=5, security=signed),
            ("GET", "/fapi/v1/income"): Endpoint(handler=self.income, weight=30, security=signed),
            ("POST", "/fapi/v1/listenKey"): Endpoint(handler=self.open_stream, security=key, mutates=True),
            ("PUT", "/fapi/v1/listenKey"): Endpoint(handler=self.renew_stream, security=key, mutates=True),
            ("DELETE", "/fapi/v1/listenKey"): Endpoint(handler=self.close_stream, security=key, mutates=True),
        }

    def positions_v2(self, params: Params) -> list[Row]:
        """A row for every position that a symbol may have, flat ones too."""
        return [position_row_v2(self._exchange.engine, position) for position in self._positions(params)]

    def positions_v3(self, params: Params) -> list[Row]:
        """Rows of open positions only (VENUES A.3)."""
        return [position_row(self._exchange.engine, p) for p in self._positions(params) if p.quantity]

    def account_v2(self, params: Params) -> Row:
        """Totals, assets and all positions."""
        rows = [account_position_row(self._exchange.engine, p, version=2) for p in self._positions(params)]
        rights = {"feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": False, "updateTime": 0}
        return rights | self._account(params.now) | {"positions": rows}

    def account_v3(self, params: Params) -> Row:
        """Totals, assets and open positions."""
        rows = [account_position_row(self._exchange.engine, p, version=3) for p in self._exchange.book.open_positions()]
        return self._account(params.now) | {"positions": rows}

    def balance(self, params: Params) -> list[Row]:
        """The wallet."""
        asset = asset_row(self._exchange.engine, params.now)
        kept = ("crossWalletBalance", "crossUnPnl", "availableBalance", "maxWithdrawAmount", "marginAvailable")
        row = {"accountAlias": "paper", "asset": ASSET, "balance": asset["walletBalance"]}
        return [row | {name: asset[name] for name in kept} | {"updateTime": asset["updateTime"]}]

    def income(self, params: Params) -> list[Row]:
        """Fees and realised profits, oldest first."""
        start, end = params.integer_or("startTime", 0), params.integer_or("endTime", 1 << 62)
        symbol, kind = params.text_or("symbol", ""), params.text_or("incomeType", "")
        rows = [
            row
            for row in income_rows(self._exchange.book)
            if symbol in ("", row["symbol"]) and kind in ("", row["incomeType"]) and start <= row["time"] <= end
        ]
        limit = params.limit(100, 1_000)
        return rows[:limit] if "startTime" in params else rows[-limit:]

    def forced(self, params: Params) -> list[Row]:
        """The venue's own closings, liquidations (LIQUIDATION) and deleveragings (ADL), oldest first."""
        kinds = {"LIQUIDATION": (Origin.LIQUIDATION,), "ADL": (Origin.DELEVERAGE,)}
        wanted = kinds.get(params.text_or("autoCloseType", ""), (Origin.LIQUIDATION, Origin.DELEVERAGE))
        symbol = self._symbol(params) if "symbol" in params else ""
        orders = [
            order
            for order in self._exchange.book.orders.values()
            if order.origin in wanted and symbol in ("", order.symbol)
        ]
        return [order_row(order) for order in orders[-params.limit(50, 100) :]]

    def adl_ranks(self, params: Params) -> list[Row]:
        """How near each position is to being deleveraged: never near."""
        ranks: dict[str, dict[str, int]] = {}
        for position in self._positions(params):
            if position.quantity:
                ranks.setdefault(position.symbol, {})[position.position_side.value] = 1
        return [{"symbol": symbol, "adlQuantile": rank} for symbol, rank in ranks.items()]

    def open_stream(self, params: Params) -> Row:
        """The listen key: the living one, renewed, else a new one."""
        living = next((key.key for key in self._exchange.book.listen_keys.values() if key.expires > params.now), None)
        key = living or hashlib.sha256(f"{self._api_key}:{params.now}".encode()).hexdigest()
        self._exchange.run(lambda at: self._exchange.engine.set_listen_key(key, at + LISTEN_KEY_MS))
        return {"listenKey": key}

    def renew_stream(self, params: Params) -> Row:
        """Prolong the listen key by an hour."""
        key = self._living_key(params.now)
        self._exchange.run(lambda at: self._exchange.engine.set_listen_key(key, at + LISTEN_KEY_MS))
        return {"listenKey": key}

    def close_stream(self, params: Params) -> Row:
        """Close the listen key."""
        key = self._living_key(params.now)
        self._exchange.run(lambda _at: self._exchange.engine.set_listen_key(key, 0))
        return {}

    def _account(self, now: int) -> Row:
        asset = asset_row(self._exchange.engine, now)
        totals = {
            "totalInitialMargin": "initialMargin",
            "totalMaintMargin": "maintMargin",
            "totalWalletBalance": "walletBalance",
            "totalUnrealizedProfit": "unrealizedProfit",
            "totalMarginBalance": "marginBalance",
            "totalPositionInitialMargin": "positionInitialMargin",
            "totalOpenOrderInitialMargin": "openOrderInitialMargin",
            "totalCrossWalletBalance": "crossWalletBalance",
            "totalCrossUnPnl": "crossUnPnl",
            "availableBalance": "availableBalance",
            "maxWithdrawAmount": "maxWithdrawAmount",
        }
        return {total: asset[name] for total, name in totals.items()} | {"assets": [asset]}

    def _positions(self, params: Params) -> list[Position]:
        chosen = [self._symbol(params)] if "symbol" in params else list(self._exchange.engine.contracts)
        book = self._exchange.book
        return [book.position(symbol, side) for symbol in chosen for side in book.sides(symbol)]

    def _symbol(self, params: Params) -> str:
        symbol = params.text("symbol")
        if symbol not in self._exchange.engine.contracts:
            raise unknown_symbol()
        return symbol

    def _living_key(self, now: int) -> str:
        living = next((key.key for key in self._exchange.book.listen_keys.values() if key.expires > now), None)
        if living is None:
            raise VenueError(-1125, "This listenKey does not exist.")
        return living

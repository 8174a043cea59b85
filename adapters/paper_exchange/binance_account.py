"""Account endpoints of Binance USD-M: positions, balance, leverage, modes, income, listen keys."""

import hashlib
from typing import Any, Final

from adapters.paper_exchange.binance_errors import VenueError, not_supported, unknown_symbol
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Routes, Security
from adapters.paper_exchange.binance_rows import (
    Row,
    account_position_row,
    asset_row,
    bracket_row,
    income_rows,
    position_row,
    position_row_v2,
)
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.engine import ASSET
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Position

LISTEN_KEY_MS: Final = 60 * 60_000


class Account:
    """The handlers. One-way mode and cross margin only."""

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
            ("POST", "/fapi/v1/leverage"): Endpoint(handler=self.set_leverage, security=signed, mutates=True),
            ("GET", "/fapi/v1/leverageBracket"): Endpoint(handler=self.brackets, security=signed),
            ("POST", "/fapi/v1/marginType"): Endpoint(handler=self.set_margin_type, security=signed),
            ("GET", "/fapi/v1/positionSide/dual"): Endpoint(handler=self.mode, weight=30, security=signed),
            ("POST", "/fapi/v1/positionSide/dual"): Endpoint(handler=self.set_mode, security=signed),
            ("GET", "/fapi/v1/income"): Endpoint(handler=self.income, weight=30, security=signed),
            ("GET", "/fapi/v1/commissionRate"): Endpoint(handler=self.commission, weight=20, security=signed),
            ("POST", "/fapi/v1/listenKey"): Endpoint(handler=self.open_stream, security=key, mutates=True),
            ("PUT", "/fapi/v1/listenKey"): Endpoint(handler=self.renew_stream, security=key, mutates=True),
            ("DELETE", "/fapi/v1/listenKey"): Endpoint(handler=self.close_stream, security=key, mutates=True),
            ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(handler=self.restrictions, security=signed),
            ("GET", "/sapi/v1/capital/config/getall"): Endpoint(handler=self.nothing, weight=10, security=signed),
            ("GET", "/sapi/v1/margin/allPairs"): Endpoint(handler=self.nothing, security=Security.KEY),
        }

    def positions_v2(self, params: Params) -> list[Row]:
        """A row for every symbol, flat ones too."""
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

    def set_leverage(self, params: Params) -> Row:
        """Set a symbol's leverage; repeating it is no error."""
        symbol, leverage = self._symbol(params), params.integer("leverage")
        self._exchange.run(lambda _at: self._exchange.engine.set_leverage(symbol, leverage))
        return {"leverage": leverage, "maxNotionalValue": "20000000", "symbol": symbol}

    def brackets(self, params: Params) -> Any:
        """Leverage brackets of one or all symbols."""
        contracts = self._exchange.engine.contracts
        chosen = [self._symbol(params)] if "symbol" in params else list(contracts)
        return [bracket_row(contracts[symbol]) for symbol in chosen]

    def set_margin_type(self, params: Params) -> Row:
        """Cross margin is all there is."""
        self._symbol(params)
        if params.text("marginType") == "CROSSED":
            raise VenueError(-4046, "No need to change margin type.")
        raise not_supported("isolated margin")

    def mode(self, _params: Params) -> Row:
        """One-way mode."""
        return {"dualSidePosition": False}

    def set_mode(self, params: Params) -> Row:
        """One-way mode is all there is."""
        params.text("dualSidePosition")
        if not params.flag("dualSidePosition"):
            raise VenueError(-4059, "No need to change position side.")
        raise not_supported("hedge mode")

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

    def commission(self, params: Params) -> Row:
        """Fee rates."""
        return {
            "symbol": self._symbol(params),
            "makerCommissionRate": "0.000200",
            "takerCommissionRate": plain(self._exchange.engine.rules.taker_fee),
            "rpiCommissionRate": "0",
        }

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

    def restrictions(self, _params: Params) -> Row:
        """What the key may do: trade futures, never withdraw."""
        return {
            "ipRestrict": False,
            "createTime": 1_700_000_000_000,
            "enableReading": True,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": True,
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
        return [self._exchange.book.position(symbol) for symbol in chosen]

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

"""Account endpoints of Bybit v5: wallet, account, key, dead man's switch."""

from decimal import Decimal
from typing import Final

from adapters.paper_exchange.bybit_dead_man import LONGEST_WINDOW_S, SHORTEST_WINDOW_S, DeadManSwitch
from adapters.paper_exchange.bybit_errors import invalid, not_offered, said
from adapters.paper_exchange.bybit_params import Params
from adapters.paper_exchange.bybit_routes import Endpoint, Routes, Row
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.margin import account_maintenance, money
from adapters.paper_exchange.orders import ASSET, ZERO

_UNIFIED: Final = 6
_BORN: Final = "2025-01-01T00:00:00Z"
_RATE: Final = Decimal("0.0001")


class Account:
    """The handlers. One unified account in cross margin."""

    def __init__(self, exchange: PaperExchange, key: str, switch: DeadManSwitch) -> None:
        self._exchange = exchange
        self._key = key
        self._switch = switch

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        return {
            ("GET", "/v5/account/wallet-balance"): Endpoint(handler=self.wallet, per_second=50),
            ("GET", "/v5/account/info"): Endpoint(handler=self.info, per_second=50),
            ("GET", "/v5/account/fee-rate"): Endpoint(handler=self.fee_rate, per_second=10),
            ("POST", "/v5/account/set-margin-mode"): Endpoint(handler=self.set_margin_mode, per_second=5),
            ("GET", "/v5/account/query-dcp-info"): Endpoint(handler=self.dead_man_switch, per_second=10),
            ("POST", "/v5/order/disconnected-cancel-all"): Endpoint(handler=self.arm, per_second=5),
            ("GET", "/v5/user/query-api"): Endpoint(handler=self.key, per_second=10),
            ("GET", "/v5/asset/coin/query-info"): Endpoint(handler=self.coins, per_second=5),
        }

    def wallet(self, params: Params) -> Row:
        """The wallet of the unified account."""
        if params.text("accountType") != "UNIFIED":
            raise invalid("accountType")
        return {"list": [wallet_row(self._exchange.engine)]}

    def info(self, params: Params) -> Row:
        """Margin mode and kind of the account."""
        return {
            "unifiedMarginStatus": _UNIFIED,
            "marginMode": "REGULAR_MARGIN",
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
            "updatedTime": str(params.now),
            "dcpStatus": "ON" if self._switch.window_s else "OFF",
            "timeWindow": self._switch.window_s,
            "smpGroup": 0,
        }

    def fee_rate(self, params: Params) -> Row:
        """Fee rates of one or all symbols."""
        params.category()
        contracts = self._exchange.engine.contracts
        chosen = [params.symbol(contracts)] if "symbol" in params else list(contracts)
        taker = plain(self._exchange.engine.rules.taker_fee)
        return {
            "list": [
                {"symbol": symbol, "baseCoin": "", "takerFeeRate": taker, "makerFeeRate": "0.0002"} for symbol in chosen
            ]
        }

    def set_margin_mode(self, params: Params) -> Row:
        """Cross margin is all there is."""
        mode = params.choice("setMarginMode", ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN"))
        if mode != "REGULAR_MARGIN":
            raise said(3400045)
        return {"reasons": []}

    def dead_man_switch(self, _params: Params) -> Row:
        """The switch, if it is armed."""
        window = self._switch.window_s
        armed = {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": str(window)}
        return {"dcpInfos": [armed] if window else []}

    def arm(self, params: Params) -> Row:
        """Arm the dead man's switch of the derivatives."""
        if params.choice("product", ("DERIVATIVES", "OPTIONS", "SPOT"), "OPTIONS") != "DERIVATIVES":
            raise not_offered("dead man's switch but that of the derivatives")
        window = params.integer_or("timeWindow", 0)
        if not SHORTEST_WINDOW_S <= window <= LONGEST_WINDOW_S:
            raise invalid("timeWindow")
        self._switch.arm(window)
        return {}

    def key(self, _params: Params) -> Row:
        """What the key may do: trade contracts, not withdraw, unless a test has set it otherwise."""
        rights = self._exchange.key_rights
        trades = rights.get("trade", True)
        return {
            "id": "1",
            "note": "paper",
            "apiKey": self._key,
            "readOnly": 0 if trades else 1,
            "secret": "",
            "permissions": {
                "ContractTrade": ["Order", "Position"] if trades else [],
                "Spot": [],
                "Wallet": ["AccountTransfer", "Withdraw"] if rights.get("withdraw", False) else [],
                "Options": [],
                "Derivatives": ["DerivativesTrade"],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
                "Affiliate": [],
                "Earn": [],
            },
            "ips": ["*"],
            "type": 1,
            "deadlineDay": 90,
            "expiredAt": "2099-01-01T00:00:00Z",
            "createdAt": _BORN,
            "unified": 0,
            "uta": 1,
            "userID": 1,
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_1",
            "kycRegion": "",
        }

    def coins(self, _params: Params) -> Row:
        """No coins: ccxt, left to itself, asks for the list (VENUES B.1)."""
        return {"rows": []}


def wallet_row(engine: MatchingEngine) -> Row:
    """The unified account and its one coin; REST and the wallet stream share it."""
    book = engine.book
    positions = book.open_positions()
    equity, wallet = plain(money(book.margin_balance())), plain(money(book.wallet))
    unrealized = plain(money(sum((book.unrealized(position) for position in positions), ZERO)))
    initial = sum((book.initial_margin(position) for position in positions), ZERO)
    maintenance = account_maintenance(book, engine.contracts)
    base = book.margin_balance()
    realized = sum((position.realized_ever for position in book.positions.values()), ZERO)
    return {
        "accountType": "UNIFIED",
        "accountLTV": "",
        "accountIMRate": plain((initial / base).quantize(_RATE)) if base > 0 else "0",
        "accountMMRate": plain((maintenance / base).quantize(_RATE)) if base > 0 else "0",
        "totalEquity": equity,
        "totalWalletBalance": wallet,
        "totalMarginBalance": equity,
        "totalAvailableBalance": plain(money(max(book.available(), ZERO))),
        "totalPerpUPL": unrealized,
        "totalInitialMargin": plain(money(initial)),
        "totalMaintenanceMargin": plain(money(maintenance)),
        "coin": [
            {
                "coin": ASSET,
                "equity": equity,
                "usdValue": equity,
                "walletBalance": wallet,
                "locked": "0",
                "spotHedgingQty": "0",
                "borrowAmount": "0",
                "availableToWithdraw": "",
                "availableToBorrow": "",
                "accruedInterest": "0",
                "totalOrderIM": "0",
                "totalPositionIM": plain(money(initial)),
                "totalPositionMM": plain(money(maintenance)),
                "unrealisedPnl": unrealized,
                "cumRealisedPnl": plain(money(realized)),
                "bonus": "0",
                "marginCollateral": True,
                "collateralSwitch": True,
            }
        ],
    }

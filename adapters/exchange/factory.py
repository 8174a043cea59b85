"""Opens the three connections of an account. The venue is chosen here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from adapters.exchange.access import AccountAccess
from adapters.exchange.binance import BinanceVenue
from adapters.exchange.binance_streams import AccountDialect, MarkPriceDialect
from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.ccxt_streams import CcxtAccountStream, CcxtPriceStream
from adapters.exchange.interface import AccountStream, PriceStream

EXCHANGES = ("binanceusdm",)

# ccxt logs keys and signatures at DEBUG, and a service may route the standard log into its own.
logging.getLogger("ccxt").setLevel(logging.WARNING)


def open_trading(access: AccountAccess, now: Callable[[], datetime]) -> CcxtTradingClient:
    """The trading client of an account, to be connected. Raises ValueError for an exchange that we do not speak."""
    _check(access)
    return CcxtTradingClient(access, BinanceVenue(), now)


def open_prices(access: AccountAccess, now: Callable[[], datetime]) -> PriceStream:
    """The mark-price stream of an account's exchange. Raises ValueError for an exchange that we do not speak."""
    _check(access)
    return CcxtPriceStream(access, MarkPriceDialect, now)


def open_account_stream(access: AccountAccess, now: Callable[[], datetime]) -> AccountStream:
    """The private stream of an account. Raises ValueError for an exchange that we do not speak."""
    _check(access)
    return CcxtAccountStream(access, AccountDialect(access), now)


def _check(access: AccountAccess) -> None:
    if access.exchange not in EXCHANGES:
        known = ", ".join(EXCHANGES)
        raise ValueError(f"account={access.account} exchange={access.exchange!r}: must be one of {known}")

"""Opens the three connections of an account. The venue is chosen here and nowhere else.

A further exchange is a module of requests, rows and streams, and a line in `EXCHANGES` (docs/adding-an-exchange.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapters.exchange import binance_streams, bybit_streams
from adapters.exchange.access import AccountAccess
from adapters.exchange.accounts import realm
from adapters.exchange.binance import BinanceVenue
from adapters.exchange.bybit import BybitVenue
from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.ccxt_streams import CcxtAccountStream, CcxtPriceStream, Dialect
from adapters.exchange.interface import AccountNews, AccountStream, PriceNews, PriceStream
from adapters.exchange.venue import Capabilities, Venue, rules
from domain.accounts import Realm
from domain.position.plan import VenueRules


class VenueOf(Protocol):
    """Makes the venue of an account in a position mode."""

    def __call__(self, *, hedge_mode: bool = False) -> Venue:
        """Its requests; nothing is connected."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """All that is known of one exchange: its requests, its mark prices, its private news."""

    venue: VenueOf
    prices: Callable[[AccountAccess, tuple[str, ...]], Dialect[PriceNews]]
    account: Callable[[AccountAccess], Dialect[AccountNews]]


EXCHANGES: Mapping[str, Exchange] = {
    "binanceusdm": Exchange(BinanceVenue, binance_streams.MarkPriceDialect, binance_streams.AccountDialect),
    "bybit": Exchange(BybitVenue, bybit_streams.MarkPriceDialect, bybit_streams.AccountDialect),
}

# ccxt logs keys and signatures at DEBUG, and a service may route the standard log into its own.
logging.getLogger("ccxt").setLevel(logging.WARNING)


def open_trading(access: AccountAccess, now: Callable[[], datetime]) -> CcxtTradingClient:
    """The trading client of an account, to be connected. Raises ValueError for an exchange that we do not speak."""
    return CcxtTradingClient(access, _of(access).venue(hedge_mode=access.hedge_mode), now)


def realm_of(access: AccountAccess) -> Realm:
    """Whose money the account's address means. Raises ValueError for an exchange that we do not speak."""
    return realm(access, _of(access).venue().domains)


def open_prices(access: AccountAccess, now: Callable[[], datetime]) -> PriceStream:
    """The mark-price stream of an account's exchange. Raises ValueError for an exchange that we do not speak."""
    return CcxtPriceStream(access, _of(access).prices, now)


def open_account_stream(access: AccountAccess, now: Callable[[], datetime]) -> AccountStream:
    """The private stream of an account. Raises ValueError for an exchange that we do not speak."""
    return CcxtAccountStream(access, _of(access).account(access), now)


def capabilities(exchange: str) -> Capabilities:
    """What an exchange can do. Raises ValueError for one that we do not speak."""
    return _named(exchange).venue().capabilities


def venue_rules(exchange: str) -> VenueRules:
    """What a position at an exchange decides by. Raises ValueError for one that we do not speak."""
    return rules(capabilities(exchange))


def _of(access: AccountAccess) -> Exchange:
    try:
        return _named(access.exchange)
    except ValueError as unknown:
        raise ValueError(f"account={access.account} {unknown}") from None


def _named(exchange: str) -> Exchange:
    if exchange not in EXCHANGES:
        raise ValueError(f"exchange={exchange!r}: must be one of {', '.join(EXCHANGES)}")
    return EXCHANGES[exchange]

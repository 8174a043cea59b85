"""What the core needs of a venue, in the core's own words. All that knows ccxt or a venue's code stands behind this.

Three separate connections, so that a slow question never delays a price or a fill: the trading client is the gateway's
alone, each stream belongs to its feed. All methods run on the event loop of the actor that owns the object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from domain.accounts import AccountFacts
from domain.entries.situation import Quote
from domain.instrument import Instrument, PositionSide
from domain.orders import (
    AccountSnapshot,
    Answer,
    CancelOutcome,
    Fill,
    OrderIntent,
    OrderRef,
    OrderReport,
    Outcome,
    PositionReport,
    RejectReason,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPrice:
    """One mark price. `at` is the venue's time of it."""

    symbol: str
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One bar; `opened_at` is its beginning."""

    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Margin currency of an account: `wallet` without, `total` with unrealised P&L, `free` for new positions."""

    currency: str
    wallet: Decimal
    total: Decimal
    free: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletReport:
    """The margin currency as a stream tells of it; None: the venue tells the wallet alone."""

    wallet: Decimal
    total: Decimal | None = None
    free: Decimal | None = None


class Limit(StrEnum):
    """What a venue counts: all requests by their weight, orders, or the requests to the path that was just asked."""

    REQUESTS = "requests"
    ORDERS = "orders"
    PATH = "path"


class Errand(StrEnum):
    """What a request is for, as far as venues count their requests apart."""

    PLACE = "place"
    ATTACH = "attach"
    AMEND = "amend"
    CANCEL = "cancel"
    QUESTION = "question"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """One limit of a venue: `most` requests `of` these errands in any `window_s`, by their weight if `weighed`.

    We use half of it (LAWS S15). `kept`: so much of the half is kept from moves, twice that from entries and three
    times from questions, for what goes before them. `burst` (long windows): no more than this at once, and the rest
    evenly, so that nobody is silent until a window is over.
    """

    of: frozenset[Errand]
    most: int
    window_s: float
    kept: int = 0
    weighed: bool = False
    burst: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much of one limit is used up, by the venue's own count, and when that count begins anew.

    `of` (counts of a path): the errand that goes there; None: a path of questions.
    """

    limit: Limit
    used: int
    most: int
    resets_in_s: float
    of: Errand | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What the venue lets us do, as its latest answer said. `banned_until`: nothing is sent before."""

    usage: tuple[Usage, ...] = ()
    banned_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The stream is up (again): whatever happened before may have been missed, ask for a snapshot."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The stream broke and is being replaced."""

    at: datetime
    reason: str


Holding = tuple[str, PositionSide | None]
AccountNews = OrderReport | Fill | PositionReport | WalletReport | Connected | Lost
PriceNews = MarkPrice | Connected | Lost


class VenueFailure(Exception):
    """A question to the venue failed. `certain`: it certainly had no effect. Carries no secret."""

    def __init__(
        self, reason: RejectReason, code: str, text: str, *, certain: bool, retry_after_s: int | None = None
    ) -> None:
        super().__init__(f"{reason.value} code={code} {text}")
        self.reason = reason
        self.code = code
        self.text = text
        self.certain = certain
        self.retry_after_s = retry_after_s


class TradingClient(Protocol):
    """Requests of one account. place/cancel/find never raise for what a venue or network does: they return it."""

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """The venue's limits on our requests."""
        ...

    @property
    def allowance(self) -> Allowance:
        """What the venue's latest answer said of our limits."""
        ...

    def venue_now(self) -> datetime:
        """The venue's time, by the last synchronisation."""
        ...

    async def connect(self) -> Mapping[str, Instrument]:
        """Load the markets, synchronise the clock. Raises VenueFailure."""
        ...

    async def instruments(self) -> Mapping[str, Instrument]:
        """Load the markets again. Raises VenueFailure."""
        ...

    async def synchronise(self) -> None:
        """Measure the clock against the venue's again. Raises VenueFailure."""
        ...

    async def account_facts(self) -> AccountFacts:
        """What the venue says of the account; questions that fail are in it. Raises nothing that a venue does."""
        ...

    async def place(self, intent: OrderIntent) -> Outcome:
        """Send one order, once."""
        ...

    async def cancel(self, ref: OrderRef) -> CancelOutcome:
        """Cancel one order."""
        ...

    async def find(self, ref: OrderRef) -> Answer:
        """Ask what became of one order: by exchange id if known, else by client id."""
        ...

    async def snapshot(self, held: Collection[Holding] = ()) -> AccountSnapshot:
        """Positions and all open orders, a fixed number of requests. Raises VenueFailure.

        Flat symbols have explicit rows, those of `held` in any case: one more request for each that the venue left out.
        """
        ...

    async def symbol_snapshot(self, symbol: str, *, rows: bool = True) -> AccountSnapshot:
        """The same of one symbol alone: explicit rows, if wanted, and every open order there. Raises VenueFailure."""
        ...

    async def position(self, symbol: str, side: PositionSide | None) -> PositionReport:
        """One position, an explicit zero row when flat; `side` counts in hedge mode only. Raises VenueFailure."""
        ...

    async def fills(self, symbol: str, since: datetime) -> tuple[Fill, ...]:
        """All executions of ours on a symbol since a time, oldest first, pages followed. Raises VenueFailure."""
        ...

    async def balance(self) -> Balance:
        """Margin balance. Raises VenueFailure."""
        ...

    async def mark_price(self, symbol: str) -> MarkPrice:
        """The mark price now. Raises VenueFailure."""
        ...

    async def quote(self, symbol: str) -> Quote:
        """Bid and ask now. Raises VenueFailure."""
        ...

    async def mark_candles(self, symbol: str, since: datetime) -> tuple[Candle, ...]:
        """One-minute candles of the mark price from the minute of `since` on. Raises VenueFailure."""
        ...

    async def closed_candles(
        self, symbol: str, span: timedelta, count: int, closed_at: datetime
    ) -> tuple[Candle, ...]:
        """The last `count` candles of the traded price that were over at `closed_at`, oldest first; in one request.

        None is among them that the venue's own clock has not ended. Fewer where the venue has no more, and holes where
        it has none. Raises VenueFailure; ValueError for a span or count that no venue offers.
        """
        ...

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set leverage; 'not modified' is success. Raises VenueFailure."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...


class PriceStream(Protocol):
    """Mark prices of a set of symbols, reconnecting by itself without limit."""

    def watch(self, symbols: tuple[str, ...]) -> AsyncIterator[PriceNews]:
        """Prices as they come, with Connected and Lost between them."""
        ...

    async def close(self) -> None:
        """End the stream."""
        ...


class AccountStream(Protocol):
    """Orders, fills and positions of one account as the venue pushes them, reconnecting by itself without limit."""

    def watch(self) -> AsyncIterator[AccountNews]:
        """News in the order received, with Connected and Lost between them."""
        ...

    async def close(self) -> None:
        """End the stream."""
        ...

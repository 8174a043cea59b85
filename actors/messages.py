"""What actors say to each other, all in one place. Frozen; a name ends in what it is.

A position actor also hears the inputs of its machine (`domain.position.inputs`) as they are. What supervisors say is in
`supervision`. Addresses are names in the directory, so that a message reaches whoever has the name now.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self

from actors.ticket import Ticket
from adapters.exchange.interface import MarkPrice
from domain.entries.signal import Signal
from domain.entries.situation import Quote
from domain.identity import PositionId
from domain.instrument import PositionSide
from domain.market.atr import Candle
from domain.orders import AccountSnapshot, Fence
from domain.position.effects import Effect
from domain.position.inputs import PriceRange
from domain.position.plan import TakeProfit
from domain.position.state import Position
from domain.records import AlertChange, Record
from domain.strategy.series import Bar

# Names in the directory.
JOURNAL = "journal"
NOTIFIER = "notifier"
ENTRY_DESK = "entry_desk"
SIGNAL_FEED = "signal_feed"
ADMIN = "admin"
WARDEN = "warden"
SYMBOL_KEEPER = "symbol_keeper"
ROOT = "root"


def gateway(account: str) -> str:
    """The one actor that talks to an account's exchange."""
    return f"gateway/{account}"


def market_feed(account: str) -> str:
    """Mark prices of an account's venue."""
    return f"market_feed/{account}"


def account_feed(account: str) -> str:
    """Private news of an account."""
    return f"account_feed/{account}"


def reconciler(account: str) -> str:
    """Compares the book of an account with its exchange."""
    return f"reconciler/{account}"


def strategy(account: str) -> str:
    """The built-in signal source of an account."""
    return f"strategy/{account}"


def positions(account: str) -> str:
    """Supervisor of the position actors of an account."""
    return f"positions/{account}"


def position(position_id: PositionId) -> str:
    """The owner of a position."""
    return f"position/{position_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """To the journal: write this record. `then` names who is told what once it is durable in the database or spool."""

    lasting: ClassVar[bool] = True
    record: Record
    ticket: Ticket | None = None
    then: tuple[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """To the journal, by its own timer: try whether the database is back."""

    perishable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseIs:
    """From the journal to the entry desk: whether the database can be reached."""

    urgent: ClassVar[bool] = True
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsRaised:
    """From the journal to the notifier: these are in the outbox now."""

    alerts: tuple[AlertChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perform:
    """From a position to its gateway: carry out one effect. `ticket` is that of the intent's record.

    An order that has waited too long since `asked_at` is not sent any more: its owner may have given it up.
    """

    urgent: ClassVar[bool] = True
    effect: Effect
    asked_at: datetime
    fence: Fence
    symbol: str
    side: PositionSide
    ticket: Ticket | None = None
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """From a position to its gateway: this epoch owns the position from now on, older ones are refused."""

    urgent: ClassVar[bool] = True
    fence: Fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Disown:
    """From a position to its gateway: its life is over."""

    position_id: PositionId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskSnapshot:
    """To a gateway: read the whole account and tell `reply_to`."""

    reply_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken:
    """From a gateway: one complete reading."""

    snapshot: AccountSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFailed:
    """From a gateway: the account could not be read; nothing is concluded from it."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskMarkCandles:
    """From the entry desk to a gateway: one-minute candles of a symbol's mark price since a time, for `reply_to`."""

    symbol: str
    since: datetime
    reply_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkCandles:
    """From a gateway: the candles that were asked for, oldest first, or why there are none."""

    account: str
    symbol: str
    candles: tuple[Candle, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskQuote:
    """From the entry desk to a gateway: a symbol's bid and ask of now, for `reply_to`."""

    symbol: str
    reply_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteHeard:
    """From a gateway: bid and ask, or why there are none."""

    account: str
    symbol: str
    quote: Quote | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTradedCandles:
    """From the strategy to a gateway: the last `count` candles of `minutes` that were closed at `closed_at`."""

    symbol: str
    minutes: int
    count: int
    closed_at: datetime
    reply_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradedCandles:
    """From a gateway: the candles of the traded price that were asked for, oldest first, or why there are none."""

    account: str
    symbol: str
    closed_at: datetime
    candles: tuple[Bar, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStarted:
    """From a new gateway to the owners and the reconciler of its account: what was in flight has no outcome."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """From the market feed to a position: mark prices that it may have to act on. Waiting ranges merge."""

    range: PriceRange

    @property
    def conflate_key(self) -> Hashable:
        """One range waits at a time."""
        return "prices"

    def merge(self, older: Self) -> Self:
        """What passed since the older range was sent; which end came first is lost (read pessimistically)."""
        low, high = min(self.range.low, older.range.low), max(self.range.high, older.range.high)
        since = older.range.since or older.range.at
        return type(self)(range=PriceRange(last=self.range.last, low=low, high=high, at=self.range.at, since=since))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """From a position to the market feed: wake me outside this band of mark prices (None: no bound)."""

    position_id: PositionId
    symbol: str
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwatch:
    """From a position to the market feed: no more prices."""

    position_id: PositionId


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStarted:
    """From a new market feed to the owners of its account: tell your bands again."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeUp:
    """A position's own timer."""

    perishable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """A position's own timer: write down what passed without a decision."""

    perishable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileNow:
    """To the reconciler: look at once. Asked by the admin, told after a stream gap."""

    reason: str

    @property
    def conflate_key(self) -> Hashable:
        """Several wishes are one look."""
        return "reconcile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """From a reconciler to the entry desk: the account was read whole; before that there are no entries."""

    account: str

    @property
    def conflate_key(self) -> Hashable:
        """One is enough."""
        return f"reconciled {self.account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalsStored:
    """From the journal to the entry desk: these signals are durable, decide on them."""

    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenByHand:
    """From the admin to the entry desk: an operator's entry, under the same checks as a signal. Asked.

    `trails`: whether its stop is to trail; None: as set.
    """

    account: str
    symbol: str
    side: PositionSide
    usd: Decimal | None
    quantity: Decimal | None
    stop_pct: Decimal | None
    stop_price: Decimal | None
    trails: bool | None
    uid: int
    take_profits: tuple[TakeProfit, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesRefused:
    """The answer to OpenByHand when a check refused it."""

    code: str
    figures: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEntries:
    """To the entry desk: take no entries (one account, or all)."""

    urgent: ClassVar[bool] = True
    account: str | None
    reason: str
    uid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeEntries:
    """To the entry desk: take entries again."""

    account: str | None
    uid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockIs:
    """From the warden to the desk and the gateways: whether we can prove that the account is ours."""

    urgent: ClassVar[bool] = True
    account: str
    held: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesState:
    """Asked of the entry desk: why entries are closed, by account; empty when open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionEnded:
    """From a position to the entry desk: its life is over."""

    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """Asked of a position: its state."""

    urgent: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorInput:
    """Asked of a position by the admin: hear this input; `uid` is who wanted it."""

    urgent: ClassVar[bool] = True
    input: object
    method: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSymbol:
    """Asked of the keeper of per-symbol settings by the admin: these keys of a symbol, None for as it is by default."""

    symbol: str
    values: Mapping[str, object]
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """An actor's own periodic timer."""

    perishable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FromStream:
    """News that an actor's own stream read on its event loop. Of mark prices one waits for each symbol.

    `passed`: the lowest and the highest of those that came before it and waited too, in the order of their times.
    """

    perishable: ClassVar[bool] = True
    news: object
    passed: tuple[MarkPrice, MarkPrice] | None = None

    @property
    def conflate_key(self) -> Hashable | None:
        """Mark prices only, and usable ones: whatever else a stream tells is told in full."""
        mark = self.news
        return mark.symbol if isinstance(mark, MarkPrice) and mark.price.is_finite() else None

    def merge(self, older: Self) -> Self:
        """The newer price, and how far it went since the older was sent."""
        marks = [mark for each in (older, self) for mark in (*(each.passed or ()), each.news)]
        told = sorted((mark for mark in marks if isinstance(mark, MarkPrice)), key=lambda mark: mark.price)
        first, second = sorted((told[0], told[-1]), key=lambda mark: mark.at)
        return type(self)(news=self.news, passed=(first, second))


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBroke:
    """The task that reads a stream ended by an error of ours."""

    perishable: ClassVar[bool] = True
    error: str
    cause: BaseException = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """Asked of a feed: how it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a feed is, in words: `healthy`, `degraded` or `down`, and why."""

    state: str
    reason: str
    since: datetime | None
    last_at: datetime | None


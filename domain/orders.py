"""Orders as the core speaks of them: what we want sent, what a venue answered, what it reports later.

A report says what the venue shows; an outcome says what became of one request of ours. Unknown is an outcome of its
own: the request may or may not have been carried out, and only asking by client id can tell (LAWS S12).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from domain.identity import ClientOrderId, Epoch, OrderKind, PositionId
from domain.instrument import MONEY, PositionSide, Side

MARGIN_CURRENCY = "USDT"
"""In what profit and margin are: others are out of scope."""


class OrderStatus(StrEnum):
    """Status of an order after the resolver (SYSTEM C1)."""

    NEW = "new"
    ACK = "ack"
    PART_FILLED = "part_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    TRIGGERING = "triggering"
    TRIGGERED = "triggered"

    @property
    def terminal(self) -> bool:
        """Whether the order can no longer fill by itself. A triggered conditional lives on in its child order."""
        return self in (
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.REJECTED,
            OrderStatus.EXPIRED,
        )


NEARLY_FILLED = Decimal("0.999")


def resolve_status(raw: OrderStatus, quantity: Decimal, filled: Decimal) -> OrderStatus:
    """Executed quantity > 0 is never unknown: 99.9 % or more of the quantity is filled, less is part filled.

    A cancelled, expired or rejected order keeps its status, since nothing more will fill.
    """
    if raw in (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED):
        return raw
    if filled > 0 and quantity > 0:
        return OrderStatus.FILLED if filled >= quantity * NEARLY_FILLED else OrderStatus.PART_FILLED
    return raw


class TriggerBy(StrEnum):
    """Which price a conditional order watches."""

    MARK = "mark"
    LAST = "last"


class Priority(StrEnum):
    """Who goes first when the venue's budget is short, in this order."""

    PROTECTION = "protection"
    CLOSING = "closing"
    MOVE = "move"
    ENTRY = "entry"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """One order that we decided to send, with the id it will carry. Written down before its first byte is sent.

    `reference_price` is the mark price of the decision: the last check before the wire judges against it.
    `limit_price` (entries): fill at this price or a better one, at once, and let the rest expire; None: at any price.
    `attached_stop` (entries): the trigger of the stop that the venue attaches to the position with the first fill.
    `attached` (stops): set on the position itself instead of as an order; it covers whatever the position holds, and
    the venue keeps no client id of it. `replaces`: the resting stop that is changed in place, none is added.
    `close_position` (stops): closes whatever the position holds at its trigger; `quantity` is what it held when sent.
    """

    client_id: ClientOrderId
    position_id: PositionId
    account: str
    symbol: str
    kind: OrderKind
    side: Side
    position_side: PositionSide
    quantity: Decimal
    reduce_only: bool
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = TriggerBy.MARK
    reference_price: Decimal | None = None
    urgent: bool = False
    limit_price: Decimal | None = None
    attached_stop: Decimal | None = None
    attached: bool = False
    replaces: OrderRef | None = None
    close_position: bool = False

    @property
    def priority(self) -> Priority:
        """Protection before closing before entry."""
        if self.kind is OrderKind.STOP:
            return Priority.PROTECTION
        if self.kind is OrderKind.ENTRY:
            return Priority.ENTRY
        return Priority.CLOSING


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRef:
    """Enough to find one order at a venue.

    `attached`: the stop that stands on the position of `position_side` itself; it is found by reading the position.
    `with_profit`: the take-profit that stands there is meant as well.
    """

    symbol: str
    client_id: ClientOrderId | None
    exchange_id: str | None
    conditional: bool
    attached: bool = False
    position_side: PositionSide | None = None
    with_profit: bool = False


class RejectReason(StrEnum):
    """Why a venue (or our own last check) refused a request, as far as anybody decides by it."""

    WOULD_TRIGGER = "would_trigger"
    REDUCE_ONLY = "reduce_only"
    NO_FUNDS = "no_funds"
    DUPLICATE_ID = "duplicate_id"
    PRECISION = "precision"
    TOO_SMALL = "too_small"
    LIMIT = "limit"
    SYMBOL = "symbol"
    CREDENTIALS = "credentials"
    RATE_LIMIT = "rate_limit"
    MAINTENANCE = "maintenance"
    CLOCK = "clock"
    TRIGGERING = "triggering"
    TRANSIENT = "transient"
    INSANE = "insane"
    FENCED = "fenced"
    WITHHELD = "withheld"
    BUDGET = "budget"
    ENTRIES_CLOSED = "entries_closed"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the venue shows of one order at one time.

    `filled` is cumulative. For a conditional order `child_id` is the order that its trigger made; `filled` of the
    conditional itself is 0, since a venue's word on it is not to be trusted (VENUES T8). `attached`: it stands on the
    position itself and carries no client id (DESIGN 3, 'Ours is').
    """

    symbol: str
    client_id: ClientOrderId | None
    exchange_id: str
    conditional: bool
    side: Side
    status: OrderStatus
    quantity: Decimal
    filled: Decimal
    average_price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    close_position: bool
    position_side: PositionSide | None
    child_id: str | None
    reason: str
    at: datetime
    source: Source
    attached: bool = False


class Source(StrEnum):
    """Where a piece of news came from; the value is what an event says."""

    REPLY = "reply"
    STREAM = "stream"
    QUERY = "query"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `fee` is what it cost (positive) in `fee_currency`, `realized_pnl` is before fees, in USDT.

    `by_attached_stop`: the venue says that the stop on the position did it, whose order bears no id of ours.
    `fee_price`: what one unit of another fee currency was worth in USDT then; None: nobody knew.
    """

    trade_id: str
    symbol: str
    exchange_id: str
    client_id: ClientOrderId | None
    side: Side
    position_side: PositionSide | None
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    realized_pnl: Decimal
    at: datetime
    liquidation: bool = False
    by_attached_stop: bool = False
    fee_price: Decimal | None = None

    @property
    def fee_usdt(self) -> Decimal | None:
        """The fee in the margin currency; None: it was paid in another coin, at a price that nobody knew."""
        if self.fee_currency == MARGIN_CURRENCY or not self.fee:
            return self.fee
        if self.fee_price is None:
            return None
        with localcontext(MONEY):
            return self.fee * self.fee_price


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """What the venue shows of one position; `quantity` is signed, and an explicit 0 is the proof of being flat.

    `position_side` is None in one-way mode. `liquidation_price` None means the venue gave none. `attached_stop`: the
    trigger of the stop that stands on the position itself; 0 is the venue's word that there is none, None says nothing.
    `attached_profit` says the same of the take-profit there.
    `changed_at`: the venue's own time of the position's last change, where its row tells (1970: never); an execution
    newer than that is not in the row, however fresh the answer looks.
    """

    symbol: str
    position_side: PositionSide | None
    quantity: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    liquidation_price: Decimal | None
    at: datetime
    source: Source
    attached_stop: Decimal | None = None
    attached_profit: Decimal | None = None
    leverage: Decimal | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """One complete reading of an account: flat symbols have explicit rows in `positions`.

    `asked_at` is our clock before the first request left: whatever we did later may be missing in it. A reading of one
    symbol has this form too, and says nothing of the others. `left_out`: how many symbols of ours the venue's list did
    not show; each was asked for besides.
    """

    account: str
    asked_at: datetime
    answered_at: datetime
    positions: tuple[PositionReport, ...]
    orders: tuple[OrderReport, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The venue took the order. `report` is what its reply said, if it said anything of the order's state."""

    client_id: ClientOrderId
    exchange_id: str
    report: OrderReport | None
    sent_at: datetime
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The order certainly does not exist: refused by the venue or never sent."""

    client_id: ClientOrderId
    reason: RejectReason
    code: str
    text: str
    sent_at: datetime
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody can say whether the order exists. `absence_proof_at`: a 'no such order' read later than this is proof."""

    client_id: ClientOrderId
    text: str
    sent_at: datetime
    absence_proof_at: datetime


Outcome = Accepted | Rejected | Unknown


class CancelResult(StrEnum):
    """What became of a cancel request. GONE: the venue knows no such open order (cancelled, filled or triggered)."""

    DONE = "done"
    GONE = "gone"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOutcome:
    """What became of one cancel request."""

    ref: OrderRef
    result: CancelResult
    code: str
    text: str
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Answer to 'what became of this order?': the venue shows it, read at `asked_at` or later (None: nobody knows)."""

    ref: OrderRef
    report: OrderReport
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """The venue knows no such order, read at `asked_at`. Proof only after the receive window (LAWS S11)."""

    ref: OrderRef
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """The question itself failed; nothing is known."""

    ref: OrderRef
    text: str
    retry_after_s: int | None = None


Answer = Found | NotFound | NoAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """The epoch under which a request is made; the gateway refuses any older than the newest it has seen."""

    position_id: PositionId
    epoch: Epoch

"""What a position can hear. Every one of these has a decided answer in every phase (`machine.ANSWERS`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from domain.identity import Epoch
from domain.instrument import Instrument
from domain.judgement.aging import AgingRules
from domain.judgement.levels import RiskAction, RiskLevel
from domain.orders import Answer, CancelOutcome, Fill, OrderReport, Outcome, PositionReport
from domain.position.plan import Protection, TrailingRules
from domain.position.state import CloseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Send the entry. Heard once, by a position just made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A new owner has loaded this state: nothing that was under way is certain any more.

    `stale`: it may lag behind what was sent (the local book; a holder who was cut off): stops may rest that it does not
    know.
    """

    epoch: Epoch
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeHeard:
    """What became of an order that we asked to be placed."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelHeard:
    """What became of a cancel request."""

    outcome: CancelOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHeard:
    """What the venue says of an order that we asked about."""

    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHeard:
    """An order changed at the venue: ours, a triggered child's, or a stranger's on our symbol."""

    report: OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class FillHeard:
    """An execution on our symbol."""

    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionHeard:
    """The venue's word on the size of the position. `asked_at` is None when it was pushed by the stream."""

    report: PositionReport
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one complete reading of the account shows of this position and of the orders on its symbol."""

    report: PositionReport
    orders: tuple[OrderReport, ...]
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange:
    """Mark prices since the last range heard; the order of `low` and `high` in time is lost.

    `at` is the venue's time of the last; none of them is older than `since` (None: than `at`).
    """

    last: Decimal
    low: Decimal
    high: Decimal
    at: datetime
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandlesHeard:
    """Extremes of the mark price since this position was last awake."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsListed:
    """All executions on the symbol since the position was opened, as the venue lists them."""

    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFailed:
    """A question about the position, its fills or its candles got no answer; it will be asked again."""

    what: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseWanted:
    """Somebody entitled wants it closed: all of it (fraction 1) or a part."""

    reason: CloseReason
    fraction: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWanted:
    """The operator sets the stop, looser or tighter."""

    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingWanted:
    """The operator changes how this position trails."""

    rules: TrailingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChanged:
    """The settings for this symbol have changed: what became tighter holds for the position too."""

    old_protection: Protection
    protection: Protection
    old_trailing: TrailingRules
    trailing: TrailingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class AgingChanged:
    """How old this position may become is set otherwise; None: as old as it likes."""

    rules: AgingRules | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskHeard:
    """The position was judged to be at another risk level, or its price is fresh again; and what is set for that level.

    `stale`: the price is not fresh, so that nothing may be traded on it. `tighten_pct`: of the stop's distance,
    `fraction`: of the position.
    """

    level: RiskLevel
    score: Decimal
    dangers: tuple[tuple[str, Decimal], ...]
    action: RiskAction
    tighten_pct: Decimal
    fraction: Decimal
    cooldown_s: int
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The operator takes the position over; its stop is left in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentHeard:
    """The venue has changed the symbol's filters: what is decided from now on fits the new ones."""

    instrument: Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A moment that the position asked for has come."""


Input = (
    Begin
    | Recovered
    | OutcomeHeard
    | CancelHeard
    | AnswerHeard
    | OrderHeard
    | FillHeard
    | PositionHeard
    | View
    | PriceRange
    | CandlesHeard
    | FillsListed
    | QuestionFailed
    | CloseWanted
    | StopWanted
    | TrailingWanted
    | RulesChanged
    | AgingChanged
    | RiskHeard
    | Release
    | InstrumentHeard
    | Wake
)

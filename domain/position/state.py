"""All that a position knows. Immutable: every change is a new value, so that it can be stored, sent and compared.

Rules of this file: nothing here decides; a field is either a fact (what we sent, what the venue said) or a wish that an
operator or a rule has set. What to do about the difference is decided in `machine` and the files beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from domain.identity import ClientOrderId, Epoch, PositionId
from domain.instrument import Instrument, PositionSide, Side
from domain.judgement.aging import Aged, AgingRules
from domain.judgement.levels import Risk
from domain.position.plan import Plan

ZERO = Decimal(0)


class Phase(StrEnum):
    """Where in its life a position is (DESIGN 2, 'A position's life')."""

    PENDING_ENTRY = "pending_entry"
    ENTRY_PLACED = "entry_placed"
    PENDING_SL = "pending_sl"
    ACTIVE = "active"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    LIQUIDATED = "liquidated"
    RELEASED = "released"

    @property
    def final(self) -> bool:
        """Whether the life is over: no order of ours is left and nobody needs to watch."""
        return self in (Phase.CLOSED, Phase.FAILED, Phase.ROLLED_BACK, Phase.LIQUIDATED, Phase.RELEASED)


class OrderState(StrEnum):
    """What we know of one order of ours."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    LIVE = "live"
    CANCELLING = "cancelling"
    TRIGGERED = "triggered"
    DONE = "done"
    REFUSED = "refused"

    @property
    def over(self) -> bool:
        """Whether the order can do nothing more."""
        return self in (OrderState.DONE, OrderState.REFUSED)


class Purpose(StrEnum):
    """Why a stop was sent: decides what is done when the venue refuses it."""

    FIRST = "first"
    RESIZE = "resize"
    BREAKEVEN = "breakeven"
    TRAIL = "trail"
    OPERATOR = "operator"
    GUARD = "guard"
    EMERGENCY = "emergency"
    FOREIGN = "foreign"


class Wrong(StrEnum):
    """What was wrong with a stop that the guard has to put right."""

    MISSING = "missing"
    SIZE = "size"
    PRICE = "price"
    DOUBLED = "doubled"


class CloseReason(StrEnum):
    """Why a position ended."""

    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    TAKE_PROFIT = "take_profit"
    OPERATOR = "operator"
    SIGNAL = "signal"
    KILL_SWITCH = "kill_switch"
    ROLLBACK = "rollback"
    STOP_PASSED = "stop_passed"
    STOP_STUCK = "stop_stuck"
    LIQUIDATION = "liquidation"
    OUTSIDE = "outside"
    ENTRY_REFUSED = "entry_refused"
    ENTRY_ABSENT = "entry_absent"
    ENTRY_EXPIRED = "entry_expired"
    SLIPPAGE = "slippage"
    AGED = "aged"
    RISK = "risk"
    RELEASED = "released"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedOrder:
    """One order of ours from the decision on. `ask_at`: when to ask the venue about it (again)."""

    client_id: ClientOrderId
    quantity: Decimal
    state: OrderState
    sent_at: datetime
    exchange_id: str | None = None
    absence_proof_at: datetime | None = None
    ask_at: datetime | None = None
    questions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOrder(TrackedOrder):
    """A stop of ours. `child_id` is the order its trigger made; `cancel_at`: when a refused cancel is tried again;
    `cancel_until`: how long one whose fate nobody knows may still act (`cancels`).

    `whole`: it closes whatever the position holds at its trigger. `attached`: it stands on the position itself;
    `with_entry`: it came (or did not come) with the entry order. `replaces`: the stop that this one is an in-place
    change of, never a second order; afterwards `wire_id` is the id that the venue goes on knowing it by.
    `moved_for`: it was cancelled to make room for a better one. `wrong`: what another hand made of it.
    """

    trigger: Decimal
    purpose: Purpose
    child_id: str | None = None
    accepted_at: datetime | None = None
    triggered_at: datetime | None = None
    cancel_at: datetime | None = None
    cancel_until: datetime | None = None
    cancels: int = 0
    whole: bool = False
    attached: bool = False
    with_entry: bool = False
    replaces: ClientOrderId | None = None
    wire_id: ClientOrderId | None = None
    moved_for: Purpose | None = None
    wrong: Wrong | None = None

    @property
    def covers(self) -> bool:
        """Whether it rests at the venue as far as we know; one being cancelled does until the venue says it is gone."""
        return self.state in (OrderState.LIVE, OrderState.CANCELLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOrder(TrackedOrder):
    """A take-profit of ours, for rung `rung` of the ladder. `child_id` is the order that its trigger made.

    `cancel_at`, `cancel_until`: as those of a stop. `gives_way`: it is cancelled so that a stop finds a free slot.
    """

    trigger: Decimal
    rung: int
    child_id: str | None = None
    triggered_at: datetime | None = None
    cancel_at: datetime | None = None
    cancel_until: datetime | None = None
    cancels: int = 0
    gives_way: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One target of the ladder, fixed once the entry was over: at `trigger` close `quantity`, what it took included.

    `passed`: the mark had gone past it before its order rested, so its part is closed at market. `retry_at`: when it is
    tried again after `refusals` in a row.
    """

    trigger: Decimal
    quantity: Decimal
    passed: bool = False
    refusals: int = 0
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitOrder(TrackedOrder):
    """A reduce-only market order of ours. `final`: it means to end the position, not to shrink it."""

    reason: CloseReason
    final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFills:
    """What one order (ours, a triggered child's, a stranger's) executed on our position.

    A report gives cumulative figures, trades give each execution; whichever knows more is believed, so that news heard
    twice or in any order counts once.
    """

    exchange_id: str
    side: Side
    reported: Decimal = ZERO
    reported_notional: Decimal = ZERO
    traded: Decimal = ZERO
    traded_notional: Decimal = ZERO
    fee: Decimal = ZERO
    fees_apart: tuple[tuple[str, Decimal], ...] = ()
    """Coin and amount of the fees that are not in `fee`: nobody knew what they were worth."""
    realized_pnl: Decimal = ZERO
    trades: frozenset[str] = frozenset()
    client_id: ClientOrderId | None = None
    liquidation: bool = False

    @property
    def filled(self) -> Decimal:
        """Executed quantity, in base units."""
        return max(self.reported, self.traded)

    @property
    def notional(self) -> Decimal:
        """Executed value, in quote units."""
        return self.traded_notional if self.traded >= self.reported else self.reported_notional


class TrailState(StrEnum):
    """INACTIVE -> [WAITING: stop at break-even ->] TRAILING -> TRIGGERED."""

    OFF = "off"
    INACTIVE = "inactive"
    WAITING = "waiting"
    TRAILING = "trailing"
    TRIGGERED = "triggered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """How far the trailing stop has come. `extreme` is the best mark price seen since the entry.

    `hold`: the extreme at which an operator set the stop; only a better one moves it again. `aged`: old enough to
    trail from any profit on (time activation).
    """

    state: TrailState
    extreme: Decimal | None = None
    updates: int = 0
    moved_at: datetime | None = None
    wanted: Decimal | None = None
    hold: Decimal | None = None
    aged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The venue's last word on the size of the position, in our direction (negative: the other way round)."""

    quantity: Decimal
    at: datetime


class Calm(NamedTuple):
    """Prices strictly between `low` and `high`, heard before `until`, change the last mark only (None: no limit)."""

    low: Decimal | None
    high: Decimal | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Position:
    """One position, its orders and its wishes. Quantities in base units, prices in quote units, times UTC.

    `entry`: the newest order of the entry; `entry_got`: what that one had filled when, by the venue's word, the rest
    expired or was cancelled. `earlier`: the first of two. `first_fill_at`, `last_fill_at`: by the venue's time.
    `doubt_at`: when to ask for a size that may be another; unlike `verify_wanted` it holds nothing up.
    `part_reason`: why a part was last wanted closed. `aging`: how old it may become, None: as old as it likes.

    Without slots: a change copies the dictionary of facts, which costs a tenth of calling sixty-odd initialisers, and
    beside the facts it keeps what was derived from them (`derived`).
    """

    id: PositionId
    account: str
    exchange: str
    instance: str
    instrument: Instrument
    side: PositionSide
    plan: Plan
    epoch: Epoch
    correlation_id: str
    opened_at: datetime
    phase: Phase = Phase.PENDING_ENTRY
    version: int = 0
    sequence: int = 0
    signal_id: str | None = None
    signal_key: str | None = None
    adopted: bool = False

    entry: TrackedOrder | None = None
    entry_got: Decimal | None = None
    earlier: TrackedOrder | None = None
    stops: tuple[StopOrder, ...] = ()
    exits: tuple[ExitOrder, ...] = ()
    targets: tuple[TargetOrder, ...] = ()
    ladder: tuple[Rung, ...] | None = None
    oversold_since: datetime | None = None
    fills: tuple[OrderFills, ...] = ()
    adjustment: Decimal = ZERO
    adjustment_price: Decimal | None = None
    adopted_quantity: Decimal = ZERO
    adopted_price: Decimal | None = None
    entry_shown: Decimal | None = None
    entry_doubted: Decimal | None = None
    reported: Reported | None = None
    disagreed_since: datetime | None = None
    disagreements: int = 0
    verify_at: datetime | None = None
    verify_wanted: bool = False
    verify_hurried: bool = False
    doubt_at: datetime | None = None
    unread_until: datetime | None = None
    last_activity_at: datetime | None = None
    first_fill_at: datetime | None = None
    last_fill_at: datetime | None = None

    trail: Trail = field(default_factory=lambda: Trail(state=TrailState.OFF))
    operator_stop: Decimal | None = None
    initial_stop: Decimal | None = None
    close_wanted: CloseReason | None = None
    close_fraction: Decimal | None = None
    part_reason: CloseReason | None = None
    aging: AgingRules | None = None
    aged: Aged | None = None
    risk: Risk | None = None

    stop_refusals: int = 0
    stop_retry_at: datetime | None = None
    exit_refusals: int = 0
    exit_retry_at: datetime | None = None
    emergency_wanted: bool = False
    needs_intervention: bool = False
    recoveries: int = 0

    mark_price: Decimal | None = None
    mark_at: datetime | None = None
    liquidation_price: Decimal | None = None
    beyond_stop_since: datetime | None = None
    candles_ask_at: datetime | None = None
    candles_since: datetime | None = None
    candles_questions: int = 0

    unprotected_since: datetime | None = None
    unprotected_seconds: Decimal = ZERO
    protected_once: bool = False
    unprotected_alerted: bool = False
    flat_at: datetime | None = None
    over_at: datetime | None = None
    fills_ask_at: datetime | None = None
    fills_questions: int = 0
    fills_confirmed: bool = False
    close_reason: CloseReason | None = None
    closed_at: datetime | None = None

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def calm(self) -> Calm | None:
        """When nothing is to be decided, if the last turn found that out and no fact but the mark has changed since."""
        known: Calm | None = self.__dict__.get(_CALM)
        return known

    def calmed(self, calm: Calm) -> Position:
        """This position, knowing when nothing is to be decided."""
        self.__dict__[_CALM] = calm
        return self

    def changed(self, **changes: Any) -> Position:
        """This position with some facts changed. Raises TypeError for a name that is no fact."""
        if not changes.keys() <= _FACTS:
            raise TypeError(f"position {self.id}: {sorted(changes.keys() - _FACTS)}: no such facts")
        position = object.__new__(Position)
        known = position.__dict__
        known.update(self.__dict__)
        for name in changes.keys() & _MADE_OF.keys():
            for key in _MADE_OF[name]:
                known.pop(key, None)
        known.update(changes)
        return position


Made = TypeVar("Made")
_FACTS = frozenset(each.name for each in fields(Position))
_CALM = "calm"
ALL_BUT_THE_MARK = tuple(sorted(_FACTS - {"mark_price", "mark_at"}))
_MADE_OF: dict[str, set[str]] = {name: {_CALM} for name in ALL_BUT_THE_MARK}
_UNKNOWN = object()


def derived(*facts: str) -> Callable[[Callable[[Position], Made]], Callable[[Position], Made]]:
    """Remember what a function makes of a position until one of `facts` changes: all that it reads must be named."""

    def remember(function: Callable[[Position], Made]) -> Callable[[Position], Made]:
        key = f"{function.__module__}.{function.__name__}()"
        for fact in facts:
            _MADE_OF.setdefault(fact, set()).add(key)

        @wraps(function)
        def recall(position: Position) -> Made:
            known = position.__dict__
            value = known.get(key, _UNKNOWN)
            if value is _UNKNOWN:
                value = known[key] = function(position)
            return value  # type: ignore[no-any-return]

        return recall

    return remember

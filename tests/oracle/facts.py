"""What the laws hear about: orders and lives as the book knows them, and one small value for each happening."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tests.oracle.asks import Ask
from tests.oracle.ours import STOP, TAKE_PROFIT, Ident
from tests.oracle.reader import (
    AlgoLine,
    ControlLine,
    FillLine,
    OrderLine,
    PositionLine,
    PriceLine,
    ReplyLine,
    StruckLine,
)

ZERO = Decimal(0)
# A stop that is TRIGGERING counts as cover for this long (LAWS, 'Let').
TRIGGERING_COVERS_MS = 1_000
STOP_TYPES = frozenset({"STOP", "STOP_MARKET", "TRAILING_STOP_MARKET"})
_OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
_FIRING = frozenset({"TRIGGERING", "TRIGGERED"})

Key = tuple[str, str]
"""Symbol and position side: what a position is on a venue."""


class By(StrEnum):
    """Who ended an order or began an interval."""

    US = "us"
    FILL = "fill"
    EXCHANGE = "exchange"
    OUTSIDER = "outsider"
    DONE = "done"


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """An order of either sort, as its latest line shows it. `ident` is inherited by the child of a triggered order.

    `life`: the position that an attached order of ours stands on; it has no id, and is ours because the position is
    (DESIGN 3, 'Ours is'). `asked`: the request that set it or changed it last; `cancel_asked`: the one that ended it.
    """

    key: Key
    accepted: OrderLine | AlgoLine
    latest: OrderLine | AlgoLine
    ident: Ident | None
    life: Life | None = None
    parent: Order | None = None
    child: Order | None = None
    triggering_at: int | None = None
    asked: Ask | None = None
    cancel_asked: Ask | None = None

    @property
    def owner(self) -> int | None:
        """The position of ours that it belongs to; None for a stranger's."""
        root = self.parent or self
        if root.ident is not None:
            return root.ident.position
        return None if root.life is None else root.life.owner

    @property
    def kind(self) -> str:
        """What it is for, by the letters of `ours`; empty for a stranger's."""
        root = self.parent or self
        if root.ident is not None:
            return root.ident.kind
        if root.owner is None:
            return ""
        return STOP if root.is_stop else TAKE_PROFIT

    @property
    def attached(self) -> bool:
        """Whether it stands on the position itself."""
        return isinstance(self.latest, AlgoLine) and self.latest.attached

    @property
    def conditional(self) -> bool:
        """Whether it rests until a trigger."""
        return isinstance(self.latest, AlgoLine)

    @property
    def live(self) -> bool:
        """Whether it rests on the exchange (a conditional that fires no longer does)."""
        return self.latest.status in _OPEN

    @property
    def firing(self) -> bool:
        """Whether its trigger was touched and it has not come to its end."""
        return self.latest.status in _FIRING

    @property
    def executed(self) -> Decimal:
        """What it executed, by its child if it is a conditional."""
        if isinstance(self.latest, OrderLine):
            return self.latest.executed
        return self.child.executed if self.child else ZERO

    @property
    def is_stop(self) -> bool:
        """A conditional that fires when the price goes against the position."""
        return self.conditional and self.latest.type in STOP_TYPES

    @property
    def our_stop(self) -> bool:
        """A stop of ours."""
        return self.is_stop and self.kind == STOP

    @property
    def trigger(self) -> Decimal:
        """Trigger price; 0 for an ordinary order."""
        return self.latest.trigger if isinstance(self.latest, AlgoLine) else ZERO

    def closes(self, side: int) -> bool:
        """Whether it can only shrink a position of this sign (in hedge mode a side has one sign only)."""
        hedged = self.latest.position_side != "BOTH"
        if hedged and (self.latest.position_side == "LONG") != (side > 0):
            return False
        closing = (self.latest.side == "SELL") == (side > 0)
        return closing and (self.latest.reduce_only or self.latest.close_position or hedged)

    def closing_quantity(self, size: Decimal) -> Decimal:
        """How much of a position of this size it would close if it fired."""
        return size if self.latest.close_position else min(max(self.latest.quantity - self.executed, ZERO), size)

    def covers(self, now: int) -> bool:
        """Whether it still counts as cover at `now`: live, or firing for not longer than a second."""
        return self.live or (
            self.firing and self.triggering_at is not None and now - self.triggering_at <= TRIGGERING_COVERS_MS
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Life:
    """A position from flat to flat. `owner` is our position id, None while it is nobody's of ours.

    A negative owner: ours by a stop that we set on the position itself, before any order of ours told the id.
    """

    key: Key
    side: int
    began: FillLine | PositionLine
    owner: int | None = None
    entered: Decimal = ZERO
    entered_notional: Decimal = ZERO
    left: Decimal = ZERO
    left_notional: Decimal = ZERO
    fees: Decimal = ZERO
    realized: Decimal = ZERO
    trades: list[FillLine] = field(default_factory=list)
    moves: int = 0
    floor: Decimal | None = None
    first_entry_at: int | None = None
    first_cover_at: int | None = None
    ended: FillLine | PositionLine | None = None
    ended_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request came in."""

    ask: Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request was answered."""

    line: ReplyLine
    ask: Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The exchange shows an order for the first time."""

    order: Order
    life: Life | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """A resting conditional was changed in place. `foreign`: it was a stranger's until then."""

    order: Order
    before: AlgoLine
    by: By
    foreign: bool
    life: Life | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An order can do nothing more. `was_live`: it rested until this line."""

    order: Order
    by: By
    was_live: bool
    life: Life | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A conditional's trigger was touched."""

    order: Order
    life: Life | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """One execution; quantities are signed, before and after it. `life` is the one it began or worked on."""

    line: FillLine
    order: Order | None
    before: Decimal
    after: Decimal
    life: Life


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeOver:
    """A position went flat (or over to the other side)."""

    life: Life


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A position line does not show what the fills add up to."""

    line: PositionLine
    expected: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """An execution that was reported before."""

    line: FillLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Meddled:
    """A test played the outsider, or a fault that it had ordered struck."""

    line: ControlLine | StruckLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A new mark price."""

    line: PriceLine


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOver:
    """A step of the exchange is complete; `touched` are the positions that it may have changed."""

    t: int
    touched: frozenset[Key]


Fact = (
    Asked
    | Answered
    | Accepted
    | Amended
    | Ended
    | Fired
    | Filled
    | LifeOver
    | Mismatch
    | Repeated
    | Meddled
    | Marked
    | StepOver
)

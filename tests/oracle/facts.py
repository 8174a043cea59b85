"""What the laws hear about: orders and lives as the book knows them, and one small value for each happening."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tests.oracle.ours import STOP, Ident
from tests.oracle.reader import AlgoLine, FillLine, OrderLine, PositionLine, PriceLine, ReplyLine, RequestLine

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
    """An order of either sort, as its latest line shows it. `ident` is inherited by the child of a triggered order."""

    key: Key
    accepted: OrderLine | AlgoLine
    latest: OrderLine | AlgoLine
    ident: Ident | None
    parent: Order | None = None
    child: Order | None = None
    triggering_at: int | None = None
    cancel_asked: RequestLine | None = None

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
        return self.is_stop and self.ident is not None and self.ident.kind == STOP

    @property
    def trigger(self) -> Decimal:
        """Trigger price; 0 for an ordinary order."""
        return self.latest.trigger if isinstance(self.latest, AlgoLine) else ZERO

    def closes(self, side: int) -> bool:
        """Whether it can only shrink a position of this sign."""
        closing = (self.latest.side == "SELL") == (side > 0)
        return closing and (
            self.latest.reduce_only or self.latest.close_position or self.latest.position_side != "BOTH"
        )

    def covers(self, now: int) -> bool:
        """Whether it still counts as cover at `now`: live, or firing for not longer than a second."""
        return self.live or (
            self.firing and self.triggering_at is not None and now - self.triggering_at <= TRIGGERING_COVERS_MS
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Life:
    """A position from flat to flat. `owner` is our position id, None while it is nobody's of ours."""

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

    line: RequestLine
    symbol: str | None
    outsider: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request was answered."""

    line: ReplyLine
    request: RequestLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The exchange shows an order for the first time."""

    order: Order
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
class Marked:
    """A new mark price."""

    line: PriceLine


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOver:
    """A step of the exchange is complete; `touched` are the positions that it may have changed."""

    t: int
    touched: frozenset[Key]


Fact = Asked | Answered | Accepted | Ended | Fired | Filled | LifeOver | Mismatch | Repeated | Marked | StepOver

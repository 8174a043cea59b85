"""What was decided about a position before its first order: the rules it will live by, fixed at its opening."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from domain.orders import TriggerBy


class MoveStyle(StrEnum):
    """How a venue lets a resting stop be moved, best first (SYSTEM B5).

    ATTACHED: set anew on the position itself. AMEND: the resting order is changed in place. NEW_BEFORE_CANCEL: the new
    one is accepted before the old one is cancelled. CANCEL_THEN_PLACE leaves a hole, which is measured: last resort.
    """

    ATTACHED = "attached"
    AMEND = "amend"
    NEW_BEFORE_CANCEL = "new_before_cancel"
    CANCEL_THEN_PLACE = "cancel_then_place"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRules:
    """What the position's venue can do, as far as decisions depend on it.

    `attached_stop`: an entry takes its stop along, no unprotected moment exists. `close_position_stop`: a first cover
    may close whatever the position holds, and need not grow with it.
    """

    attached_stop: bool = False
    close_position_stop: bool = False
    move: MoveStyle = MoveStyle.NEW_BEFORE_CANCEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Rules of the stop-loss. Percents are percents of a price."""

    stop_pct: Decimal = Decimal(2)
    retries: int = 3
    emergency_stop_pct: Decimal = Decimal(10)
    nearest_stop_pct: Decimal = Decimal("0.5")
    trigger_by: TriggerBy = TriggerBy.MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingStep:
    """From `profit_pct` of profit on, trail by `callback_pct`."""

    profit_pct: Decimal
    callback_pct: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeProfit:
    """A target: at `pct` per cent of profit close `fraction` (0 to 1) of what was opened."""

    pct: Decimal
    fraction: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingRules:
    """Rules of the trailing stop. Percents are percents of a price.

    `atr_multiple`: keep that many ATRs (`Plan.atr`) of distance instead of a callback in per cent.
    """

    enabled: bool = True
    activation_pct: Decimal = Decimal("1.5")
    callback_pct: Decimal = Decimal("0.5")
    breakeven_pct: Decimal | None = None
    time_activation_minutes: int | None = None
    atr_multiple: Decimal | None = None
    steps: tuple[TrailingStep, ...] = ()
    min_step_pct: Decimal = Decimal("0.05")
    min_interval_s: Decimal = Decimal(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to open and how to protect it. `quantity` in base units; `stop_price` overrides the protection's percent.

    `atr`: average true range at the decision, in quote units. `slippage_pct`: how many per cent worse than
    `reference_price` the entry may fill; 0: at any price. `adopt_stops`: strangers' stops on an adopted position are
    replaced by ours.
    """

    quantity: Decimal
    protection: Protection
    trailing: TrailingRules
    stop_price: Decimal | None = None
    reference_price: Decimal | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    atr: Decimal | None = None
    slippage_pct: Decimal = Decimal(0)
    venue: VenueRules = VenueRules()
    adopt_stops: bool = False

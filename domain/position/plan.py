"""What was decided about a position before its first order: the rules it will live by, fixed at its opening."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.orders import TriggerBy


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
class TrailingRules:
    """Rules of the trailing stop. Percents are percents of a price."""

    enabled: bool = True
    activation_pct: Decimal = Decimal("1.5")
    callback_pct: Decimal = Decimal("0.5")
    breakeven_pct: Decimal | None = None
    time_activation_minutes: int | None = None
    steps: tuple[TrailingStep, ...] = ()
    min_step_pct: Decimal = Decimal("0.05")
    min_interval_s: Decimal = Decimal(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to open and how to protect it. `quantity` in base units; `stop_price` overrides the protection's percent."""

    quantity: Decimal
    protection: Protection
    trailing: TrailingRules
    stop_price: Decimal | None = None
    reference_price: Decimal | None = None

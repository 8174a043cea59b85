"""What one entry is decided by and its position will live by: the settings in force, for this account and symbol.

One value, taken once for each wish and handed on: a reload in the middle of a decision cannot split it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from domain.entries.checks import Rules
from domain.market.atr import AtrRules
from domain.position.plan import Protection, TakeProfit, TrailingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Sizes in quote currency, percents of the wanted size. `exclude`: symbols never touched, in any spelling."""

    rules: Rules
    protection: Protection
    trailing: TrailingRules
    position_size_usd: Decimal
    overshoot_pct: Decimal
    take_profits: tuple[TakeProfit, ...] = ()
    atr: AtrRules = field(default_factory=AtrRules)
    exclude: frozenset[str] = frozenset()

"""What one entry is decided by and its position will live by: the settings in force, for this account and symbol.

One value, taken once for each wish and handed on: a reload in the middle of a decision cannot split it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from domain.entries.situation import Rules
from domain.entries.sizing import Sizing
from domain.market.atr import AtrRules
from domain.position.plan import Protection, TakeProfit, TrailingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`exclude`: symbols never touched, in any spelling. `leverage`: what is set before an entry; 0: left as it is.

    `slippage_pct`: how many per cent worse than the price decided on an entry may fill; 0: at any price.
    """

    rules: Rules
    protection: Protection
    trailing: TrailingRules
    sizing: Sizing
    take_profits: tuple[TakeProfit, ...] = ()
    atr: AtrRules = field(default_factory=AtrRules)
    exclude: frozenset[str] = frozenset()
    leverage: int = 0
    slippage_pct: Decimal = Decimal(0)

    def for_symbol(self, *, trade_enabled: bool, min_trade_usd: Decimal | None) -> Terms:
        """With the rules that only a single symbol can have."""
        rules = replace(self.rules, trade_enabled=trade_enabled, min_trade_usd=min_trade_usd or Decimal(0))
        return replace(self, rules=rules)

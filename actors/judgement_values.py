"""`[health]` and `[aging]` as the core reads them."""

from __future__ import annotations

from config.judgement import Aging
from config.judgement import Health as HealthSettings
from domain.judgement.aging import AgingRules
from domain.judgement.health import Dangers, HealthRules
from domain.judgement.levels import RiskAction

HOUR_S = 3600


def health_rules_of(health: HealthSettings) -> HealthRules | None:
    """By what positions are scored; None: they are not."""
    if not health.enabled:
        return None
    return HealthRules(
        weights=Dangers(
            stop=health.stop_weight,
            age=health.age_weight,
            drawdown=health.drawdown_weight,
            volatility=health.volatility_weight,
            price=health.price_weight,
            liquidation=health.liquidation_weight,
        ),
        age_s=_whole(health.age_hours * HOUR_S),
        drawdown_pct=health.drawdown_pct,
        volatility_pct=health.volatility_pct,
        price_age_s=_whole(health.price_age_s),
        liquidation_pct=health.liquidation_pct,
        bounds=(health.medium, health.high, health.critical, health.emergency),
        actions=(
            RiskAction(health.on_medium),
            RiskAction(health.on_high),
            RiskAction(health.on_critical),
            RiskAction(health.on_emergency),
        ),
        hysteresis=health.hysteresis,
        settle_s=int(health.settle_s),
        cooldown_s=int(health.cooldown_s),
    )


def aging_rules_of(aging: Aging) -> AgingRules | None:
    """How old a position may become; None: as old as it likes."""
    if not aging.max_age_hours:
        return None
    return AgingRules(
        max_age_s=_whole(aging.max_age_hours * HOUR_S),
        step_s=_whole(aging.step_hours * HOUR_S),
        step_pct=aging.step_pct,
        max_loss_pct=aging.max_loss_pct,
        fee_pct=aging.fee_pct,
    )


def _whole(seconds: float) -> int:
    """Whole seconds, at least one."""
    return max(round(seconds), 1)

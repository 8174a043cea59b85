"""How open positions are judged: `[health]` and `[aging]`."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.fields import HOT, Exact, Flag, Percent, PercentOrOff, Seconds, SecondsOrOff, Section

Weight = Annotated[Exact, Field(ge=0, le=100)]
Bound = Annotated[Exact, Field(gt=0, le=100)]
Hours = Annotated[Seconds, Field(le=100_000)]
HoursOrOff = Annotated[SecondsOrOff, Field(le=100_000)]
Action = Literal["none", "alert", "tighten", "reduce", "close"]


class Health(Section):
    """What endangers a position how much, where the risk levels begin, what is done when one is reached."""

    enabled: Annotated[Flag, HOT] = True
    interval_s: Annotated[Seconds, HOT] = 5.0
    stop_weight: Annotated[Weight, HOT] = Decimal(40)
    age_weight: Annotated[Weight, HOT] = Decimal(10)
    drawdown_weight: Annotated[Weight, HOT] = Decimal(25)
    volatility_weight: Annotated[Weight, HOT] = Decimal(20)
    price_weight: Annotated[Weight, HOT] = Decimal(50)
    liquidation_weight: Annotated[Weight, HOT] = Decimal(100)
    age_hours: Annotated[Hours, HOT] = 72.0
    drawdown_pct: Annotated[Percent, HOT] = Decimal(3)
    volatility_pct: Annotated[Percent, HOT] = Decimal(1)
    price_age_s: Annotated[Seconds, HOT] = 60.0
    liquidation_pct: Annotated[Percent, HOT] = Decimal(10)
    medium: Annotated[Bound, HOT] = Decimal(30)
    high: Annotated[Bound, HOT] = Decimal(60)
    critical: Annotated[Bound, HOT] = Decimal(75)
    emergency: Annotated[Bound, HOT] = Decimal(90)
    hysteresis: Annotated[Weight, HOT] = Decimal(10)
    settle_s: Annotated[SecondsOrOff, HOT] = 60.0
    on_medium: Annotated[Action, HOT] = "none"
    on_high: Annotated[Action, HOT] = "alert"
    on_critical: Annotated[Action, HOT] = "alert"
    on_emergency: Annotated[Action, HOT] = "alert"
    cooldown_s: Annotated[SecondsOrOff, HOT] = 600.0
    tighten_pct: Annotated[Percent, HOT] = Decimal(50)
    reduce_fraction: Annotated[Exact, Field(gt=0, lt=1), HOT] = Decimal("0.5")

    @model_validator(mode="after")
    def _levels_rise(self) -> Self:
        bounds = (self.medium, self.high, self.critical, self.emergency)
        if list(bounds) != sorted(set(bounds)):
            raise ValueError(f"medium, high, critical, emergency ({', '.join(map(str, bounds))}) must rise")
        if self.hysteresis >= self.medium:
            raise ValueError(
                f"hysteresis {self.hysteresis} must be less than medium {self.medium}: no score would be low again"
            )
        return self


class Aging(Section):
    """When a position is too old, and how it is left then. `max_age_hours` 0: never."""

    max_age_hours: Annotated[HoursOrOff, HOT] = 0.0
    step_hours: Annotated[Hours, HOT] = 1.0
    step_pct: Annotated[Percent, HOT] = Decimal("0.5")
    max_loss_pct: Annotated[PercentOrOff, HOT] = Decimal(2)
    fee_pct: Annotated[PercentOrOff, HOT] = Decimal("0.05")
    adopted: Annotated[Flag, HOT] = False

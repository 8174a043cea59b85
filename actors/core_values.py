"""The settings as the core reads them: 0 that switches a rule off becomes None, words become the core's own values."""

from __future__ import annotations

from decimal import Decimal

from config.settings import Settings
from domain.entries.situation import Rules
from domain.entries.sizing import Method, Sizing
from domain.entries.terms import Terms
from domain.entries.waves import RankBy, WaveRules
from domain.market.atr import AtrRules
from domain.orders import TriggerBy
from domain.position.plan import Protection, TakeProfit, TrailingRules, TrailingStep

# Entries are decided by a balance that is read with each reading of the account: two of them may fail in a row.
BALANCE_GOOD_S = 90.0
READINGS_MISSED = 3


def terms_of(settings: Settings, account: str) -> Terms:
    """By what entries of an account are decided on."""
    return Terms(
        rules=entry_rules(settings),
        protection=protection_of(settings),
        trailing=trailing_of(settings),
        sizing=sizing_of(settings),
        take_profits=take_profits_of(settings),
        atr=atr_rules_of(settings),
        exclude=frozenset(settings.accounts[account].exclude),
        leverage=settings.accounts[account].leverage,
        slippage_pct=settings.entries.slippage_pct,
    )


def entry_rules(settings: Settings) -> Rules:
    """What the desk's checks read of the settings."""
    entries = settings.entries
    return Rules(
        max_age_s=settings.signals.max_age_s,
        cooldown_s=entries.cooldown_s,
        max_positions=entries.max_positions,
        max_exposure_usd=entries.max_exposure_usd,
        max_symbol_usd=entries.max_symbol_usd,
        daily_loss_usd=settings.risk.daily_loss_usd,
        margin_reserve_pct=settings.risk.margin_reserve_pct,
        balance_good_s=max(BALANCE_GOOD_S, READINGS_MISSED * settings.reconciler.interval_s),
        spread_pct=entries.spread_pct,
        spread_warns=entries.spread_action == "warn",
        sessions=entries.sessions,
        stop_list=frozenset(entries.stop_list),
        allow_list=frozenset(entries.allow_list),
    )


def sizing_of(settings: Settings) -> Sizing:
    """How big a new position is to be, as the core reads it."""
    sizing = settings.sizing
    return Sizing(
        method=Method(sizing.method),
        usd=sizing.position_size_usd,
        percent=sizing.percent,
        risk_pct=sizing.risk_pct,
        atr_multiple=sizing.atr_multiple,
        overshoot_pct=sizing.overshoot_pct,
    )


def wave_rules_of(settings: Settings) -> WaveRules:
    """How the signals of one candle compete."""
    entries = settings.entries
    return WaveRules(
        window_s=entries.wave_window_s, places=entries.max_per_wave, rank_by=RankBy(entries.rank_by)
    )


def protection_of(settings: Settings) -> Protection:
    """The rules of a stop-loss as the core reads them."""
    protection = settings.protection
    return Protection(
        stop_pct=protection.stop_pct,
        retries=protection.retries,
        emergency_stop_pct=protection.emergency_stop_pct,
        nearest_stop_pct=protection.nearest_stop_pct,
        trigger_by=TriggerBy(protection.trigger),
    )


def take_profits_of(settings: Settings) -> tuple[TakeProfit, ...]:
    """The targets of a new position as the core reads them."""
    return tuple(TakeProfit(pct=each.pct, fraction=each.fraction) for each in settings.protection.take_profits)


def atr_rules_of(settings: Settings) -> AtrRules:
    """Over which candles an average true range is taken."""
    return AtrRules(period=settings.trailing.atr_period, candle_minutes=settings.trailing.atr_candle_minutes)


def trailing_of(settings: Settings) -> TrailingRules:
    """The rules of the trailing stop as the core reads them; 0 switches a rule off."""
    trailing = settings.trailing
    return TrailingRules(
        enabled=trailing.enabled,
        activation_pct=trailing.activation_pct,
        callback_pct=trailing.callback_pct,
        breakeven_pct=trailing.breakeven_pct or None,
        time_activation_minutes=int(trailing.time_activation_minutes) or None,
        atr_multiple=trailing.atr_multiple or None,
        steps=tuple(
            TrailingStep(profit_pct=step.profit_pct, callback_pct=step.callback_pct) for step in trailing.steps
        ),
        min_step_pct=trailing.min_step_pct,
        min_interval_s=Decimal(str(trailing.min_interval_s)),
    )

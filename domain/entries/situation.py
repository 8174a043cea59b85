"""What an entry is decided by: the wish, the rules that it has to keep, and the situation that it meets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from domain.entries.funds import Funds
from domain.entries.margin import Margin
from domain.instrument import Instrument, PositionSide

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a wish was not granted."""

    code: str
    figures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An entry that somebody wants: a signal or an operator. `created_at` is None for an operator's."""

    account: str
    symbol: str
    instrument: Instrument
    side: PositionSide
    key: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that entries live by. Money in quote currency; a limit of 0 is none.

    `margin_reserve_pct`: per cent of the equity that stay free. `balance_good_s`: how old a balance may be.
    `spread_pct`: widest between bid and ask, in per cent of their middle; `spread_warns`: a wider one refuses nothing.
    `trade_enabled`, `min_trade_usd`: set for the symbol alone, in the database.
    """

    max_age_s: float
    cooldown_s: float
    max_positions: int
    max_exposure_usd: Decimal
    max_symbol_usd: Decimal
    daily_loss_usd: Decimal
    margin_reserve_pct: Decimal
    balance_good_s: float
    spread_pct: Decimal
    spread_warns: bool
    sessions: tuple[tuple[int, int], ...]
    stop_list: frozenset[str]
    allow_list: frozenset[str]
    trade_enabled: bool = True
    min_trade_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Conditional orders that rest or will, on the account and on the symbol, and how many may. None: no limit."""

    used: int
    limit: int | None
    used_on_symbol: int
    limit_on_symbol: int | None
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an entry may be: `quantity` in base units, worth `usd` at the mark, its first stop where `stop_price` is.

    `wanted_usd`: what it was to be worth before it was fitted to the venue's step and minimum.
    `stop_pct`: the distance of that stop from the entry price, where the sizing or an operator has set one. `warning`:
    what speaks against it, and by the settings refuses nothing.
    """

    quantity: Decimal
    usd: Decimal
    wanted_usd: Decimal
    stop_price: Decimal
    stop_pct: Decimal | None = None
    warning: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best prices of one moment."""

    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the desk knows when it decides.

    `granted`: what the sizing makes of the wish; None: that is not known yet, and only the checks before it are made.
    `symbol_usd`: value of the account's positions on the symbol. `bound_usd`: margin that entries need of which the
    reading of the balance does not know yet. `realized_today`: after fees, since midnight UTC. `quote`: bid and ask of
    this moment, or why they cannot be had; None: not asked for yet.
    """

    now: datetime
    closed_because: str | None
    held: Mapping[str, PositionSide]
    open_positions: int
    exposure_usd: Decimal
    last_order_at: datetime | None
    key_seen_by: str | None
    mark_price: Decimal | None
    mark_heard_at: datetime | None
    foreign_quantity: Decimal | None
    granted: Grant | Refusal | None = None
    symbol_usd: Decimal = ZERO
    bound_usd: Decimal = ZERO
    realized_today: Decimal = ZERO
    excluded: bool = False
    slots: Slots | None = None
    funds: Funds | None = None
    quote: Quote | Refusal | None = None
    margin: Margin = field(default_factory=Margin)

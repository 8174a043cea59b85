"""From a wish to a position worth opening: the checks in the order in which they are made, each a small pure function.

A check returns None or a Refusal with its code and the figures that decided it. `CHECKS` is the list; its order is the
order of the code below: what costs nothing and explains most comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from domain.accounts import SLOTS_IN_RESERVE
from domain.instrument import Instrument, PositionSide

SLOTS_FOR_A_MOVE = 1
STALE_MARK_S = 15
AHEAD_S = 60


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
    """The settings that entries live by. Money in quote currency; 0 exposure means no limit."""

    max_age_s: float
    cooldown_s: float
    max_positions: int
    max_exposure_usd: Decimal
    sessions: tuple[tuple[int, int], ...]
    stop_list: frozenset[str]
    allow_list: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Conditional orders that rest or will, on the account and on the symbol, and how many may. None: no limit."""

    used: int
    limit: int | None
    used_on_symbol: int
    limit_on_symbol: int | None
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the desk knows when it decides. `entry_usd` is the value of the entry wished for."""

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
    entry_usd: Decimal = Decimal(0)
    excluded: bool = False
    slots: Slots | None = None


Check = Callable[[Wish, Rules, Situation], Refusal | None]


def entries_open(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """Nobody has closed entries: operator, database, lock."""
    return Refusal(code="entries_closed", figures={"reason": now.closed_because}) if now.closed_because else None


def fresh(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The signal is not older than its set age, and not from the future."""
    return None if wish.created_at is None else out_of_time(wish.created_at, rules, now.now)


def out_of_time(created_at: datetime, rules: Rules, now: datetime) -> Refusal | None:
    """Why a signal of `created_at` is not to be acted on at `now`, be it an entry or a close."""
    age = (now - created_at).total_seconds()
    if age > rules.max_age_s:
        return Refusal(code="stale_signal", figures={"age_s": math.ceil(age), "max_age_s": _plain(rules.max_age_s)})
    if age < -AHEAD_S:
        return Refusal(code="signal_from_future", figures={"ahead_s": math.ceil(-age), "limit_s": AHEAD_S})
    return None


def once(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """No other signal of this symbol, side and minute was acted on (SYSTEM A4)."""
    if now.key_seen_by is None:
        return None
    return Refusal(code="duplicate_signal", figures={"signal_key": wish.key, "existing_order_id": now.key_seen_by})


def allowed(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The account's excluded symbols, the stop list and the allow list."""
    if now.excluded:
        return Refusal(code="excluded", figures={"symbol": wish.symbol, "account": wish.account})
    if wish.symbol in rules.stop_list:
        return Refusal(code="stop_list", figures={"symbol": wish.symbol})
    if rules.allow_list and wish.symbol not in rules.allow_list:
        return Refusal(code="not_in_allow_list", figures={"symbol": wish.symbol})
    return None


def trading(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The venue trades the symbol."""
    return None if wish.instrument.trading else Refusal(code="symbol_not_trading", figures={"symbol": wish.symbol})


def in_session(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The hour (UTC) is within a trading session."""
    hour = now.now.hour
    if any(start <= hour < end for start, end in rules.sessions):
        return None
    windows = ",".join(f"{start}-{end}" for start, end in rules.sessions)
    return Refusal(code="outside_session", figures={"hour_utc": hour, "sessions": windows})


def alone(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """Nobody has a position on the symbol: not we, not a stranger."""
    held = now.held.get(wish.symbol)
    if held is not None:
        code = "duplicate_position" if held is wish.side else "opposite_position"
        return Refusal(code=code, figures={"symbol": wish.symbol, "side": held.value})
    if now.foreign_quantity:
        return Refusal(
            code="untracked_position", figures={"symbol": wish.symbol, "quantity": str(now.foreign_quantity)}
        )
    return None


def rested(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The set time has passed since the last order of the same base currency (SYSTEM A5)."""
    if now.last_order_at is None:
        return None
    until = now.last_order_at + timedelta(seconds=rules.cooldown_s)
    if now.now >= until:
        return None
    remaining = math.ceil((until - now.now).total_seconds())
    figures = {
        "seconds_remaining": remaining,
        "base": wish.instrument.base,
        "cooldown_s": _plain(rules.cooldown_s),
    }
    return Refusal(code="cooldown", figures=figures)


def few_enough(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """Fewer positions than the set maximum."""
    if now.open_positions < rules.max_positions:
        return None
    figures = {"open_positions": now.open_positions, "max_positions": rules.max_positions}
    return Refusal(code="too_many_positions", figures=figures)


def small_enough(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The exposure with this entry stays within the set limit."""
    if rules.max_exposure_usd <= 0 or now.exposure_usd + now.entry_usd <= rules.max_exposure_usd:
        return None
    figures = {
        "exposure_usd": str(now.exposure_usd),
        "entry_usd": str(now.entry_usd),
        "max_exposure_usd": str(rules.max_exposure_usd),
    }
    return Refusal(code="too_much_exposure", figures=figures)


def room_for_stops(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """Free conditional orders for its stop and targets, with some in reserve for moves (DESIGN 3, SYSTEM A7)."""
    slots = now.slots
    if slots is None or slots.needed == 0:
        return None
    for where, used, limit, reserve in (
        ("account", slots.used, slots.limit, SLOTS_IN_RESERVE),
        (wish.symbol, slots.used_on_symbol, slots.limit_on_symbol, SLOTS_FOR_A_MOVE),
    ):
        if limit is not None and used + slots.needed + reserve > limit:
            figures = {"on": where, "used": used, "needed": slots.needed, "reserve": reserve, "limit": limit}
            return Refusal(code="no_conditional_slots", figures=figures)
    return None


def priced(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """A fresh mark price is known."""
    if now.mark_price is None or now.mark_heard_at is None:
        return Refusal(code="no_mark_price", figures={"symbol": wish.symbol})
    age = (now.now - now.mark_heard_at).total_seconds()
    if age > STALE_MARK_S:
        return Refusal(code="stale_mark_price", figures={"age_s": math.ceil(age), "limit_s": STALE_MARK_S})
    return None


def _plain(limit_s: float) -> int | str:
    """Whole seconds as such, parts of one as text."""
    return int(limit_s) if limit_s == int(limit_s) else f"{limit_s:g}"


CHECKS: tuple[tuple[str, Check], ...] = (
    ("entries_open", entries_open),
    ("age", fresh),
    ("idempotency", once),
    ("lists", allowed),
    ("trading", trading),
    ("session", in_session),
    ("position", alone),
    ("cooldown", rested),
    ("max_positions", few_enough),
    ("exposure", small_enough),
    ("conditional_slots", room_for_stops),
    ("price", priced),
)


def judge(wish: Wish, rules: Rules, now: Situation) -> tuple[tuple[str, Refusal | None], ...]:
    """Each check by name with its finding, up to and including the first that refuses."""
    findings: list[tuple[str, Refusal | None]] = []
    for name, check in CHECKS:
        found = check(wish, rules, now)
        findings.append((name, found))
        if found is not None:
            break
    return tuple(findings)

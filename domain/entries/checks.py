"""From a wish to a position worth opening: the checks in the order in which they are made, each a small pure function.

A check returns None or a Refusal with its code and the figures that decided it. `CHECKS` is the list; its order is the
order of the code below: what costs nothing and explains most comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from domain.accounts import SLOTS_IN_RESERVE
from domain.decimals import plain
from domain.entries import margin
from domain.entries.situation import Grant, Quote, Refusal, Rules, Situation, Slots, Wish
from domain.entries.sizing import balance_of
from domain.instrument import MONEY, percent_of
from domain.position.liquidation import WAY_TO_LIQUIDATION_PCT

__all__ = ["CHECKS", "Refusal", "Rules", "Situation", "Slots", "Wish", "judge", "out_of_time"]

SLOTS_FOR_A_MOVE = 1
STALE_MARK_S = 15
AHEAD_S = 60


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


def enabled(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """Nobody has switched the symbol off in the database (SYSTEM D7)."""
    if rules.trade_enabled:
        return None
    return Refusal(code="trade_disabled", figures={"symbol": wish.symbol, "trade_enabled": False, "source": "db"})


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
            code="untracked_position", figures={"symbol": wish.symbol, "quantity": plain(now.foreign_quantity)}
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
    age = abs((now.now - now.mark_heard_at).total_seconds())  # of the future: the clock was set back since
    if age > STALE_MARK_S:
        return Refusal(code="stale_mark_price", figures={"age_s": math.ceil(age), "limit_s": STALE_MARK_S})
    return None


def solvent(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The account has not lost, after fees, what it may lose in a day (UTC)."""
    if rules.daily_loss_usd <= 0 or now.realized_today > -rules.daily_loss_usd:
        return None
    figures = {"realized_today_usd": plain(now.realized_today), "daily_loss_usd": plain(rules.daily_loss_usd)}
    return Refusal(code="daily_loss", figures=figures)


def sized(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """There is a size for it (SYSTEM A6). The checks after this one judge that size."""
    return now.granted if isinstance(now.granted, Refusal) else None


def worth_it(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The position is worth what the database sets for the symbol as the least (SYSTEM D7)."""
    with localcontext(MONEY):
        notional = _granted(now).quantity * _mark(now)
    if notional >= rules.min_trade_usd:
        return None
    figures = {"notional_usd": plain(notional), "min_trade_usd": plain(rules.min_trade_usd), "source": "db"}
    return Refusal(code="below_min_trade", figures=figures)


def small_enough(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The value held on the symbol, and on the account, stays within the set limits with this entry."""
    entry_usd = _granted(now).usd
    for code, held, name, limit in (
        ("too_much_on_symbol", now.symbol_usd, "max_symbol_usd", rules.max_symbol_usd),
        ("too_much_exposure", now.exposure_usd, "max_exposure_usd", rules.max_exposure_usd),
    ):
        if 0 < limit < held + entry_usd:
            figures = {"exposure_usd": plain(held), "entry_usd": plain(entry_usd), name: plain(limit)}
            return Refusal(code=code, figures=figures)
    return None


def funded(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The free margin pays for it and leaves the set reserve (SYSTEM A7)."""
    funds = balance_of(now.funds, now.now, rules.balance_good_s)
    if isinstance(funds, Refusal):
        return funds
    needed, reserve = margin.initial(now.margin, _granted(now).usd), percent_of(funds.equity, rules.margin_reserve_pct)
    free = funds.free - now.bound_usd
    if needed + reserve <= free:
        return None
    figures = {
        "needed_usd": f"{needed:.2f}",
        "reserve_usd": f"{reserve:.2f}",
        "free_usd": f"{free:.2f}",
        "leverage": now.margin.leverage or "unknown, 1 assumed",
    }
    return Refusal(code="not_enough_margin", figures=figures)


def safe_from_liquidation(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """The first stop lies well before the price at which the venue would liquidate the position."""
    granted, price = _granted(now), _mark(now)
    if now.margin.isolated is not False and now.margin.leverage is None:
        text = "the symbol's leverage is not known: set leverage for the account"
        return Refusal(code="leverage_unknown", figures={"symbol": wish.symbol, "reason": text})
    free = (now.funds.free if now.funds is not None else Decimal(0)) - now.bound_usd
    liquidation = margin.liquidation_price(now.margin, wish.side, price, granted.quantity, free)
    if liquidation is None:
        return None
    with localcontext(MONEY):
        farthest = price + percent_of(liquidation - price, WAY_TO_LIQUIDATION_PCT)
    if wish.side.better(granted.stop_price, farthest):
        return None
    figures = {
        "stop_price": plain(wish.instrument.stop_price(wish.side, granted.stop_price)),
        "liquidation_price": plain(wish.instrument.stop_price(wish.side, liquidation)),
        "mark_price": plain(price),
        "leverage": now.margin.leverage,
        "margin": "cross" if now.margin.isolated is False else "isolated",
        "limit_pct": plain(WAY_TO_LIQUIDATION_PCT),
    }
    return Refusal(code="stop_beyond_liquidation", figures=figures)


def narrow(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """Bid and ask lie near each other, where a wide spread is to refuse (SYSTEM A7)."""
    return None if rules.spread_warns else wide(wish, rules, now)


def wide(wish: Wish, rules: Rules, now: Situation) -> Refusal | None:
    """What is wrong with bid and ask: too far apart, or not to be had."""
    quote = now.quote
    if rules.spread_pct <= 0:
        return None
    if not isinstance(quote, Quote):
        return quote or Refusal(code="no_bid_ask", figures={"symbol": wish.symbol})
    figures = {"symbol": wish.symbol, "bid": plain(quote.bid), "ask": plain(quote.ask)}
    if not 0 < quote.bid <= quote.ask:
        return Refusal(code="no_bid_ask", figures=figures)
    with localcontext(MONEY):
        spread = (quote.ask - quote.bid) / (quote.ask + quote.bid) * 200
    if spread <= rules.spread_pct:
        return None
    figures |= {"spread_pct": f"{spread:.4f}", "limit_pct": plain(rules.spread_pct)}
    return Refusal(code="spread_too_wide", figures=figures)


def _granted(now: Situation) -> Grant:
    """The size, which `sized` has let pass."""
    if not isinstance(now.granted, Grant):
        raise TypeError(f"granted={now.granted!r}: must be a size where one is judged")
    return now.granted


def _mark(now: Situation) -> Decimal:
    """The price, which `priced` has let pass."""
    if now.mark_price is None:
        raise TypeError("mark_price=None: must be known where a size is judged")
    return now.mark_price


def _plain(limit_s: float) -> int | str:
    """Whole seconds as such, parts of one as text."""
    return int(limit_s) if limit_s == int(limit_s) else f"{limit_s:g}"


CHECKS: tuple[tuple[str, Check], ...] = (
    ("entries_open", entries_open),
    ("age", fresh),
    ("idempotency", once),
    ("lists", allowed),
    ("trade_enabled", enabled),
    ("trading", trading),
    ("session", in_session),
    ("daily_loss", solvent),
    ("position", alone),
    ("cooldown", rested),
    ("max_positions", few_enough),
    ("conditional_slots", room_for_stops),
    ("price", priced),
    ("sizing", sized),
    ("min_trade", worth_it),
    ("exposure", small_enough),
    ("margin", funded),
    ("liquidation", safe_from_liquidation),
    ("spread", narrow),
)


def judge(wish: Wish, rules: Rules, now: Situation, made: int = 0) -> tuple[tuple[str, Refusal | None], ...]:
    """Each check by name with its finding, up to and including the first that refuses; the first `made` are left out.

    What is not known yet is not judged: without a size (`granted`) the last is the one before the sizing, without bid
    and ask (`quote`), where they matter, the one before the spread.
    """
    findings: list[tuple[str, Refusal | None]] = []
    for name, check in CHECKS[made:]:
        if check is sized and now.granted is None:
            break
        if check is narrow and now.quote is None and rules.spread_pct > 0:
            break
        found = check(wish, rules, now)
        findings.append((name, found))
        if found is not None:
            break
    return tuple(findings)

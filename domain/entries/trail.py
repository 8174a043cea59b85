"""What each check of an entry went by, for whoever asks later why a signal was taken or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.decimals import text_of
from domain.entries.situation import Grant, Quote, Refusal, Rules, Situation, Wish

Figures = dict[str, object]


def trail(
    wish: Wish, rules: Rules, now: Situation, findings: Sequence[tuple[str, Refusal | None]]
) -> tuple[Mapping[str, object], ...]:
    """Each check that was made, in its order: its result, a refusal's code, and the figures, ready for JSON."""
    told = []
    for name, found in findings:
        verdict: Figures = {"result": "passed"} if found is None else {"result": "blocked", "code": found.code}
        figures = {**_looked_at(name, wish, rules, now), **(found.figures if found is not None else {})}
        told.append(_ready({"check": name, **verdict, **figures}))
    return tuple(told)


def _looked_at(name: str, wish: Wish, rules: Rules, now: Situation) -> Figures:
    """The figures of a check, whatever its result; nothing where its name says it all."""
    found: Figures = {}
    match name:
        case "age" if wish.created_at is not None:
            age = (now.now - wish.created_at).total_seconds()
            found = {"age_s": round(age), "max_age_s": round(rules.max_age_s)}
        case "idempotency":
            found = {"signal_key": wish.key}
        case "session":
            found = {"hour_utc": now.now.hour}
        case "daily_loss":
            found = {"realized_today_usd": now.realized_today, "daily_loss_usd": rules.daily_loss_usd}
        case "cooldown":
            last = now.last_order_at
            found = {"base": wish.instrument.base, "last_order_at": last, "cooldown_s": round(rules.cooldown_s)}
        case "max_positions":
            found = {"open_positions": now.open_positions, "max_positions": rules.max_positions}
        case "conditional_slots" if now.slots is not None:
            found = {"used": now.slots.used, "needed": now.slots.needed, "limit": now.slots.limit}
        case "price":
            found = {"mark_price": now.mark_price, "heard_at": now.mark_heard_at}
        case "sizing" if isinstance(now.granted, Grant):
            found = {"quantity": now.granted.quantity, "usd": now.granted.usd}
        case "exposure":
            found = {"exposure_usd": now.exposure_usd, "max_exposure_usd": rules.max_exposure_usd}
        case "margin" if now.funds is not None:
            found = {"free_usd": now.funds.free - now.bound_usd, "equity_usd": now.funds.equity}
        case "spread" if isinstance(now.quote, Quote):
            found = {"bid": now.quote.bid, "ask": now.quote.ask, "spread_pct": rules.spread_pct}
    return found


def _ready(figures: Figures) -> Figures:
    """Numbers and words as they are, anything else as text."""
    return {key: v if v is None or isinstance(v, int | str) else text_of(v) for key, v in figures.items()}

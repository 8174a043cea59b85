"""What operators are shown, in the words of INTERFACE: pure, from states to plain values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from actors.journal import JournalState
from actors.owners import Owners
from domain.judgement import aging
from domain.judgement.health import Health
from domain.judgement.levels import RiskLevel
from domain.position import ladder, ledger, trailing
from domain.position.state import Position


def position_view(p: Position, now: datetime) -> dict[str, object]:
    """A position as INTERFACE names its parts; an interval that is still bare counts up to `now`."""
    stop = trailing.stop_in_force(p)
    unprotected = p.unprotected_seconds
    if p.unprotected_since is not None:
        unprotected += Decimal(str((now - p.unprotected_since).total_seconds()))
    return {
        "id": p.id,
        "account": p.account,
        "symbol": p.symbol,
        "side": p.side.value,
        "state": p.phase.name,
        "quantity": max(ledger.book(p), Decimal(0)),
        "entry_price": _shown(ledger.entry_price(p)),
        "mark_price": p.mark_price,
        "stop_price": stop.trigger if stop is not None else None,
        "stop_order_id": stop.exchange_id if stop is not None else None,
        "take_profits": [
            {"price": rung.trigger, "quantity": left, "state": state, "order_id": order_id}
            for rung, left, state, order_id in ladder.shown(p)
        ],
        "trailing": {
            "state": p.trail.state.name,
            "activation_price": _shown(trailing.activation_price(p)),
            "extreme_price": p.trail.extreme,
            "updates": p.trail.updates,
        },
        "unrealized_pnl": _shown(ledger.unrealized_pnl(p)),
        "liquidation_price": p.liquidation_price,
        "unprotected_seconds": unprotected,
        "needs_intervention": p.needs_intervention,
        "recoveries": p.recoveries,
        "correlation_id": p.correlation_id,
        "opened_at": p.opened_at,
        "closed_at": p.closed_at,
        "close_reason": p.close_reason.value if p.close_reason is not None else None,
        "realized_pnl": ledger.realized_pnl(p),
        "fees": ledger.fees(p),
        "fees_apart": ledger.fees_apart(p),
    }


def judged_view(p: Position, health: Health | None) -> dict[str, object]:
    """How sound a position is, by the last look (no score before it), and how far it has aged (None: it does not)."""
    known = p.risk.level if p.risk is not None else RiskLevel.LOW
    dangers = health.dangers._asdict() if health is not None else {}
    risk = {
        "level": known.name,
        "score": None if health is None else health.score,
        "dangers": {name: round(danger, 1) for name, danger in dangers.items()},
    }
    return {"risk": risk, "aging": _aging_view(p)}


def _aging_view(p: Position) -> dict[str, object] | None:
    rules = p.aging
    if rules is None:
        return None
    step = None if p.aged is None else p.aged.step
    following = 0 if step is None else step + 1
    return {
        "step": step,
        "last_step": rules.last,
        "exit_price": trailing.aged_exit(p),
        "next_step_at": aging.due(rules, p.opened_at, following) if following <= rules.last else None,
    }


def what_stays(owners: Owners) -> str:
    """What remains on the exchange when the service stops, in words."""
    owned = owners.all()
    stops = sum(1 for p in owned if trailing.stop_in_force(p) is not None)

    def counted(number: int, noun: str) -> str:
        return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

    remain = "remains" if len(owned) == 1 and stops <= 1 else "remain"
    return f"{counted(len(owned), 'position')}, {counted(stops, 'stop')} {remain} on the exchange"


def database_health(journal: JournalState) -> tuple[str, str | None]:
    """Healthy or down, and why."""
    if journal.database_up:
        return "healthy", None
    return "down", f"{journal.spooled} records wait in the spool"


def outbox_health(outbox: Mapping[str, Any]) -> tuple[str, str | None]:
    """Healthy, or degraded by a channel that takes nothing, and why."""
    failing = [
        f"{name} takes nothing ({channel['error']}), {channel['waiting']} alerts wait"
        for name, channel in outbox["channels"].items()
        if channel["failures"]
    ]
    return ("degraded", "; ".join(failing)) if failing else ("healthy", None)


def _shown(value: Decimal | None) -> Decimal | None:
    """Computed prices and profits to 8 places for the eye; what the venue said is never rounded."""
    return None if value is None else round(value, 8)

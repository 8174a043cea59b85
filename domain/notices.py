"""Which events are told to humans, and in what words: all that are grave, and of the routine ones those wanted.

The flags of a symbol gate routine notices only, never a WARNING or above (DESIGN 3, SYSTEM E1). A standing alert brings
its own message, so its events make none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from domain.catalogue import EventType, Severity
from domain.instrument import PositionSide
from domain.records import Event

KINDS: Mapping[str, str] = MappingProxyType(
    {
        EventType.ENTRY_PLACED.value: "ORDER_CREATED",
        EventType.ENTRY_FILLED.value: "ORDER_FILLED",
        EventType.STOP_LOSS_PLACED.value: "SLTP_CREATED",
        EventType.POSITION_CLOSED.value: "POSITION_CLOSED",
    }
)
ROUTINE = frozenset(EventType(name) for name in KINDS)
WITH_THEIR_OWN = frozenset({EventType.ALERT_RAISED, EventType.ALERT_REPEATED, EventType.ALERT_CLEARED})
ALWAYS = frozenset({EventType.DAILY_DIGEST})


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFlags:
    """What is set for a symbol. `buy` and `sell` are for long and short positions."""

    alert: bool = True
    buy: bool = True
    sell: bool = True


def told(event: EventType, severity: Severity, side: PositionSide | None, flags: AlertFlags | None) -> bool:
    """Whether an event becomes a notice; without flags no routine one does."""
    if event in WITH_THEIR_OWN:
        return False
    if severity.alerts or event in ALWAYS:
        return True
    if flags is None or side is None or event not in ROUTINE:
        return False
    return flags.alert and (flags.buy if side is PositionSide.LONG else flags.sell)


def kind(event_type: str | None) -> str:
    """The name of a notice in the log: that of the four routine ones, else the event's own."""
    return KINDS.get(event_type or "", (event_type or "notice").upper())


def notice(event: Event) -> str | None:
    """A routine notice in words; None: the event's log line says it."""
    data = event.data
    symbol = event.symbol or data.get("symbol")
    match event.type:
        case EventType.ENTRY_PLACED:
            return f"ORDER_CREATED {symbol}: {data.get('side')} {data.get('quantity')}, near {_near(data)}"
        case EventType.ENTRY_FILLED:
            return f"ORDER_FILLED {symbol}: {data.get('side')} {data.get('quantity')} at {data.get('price')}"
        case EventType.STOP_LOSS_PLACED:
            targets = data.get("tp_order_id")
            with_targets = f", take-profits {targets}" if targets else ""
            return f"SLTP_CREATED {symbol}: stop {data.get('stop_price')} for {data.get('quantity')}{with_targets}"
        case EventType.POSITION_CLOSED:
            return (
                f"POSITION_CLOSED {symbol} {data.get('side')}: net P&L {data.get('net_pnl')} "
                f"({data.get('reason')}), {data.get('quantity')} from {data.get('entry_price')} to "
                f"{data.get('exit_price')}, fees {data.get('fees')}, unprotected {data.get('unprotected_seconds')} s"
            )
        case EventType.DAILY_DIGEST:
            return str(data.get("text"))
    return None


def _near(data: Mapping[str, object]) -> object:
    return data.get("limit_price") or data.get("reference_price")

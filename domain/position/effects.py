"""What a position can want done. Effects are values: the actor around the machine carries them out, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.catalogue import Happening
from domain.orders import OrderIntent, OrderRef
from domain.position.state import Position
from domain.records import OrderChange, Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Send this order once; its intent is written before its first byte."""

    intent: OrderIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Cancel this order."""

    ref: OrderRef
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """Ask the venue what became of this order."""

    ref: OrderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPosition:
    """Ask the venue for the size of this position now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFills:
    """Ask the venue for all executions on the symbol since a time."""

    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCandles:
    """Ask the venue for the extremes of the mark price since a time."""

    since: datetime


Effect = Place | Cancel | Find | AskPosition | AskFills | AskCandles


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """The answer to one input. Nothing of it is done until `position`, `orders`, `trades` and `happenings` are handed
    to the journal as one record. `wake_at`: when the machine wants to hear `Wake` at the latest.
    `record` is False when nothing changed that anybody would have to remember.
    """

    position: Position
    effects: tuple[Effect, ...]
    happenings: tuple[Happening, ...]
    orders: tuple[OrderChange, ...]
    trades: tuple[Trade, ...]
    wake_at: datetime | None
    record: bool

"""The engine's states as the core's reports, as `actors.replay` makes them; here with what only a live venue adds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from actors.replay import reports as replayed
from actors.replay.reports import ZERO, conditional, instrument, order
from actors.replay.times import EPOCH, instant
from adapters.paper_exchange import orders as engine
from domain.orders import Fill, PositionReport, Source

__all__ = ["EPOCH", "ZERO", "conditional", "fill", "instant", "instrument", "order", "position"]


def fill(state: engine.Fill, *, from_stream: bool) -> Fill:
    """An execution, pushed or listed."""
    return replayed.fill(state, Source.STREAM if from_stream else Source.QUERY)


def position(
    state: engine.Position, at_ms: int, source: Source, mark: Decimal | None, liquidation: Decimal | None
) -> PositionReport:
    """A row of positionRisk v2, or of an ACCOUNT_UPDATE (then without mark and liquidation price)."""
    report = replayed.position(state, at_ms, source, mark)
    return replace(report, liquidation_price=liquidation if state.quantity and liquidation else None)

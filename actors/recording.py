"""From what happened to what is written: events, log lines, alerts and the record that holds them together."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from loguru import logger

from actors.tally import Tally
from config.secrets import Secrets
from domain.catalogue import EventType, Happening, Severity
from domain.decimals import plainly
from domain.identity import PositionId
from domain.notices import ROUTINE, AlertFlags, notice, told
from domain.position.state import Position
from domain.records import (
    AlertChange,
    DayMetric,
    Delivery,
    Event,
    OrderChange,
    Performance,
    Record,
    SignalOutcome,
    StoredSignal,
    SymbolChange,
    Trade,
)

_LEVELS = {severity: severity.name for severity in Severity}


class Recorder:
    """Mints record ids and builds records. One for a process; thread-safe."""

    def __init__(self, started_at: datetime) -> None:
        """`started_at` keeps the ids of two lives of one process number apart.

        `flags` says which routine notices of a symbol are wanted, None: none. It must not block. `secrets` are taken
        out of every event: what is written is read in many places.
        """
        self.flags: Callable[[str], AlertFlags | None] = lambda _symbol: None
        self.secrets = Secrets()
        self.tally = Tally()
        self.run_id = f"{os.getpid()}_{int(started_at.timestamp() * 1000)}"
        self._numbers = itertools.count(1)

    def record(
        self,
        at: datetime,
        *,
        events: Iterable[Event] = (),
        position: Position | None = None,
        orders: tuple[OrderChange, ...] = (),
        trades: tuple[Trade, ...] = (),
        signals: tuple[StoredSignal, ...] = (),
        outcomes: tuple[SignalOutcome, ...] = (),
        alerts: tuple[AlertChange, ...] = (),
        facts: Mapping[str, object] | None = None,
        symbols: tuple[SymbolChange, ...] = (),
        deliveries: tuple[Delivery, ...] = (),
        performance: tuple[Performance, ...] = (),
        metrics: tuple[DayMetric, ...] = (),
    ) -> Record:
        """One transaction. Every event that is told to humans gets its row in the outbox within it."""
        kept = tuple(self._clean(event) for event in events)
        self.tally.count(kept)
        number = next(self._numbers)
        raised = tuple(
            _alert(event, f"{self.run_id}-{number}-{place}")
            for place, event in enumerate(kept)
            if self._told(event, position)
        )
        return Record(
            record_id=f"{self.run_id}-{number}",
            at=at,
            position=position,
            orders=orders,
            trades=trades,
            events=kept,
            signals=signals,
            outcomes=outcomes,
            alerts=alerts + raised,
            facts=facts,
            symbols=symbols,
            deliveries=deliveries,
            performance=performance,
            metrics=metrics,
        )

    def _clean(self, event: Event) -> Event:
        """The event without the secrets that somebody's error text or signal may hold."""
        parts = (event.data, event.error_message or "", event.stack_trace or "")
        if not self.secrets or not self.secrets.inside(repr(parts)):
            return event
        data, error, stack = (self.secrets.hide_in(part) for part in parts)
        return replace(event, data=data, error_message=error or None, stack_trace=stack or None)

    def _told(self, event: Event, position: Position | None) -> bool:
        routine = event.type in ROUTINE and position is not None
        flags = self.flags(position.symbol) if routine and position is not None else None
        return told(event.type, event.severity, None if position is None else position.side, flags)


def _alert(event: Event, alert_id: str) -> AlertChange:
    return AlertChange(
        alert_id=alert_id,
        at=event.at,
        severity=event.severity,
        type=event.type.value,
        text=writable(notice(event) or line(event)),
        correlation_id=event.correlation_id,
        position_id=event.position_id,
        symbol=event.symbol,
        account=event.account,
        order_id=event.order_id,
    )


def plain_event(
    event: EventType,
    at: datetime,
    data: Mapping[str, object] | None = None,
    *,
    severity: Severity | None = None,
    account: str | None = None,
    symbol: str | None = None,
    position_id: PositionId | None = None,
    correlation_id: str | None = None,
    error: str | None = None,
    stack_trace: str | None = None,
) -> Event:
    """An event that belongs to no position, or is about one (`position_id`) and not told by its owner."""
    return Event(
        type=event,
        severity=severity or event.severity,
        at=at,
        data={key: plainly(value) for key, value in (data or {}).items()},
        account=account,
        symbol=symbol,
        position_id=position_id,
        correlation_id=correlation_id,
        error_message=error,
        stack_trace=stack_trace,
    )


def position_event(happening: Happening, position: Position, at: datetime) -> Event:
    """An event in the life of a position."""
    error = happening.data.get("error")
    return Event(
        type=happening.type,
        severity=happening.grave,
        at=at,
        data=happening.data,
        correlation_id=position.correlation_id,
        position_id=position.id,
        order_id=happening.order_id,
        account=position.account,
        symbol=position.symbol,
        exchange=position.exchange,
        error_message=str(error) if error else None,
    )


def line(event: Event) -> str:
    """`TAG key=value …`, one line a happening. Values with blanks are quoted."""
    words = [event.type.tag]
    data: dict[str, Any] = dict(event.data)
    if event.symbol is not None:
        data.setdefault("symbol", event.symbol)
    if event.position_id is not None:
        data.setdefault("position", event.position_id)
    for key, value in data.items():
        if value is not None:
            text = _words(value) if isinstance(value, Mapping) else str(value).replace("\n", " ")
            words.append(f'{key}="{text}"' if " " in text else f"{key}={text}")
    return writable(" ".join(words))


def writable(text: str) -> str:
    """Text as every file, terminal and channel can write it: half of a surrogate pair, as a venue's message or a
    signal may end with, becomes a question mark.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _words(value: Mapping[str, object]) -> str:
    return ",".join(f"{key}:{each}" for key, each in value.items()) or "none"


def log(events: Iterable[Event]) -> None:
    """Write the log lines of events; each line carries its fields for the JSON sink."""
    for event in events:
        logger.bind(
            event=event.type.value, position_id=event.position_id, correlation_id=event.correlation_id
        ).log(_LEVELS[event.severity], "{}", line(event))

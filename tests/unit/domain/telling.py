"""What a turn says and writes down, short enough to be compared with a line of a test."""

from __future__ import annotations

from typing import Any

from domain.catalogue import Severity
from domain.position.state import OrderState
from tests.unit.domain.conversation import Conversation

REFUSAL = {"reason": "other", "code": "-1", "error": "no"}
Told = tuple[str, dict[str, Any], str | None]
Row = tuple[str, str, str | None, str | None]


def short(client_id: str | None) -> str | None:
    """The end of a client id: its sequence and kind."""
    return client_id.rpartition("-")[2] if client_id is not None and client_id.startswith("hfab12-") else client_id


def told(talk: Conversation) -> list[Told]:
    """Events of the last turn: type, data, the order that each is about. An id of ours is shortened."""
    return [
        (
            happening.type.value,
            {key: short(value) if isinstance(value, str) else value for key, value in happening.data.items()},
            short(happening.order_id),
        )
        for happening in talk.last.happenings
    ]


def severities(talk: Conversation) -> dict[str, Severity]:
    """How grave each event of the last turn is."""
    return {happening.type.value: happening.grave for happening in talk.last.happenings}


def rows(talk: Conversation) -> list[Row]:
    """Changes of orders that the last turn wrote down: order, status, the venue's id, reason."""
    assert all(row.at == talk.now and row.position_id == talk.position.id for row in talk.last.orders)
    return [(short(row.client_id) or "", row.status.value, row.exchange_id, row.reason) for row in talk.last.orders]


def due(talk: Conversation) -> float | None:
    """In how many seconds the machine wants to be woken."""
    return None if talk.last.wake_at is None else (talk.last.wake_at - talk.now).total_seconds()


def sending(talk: Conversation) -> str:
    """The stop that is on its way."""
    (stop,) = (s for s in talk.position.stops if s.state is OrderState.SENDING)
    return stop.client_id


def exit_sent(quantity: str, reason: str, mark: str, order: str) -> tuple[str, dict[str, Any], str]:
    figures = {"side": "sell", "symbol": "BTCUSDT", "quantity": quantity, "reason": reason, "mark_price": mark}
    return ("exit_placed", {**figures, "order_id": order}, order)


def stop_sent(price: str, purpose: str, order: str, quantity: str = "0.01") -> tuple[str, dict[str, Any], str]:
    return ("stop_loss_sent", {"stop_price": price, "quantity": quantity, "purpose": purpose}, order)

"""Ids that are minted without asking anybody: position ids and client order ids (DESIGN 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NewType

PositionId = NewType("PositionId", int)
ClientOrderId = NewType("ClientOrderId", str)

POSITION_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PATTERN = re.compile(r"hf([0-9a-z]{4})-([0-9a-z]+)-([0-9a-z]+)_([0-9a-z]+)-([0-9a-z]+)([estx])")
MAX_CLIENT_ID = 36


class OrderKind(StrEnum):
    """What an order is for; the value is its letter in a client order id."""

    ENTRY = "e"
    STOP = "s"
    TAKE_PROFIT = "t"
    EXIT = "x"

    @property
    def conditional(self) -> bool:
        """Whether it rests until a trigger price is touched."""
        return self in (OrderKind.STOP, OrderKind.TAKE_PROFIT)


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """Who is writing: `term` counts take-overs of an account, `incarnation` (re)starts of an actor within it."""

    term: int
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedClientId:
    """The parts of a client order id of ours."""

    instance: str
    position_id: PositionId
    epoch: Epoch
    sequence: int
    kind: OrderKind


def base36(number: int) -> str:
    """`number` in base 36. Raises ValueError for a negative one."""
    if number < 0:
        raise ValueError(f"number={number}: must not be negative")
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if number == 0:
            return digits


def mint_client_id(
    instance: str, position_id: PositionId, epoch: Epoch, sequence: int, kind: OrderKind
) -> ClientOrderId:
    """`hf<inst>-<position>-<term>_<incarnation>-<seq><kind>`. Raises ValueError past the venues' 36 characters."""
    text = (
        f"hf{instance}-{base36(position_id)}-{base36(epoch.term)}_{base36(epoch.incarnation)}"
        f"-{base36(sequence)}{kind.value}"
    )
    if len(text) > MAX_CLIENT_ID:
        raise ValueError(f"client order id {text!r}: {len(text)} characters, the venues take {MAX_CLIENT_ID}")
    return ClientOrderId(text)


def parse_client_id(text: str | None) -> ParsedClientId | None:
    """The parts of a client order id of ours, or None for anybody else's."""
    match = _PATTERN.fullmatch(text or "")
    if match is None:
        return None
    instance, position, term, incarnation, sequence, kind = match.groups()
    return ParsedClientId(
        instance=instance,
        position_id=PositionId(int(position, 36)),
        epoch=Epoch(int(term, 36), int(incarnation, 36)),
        sequence=int(sequence, 36),
        kind=OrderKind(kind),
    )


def mint_position_id(now: datetime, counter: int) -> PositionId:
    """(milliseconds since 2026-01-01) x 4096 + counter: ordered by time, fits a JSON number."""
    milliseconds = (now - POSITION_EPOCH) // timedelta(milliseconds=1)
    return PositionId(milliseconds * 4096 + counter % 4096)

"""Timeline lines and engine states into each other.

The names on the line are the fields of `orders` in camel case; a money value is a decimal string, a time is venue ms.
A field with a default may be missing on the line: the log may be older than the field.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, cast, get_args, get_type_hints

from adapters.paper_exchange.orders import (
    AlgoOrder,
    Balance,
    Event,
    Fill,
    Insurance,
    Leverage,
    ListenKey,
    Order,
    Position,
    PositionMode,
    Price,
)

Record = dict[str, Any]
_KINDS: Final[dict[str, type[Event]]] = {
    "order": Order,
    "algo": AlgoOrder,
    "fill": Fill,
    "position": Position,
    "balance": Balance,
    "price": Price,
    "leverage": Leverage,
    "position_mode": PositionMode,
    "insurance": Insurance,
    "listen_key": ListenKey,
}
_KIND_OF: Final = {state: kind for kind, state in _KINDS.items()}


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _decoder(hint: object) -> Callable[[Any], object]:
    if isinstance(hint, UnionType):
        inner = _decoder(next(part for part in get_args(hint) if part is not NoneType))
        return lambda value: None if value is None else inner(value)
    return cast("Callable[[Any], object]", hint)


def _fields_of(state: type[Event]) -> tuple[tuple[str, str, Callable[[Any], object]], ...]:
    hints = get_type_hints(state)
    return tuple((field.name, _camel(field.name), _decoder(hints[field.name])) for field in fields(state))


_FIELDS: Final = {state: _fields_of(state) for state in _KIND_OF}
_OPTIONAL: Final = {
    state: frozenset(field.name for field in fields(state) if field.default is not MISSING) for state in _KIND_OF
}


def to_record(event: Event) -> Record:
    """The line of a state, without `seq` and `t`."""
    state = type(event)
    record: Record = {"kind": _KIND_OF[state]}
    for name, wire, _decode in _FIELDS[state]:
        value = getattr(event, name)
        if isinstance(value, Decimal):
            record[wire] = plain(value)
        elif isinstance(value, StrEnum):
            record[wire] = value.value
        else:
            record[wire] = value
    return record


def from_record(record: Mapping[str, Any]) -> Event | None:
    """The state on a line; None for a line that holds none (request, reply, session, snapshot)."""
    state = _KINDS.get(record["kind"])
    if state is None:
        return None
    optional = _OPTIONAL[state]
    values = {
        name: decode(record[wire]) for name, wire, decode in _FIELDS[state] if wire in record or name not in optional
    }
    return cast("Event", cast("Callable[..., object]", state)(**values))


def plain(value: Decimal) -> str:
    """Decimal digits without exponent: '0.00000010', never '1.0E-7'."""
    return f"{value:f}"

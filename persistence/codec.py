"""Positions and records as JSON and back.

Rules of this file: money is a decimal string, a time is ISO 8601 with its offset, an enum its value, a set a sorted
list. A field that is missing in stored JSON takes its default and one that is no longer known is ignored, so rows of
an older or newer version load.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from domain.position.state import Position
from domain.records import Record

_POSITION = TypeAdapter(Position)
_RECORD = TypeAdapter(Record)
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value}: money must be finite")
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()}: a time must carry its zone")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} {value!r}: has no JSON form")


def to_json(value: object) -> str:
    """`value` as JSON that PostgreSQL takes: NUL and lone surrogates, which it refuses, become replacement characters.

    Raises ValueError for NaN, infinities and times without a zone, TypeError for what has no JSON form.
    """
    text = json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if "\\u0000" in text:
        text = _NUL.sub("\\1\ufffd", text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def dump_position(position: Position) -> dict[str, Any]:
    """Every field of a position; its leaves become JSON in `to_json`."""
    state: dict[str, Any] = _POSITION.dump_python(position)
    return state


def position_to_json(position: Position) -> str:
    """A position as one JSON object."""
    return to_json(dump_position(position))


def position_from_json(text: str) -> Position:
    """The reverse of `position_to_json`. Raises ValueError naming the field that does not fit."""
    return _POSITION.validate_json(text)


def record_to_json(record: Record) -> str:
    """A record as one JSON object."""
    return to_json(_RECORD.dump_python(record))


def record_from_json(text: str | bytes) -> Record:
    """The reverse of `record_to_json`. Raises ValueError naming the field that does not fit.

    Values inside free-form data (an event's, a signal's `raw`) come back as JSON has them: a Decimal there as a string.
    """
    return _RECORD.validate_json(text)

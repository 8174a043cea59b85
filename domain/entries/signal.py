"""A signal as it arrives, checked: every field that is wrong is named, and nothing of a wrong one is acted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

MAX_TEXT = 128
MAX_DIGITS = 40


class Action(StrEnum):
    """What a signal wants."""

    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True)
class UnsupportedAction:
    """A word that is none of the actions (`value`, in capitals): the signal is stored, and refused with it."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A well-formed signal. `symbol` is as it was spelled; the desk finds the instrument."""

    id: str
    symbol: str
    exchange: str
    account: str | None
    action: Action | UnsupportedAction
    score_week: Decimal | None
    score_month: Decimal | None
    wave: str | None
    created_at: datetime

    def key(self, symbol: str) -> str:
        """What makes two signals the same wish: `{symbol}:{side}:{minute}`, by the canonical symbol (SYSTEM A4)."""
        return f"{symbol}:{self.action.value}:{self.created_at:%Y-%m-%dT%H:%M}"


class MalformedSignal(Exception):
    """A signal that cannot be understood: names each wrong field with its value and the rule."""


def parse_signal(raw: object) -> Signal:
    """One signal of a frame. Raises MalformedSignal with everything that is wrong with it."""
    if not isinstance(raw, Mapping):
        raise MalformedSignal(f"signal={_shown(raw)}: must be an object")
    fields: dict[str, Any] = {}
    wrong: list[str] = []
    for name, read in _FIELDS.items():
        try:
            fields[name] = read(raw.get(name), name)
        except MalformedSignal as bad:
            wrong.append(str(bad))
    if wrong:
        raise MalformedSignal("; ".join(wrong))
    return Signal(**fields)


def _text(value: object, field: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise MalformedSignal(f"{field}={_shown(value)}: must be text")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise MalformedSignal(f"{field}={_shown(value)}: must be printable text of at most {MAX_TEXT} characters")
    return value


def _needed(value: object, field: str) -> str:
    text = _text(value, field)
    if text is None or not text.strip():
        raise MalformedSignal(f"{field}={_shown(value)}: is required")
    return text


def action_of(text: str) -> Action | UnsupportedAction:
    """What a signal wants, in any case of letters."""
    word = text.upper()
    return Action(word) if word in Action.__members__ else UnsupportedAction(word)


def _action(value: object, field: str) -> Action | UnsupportedAction:
    if not isinstance(value, str) or not value.strip():
        raise MalformedSignal(f"{field}={_shown(value)}: must be one of {', '.join(Action)}")
    return action_of(_needed(value, field))


def _number(value: object, field: str) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise MalformedSignal(f"{field}={_shown(value)}: must be a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise MalformedSignal(f"{field}={_shown(value)}: must be a number") from None
    sensible = number.is_finite() and abs(number.adjusted()) <= 20 and len(number.as_tuple().digits) <= MAX_DIGITS
    if not sensible:
        raise MalformedSignal(f"{field}={_shown(value)}: must be a finite number of sensible size")
    return number


def _time(value: object, field: str) -> datetime:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**14:
        return datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)
    if not isinstance(value, str):
        raise MalformedSignal(f"{field}={_shown(value)}: must be an ISO-8601 time or milliseconds since 1970")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise MalformedSignal(f"{field}={_shown(value)}: must carry a time zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedSignal(f"{field}={_shown(value)}: must be an ISO-8601 time") from None


_FIELDS: Mapping[str, Callable[[object, str], object]] = {
    "id": _needed,
    "symbol": _needed,
    "exchange": _needed,
    "account": _text,
    "action": _action,
    "score_week": _number,
    "score_month": _number,
    "wave": _text,
    "created_at": _time,
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

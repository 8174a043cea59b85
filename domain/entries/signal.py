"""A signal as it arrives, checked: every field that is wrong is named, and nothing of a wrong one is acted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

MAX_TEXT = 128


class Action(StrEnum):
    """What a signal wants."""

    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A well-formed signal. `symbol` is as it was spelled; the desk finds the instrument."""

    id: str
    symbol: str
    exchange: str
    account: str | None
    action: Action
    score_week: Decimal | None
    score_month: Decimal | None
    wave: str | None
    created_at: datetime

    def key(self, symbol: str) -> str:
        """What makes two signals the same wish: `{symbol}:{side}:{minute}`, by the canonical symbol (SYSTEM A4)."""
        return f"{symbol}:{self.action.value}:{self.created_at:%Y-%m-%dT%H:%M}"


class MalformedSignal(Exception):
    """A signal that cannot be understood: names the field, the value and the rule."""


def parse_signal(raw: object) -> Signal:
    """One signal of a frame. Raises MalformedSignal."""
    if not isinstance(raw, Mapping):
        raise MalformedSignal(f"signal={_shown(raw)}: must be an object")
    return Signal(
        id=_text(raw, "id", required=True) or "",
        symbol=_text(raw, "symbol", required=True) or "",
        exchange=_text(raw, "exchange", required=True) or "",
        account=_text(raw, "account"),
        action=_action(raw),
        score_week=_number(raw, "score_week"),
        score_month=_number(raw, "score_month"),
        wave=_text(raw, "wave"),
        created_at=_time(raw),
    )


def _text(raw: Mapping[str, object], field: str, *, required: bool = False) -> str | None:
    value = raw.get(field)
    if value is None or value == "":
        if required:
            raise MalformedSignal(f"{field}: missing")
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise MalformedSignal(f"{field}={_shown(value)}: must be text")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise MalformedSignal(f"{field}={_shown(value)}: must be printable text of at most {MAX_TEXT} characters")
    return value


def _action(raw: Mapping[str, object]) -> Action:
    value = raw.get("action")
    if not isinstance(value, str) or value.upper() not in Action.__members__:
        raise MalformedSignal(f"action={_shown(value)}: must be one of {', '.join(Action)}")
    return Action(value.upper())


def _number(raw: Mapping[str, object], field: str) -> Decimal | None:
    value = raw.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise MalformedSignal(f"{field}={_shown(value)}: must be a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise MalformedSignal(f"{field}={_shown(value)}: must be a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 20:
        raise MalformedSignal(f"{field}={_shown(value)}: must be a finite number of sensible size")
    return number


def _time(raw: Mapping[str, object]) -> datetime:
    value = raw.get("created_at")
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**14:
        return datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)
    if not isinstance(value, str):
        raise MalformedSignal(f"created_at={_shown(value)}: must be an ISO-8601 time or milliseconds since 1970")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise MalformedSignal(f"created_at={_shown(value)}: must be an ISO-8601 time") from None
    if moment.tzinfo is None:
        raise MalformedSignal(f"created_at={_shown(value)}: must carry a time zone")
    return moment.astimezone(UTC)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

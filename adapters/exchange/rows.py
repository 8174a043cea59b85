"""Reading the raw rows of a venue: exact decimals, exact times, and one kind of failure.

A row that lacks what it must have raises BadReply, which shows it: a wrong reading of a position is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from adapters.exchange.venue import BadReply
from domain.identity import ClientOrderId
from domain.instrument import Side

Row = Mapping[str, Any]
T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = Decimal(0)


def read(parse: Callable[..., T], row: Any, *rest: Any) -> T:
    """`parse(row, …)`, with whatever a malformed row raises turned into one BadReply that shows the row."""
    try:
        return parse(row, *rest)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation) as error:
        raise BadReply(f"{parse.__name__}: {type(error).__name__} {error} in {str(row)[:200]}") from error


def rows(reply: Any) -> list[Any]:
    """The rows of a reply that must be a list."""
    if not isinstance(reply, list):
        raise BadReply(f"a list was expected, not {str(reply)[:200]}")
    return reply


def instant(milliseconds: Any) -> datetime:
    """A venue's time stamp, exactly."""
    return EPOCH + timedelta(milliseconds=int(milliseconds))


def last_change(row: Row, key: str) -> datetime | None:
    """A time stamp of a last change. 0: there never was one, which is older than all we did; '' says nothing."""
    return None if row.get(key) in (None, "") else instant(row[key])


def stamp(at: datetime) -> int:
    """A time as whole milliseconds since 1970."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def money(row: Row, key: str) -> Decimal:
    """A required finite decimal."""
    value = Decimal(str(row[key]))
    if not value.is_finite():
        raise ValueError(f"{key}={row[key]!r}: must be finite")
    return value


def positive(row: Row, key: str) -> Decimal:
    """A required decimal above 0."""
    value = money(row, key)
    if value <= 0:
        raise ValueError(f"{key}={row[key]!r}: must be positive")
    return value


def price(row: Row, key: str) -> Decimal:
    """A required decimal that may be 0: venues say so of a contract that does not trade yet."""
    value = money(row, key)
    if value < 0:
        raise ValueError(f"{key}={row[key]!r}: must not be negative")
    return value


def optional_money(row: Row, key: str) -> Decimal | None:
    """A decimal of which absence, '' and 0 mean 'none'."""
    if row.get(key) in (None, ""):
        return None
    return money(row, key) or None


def liquidation(row: Row, key: str, quantity: Decimal, mark: Decimal | None) -> Decimal | None:
    """The price at which a position is liquidated, or None where it says none of this one.

    With long and short on one symbol a venue may show the account's price for both: for one of them it lies where the
    position gains.
    """
    at = optional_money(row, key) if quantity else None
    if at is None or mark is None:
        return at
    return at if (at < mark) is (quantity > 0) else None


def flag(value: Any) -> bool:
    """A boolean, however the venue spells it."""
    return value is True or value == "true"


def side(text: str) -> Side:
    """Side of an order, in any case of letters."""
    return Side(text.lower())


def client_id(text: str | None) -> ClientOrderId | None:
    """The client's own id, or None where there is none."""
    return ClientOrderId(text) if text else None


def respelled(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    """`row` with its short names replaced by the long ones, as far as it has them; other fields are left out."""
    return {long: row[short] for short, long in names.items() if short in row}

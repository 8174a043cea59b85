"""The latest mark prices by account and symbol: written by the market feed alone, read by anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One price; `at` is the venue's time of it, `heard_at` ours."""

    price: Decimal
    at: datetime
    heard_at: datetime


class Marks:
    """Replacing a dictionary entry is atomic: readers need no lock."""

    def __init__(self) -> None:
        """No price is known yet."""
        self._marks: dict[tuple[str, str], Mark] = {}

    def put(self, account: str, symbol: str, mark: Mark) -> None:
        """Take a newer price."""
        self._marks[account, symbol] = mark

    def get(self, account: str, symbol: str) -> Mark | None:
        """The latest price, however old."""
        return self._marks.get((account, symbol))

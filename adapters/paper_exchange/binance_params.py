"""Typed access to the parameters of a Binance request; what is missing or malformed becomes the venue's error."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from adapters.paper_exchange.binance_errors import VenueError, mandatory

_DECIMAL: Final = re.compile(r"-?\d{1,20}(\.\d{1,20})?\Z", re.ASCII)
_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}\Z", re.ASCII)
_Choice = TypeVar("_Choice", bound=StrEnum)


class Params:
    """The parameters of one request that the venue received at `now` (ms)."""

    def __init__(self, values: Mapping[str, str], now: int) -> None:
        self._values = values
        self.now = now

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def text(self, name: str) -> str:
        """A parameter that must be there."""
        value = self._values.get(name, "")
        if not value:
            raise mandatory(name)
        return value

    def text_or(self, name: str, default: str) -> str:
        """A parameter or its default."""
        return self._values.get(name) or default

    def number(self, name: str) -> Decimal:
        """An exact decimal; exponents, NaN and infinities are refused."""
        value = self.text(name)
        if not _DECIMAL.match(value):
            raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is a decimal.")
        return Decimal(value)

    def integer(self, name: str) -> int:
        """A whole number that must be there."""
        value = self.text(name)
        if not re.match(r"-?\d{1,18}\Z", value, re.ASCII):
            raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is an integer.")
        return int(value)

    def integer_or(self, name: str, default: int) -> int:
        """A whole number or its default."""
        return self.integer(name) if name in self else default

    def flag(self, name: str) -> bool:
        """A boolean, false if absent; 'true' and 'false' in any case."""
        value = self.text_or(name, "false").lower()
        if value not in ("true", "false"):
            raise VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return value == "true"

    def choice(self, name: str, choices: type[_Choice], *, code: int, message: str) -> _Choice:
        """One of an enumeration, else the error given."""
        value = self.text(name)
        try:
            return choices(value)
        except ValueError:
            raise VenueError(code, message) from None

    def choice_or(self, name: str, default: _Choice, *, code: int, message: str) -> _Choice:
        """One of the enumeration that the default belongs to, or the default."""
        return self.choice(name, type(default), code=code, message=message) if name in self else default

    def client_id(self, name: str) -> str:
        """A client id of legal form, empty if absent."""
        value = self.text_or(name, "")
        if value and not _CLIENT_ID.match(value):
            raise VenueError(
                -1100,
                f"Illegal characters found in parameter '{name}'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{{1,36}}$'.",
            )
        return value

    def limit(self, default: int, largest: int) -> int:
        """The `limit` parameter, cut to the largest."""
        asked = self.integer_or("limit", default)
        if asked <= 0:
            raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(asked, largest)

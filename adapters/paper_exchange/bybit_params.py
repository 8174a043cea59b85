"""Typed access to the parameters of a Bybit request; what is missing or malformed becomes the venue's error 10001."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from adapters.paper_exchange.bybit_errors import VenueError, invalid, not_offered, said
from adapters.paper_exchange.orders import PositionSide
from adapters.paper_exchange.wire import WireRequest

_DECIMAL: Final = re.compile(r"-?\d{1,20}(\.\d{1,20})?\Z", re.ASCII)
_LINK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}\Z", re.ASCII)
_INDEXES: Final = {0: PositionSide.BOTH, 1: PositionSide.LONG, 2: PositionSide.SHORT}


def parameters(request: WireRequest) -> dict[str, Any]:
    """The fields of the query (GET) or of the JSON body (POST); raises VenueError for a body that is no object."""
    if request.method == "GET":
        return dict(parse_qsl(request.query, keep_blank_values=True))
    try:
        found = json.loads(request.body or "{}")
    except ValueError:
        raise said(10001) from None
    if not isinstance(found, dict):
        raise said(10001)
    return found


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters as the timeline keeps them."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


class Params:
    """The parameters of one request that the venue received at `now` (ms)."""

    def __init__(self, values: Mapping[str, Any], now: int) -> None:
        self._values = values
        self.now = now

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) not in (None, "")

    def text(self, name: str) -> str:
        """A parameter that must be there; a JSON number or object is refused, as the venue does."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(name)
        return value

    def text_or(self, name: str, default: str = "") -> str:
        """A parameter or its default."""
        return self.text(name) if name in self else default

    def number(self, name: str) -> Decimal:
        """An exact decimal in a string; exponents, NaN and infinities are refused."""
        value = self.text(name)
        if not _DECIMAL.match(value):
            raise invalid(name)
        return Decimal(value)

    def integer_or(self, name: str, default: int) -> int:
        """A whole number, in JSON or in a string, or its default."""
        if name not in self:
            return default
        value = self._values[name]
        if isinstance(value, bool) or not re.match(r"-?\d{1,18}\Z", str(value), re.ASCII):
            raise invalid(name)
        return int(value)

    def flag(self, name: str) -> bool:
        """A boolean, false if absent."""
        value = self._values.get(name)
        if value in (None, "", False, "false"):
            return False
        if value in (True, "true"):
            return True
        raise invalid(name)

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        """One of some words."""
        value = self.text_or(name, default)
        if value not in choices:
            raise invalid(name)
        return value

    def link_id(self, name: str = "orderLinkId") -> str:
        """A client id of legal form, empty if absent."""
        value = self.text_or(name)
        if value and not _LINK_ID.match(value):
            raise VenueError(10001, f"params error: {name} must be 1 to 36 letters, digits, dashes and underscores")
        return value

    def position_side(self) -> PositionSide:
        """What positionIdx names."""
        side = _INDEXES.get(self.integer_or("positionIdx", 0))
        if side is None:
            raise invalid("positionIdx")
        return side

    def limit(self, default: int, largest: int) -> int:
        """The page's length."""
        asked = self.integer_or("limit", default)
        if not 1 <= asked <= largest:
            raise invalid("limit")
        return asked

    def category(self) -> None:
        """Linear contracts are all there is."""
        category = self.text("category")
        if category in ("spot", "inverse", "option"):
            raise not_offered(f"category {category}")
        if category != "linear":
            raise VenueError(10001, "Illegal category")

    def symbol(self, contracts: Mapping[str, object]) -> str:
        """A symbol that is listed."""
        symbol = self.text("symbol")
        if symbol not in contracts:
            raise invalid("symbol")
        return symbol

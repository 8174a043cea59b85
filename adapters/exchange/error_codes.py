"""What each numeric code of a venue means for a request of ours: data, no decisions (VENUES D.1 and D.2).

A code is looked up in its venue's table, never in ccxt's exception classes: those are too coarse (VENUES T18) and, for
Binance, depend on the address that was called (T7). A code that means several things is narrowed by words of its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.orders import RejectReason as Why


class Effect(StrEnum):
    """What the code says of the effect that the request had.

    NONE: certainly none. UNKNOWN: perhaps. EXISTS: the id is taken, so ask. ALREADY: the wanted state was there before.
    GONE: there is no such (open) order.
    """

    NONE = "none"
    UNKNOWN = "unknown"
    EXISTS = "exists"
    ALREADY = "already"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Meaning:
    """Why a request was refused, and what effect it had."""

    reason: Why
    effect: Effect = Effect.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """A venue's codes. `narrowed` is (code, words in lower case, what it means then), the first that fits counts."""

    meanings: Mapping[str, Meaning]
    narrowed: tuple[tuple[str, str, Meaning], ...] = ()

    def meaning(self, code: str, text: str) -> Meaning | None:
        """What `code` means in a message `text`, or None for a code that nobody has listed."""
        lower = text.lower()
        fitting = (meaning for listed, words, meaning in self.narrowed if listed == code and words in lower)
        return next(fitting, self.meanings.get(code))


def _table(*groups: tuple[Meaning, str]) -> Mapping[str, Meaning]:
    return {code: meaning for meaning, codes in groups for code in codes.split()}


_BINANCE = _table(
    (Meaning(Why.TRANSIENT, Effect.UNKNOWN), "-1000 -1001 -1006 -1007"),
    (Meaning(Why.RATE_LIMIT), "-1003 -1015"),
    (Meaning(Why.TRANSIENT), "-1008 -2020 -4131"),
    (Meaning(Why.CLOCK), "-1021 -5028"),
    (Meaning(Why.CREDENTIALS), "-1002 -1022 -2014 -2015 -2017"),
    # -4004, -4005: below or above the filter's quantity; -4014, -4023: not a multiple of tick or step.
    (Meaning(Why.PRECISION), "-1013 -1111 -4004 -4005 -4014 -4023"),
    (Meaning(Why.SYMBOL), "-1121 -4140 -4141"),
    (Meaning(Why.NO_FUNDS), "-2018 -2019"),
    (Meaning(Why.WOULD_TRIGGER), "-2021 -4142"),
    (Meaning(Why.REDUCE_ONLY), "-2022 -2024 -4118"),
    (Meaning(Why.LIMIT), "-2025 -2027 -2028 -4045 -4130 -4192 -4400"),
    (Meaning(Why.TOO_SMALL), "-4164"),
    (Meaning(Why.TRIGGERING), "-4117"),
    (Meaning(Why.DUPLICATE_ID, Effect.EXISTS), "-4116 -20132"),
    (Meaning(Why.OTHER, Effect.ALREADY), "-4046 -4059"),
    (Meaning(Why.OTHER, Effect.GONE), "-2011 -2013 -20124"),
    # -1125: the listen key is gone, a new one is needed. -2023: the position is being liquidated.
    (Meaning(Why.OTHER), "-1102 -1106 -1116 -1125 -1128 -1130 -2010 -2023 -4047 -4048 -4061 -4062 -4067 -4068"),
    (Meaning(Why.OTHER), "-4120 -4137 -4138 -5021 -5022"),
)

_BYBIT = _table(
    (Meaning(Why.TRANSIENT, Effect.UNKNOWN), "10000 5004 10016 170007"),
    (Meaning(Why.RATE_LIMIT), "10006 10018 10429 429"),
    (Meaning(Why.TRANSIENT), "110079"),
    (Meaning(Why.CLOCK), "10002"),
    (Meaning(Why.CREDENTIALS), "10003 10004 10005 10007 10010 10024 10027 10028 10029 33004"),
    (Meaning(Why.SYMBOL), "30228"),
    (Meaning(Why.NO_FUNDS), "110004 110006 110007 110012 110014 110044 110045"),
    (Meaning(Why.WOULD_TRIGGER), "110092 110093"),
    (Meaning(Why.REDUCE_ONLY), "110017 110034"),
    (Meaning(Why.LIMIT), "110003 110009 110020 110061"),
    (Meaning(Why.TOO_SMALL), "110094"),
    (Meaning(Why.DUPLICATE_ID, Effect.EXISTS), "10014 110030 110072"),
    (Meaning(Why.OTHER, Effect.ALREADY), "110025 110026 110027 110043 34036 34040 30084"),
    (Meaning(Why.OTHER, Effect.GONE), "110001 110008 110010 170213"),
    (Meaning(Why.OTHER), "10001 110024 110028 110066 30208 110090 110100 110103"),
)

BINANCE = Codes(
    meanings=_BINANCE,
    narrowed=(
        ("-2010", "insufficient", Meaning(Why.NO_FUNDS)),
        ("-1013", "notional", Meaning(Why.TOO_SMALL)),
    ),
)

BYBIT = Codes(
    meanings=_BYBIT,
    narrowed=(
        # A stop on a position that has just become flat, or taken from one that is: there is none.
        ("10001", "zero position", Meaning(Why.REDUCE_ONLY, Effect.GONE)),
        # An attached stop on the wrong side of the price that it watches; older texts of 110092 and 110093.
        ("10001", "base_price", Meaning(Why.WOULD_TRIGGER)),
        ("10001", "expect rising", Meaning(Why.WOULD_TRIGGER)),
        ("10001", "expect fal", Meaning(Why.WOULD_TRIGGER)),
        ("10001", "remains unchanged", Meaning(Why.OTHER, Effect.ALREADY)),
        ("10001", "minimum", Meaning(Why.TOO_SMALL)),
        ("10001", "qty invalid", Meaning(Why.PRECISION)),
        ("10001", "price invalid", Meaning(Why.PRECISION)),
        ("10001", "too many decimals", Meaning(Why.PRECISION)),
    ),
)

# ccxt matches some of Binance's messages by their text and then drops the code: its class is all that is left.
# NoSuchOrder is our own, for a venue that says so by an empty list.
BY_CLASS: Mapping[str, Meaning] = {
    "NoSuchOrder": Meaning(Why.OTHER, Effect.GONE),
    "OnMaintenance": Meaning(Why.MAINTENANCE),
    "RateLimitExceeded": Meaning(Why.RATE_LIMIT),
    "DDoSProtection": Meaning(Why.RATE_LIMIT),
    "AuthenticationError": Meaning(Why.CREDENTIALS),
    "InsufficientFunds": Meaning(Why.NO_FUNDS),
    "OrderNotFound": Meaning(Why.OTHER, Effect.GONE),
    "OrderImmediatelyFillable": Meaning(Why.WOULD_TRIGGER),
    "DuplicateOrderId": Meaning(Why.DUPLICATE_ID, Effect.EXISTS),
    "InvalidNonce": Meaning(Why.CLOCK),
    "BadSymbol": Meaning(Why.SYMBOL),
    "MarketClosed": Meaning(Why.SYMBOL),
    "NoChange": Meaning(Why.OTHER, Effect.ALREADY),
    "RestrictedLocation": Meaning(Why.CREDENTIALS),
    "NetworkError": Meaning(Why.TRANSIENT, Effect.UNKNOWN),
    "OperationFailed": Meaning(Why.TRANSIENT, Effect.UNKNOWN),
}

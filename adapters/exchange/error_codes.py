"""What each numeric code of a venue means for a request of ours: data, no decisions (VENUES D.1 and D.2).

A code is looked up in its venue's table, never in ccxt's exception classes: those are too coarse (VENUES T18) and, for
Binance, depend on the address that was called (T7).
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


def _table(*groups: tuple[Meaning, str]) -> Mapping[str, Meaning]:
    return {code: meaning for meaning, codes in groups for code in codes.split()}


BINANCE: Mapping[str, Meaning] = _table(
    (Meaning(Why.TRANSIENT, Effect.UNKNOWN), "-1000 -1001 -1006 -1007"),
    (Meaning(Why.RATE_LIMIT), "-1003 -1015"),
    (Meaning(Why.TRANSIENT), "-1008 -2020 -4131"),
    (Meaning(Why.CLOCK), "-1021 -5028"),
    (Meaning(Why.CREDENTIALS), "-1002 -1022 -2014 -2015 -2017"),
    (Meaning(Why.PRECISION), "-1013 -1111"),
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

BYBIT: Mapping[str, Meaning] = _table(
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

TABLES: Mapping[str, Mapping[str, Meaning]] = {"binanceusdm": BINANCE, "bybit": BYBIT}

# Codes that mean several things: the text decides. Each is (code, words in lower case, reason).
BY_TEXT: tuple[tuple[str, str, Why], ...] = (
    ("-2010", "insufficient", Why.NO_FUNDS),
    ("-1013", "notional", Why.TOO_SMALL),
    ("10001", "minimum", Why.TOO_SMALL),
)

# ccxt matches some of Binance's messages by their text and then drops the code: its class is all that is left.
BY_CLASS: Mapping[str, Meaning] = {
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

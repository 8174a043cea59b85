"""Binance USD-M: what its answers say of an account, its key and our limits. Raw rows -> facts; pure but for asking.

Not read: a dead-man switch (countdownCancelAll can be set and not asked for), and on demo trading the key's
permissions (that endpoint is the spot host's, which the demo has none of).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from adapters.exchange import binance_rows as parse
from adapters.exchange import rows as raw
from adapters.exchange.interface import Errand, Limit, RateLimit, Usage
from domain.accounts import AccountFacts, MarginMode
from domain.entries.margin import Bracket

DOMAINS: tuple[str, ...] = ("binance.com", "binancefuture.com", "binance.us", "binanceapi.com")
BAN_S = 120  # the shortest there is; the next answer names the end
# exchangeInfo's rateLimits: weight a minute and IP address, orders a minute and ten seconds and account.
_WEIGHT, _ORDERS, _ORDERS_10S = 2_400, 1_200, 300
_UNASKED = 20  # weight of our half that leaves without being asked about: protection, listen keys, leverage
_COUNTS = (
    ("X-MBX-USED-WEIGHT-1M", Limit.REQUESTS, _WEIGHT, 60),
    ("X-MBX-ORDER-COUNT-1M", Limit.ORDERS, _ORDERS, 60),
    ("X-MBX-ORDER-COUNT-10S", Limit.ORDERS, _ORDERS_10S, 10),
)
_PLACED = frozenset({Errand.PLACE})
LIMITS = (
    RateLimit(of=frozenset(Errand), weighed=True, most=_WEIGHT - 2 * _UNASKED, window_s=60, kept=10, burst=820),
    RateLimit(of=_PLACED, most=_ORDERS, window_s=60, kept=20, burst=300),
    RateLimit(of=_PLACED, most=_ORDERS_10S, window_s=10, kept=10),
)
"""The same as we keep to them; a cancel is no order."""
_MARGIN_MODES = {"CROSSED": MarginMode.CROSS, "CROSS": MarginMode.CROSS, "ISOLATED": MarginMode.ISOLATED}

Question = Callable[[Any], Awaitable[AccountFacts]]


def questions(*, demo: bool) -> Mapping[str, Question]:
    """Six requests of 57 weight in all, five on demo trading."""
    asked: dict[str, Question] = {
        "the account's configuration": _configuration,
        "the symbols' configuration": _symbols,
        "the leverage brackets": _brackets,
        "the open conditional orders": _conditional,
        "the balance": _balance,
    }
    return asked if demo else {"the key's permissions": _permissions, **asked}


async def _permissions(api: Any) -> AccountFacts:
    """GET /sapi/v1/account/apiRestrictions."""
    return raw.read(permissions, await api.sapiGetAccountApiRestrictions())


async def _configuration(api: Any) -> AccountFacts:
    """GET /fapi/v1/accountConfig."""
    return raw.read(configuration, await api.fapiPrivateGetAccountConfig())


async def _symbols(api: Any) -> AccountFacts:
    """GET /fapi/v1/symbolConfig."""
    return raw.read(symbols, raw.rows(await api.fapiPrivateGetSymbolConfig()))


async def _brackets(api: Any) -> AccountFacts:
    """GET /fapi/v1/leverageBracket."""
    return raw.read(brackets, raw.rows(await api.fapiPrivateGetLeverageBracket()))


async def _conditional(api: Any) -> AccountFacts:
    """GET /fapi/v1/openAlgoOrders."""
    return raw.read(conditional, raw.rows(await api.fapiPrivateGetOpenAlgoOrders()))


async def _balance(api: Any) -> AccountFacts:
    """GET /fapi/v3/account."""
    return raw.read(balance, await api.fapiPrivateV3GetAccount())


def permissions(row: raw.Row) -> AccountFacts:
    """The key's rights."""
    ends = row.get("tradingAuthorityExpirationTime")
    return AccountFacts(
        may_trade=_flag(row["enableFutures"]),
        may_withdraw=_flag(row["enableWithdrawals"]),
        bound_to_ip=_flag(row["ipRestrict"]),
        key_ends_at=raw.instant(ends) if ends else None,
        unsupported="a portfolio margin account" if row.get("enablePortfolioMarginTrading") is True else None,
    )


def configuration(row: raw.Row) -> AccountFacts:
    """The account's modes. That it may trade is said only when it may not: the key's own right decides."""
    may_trade = _flag(row.get("canTrade", True))
    return AccountFacts(
        hedge_mode=_flag(row["dualSidePosition"]),
        multi_asset=_flag(row.get("multiAssetsMargin", False)),
        may_trade=None if may_trade else False,
    )


def symbols(rows: Sequence[raw.Row]) -> AccountFacts:
    """Margin mode and leverage of each symbol."""
    return AccountFacts(
        margin_modes={row["symbol"]: _MARGIN_MODES[row["marginType"].upper()] for row in rows},
        leverages={row["symbol"]: int(row["leverage"]) for row in rows},
    )


def brackets(rows: Sequence[raw.Row]) -> AccountFacts:
    """The highest leverage of each symbol, that of its smallest bracket, and what each bracket keeps as margin."""
    return AccountFacts(
        most_leverages={
            row["symbol"]: max(int(bracket["initialLeverage"]) for bracket in row["brackets"]) for row in rows
        },
        brackets={row["symbol"]: tuple(_bracket(bracket) for bracket in row["brackets"]) for row in rows},
    )


def _bracket(row: raw.Row) -> Bracket:
    return Bracket(up_to=raw.money(row, "notionalCap"), rate=raw.money(row, "maintMarginRatio"))


def conditional(rows: Sequence[raw.Row]) -> AccountFacts:
    """How many conditional orders rest on each symbol, whoever placed them."""
    return AccountFacts(conditional=dict(Counter(row["symbol"] for row in rows)))


def balance(row: raw.Row) -> AccountFacts:
    """Margin balance, and where a position is open."""
    money = parse.balance(row)
    return AccountFacts(
        currency=money.currency,
        wallet=money.wallet,
        total=money.total,
        free=money.free,
        held=frozenset(each["symbol"] for each in row.get("positions", ()) if raw.money(each, "positionAmt")),
    )


def usage(headers: Mapping[str, str], at_ms: int) -> tuple[Usage, ...]:
    """The counts in an answer's headers: they begin anew with each minute or ten seconds of the venue's clock."""
    found: list[Usage] = []
    for name, limit, most, window_s in _COUNTS:
        count = headers.get(name, "")
        if count.isdecimal():
            left = window_s - at_ms / 1000 % window_s
            found.append(Usage(limit=limit, used=int(count), most=most, resets_in_s=left))
    return tuple(found)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r}: must be true or false")
    return value

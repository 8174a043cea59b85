"""Bybit v5: what its answers say of an account, its key and our limits. Raw rows -> facts; pure but for asking.

Margin mode is the whole account's. There is no question for the position mode: the rows of any symbol show it. Nothing
counts the conditional orders of an account, so they are not asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.exchange import bybit_rows as parse
from adapters.exchange.interface import Errand, Limit, RateLimit, Usage
from adapters.exchange.rows import Row, money, read
from domain.accounts import AccountFacts, MarginMode

DOMAINS: tuple[str, ...] = ("bybit.com", "bytick.com", "bybit-tr.com", "bybit.kz", "bybitgeorgia.ge", "bybit.eu")
BAN_S = 600  # 'access too frequent': VENUES D.2
CLASSIC = 1
_MARGIN_MODES = {"REGULAR_MARGIN": MarginMode.CROSS, "ISOLATED_MARGIN": MarginMode.ISOLATED}
_ERRANDS: Mapping[str, Errand] = {
    "/v5/order/create": Errand.PLACE,
    "/v5/order/amend": Errand.AMEND,
    "/v5/order/cancel": Errand.CANCEL,
    "/v5/position/trading-stop": Errand.ATTACH,
}
_AN_ADDRESS = RateLimit(of=frozenset(Errand), most=600, window_s=5, kept=15)
# Of linear contracts, unless the answers to this account say otherwise (X-Bapi-Limit).
_PATHS = tuple(RateLimit(of=frozenset({errand}), most=10, window_s=1) for errand in _ERRANDS.values())
LIMITS = (_AN_ADDRESS, *_PATHS)
"""Requests in five seconds from an address, and of each path that writes in a second: the venue's page 'Rate limit'."""
_ANY_SYMBOL = "BTCUSDT"
_ANY_IP = "*"
_TRADES = frozenset({"Order", "Position"})

Question = Callable[[Any], Awaitable[AccountFacts]]


def questions() -> Mapping[str, Question]:
    """Six requests."""
    return {
        "the key's permissions": _key,
        "the account's configuration": _configuration,
        "the position mode": _mode,
        "the open positions": _positions,
        "the dead-man switch": _dead_man,
        "the balance": _balance,
    }


async def _key(api: Any) -> AccountFacts:
    """GET /v5/user/query-api."""
    return read(key, await api.privateGetV5UserQueryApi())


async def _configuration(api: Any) -> AccountFacts:
    """GET /v5/account/info."""
    return read(configuration, await api.privateGetV5AccountInfo())


async def _mode(api: Any) -> AccountFacts:
    """GET /v5/position/list of one symbol."""
    return read(mode, await api.privateGetV5PositionList({"category": "linear", "symbol": _ANY_SYMBOL}))


async def _positions(api: Any) -> AccountFacts:
    """GET /v5/position/list of all symbols; one page holds as many positions as we expect of an account."""
    request = {"category": "linear", "settleCoin": "USDT", "limit": 200}
    return read(positions, await api.privateGetV5PositionList(request))


async def _dead_man(api: Any) -> AccountFacts:
    """GET /v5/account/query-dcp-info."""
    return read(dead_man, await api.privateGetV5AccountQueryDcpInfo())


async def _balance(api: Any) -> AccountFacts:
    """GET /v5/account/wallet-balance."""
    found = read(parse.balance, await api.privateGetV5AccountWalletBalance({"accountType": "UNIFIED", "coin": "USDT"}))
    return AccountFacts(currency=found.currency, wallet=found.wallet, total=found.total, free=found.free)


def key(reply: Row) -> AccountFacts:
    """The key's rights: stops on a position need 'Position', orders need 'Order'."""
    found = parse.result(reply)
    rights = found["permissions"]
    return AccountFacts(
        may_trade=str(found["readOnly"]) == "0" and set(rights.get("ContractTrade", ())) >= _TRADES,
        may_withdraw="Withdraw" in rights.get("Wallet", ()),
        bound_to_ip=_ANY_IP not in found.get("ips", ()),
        key_ends_at=_end(str(found.get("expiredAt") or "")),
    )


def _end(text: str) -> datetime | None:
    """A key that is bound to addresses has no end: empty, or a time before there was a venue."""
    ends = datetime.fromisoformat(text).astimezone(UTC) if text else None
    return ends if ends is not None and ends.year > 2000 else None


def configuration(reply: Row) -> AccountFacts:
    """The kind of account, and the margin mode of all its positions; portfolio margin is not supported."""
    found = parse.result(reply)
    margin = str(found.get("marginMode") or "")
    if int(found["unifiedMarginStatus"]) == CLASSIC:
        return AccountFacts(unsupported="a classic account, not a unified one")
    if margin == "PORTFOLIO_MARGIN":
        return AccountFacts(unsupported="a portfolio margin account")
    return AccountFacts(margin_mode=_MARGIN_MODES.get(margin))


def mode(reply: Row) -> AccountFacts:
    """One-way shows one row of a symbol, with index 0, hedge mode two, with 1 and 2."""
    rows, _ = parse.listed(reply)
    return AccountFacts(hedge_mode=parse.position_side(rows[0]) is not None)


def positions(reply: Row) -> AccountFacts:
    """Where a position is open, and with which leverage."""
    rows, _ = parse.listed(reply)
    held = [row for row in rows if money(row, "size")]
    return AccountFacts(
        held=frozenset(row["symbol"] for row in held),
        leverages={row["symbol"]: int(money(row, "leverage")) for row in held if row.get("leverage")},
    )


def dead_man(reply: Row) -> AccountFacts:
    """'Disconnection protect' of derivatives: it cancels orders when a private stream that asked for it is lost."""
    armed = [
        int(row["timeWindow"])
        for row in parse.result(reply)["dcpInfos"]
        if row["product"] == "DERIVATIVES" and row["dcpStatus"] == "ON"
    ]
    return AccountFacts(dead_man_s=min(armed, default=0))


def usage(headers: Mapping[str, str], at_ms: int, path: str) -> tuple[Usage, ...]:
    """The count of the path that was asked, which begins anew at the time that the answer names."""
    most, left = headers.get("X-Bapi-Limit", ""), headers.get("X-Bapi-Limit-Status", "")
    resets = headers.get("X-Bapi-Limit-Reset-Timestamp", "")
    if not (most.isdecimal() and left.isdecimal() and resets.isdecimal()):
        return ()
    resets_in_s = max(int(resets) - at_ms, 0) / 1000
    used = int(most) - int(left)
    return (
        Usage(limit=Limit.PATH, used=used, most=int(most), resets_in_s=resets_in_s, of=_ERRANDS.get(path)),
    )

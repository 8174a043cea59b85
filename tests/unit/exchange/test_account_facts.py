"""What the venues' answers say of an account, of its key and of our limits; whose money an address means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.exchange import binance_account as binance
from adapters.exchange import bybit_account as bybit
from adapters.exchange.access import AccountAccess
from adapters.exchange.accounts import realm
from adapters.exchange.interface import Errand, Limit, Usage
from domain.accounts import AccountFacts, MarginMode, Realm
from domain.entries.margin import Bracket

RIGHTS = {
    "ipRestrict": True,
    "createTime": 1698645219000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableFutures": True,
    "enablePortfolioMarginTrading": False,
}
CONFIGURATION = {
    "feeTier": 0,
    "canTrade": True,
    "canDeposit": True,
    "canWithdraw": True,
    "dualSidePosition": False,
    "multiAssetsMargin": True,
    "updateTime": 0,
}
KEY = {
    "readOnly": 0,
    "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": ["AccountTransfer"], "Spot": []},
    "ips": ["203.0.113.7"],
    "expiredAt": "2026-12-01T08:00:00Z",
    "uta": 1,
}


def bybit_reply(**result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1763458576201}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, AccountFacts(may_trade=True, may_withdraw=False, bound_to_ip=True)),
        (
            {"enableFutures": False, "enableWithdrawals": True, "ipRestrict": False},
            AccountFacts(may_trade=False, may_withdraw=True, bound_to_ip=False),
        ),
        (
            {"tradingAuthorityExpirationTime": 1793520000000, "enablePortfolioMarginTrading": True},
            AccountFacts(
                may_trade=True,
                may_withdraw=False,
                bound_to_ip=True,
                key_ends_at=datetime(2026, 11, 1, 8, tzinfo=UTC),
                unsupported="a portfolio margin account",
            ),
        ),
    ],
)
def test_binance_permissions(changes: dict[str, Any], expected: AccountFacts) -> None:
    assert binance.permissions({**RIGHTS, **changes}) == expected


def test_binance_configuration_is_the_account_not_the_key() -> None:
    facts = binance.configuration(CONFIGURATION)
    assert facts == AccountFacts(hedge_mode=False, multi_asset=True)
    assert binance.configuration({**CONFIGURATION, "dualSidePosition": True}).hedge_mode is True
    # The account's right to withdraw is everybody's; what the key may do is another question.
    assert binance.permissions(RIGHTS).joined(facts).may_withdraw is False
    barred = binance.configuration({**CONFIGURATION, "canTrade": False})
    assert binance.permissions(RIGHTS).joined(barred).may_trade is False


def test_a_flag_that_is_none_is_no_answer() -> None:
    with pytest.raises(TypeError, match="true or false"):
        binance.configuration({**CONFIGURATION, "dualSidePosition": "false"})


def test_binance_symbols_brackets_orders_and_balance() -> None:
    rows = [
        {"symbol": "BTCUSDT", "marginType": "CROSSED", "leverage": 21, "isAutoAddMargin": False},
        {"symbol": "ETHUSDT", "marginType": "ISOLATED", "leverage": 5, "isAutoAddMargin": False},
    ]
    facts = binance.symbols(rows)
    assert facts.margin_modes == {"BTCUSDT": MarginMode.CROSS, "ETHUSDT": MarginMode.ISOLATED}
    assert facts.leverages == {"BTCUSDT": 21, "ETHUSDT": 5}
    brackets = [
        {"bracket": 1, "initialLeverage": 75, "notionalCap": 10000, "maintMarginRatio": 0.0065},
        {"bracket": 2, "initialLeverage": 50, "notionalCap": 50000, "maintMarginRatio": 0.01},
    ]
    facts = binance.brackets([{"symbol": "ETHUSDT", "brackets": brackets}])
    assert facts.most_leverages == {"ETHUSDT": 75}
    assert facts.brackets == {
        "ETHUSDT": (
            Bracket(up_to=Decimal(10_000), rate=Decimal("0.0065")),
            Bracket(up_to=Decimal(50_000), rate=Decimal("0.01")),
        )
    }
    orders = [{"symbol": "BTCUSDT"}, {"symbol": "ETHUSDT"}, {"symbol": "BTCUSDT"}]
    assert binance.conditional(orders).conditional == {"BTCUSDT": 2, "ETHUSDT": 1}
    positions = [{"symbol": "BTCUSDT", "positionAmt": "-0.5"}, {"symbol": "ETHUSDT", "positionAmt": "0.000"}]
    asset = {"asset": "USDT", "walletBalance": "11", "marginBalance": "10.5", "availableBalance": "7.25"}
    money = binance.balance({"assets": [asset], "positions": positions})
    assert (money.currency, money.total, money.free) == ("USDT", Decimal("10.5"), Decimal("7.25"))
    assert money.held == frozenset({"BTCUSDT"})


def test_the_demo_has_no_question_for_permissions() -> None:
    assert binance.questions(demo=False).keys() - binance.questions(demo=True).keys() == {"the key's permissions"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (True, False, True, datetime(2026, 12, 1, 8, tzinfo=UTC))),
        ({"readOnly": 1}, (False, False, True, datetime(2026, 12, 1, 8, tzinfo=UTC))),
        ({"permissions": {"ContractTrade": ["Order"], "Wallet": ["Withdraw"]}, "ips": ["*"], "expiredAt": ""},
         (False, True, False, None)),
        ({"expiredAt": "1970-01-01T00:00:00Z"}, (True, False, True, None)),
    ],
)  # fmt: skip
def test_bybit_key(changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    facts = bybit.key(bybit_reply(**{**KEY, **changes}))
    assert (facts.may_trade, facts.may_withdraw, facts.bound_to_ip, facts.key_ends_at) == expected


@pytest.mark.parametrize(
    ("status", "margin", "expected"),
    [
        (5, "REGULAR_MARGIN", AccountFacts(margin_mode=MarginMode.CROSS)),
        (6, "ISOLATED_MARGIN", AccountFacts(margin_mode=MarginMode.ISOLATED)),
        (4, "PORTFOLIO_MARGIN", AccountFacts(unsupported="a portfolio margin account")),
        (1, "REGULAR_MARGIN", AccountFacts(unsupported="a classic account, not a unified one")),
    ],
)
def test_bybit_configuration(status: int, margin: str, expected: AccountFacts) -> None:
    assert bybit.configuration(bybit_reply(unifiedMarginStatus=status, marginMode=margin)) == expected


def test_bybit_modes_positions_and_dead_man_switch() -> None:
    one_way = [{"symbol": "BTCUSDT", "positionIdx": 0, "size": "0", "leverage": "10"}]
    hedge = [{"symbol": "BTCUSDT", "positionIdx": index, "size": "0", "leverage": "10"} for index in (1, 2)]
    assert bybit.mode(bybit_reply(list=one_way)).hedge_mode is False
    assert bybit.mode(bybit_reply(list=hedge)).hedge_mode is True
    held = [*one_way, {"symbol": "ETHUSDT", "positionIdx": 0, "size": "1.5", "leverage": "7"}]
    facts = bybit.positions(bybit_reply(list=held))
    assert (facts.held, facts.leverages) == (frozenset({"ETHUSDT"}), {"ETHUSDT": 7})
    switches = [
        {"product": "SPOT", "dcpStatus": "ON", "timeWindow": "3"},
        {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "40"},
    ]
    assert bybit.dead_man(bybit_reply(dcpInfos=switches)).dead_man_s == 40
    assert bybit.dead_man(bybit_reply(dcpInfos=[])).dead_man_s == 0


def test_binance_counts_begin_anew_with_the_minute_and_ten_seconds() -> None:
    headers = {"X-MBX-USED-WEIGHT-1M": "1201", "X-MBX-ORDER-COUNT-10S": "7", "Content-Type": "application/json"}
    assert binance.usage(headers, at_ms=120_000_000 + 45_000) == (
        Usage(limit=Limit.REQUESTS, used=1201, most=2_400, resets_in_s=15),
        Usage(limit=Limit.ORDERS, used=7, most=300, resets_in_s=5),
    )
    assert binance.usage({"X-MBX-USED-WEIGHT-1M": "many"}, at_ms=0) == ()


def test_bybit_counts_a_path_until_the_time_it_names() -> None:
    headers = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "4", "X-Bapi-Limit-Reset-Timestamp": "1763458576900"}
    counted = Usage(limit=Limit.PATH, used=6, most=10, resets_in_s=0.7)
    assert bybit.usage(headers, 1763458576200, "/v5/position/list") == (counted,)
    assert bybit.usage(headers, 1763458576200, "/v5/order/create") == (replace(counted, of=Errand.PLACE),)
    assert bybit.usage(headers, 1763458577200, "/v5/position/list")[0].resets_in_s == 0
    assert bybit.usage({"X-Bapi-Limit": "10"}, 0, "/v5/position/list") == ()


@pytest.mark.parametrize(
    ("url", "demo", "expected"),
    [
        (None, False, Realm.LIVE),
        (None, True, Realm.DEMO),
        ("https://fapi.binance.com", False, Realm.LIVE),
        ("https://demo-fapi.binance.com", False, Realm.DEMO),
        ("https://testnet.binancefuture.com", False, Realm.DEMO),
        ("https://api.bybit.com", False, Realm.LIVE),
        ("https://api-testnet.bybit.com", False, Realm.DEMO),
        ("http://127.0.0.1:8080", False, Realm.LOCAL),
        ("http://[::1]:8080", False, Realm.LOCAL),
        ("http://localhost:8080", True, Realm.LOCAL),
        ("http://10.0.0.7:8080", False, Realm.UNKNOWN),
        ("https://notbinance.com", False, Realm.UNKNOWN),
        ("https://fapi.binance.com.example.org", False, Realm.UNKNOWN),
    ],
)
def test_whose_money_an_address_means(url: str | None, demo: bool, expected: Realm) -> None:
    access = AccountAccess(account="a", exchange="x", api_key="k", secret="s", rest_url=url, demo=demo)
    assert realm(access, (*binance.DOMAINS, *bybit.DOMAINS)) is expected

"""The checks of an entry: code, figures and limits of each, and their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.entries.checks import CHECKS, judge
from domain.entries.funds import Funds
from domain.entries.margin import Bracket, Margin
from domain.entries.situation import Grant, Quote, Refusal, Rules, Situation, Slots, Wish
from domain.instrument import PositionSide
from tests.unit.domain.samples import BTC

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WISH = Wish(
    account="main",
    symbol="BTCUSDT",
    instrument=BTC,
    side=PositionSide.LONG,
    key="BTCUSDT:BUY:2026-11-21T12:00",
    created_at=NOON,
)
RULES = Rules(
    max_age_s=600,
    cooldown_s=300,
    max_positions=2,
    max_exposure_usd=D(1000),
    max_symbol_usd=D(500),
    daily_loss_usd=D(100),
    margin_reserve_pct=D(10),
    balance_good_s=90,
    spread_pct=D("0.1"),
    spread_warns=False,
    sessions=((8, 12), (12, 13)),
    stop_list=frozenset({"DOGEUSDT"}),
    allow_list=frozenset(),
)
FUNDS = Funds(wallet=D(1000), equity=D(1000), free=D(500), read_at=NOON)
ISOLATED = Margin(leverage=10, isolated=True, brackets=(Bracket(up_to=D(50_000), rate=D("0.004")),))


def granted(usd: int | str = 250, stop: int | str = 49_000) -> Grant:
    """A size worth `usd` at 50 000."""
    return Grant(quantity=D(usd) / 50_000, usd=D(usd), wanted_usd=D(usd), stop_price=D(stop))


NOW = Situation(
    now=NOON,
    closed_because=None,
    held={},
    open_positions=0,
    exposure_usd=D(0),
    last_order_at=None,
    key_seen_by=None,
    mark_price=D(50_000),
    mark_heard_at=NOON,
    foreign_quantity=None,
    granted=granted(),
    funds=FUNDS,
    margin=ISOLATED,
    quote=Quote(bid=D("49975.1"), ask=D("50025.1")),
)
ORDER = ["entries_open", "age", "idempotency", "lists", "trade_enabled", "trading", "session", "daily_loss",
         "position", "cooldown", "max_positions", "conditional_slots", "price", "sizing", "min_trade", "exposure",
         "margin", "liquidation", "spread"]  # fmt: skip


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def slots(**changes: Any) -> Slots:
    whole: dict[str, Any] = {"used": 0, "limit": 200, "used_on_symbol": 0, "limit_on_symbol": 10, "needed": 1}
    return Slots(**(whole | changes))


def refusal(wish: dict[str, Any], rules: dict[str, Any], now: dict[str, Any]) -> Refusal | None:
    return judge(replace(WISH, **wish), replace(RULES, **rules), replace(NOW, **now))[-1][1]


# Each refusal stands beside the nearest situation in which it is none.
CASES: list[tuple[str, str, dict[str, object], dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("entries_open", "entries_closed", {"reason": "lunch"}, {}, {}, {"closed_because": "lunch"}, {}),
    (
        "age", "stale_signal", {"age_s": 601, "max_age_s": 600},
        {"created_at": ago(seconds=600.001)}, {}, {}, {"wish": {"created_at": ago(seconds=600)}},
    ),
    (
        "age", "stale_signal", {"age_s": 1, "max_age_s": "0.5"},
        {"created_at": ago(seconds=0.6)}, {"max_age_s": 0.5}, {}, {"wish": {"created_at": None}},
    ),
    (
        "age", "signal_from_future", {"ahead_s": 61, "limit_s": 60},
        {"created_at": NOON + timedelta(seconds=60.5)}, {}, {}, {"wish": {"created_at": NOON + timedelta(seconds=60)}},
    ),
    (
        "idempotency", "duplicate_signal", {"signal_key": WISH.key, "existing_order_id": "7"},
        {}, {}, {"key_seen_by": "7"}, {},
    ),
    ("lists", "excluded", {"symbol": "BTCUSDT", "account": "main"}, {}, {}, {"excluded": True}, {}),
    (
        "lists", "stop_list", {"symbol": "BTCUSDT"},
        {}, {"stop_list": frozenset({"BTCUSDT"})}, {}, {},
    ),
    (
        "lists", "not_in_allow_list", {"symbol": "BTCUSDT"},
        {}, {"allow_list": frozenset({"ETHUSDT"})}, {}, {"rules": {"allow_list": frozenset({"BTCUSDT"})}},
    ),
    (
        "trade_enabled", "trade_disabled", {"symbol": "BTCUSDT", "trade_enabled": False, "source": "db"},
        {}, {"trade_enabled": False}, {}, {},
    ),
    (
        "min_trade", "below_min_trade", {"notional_usd": "250", "min_trade_usd": "250.01", "source": "db"},
        {}, {"min_trade_usd": D("250.01")}, {}, {"rules": {"min_trade_usd": D(250)}},
    ),
    (
        "trading", "symbol_not_trading", {"symbol": "BTCUSDT"},
        {"instrument": replace(BTC, trading=False)}, {}, {}, {},
    ),
    (
        "session", "outside_session", {"hour_utc": 13, "sessions": "8-12,12-13"},
        {"created_at": None}, {}, {"now": NOON + timedelta(hours=1), "mark_heard_at": NOON + timedelta(hours=1)},
        {
            "wish": {"created_at": None},
            "now": {
                "now": NOON + timedelta(minutes=59, seconds=59),
                "mark_heard_at": NOON + timedelta(hours=1),
                "funds": replace(FUNDS, read_at=NOON + timedelta(hours=1)),
            },
        },
    ),
    (
        "session", "outside_session", {"hour_utc": 7, "sessions": "8-12,12-13"},
        {"created_at": None}, {}, {"now": ago(hours=4, seconds=1), "mark_heard_at": ago(hours=5)},
        {
            "wish": {"created_at": None},
            "now": {
                "now": ago(hours=4), "mark_heard_at": ago(hours=4), "funds": replace(FUNDS, read_at=ago(hours=4)),
            },
        },
    ),
    (
        "position", "duplicate_position", {"symbol": "BTCUSDT", "side": "long"},
        {}, {}, {"held": {"BTCUSDT": LONG}}, {"now": {"held": {"ETHUSDT": LONG}}},
    ),
    (
        "position", "opposite_position", {"symbol": "BTCUSDT", "side": "short"},
        {}, {}, {"held": {"BTCUSDT": SHORT}}, {},
    ),
    (
        "position", "untracked_position", {"symbol": "BTCUSDT", "quantity": "-0.5"},
        {}, {}, {"foreign_quantity": D("-0.5")}, {"now": {"foreign_quantity": D(0)}},
    ),
    (
        "cooldown", "cooldown", {"seconds_remaining": 300, "base": "BTC", "cooldown_s": 300},
        {}, {}, {"last_order_at": NOON}, {"rules": {"cooldown_s": 0}, "now": {"last_order_at": NOON}},
    ),
    (
        "cooldown", "cooldown", {"seconds_remaining": 1, "base": "BTC", "cooldown_s": 300},
        {}, {}, {"last_order_at": ago(seconds=299.5)}, {"now": {"last_order_at": ago(seconds=300)}},
    ),
    (
        "max_positions", "too_many_positions", {"open_positions": 2, "max_positions": 2},
        {}, {}, {"open_positions": 2}, {"now": {"open_positions": 1}},
    ),
    (
        "exposure", "too_much_exposure", {"exposure_usd": "750.01", "entry_usd": "250", "max_exposure_usd": "1000"},
        {}, {}, {"exposure_usd": D("750.01")}, {"now": {"exposure_usd": D(750)}},
    ),
    (
        "exposure", "too_much_exposure", {"exposure_usd": "0", "entry_usd": "1001", "max_exposure_usd": "1000"},
        {}, {"max_symbol_usd": D(0)}, {"granted": granted(1001)},
        {"rules": {"max_exposure_usd": D(0), "max_symbol_usd": D(0)}, "now": {"granted": granted(1001)}},
    ),
    (
        "exposure", "too_much_exposure", {"exposure_usd": "0", "entry_usd": "250", "max_exposure_usd": "1"},
        {}, {"max_exposure_usd": D(1)}, {}, {},
    ),
    (
        "exposure", "too_much_on_symbol", {"exposure_usd": "250.01", "entry_usd": "250", "max_symbol_usd": "500"},
        {}, {}, {"symbol_usd": D("250.01")}, {"now": {"symbol_usd": D(250)}},
    ),
    (
        "exposure", "too_much_on_symbol", {"exposure_usd": "0", "entry_usd": "501", "max_symbol_usd": "500"},
        {}, {}, {"granted": granted(501)}, {"rules": {"max_symbol_usd": D(0)}, "now": {"granted": granted(501)}},
    ),
    (
        "daily_loss", "daily_loss", {"realized_today_usd": "-100", "daily_loss_usd": "100"},
        {}, {}, {"realized_today": D("-100.00")}, {"now": {"realized_today": D("-99.99")}},
    ),
    (
        "daily_loss", "daily_loss", {"realized_today_usd": "-5000", "daily_loss_usd": "100"},
        {}, {}, {"realized_today": D(-5000)},
        {"rules": {"daily_loss_usd": D(0)}, "now": {"realized_today": D(-5000)}},
    ),
    ("sizing", "no_atr", {"symbol": "X"}, {}, {}, {"granted": Refusal(code="no_atr", figures={"symbol": "X"})}, {}),
    ("margin", "balance_unknown", {"limit_s": "90"}, {}, {}, {"funds": None}, {}),
    (
        "margin", "stale_balance", {"age_s": "91", "limit_s": "90"},
        {}, {}, {"funds": replace(FUNDS, read_at=ago(seconds=91))},
        {"now": {"funds": replace(FUNDS, read_at=ago(seconds=90))}},
    ),
    (
        "margin", "stale_balance", {"age_s": "91", "limit_s": "90"},
        {}, {}, {"funds": replace(FUNDS, read_at=ago(seconds=-91))},
        {"now": {"funds": replace(FUNDS, read_at=ago(seconds=-90))}},
    ),
    (  # 250 / 10 + 0.12 % of 250 = 25.30, with a reserve of 10 % of 1000
        "margin", "not_enough_margin",
        {"needed_usd": "25.30", "reserve_usd": "100.00", "free_usd": "125.29", "leverage": 10},
        {}, {}, {"funds": replace(FUNDS, free=D("125.29"))}, {"now": {"funds": replace(FUNDS, free=D("125.30"))}},
    ),
    (
        "margin", "not_enough_margin",
        {"needed_usd": "25.30", "reserve_usd": "100.00", "free_usd": "125.29", "leverage": 10},
        {}, {}, {"bound_usd": D("374.71")}, {"now": {"bound_usd": D("374.70")}},
    ),
    (
        "margin", "not_enough_margin",
        {"needed_usd": "250.30", "reserve_usd": "0.00", "free_usd": "250.29", "leverage": "unknown, 1 assumed"},
        {}, {"margin_reserve_pct": D(0)}, {"funds": replace(FUNDS, free=D("250.29")), "margin": Margin(isolated=False)},
        {
            "rules": {"margin_reserve_pct": D(0)},
            "now": {"funds": replace(FUNDS, free=D("250.30")), "margin": Margin(isolated=False)},
        },
    ),
    (
        "liquidation", "leverage_unknown",
        {"symbol": "BTCUSDT", "reason": "the symbol's leverage is not known: set leverage for the account"},
        {}, {}, {"margin": Margin(isolated=True)}, {"now": {"margin": Margin(isolated=False)}},
    ),
    (  # liquidated at 50 000 * (1 - 0.1 + 0.0012 + 0.004) = 45 260; 90 % of the way there is 45 734
        "liquidation", "stop_beyond_liquidation",
        {
            "stop_price": "45734", "liquidation_price": "45260", "mark_price": "50000", "leverage": 10,
            "margin": "isolated", "limit_pct": "90",
        },
        {}, {}, {"granted": granted(stop=45_734)}, {"now": {"granted": granted(stop="45734.1")}},
    ),
    (  # 50 000 * (1 + 0.1 - 0.0012) / (1 + 0.004) = 54 721.12
        "liquidation", "stop_beyond_liquidation",
        {
            "stop_price": "54250", "liquidation_price": "54721.1", "mark_price": "50000", "leverage": 10,
            "margin": "isolated", "limit_pct": "90",
        },
        {"side": SHORT}, {}, {"granted": granted(stop=54_250)},
        {"wish": {"side": SHORT}, "now": {"granted": granted(stop=54_249)}},
    ),
    (  # all that is free stands behind it: 130 of 250 are 52 %; 0.12 % go to fees, 1 / 20 has to stay
        "liquidation", "stop_beyond_liquidation",
        {
            "stop_price": "25000", "liquidation_price": "26560", "mark_price": "50000", "leverage": 10,
            "margin": "cross", "limit_pct": "90",
        },
        {}, {},
        {
            "granted": granted(stop=25_000), "funds": replace(FUNDS, free=D(230)), "bound_usd": D(100),
            "margin": replace(ISOLATED, isolated=False, brackets=()),
        },
        {"now": {"granted": granted(stop=25_000), "margin": replace(ISOLATED, isolated=False, brackets=())}},
    ),
    (  # 50.01 of 50 000.005 are 0.10002 %
        "spread", "spread_too_wide",
        {"symbol": "BTCUSDT", "bid": "49975", "ask": "50025.01", "spread_pct": "0.1000", "limit_pct": "0.1"},
        {}, {}, {"quote": Quote(bid=D(49_975), ask=D("50025.01"))},
        {"now": {"quote": Quote(bid=D(49_975), ask=D(50_025))}},
    ),
    (
        "spread", "spread_too_wide",
        {"symbol": "BTCUSDT", "bid": "1", "ask": "3", "spread_pct": "100.0000", "limit_pct": "0.1"},
        {}, {}, {"quote": Quote(bid=D(1), ask=D(3))},
        {"rules": {"spread_warns": True}, "now": {"quote": Quote(bid=D(1), ask=D(3))}},
    ),
    (
        "spread", "no_bid_ask", {"symbol": "BTCUSDT", "bid": "0", "ask": "3"},
        {}, {}, {"quote": Quote(bid=D(0), ask=D(3))}, {"rules": {"spread_pct": D(0)}, "now": {"quote": None}},
    ),
    (
        "spread", "no_bid_ask", {"symbol": "BTCUSDT", "bid": "3", "ask": "2"},
        {}, {}, {"quote": Quote(bid=D(3), ask=D(2))}, {"now": {"quote": Quote(bid=D(3), ask=D(3))}},
    ),
    (
        "spread", "no_bid_ask", {"error": "timed out"},
        {}, {}, {"quote": Refusal(code="no_bid_ask", figures={"error": "timed out"})},
        {"rules": {"spread_warns": True}, "now": {"quote": Refusal(code="no_bid_ask")}},
    ),
    (
        "conditional_slots", "no_conditional_slots",
        {"on": "account", "used": 188, "needed": 3, "reserve": 10, "limit": 200},
        {}, {}, {"slots": slots(used=188, needed=3)}, {"now": {"slots": slots(used=187, needed=3)}},
    ),
    (
        "conditional_slots", "no_conditional_slots",
        {"on": "BTCUSDT", "used": 9, "needed": 1, "reserve": 1, "limit": 10},
        {}, {}, {"slots": slots(used_on_symbol=9)}, {"now": {"slots": slots(used_on_symbol=8)}},
    ),
    (
        "conditional_slots", "no_conditional_slots",
        {"on": "account", "used": 500, "needed": 1, "reserve": 10, "limit": 200},
        {}, {}, {"slots": slots(used=500)}, {"now": {"slots": slots(used=500, limit=None)}},
    ),
    (
        "conditional_slots", "no_conditional_slots",
        {"on": "account", "used": 200, "needed": 1, "reserve": 10, "limit": 200},
        {}, {}, {"slots": slots(used=200)}, {"now": {"slots": slots(used=200, needed=0)}},
    ),
    ("price", "no_mark_price", {"symbol": "BTCUSDT"}, {}, {}, {"mark_price": None}, {}),
    (
        "price", "stale_mark_price", {"age_s": 16, "limit_s": 15},
        {}, {}, {"mark_heard_at": ago(seconds=15.1)}, {"now": {"mark_heard_at": ago(seconds=15)}},
    ),
    (  # the clock was set back: how old it is nobody knows
        "price", "stale_mark_price", {"age_s": 3600, "limit_s": 15},
        {}, {}, {"mark_heard_at": ago(seconds=-3600)}, {"now": {"mark_heard_at": ago(seconds=-15)}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "code", "figures", "wish", "rules", "now", "near"), CASES)
def test_refused_with_code_and_figures_at_its_limit(
    check: str,
    code: str,
    figures: dict[str, object],
    wish: dict[str, Any],
    rules: dict[str, Any],
    now: dict[str, Any],
    near: dict[str, dict[str, Any]],
) -> None:
    found = judge(replace(WISH, **wish), replace(RULES, **rules), replace(NOW, **now))
    assert [name for name, refused in found if refused is not None] == [check]
    assert found[-1][1] == Refusal(code=code, figures=figures)
    assert refusal(near.get("wish", {}), near.get("rules", {}), near.get("now", {})) is None


def test_all_is_well() -> None:
    assert [name for name, _ in judge(WISH, RULES, NOW)] == ORDER
    assert all(found is None for _, found in judge(WISH, RULES, NOW))


def test_without_a_size_yet_only_what_comes_before_it_is_judged() -> None:
    found = judge(WISH, RULES, replace(NOW, granted=None, funds=None))
    assert [name for name, _ in found] == ORDER[: ORDER.index("sizing")]
    assert all(refused is None for _, refused in found)


def test_every_check_is_in_the_table() -> None:
    assert {case[0] for case in CASES} == {name for name, _ in CHECKS}


@given(st.sets(st.sampled_from(ORDER), min_size=1))
def test_the_first_of_several_reasons_is_told(reasons: set[str]) -> None:
    """In the order in which what costs nothing and explains most comes first."""
    wish: dict[str, Any] = {}
    rules: dict[str, Any] = {}
    now: dict[str, Any] = {}
    for name in reasons:
        if name == "session":
            rules["sessions"] = ((0, 1),)
            continue
        case = next(case for case in CASES if case[0] == name)
        wish, rules, now = wish | case[3], rules | case[4], now | case[5]
    found = judge(replace(WISH, **wish), replace(RULES, **rules), replace(NOW, **now))
    assert [name for name, refused in found if refused is not None] == [min(reasons, key=ORDER.index)]

"""What is wrong with an account, from facts alone: each rule at its limit, in words that say what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import AccountFacts, Expected, MarginMode, Realm, Unread, judge, refusal
from domain.catalogue import Severity
from domain.orders import RejectReason

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CROSS, ISOLATED = MarginMode.CROSS, MarginMode.ISOLATED
FINE = AccountFacts(
    read_at=NOW,
    may_trade=True,
    may_withdraw=False,
    bound_to_ip=True,
    hedge_mode=False,
    multi_asset=False,
    margin_modes={"BTCUSDT": CROSS, "ETHUSDT": CROSS, "XYZUSDC": ISOLATED},
    leverages={"BTCUSDT": 20, "ETHUSDT": 20},
    most_leverages={"BTCUSDT": 125, "ETHUSDT": 50, "XYZUSDC": 5},
    dead_man_s=0,
    clock_ahead_ms=3,
    conditional={"BTCUSDT": 2},
    conditional_limit=200,
    held=frozenset(),
    currency="USDT",
    total=Decimal(100),
    free=Decimal(60),
)
EXPECTED = Expected(account="main", mode="live", realm=Realm.LIVE, symbols=frozenset({"BTCUSDT", "ETHUSDT"}))


def unread(reason: RejectReason, code: str = "-2015") -> Unread:
    return Unread(question="the balance", reason=reason, code=code, text="no words")


def codes(facts: AccountFacts = FINE, expected: Expected = EXPECTED) -> dict[str, Severity]:
    return {finding.code: finding.severity for finding in judge(facts, expected)}


def test_an_account_as_it_should_be() -> None:
    assert judge(FINE, EXPECTED) == ()
    assert refusal(()) is None


C, W = Severity.CRITICAL, Severity.WARNING
# What is found, with what is changed in the facts and in what is expected, and the nearest case that is fine.
CASES: list[tuple[str, Severity, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("may_not_trade", C, {"may_trade": False}, {}, {"may_trade": None}, {}),
    ("may_withdraw", W, {"may_withdraw": True}, {}, {"may_withdraw": None}, {}),
    ("key_for_any_ip", W, {"bound_to_ip": False}, {}, {"bound_to_ip": None}, {}),
    (
        "key_ends", W, {"key_ends_at": NOW + timedelta(days=13, hours=23)}, {},
        {"key_ends_at": NOW + timedelta(days=14)}, {},
    ),
    ("account_kind", C, {"unsupported": "a classic account"}, {}, {}, {}),
    ("position_mode", C, {"hedge_mode": True}, {}, {"hedge_mode": True}, {"hedge_mode": True}),
    ("position_mode", C, {}, {"hedge_mode": True}, {}, {}),
    ("margin_mode", C, {}, {"margin_mode": ISOLATED}, {}, {"margin_mode": CROSS}),
    (
        "margin_mode", W, {"margin_modes": {"BTCUSDT": ISOLATED, "ETHUSDT": CROSS}}, {"margin_mode": CROSS},
        {"margin_modes": {"BTCUSDT": ISOLATED, "ETHUSDT": CROSS}}, {},
    ),
    (
        "margin_mode", C, {"margin_modes": None, "margin_mode": CROSS}, {"margin_mode": ISOLATED},
        {"margin_modes": None, "margin_mode": ISOLATED}, {"margin_mode": ISOLATED},
    ),
    (
        "multi_asset", C, {"multi_asset": True, "margin_modes": None}, {"margin_mode": ISOLATED},
        {"multi_asset": True}, {"margin_mode": CROSS},
    ),
    ("leverage_too_high", W, {}, {"leverage": 51}, {}, {"leverage": 50}),
    ("leverage_too_high", C, {}, {"leverage": 126}, {}, {"leverage": 0}),
    (
        "leverage_kept", W, {"held": frozenset({"BTCUSDT"})}, {"leverage": 5},
        {"held": frozenset({"BTCUSDT"})}, {"leverage": 20},
    ),
    ("dead_man_switch", W, {"dead_man_s": 10}, {}, {"dead_man_s": None}, {}),
    ("clock_skew", W, {"clock_ahead_ms": -1001}, {}, {"clock_ahead_ms": -1000}, {}),
    ("clock_skew", C, {"clock_ahead_ms": 2001}, {}, {"clock_ahead_ms": 1000}, {}),
    ("no_conditional_slots", W, {"conditional": {"A": 190}}, {}, {"conditional": {"A": 189}}, {}),
    (
        "no_conditional_slots", W, {"conditional": {"A": 100, "B": 90}}, {},
        {"conditional": {"A": 190}, "conditional_limit": None}, {},
    ),
    ("no_free_margin", W, {"free": Decimal(0)}, {}, {"free": Decimal("0.01")}, {}),
    ("not_read", W, {"unread": (unread(RejectReason.TRANSIENT),)}, {}, {}, {}),
    ("mode_unknown", C, {"hedge_mode": None}, {}, {}, {}),
    ("key_refused", C, {"unread": (unread(RejectReason.CREDENTIALS),)}, {}, {}, {}),
    ("live_address", C, {}, {"mode": "paper"}, {}, {"mode": "paper", "realm": Realm.LOCAL}),
    ("live_address", C, {}, {"mode": "testnet"}, {}, {"mode": "testnet", "realm": Realm.DEMO}),
    ("demo_address", C, {}, {"realm": Realm.DEMO}, {}, {"mode": "testnet", "realm": Realm.LOCAL}),
    ("demo_address", C, {}, {"mode": "paper", "realm": Realm.DEMO}, {}, {"mode": "paper", "realm": Realm.UNKNOWN}),
    ("local_address", W, {}, {"realm": Realm.LOCAL}, {}, {"realm": Realm.UNKNOWN}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "severity", "facts", "expected", "near", "near_expected"), CASES)
def test_found_at_its_limit_and_not_before(
    code: str,
    severity: Severity,
    facts: dict[str, Any],
    expected: dict[str, Any],
    near: dict[str, Any],
    near_expected: dict[str, Any],
) -> None:
    assert codes(replace(FINE, **facts), replace(EXPECTED, **expected)) == {code: severity}
    assert codes(replace(FINE, **near), replace(EXPECTED, **near_expected)) == {}


def test_only_what_is_critical_refuses_and_it_is_said_first() -> None:
    facts = replace(FINE, may_withdraw=True, hedge_mode=True, clock_ahead_ms=9_000)
    findings = judge(facts, EXPECTED)
    assert [finding.severity for finding in findings] == [C, C, W]
    reason = refusal(findings)
    assert reason is not None
    assert "one-way" in reason
    assert "9000 ms ahead" in reason
    assert "withdraw" not in reason


def test_the_words_say_what_to_switch_and_that_we_never_do() -> None:
    (finding,) = judge(replace(FINE, hedge_mode=True), EXPECTED)
    assert "accounts.main.hedge_mode" in finding.text
    assert "switch the account to one-way mode" in finding.text
    assert "never switches" in finding.text
    assert finding.figures == {"account_hedge_mode": True, "expected_hedge_mode": False}


def test_a_refused_key_is_said_once_and_hides_no_other_finding() -> None:
    refused = unread(RejectReason.CREDENTIALS)
    facts = replace(FINE, hedge_mode=None, unread=(refused, refused, unread(RejectReason.TRANSIENT)), dead_man_s=10)
    assert [finding.code for finding in judge(facts, EXPECTED)] == ["key_refused", "dead_man_switch", "not_read"]


def test_symbols_that_are_not_entered_are_not_looked_at() -> None:
    assert codes(FINE, replace(EXPECTED, margin_mode=CROSS)) == {}
    assert codes(FINE, replace(EXPECTED, margin_mode=CROSS, symbols=frozenset())) == {"margin_mode": W}


def test_many_symbols_are_counted_not_listed() -> None:
    modes = dict.fromkeys((f"A{n:03}USDT" for n in range(100)), ISOLATED)
    (finding,) = judge(
        replace(FINE, margin_modes={**modes, "BTCUSDT": CROSS}),
        replace(EXPECTED, margin_mode=CROSS, symbols=frozenset()),
    )
    assert "A000USDT, A001USDT, A002USDT and 97 more" in finding.text
    assert finding.figures["symbols"] == 100


@given(
    st.builds(
        AccountFacts,
        hedge_mode=st.none() | st.booleans(),
        may_trade=st.none() | st.booleans(),
        clock_ahead_ms=st.none() | st.integers(-10_000, 10_000),
        free=st.none() | st.decimals(0, 10, places=2),
        total=st.none() | st.decimals(0, 10, places=2),
        dead_man_s=st.none() | st.integers(0, 100),
    )
)
def test_what_joins_is_never_forgotten(facts: AccountFacts) -> None:
    """Facts of one answer survive whatever another answer does not know."""
    assert facts.joined(AccountFacts()) == facts
    assert AccountFacts().joined(facts) == facts
    for order in (facts.joined(AccountFacts(bound_to_ip=True)), AccountFacts(bound_to_ip=True).joined(facts)):
        assert order == replace(facts, bound_to_ip=True)

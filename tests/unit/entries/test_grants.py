"""Sizes and first stops: by money, by the balance, by the market's range; what an operator asks for comes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.entries.funds import Funds, Wallet, known
from domain.entries.margin import Bracket, Margin, liquidation_price, maintenance_rate
from domain.entries.situation import Grant, Refusal, Wish
from domain.entries.sizing import Asked, Method, Sizing, Stops, balance_of, grant
from domain.instrument import Instrument, PositionSide
from tests.unit.domain.samples import BTC

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FUNDS = Funds(wallet=D(9000), equity=D(10_000), free=D(4000), read_at=NOON)
STOPS = Stops(usual_pct=D(2), farthest_pct=D(10))


def wish(side: PositionSide = LONG, instrument: Instrument = BTC) -> Wish:
    return Wish(account="main", symbol="BTCUSDT", instrument=instrument, side=side, key=None, created_at=None)


def granted(method: Method, side: PositionSide = LONG, asked: Asked | None = None, **more: Any) -> Grant | Refusal:
    values: dict[str, Any] = {"price": D(50_000), "balance": FUNDS, "atr": None, **more}
    return grant(wish(side), asked or Asked(), Sizing(method=method), STOPS, **values)


def test_a_fixed_amount_needs_no_balance() -> None:
    said = granted(Method.USD, balance=Refusal(code="balance_unknown"))
    assert said == Grant(quantity=D("0.005"), usd=D(250), wanted_usd=D(250), stop_price=D(49_000))


def test_a_percentage_is_one_of_the_equity_not_of_what_is_free() -> None:
    said = granted(Method.PERCENT)  # 2 % of 10 000
    assert said == Grant(quantity=D("0.004"), usd=D(200), wanted_usd=D(200), stop_price=D(49_000))


@pytest.mark.parametrize("method", [Method.PERCENT, Method.ATR])
def test_no_size_by_a_balance_that_is_not_known(method: Method) -> None:
    said = granted(method, balance=Refusal(code="balance_unknown", figures={"limit_s": "90"}), atr=D(500))
    assert said == Refusal(code="balance_unknown", figures={"limit_s": "90"})


def test_no_size_by_an_empty_balance() -> None:
    said = granted(Method.PERCENT, balance=replace(FUNDS, equity=D(0)))
    assert said == Refusal(code="no_balance", figures={"equity_usd": "0"})


@pytest.mark.parametrize(("side", "stop"), [(LONG, D(49_000)), (SHORT, D(51_000))])
def test_the_stop_by_atr_loses_what_is_risked(side: PositionSide, stop: Decimal) -> None:
    said = granted(Method.ATR, side, atr=D(500))  # 1 % of 10 000 over twice 500: 0.1, worth 5000, 2 % away
    assert said == Grant(quantity=D("0.100"), usd=D(5000), wanted_usd=D(5000), stop_price=stop, stop_pct=D(2))


def test_a_stop_by_atr_beyond_the_emergency_stop_is_refused_with_the_figures() -> None:
    said = granted(Method.ATR, atr=D("2500.01"))
    assert said == Refusal(
        code="stop_too_far",
        figures={
            "equity_usd": "10000", "risk_pct": "1", "atr": "2500.01", "distance": "5000.02",
            "stop_pct": "10.00004", "farthest_pct": "10",
        },
    )  # fmt: skip
    assert isinstance(granted(Method.ATR, atr=D(2500)), Grant)


def test_a_minimum_that_is_too_high_says_by_which_balance() -> None:
    said = granted(Method.PERCENT, balance=replace(FUNDS, equity=D(1000)))  # 20, and 100 is the least
    assert isinstance(said, Refusal)
    assert (said.code, said.figures["equity_usd"], said.figures["usd"]) == ("below_minimum", "1000", D(20))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"usd": D(500)}, {"quantity": D("0.010"), "usd": D(500), "stop_price": D(49_000), "stop_pct": None}),
        ({"quantity": D("0.1")}, {"quantity": D("0.1"), "usd": D(5000), "stop_price": D(49_000), "stop_pct": None}),
        ({"usd": D(500), "stop_pct": D(1)}, {"quantity": D("0.010"), "stop_price": D(49_500), "stop_pct": D(1)}),
        ({"usd": D(500), "stop_price": D(48_000)}, {"stop_price": D(48_000), "stop_pct": None}),
    ],
)
def test_an_operators_own_figures_come_before_the_settings(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    given_ = Asked(**asked)
    assert not given_.by_atr(Sizing(method=Method.ATR))
    said = granted(Method.ATR, asked=given_, balance=Refusal(code="balance_unknown"))
    assert isinstance(said, Grant)
    assert {name: getattr(said, name) for name in expected} == expected


def test_a_balance_is_good_for_so_long() -> None:
    assert balance_of(FUNDS, NOON + timedelta(seconds=90), 90) == FUNDS
    old = balance_of(FUNDS, NOON + timedelta(seconds=91), 90)
    assert old == Refusal(code="stale_balance", figures={"age_s": "91", "limit_s": "90"})
    assert balance_of(None, NOON, 90) == Refusal(code="balance_unknown", figures={"limit_s": "90"})


def test_the_newest_word_on_the_money_counts() -> None:
    later, earlier = NOON + timedelta(seconds=1), NOON - timedelta(seconds=1)
    assert known(None, None) is None
    assert known(None, Wallet(wallet=D(1), heard_at=NOON)) is None  # the wallet alone says nothing of the equity
    assert known(FUNDS, Wallet(wallet=D(1), heard_at=earlier)) == FUNDS
    lost = known(FUNDS, Wallet(wallet=D(8900), heard_at=later))
    assert lost == Funds(wallet=D(8900), equity=D(9900), free=D(3900), read_at=NOON)  # no newer than it was
    whole = Wallet(wallet=D(5), equity=D(6), free=D(4), heard_at=later)
    assert known(FUNDS, whole) == known(None, whole) == Funds(wallet=D(5), equity=D(6), free=D(4), read_at=later)


def test_the_maintenance_rate_is_the_brackets_or_the_highest_that_the_leverage_allows() -> None:
    brackets = (Bracket(up_to=D(1000), rate=D("0.01")), Bracket(up_to=D(100), rate=D("0.005")))
    known_ = Margin(leverage=10, brackets=brackets)
    assert [maintenance_rate(known_, D(usd)) for usd in (100, 101, 1000)] == [D("0.005"), D("0.01"), D("0.01")]
    assert maintenance_rate(known_, D(1001)) == maintenance_rate(Margin(leverage=10), D(1)) == D("0.05")
    assert maintenance_rate(Margin(), D(1)) == D("0.5")


positive = st.decimals("0.0001", "1000000", places=4)
steps = st.sampled_from([D("0.001"), D("0.01"), D(1), D(10), D("0.0025")])


@given(
    method=st.sampled_from(list(Method)),
    side=st.sampled_from(list(PositionSide)),
    equity=positive,
    price=positive,
    atr=positive,
    step=steps,
    least=st.decimals("0.001", "100", places=3),
    notional=st.decimals(0, 100, places=2),
    overshoot=st.decimals(0, 50, places=1),
)
def test_never_above_what_is_wanted_and_the_overshoot_never_off_the_step_never_below_the_minimum(
    method: Method,
    side: PositionSide,
    equity: Decimal,
    price: Decimal,
    atr: Decimal,
    step: Decimal,
    least: Decimal,
    notional: Decimal,
    overshoot: Decimal,
) -> None:
    venue = replace(BTC, step=step, min_quantity=least, min_notional=notional, max_market_quantity=D(10) ** 7)
    sizing = Sizing(method=method, overshoot_pct=overshoot)
    balance = replace(FUNDS, equity=equity)
    said = grant(wish(side, venue), Asked(), sizing, STOPS, price, balance, atr)
    wanted = {
        Method.USD: D(250),
        Method.PERCENT: equity * 2 / 100,
        Method.ATR: equity / 100 / (2 * atr) * price,
    }[method]
    assume(isinstance(said, Grant))
    assert isinstance(said, Grant)
    assert said.quantity > 0
    assert said.quantity % step == 0
    assert said.quantity >= least
    assert said.usd == said.quantity * price >= notional
    allowed = wanted * (1 + overshoot / 100)
    assert said.usd <= allowed * (1 + D("1e-20"))
    assert side.better(price, said.stop_price) or said.stop_price == price
    if method is Method.ATR:  # what the stop would lose is the risk that was set, the overshoot included
        lost = abs(price - said.stop_price) * said.quantity
        assert lost <= equity / 100 * (1 + overshoot / 100) + said.usd * D("1e-8")


@given(
    side=st.sampled_from(list(PositionSide)),
    leverage=st.integers(1, 125),
    price=positive,
    quantity=positive,
    rate=st.decimals("0.001", "0.5", places=3),
)
def test_the_estimate_is_never_farther_than_the_venues_own_formula(
    side: PositionSide, leverage: int, price: Decimal, quantity: Decimal, rate: Decimal
) -> None:
    assume(rate < D(1) / leverage)
    value = price * quantity
    margin = Margin(leverage=leverage, isolated=True, brackets=(Bracket(up_to=value, rate=rate),))
    found = liquidation_price(margin, side, price, quantity, D(0))
    # Binance's, with wallet = the isolated margin, one position, and no maintenance amount.
    exact = (value / leverage - side.sign * value) / (quantity * rate - side.sign * quantity)
    if found is None:
        assert exact <= 0
    else:
        assert not side.better(exact, found) or exact == found

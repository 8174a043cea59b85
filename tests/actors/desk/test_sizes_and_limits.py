"""Sizes by the balance and by the market's range, and the limits that hang on money, at the desk itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors import messages
from actors.entry_desk import NOT_YET
from actors.messages import AskMarkCandles, AskQuote, MarkCandles, QuoteHeard
from actors.standing import Standing
from domain.accounts import AccountFacts, MarginMode
from domain.entries.funds import Funds
from domain.entries.situation import Quote
from domain.entries.sizing import Method, Sizing
from domain.market.atr import AtrRules
from tests.actors.desk.scene import D, Scene
from tests.actors.desk.test_plans import candles, signal
from tests.persistence import samples

GATEWAY = messages.gateway("main")


def standing(*, equity: int = 10_000, age_s: float = 0, **facts: Any) -> Standing:
    """An account that was read `age_s` ago."""
    found = Standing()
    found.found(AccountFacts(**{"margin_mode": MarginMode.CROSS, **facts}), (), None)
    read_at = datetime.now(UTC) - timedelta(seconds=age_s)
    found.funds_read(Funds(wallet=D(equity), equity=D(equity), free=D(equity), read_at=read_at))
    return found


def account(read: Standing) -> dict[str, Any]:
    return {"main": {"standing": read}}


def test_a_size_in_per_cent_of_the_equity(scene: Scene) -> None:
    scene.desk(accounts=account(standing(equity=20_000)), sizing=Sizing(method=Method.PERCENT))
    scene.store(signal())
    row = scene.outcome("1")
    assert row["outcome"] == "opened"
    assert row["outcome_figures"] == {"quantity": "0.008", "price": "50000", "usd": "400", "notional": "400"}


def test_a_size_by_atr_waits_for_the_candles_and_its_stop_loses_what_is_risked(scene: Scene) -> None:
    scene.desk(sizing=Sizing(method=Method.ATR, risk_pct=D("0.1")), atr=AtrRules(period=3, candle_minutes=60))
    scene.store(signal())
    asked = scene.heard[GATEWAY].wait(AskMarkCandles)
    assert scene.owned() == ()
    told = MarkCandles(account="main", symbol=asked.symbol, candles=candles(8, spread=500))
    scene.stage.tell(asked.reply_to, told)
    assert scene.outcome("1")["outcome"] == "opened"
    (position,) = scene.owned()
    assert position.plan.quantity == D("0.010")  # 0.1 % of 10 000 over a stop at twice 500
    assert position.plan.protection.stop_pct == D(2)


def test_what_refuses_before_a_size_needs_no_candles(scene: Scene) -> None:
    scene.desk(sizing=Sizing(method=Method.ATR), rules={"stop_list": frozenset({"BTCUSDT"})})
    scene.store(signal())
    assert scene.outcome("1")["outcome"] == "stop_list"
    assert scene.heard[GATEWAY].of(AskMarkCandles) == []


def test_a_balance_that_is_too_old_refuses(scene: Scene) -> None:
    scene.desk(accounts=account(standing(age_s=91)))
    refused = scene.by_hand()
    assert (refused.code, refused.figures["limit_s"]) == ("stale_balance", "90")


def test_entries_that_the_balance_does_not_know_of_yet_are_counted(scene: Scene) -> None:
    """2000 at tenfold leverage are 202.40 with fees; of 500, 25 are kept in reserve."""
    read = standing(equity=500, leverages={"BTCUSDT": 10, "ETHUSDT": 10})
    scene.desk(accounts=account(read))
    assert scene.by_hand("BTCUSDT", usd=D(2000)).symbol == "BTCUSDT"
    refused = scene.by_hand("ETHUSDT", usd=D(3000))
    assert refused.code == "not_enough_margin"
    assert refused.figures == {"needed_usd": "303.60", "reserve_usd": "25.00", "free_usd": "297.60", "leverage": 10}
    assert scene.by_hand("ETHUSDT", usd=D(2000)).symbol == "ETHUSDT"


def test_the_leverage_that_is_set_before_an_entry_counts(scene: Scene) -> None:
    read = standing(margin_mode=MarginMode.ISOLATED, leverages={"BTCUSDT": 5})
    scene.desk(accounts=account(read), leverage=50)
    refused = scene.by_hand()
    assert (refused.code, refused.figures["leverage"]) == ("stop_beyond_liquidation", 50)


@pytest.mark.parametrize(("lost", "outcome"), [(D(-100), "daily_loss"), (D("-99.93"), "opened")])
def test_what_was_lost_today_is_read_from_the_book(scene: Scene, lost: Any, outcome: str) -> None:
    """0.06 of fees on top; what was lost yesterday, or on another account, is no matter."""
    scene.desk(rules={"daily_loss_usd": D(100)})
    today = datetime.now(UTC)
    scene.add_trades(
        samples.trade("t-1", realized_pnl=lost + D("0.03"), fee=D("0.03"), at=today),
        samples.trade("t-2", realized_pnl=D(0), fee=D("0.03"), at=today),
        samples.trade("t-3", realized_pnl=D(-1000), fee=D(0), at=today - timedelta(days=1)),
        replace(samples.trade("t-4", realized_pnl=D(-1000), fee=D(0), at=today), account="second"),
    )
    scene.store(signal())
    assert scene.outcome("1")["outcome"] == outcome


def answered(scene: Scene, bid: str | None, ask: str | None) -> None:
    """The gateway's answer to the desk's next question about bid and ask."""
    asked = scene.heard[GATEWAY].wait(AskQuote)
    scene.heard[GATEWAY].clear()
    quote = None if bid is None or ask is None else Quote(bid=D(bid), ask=D(ask))
    error = "timed out" if quote is None else None
    scene.stage.tell(asked.reply_to, QuoteHeard(account="main", symbol=asked.symbol, quote=quote, error=error))


@pytest.mark.parametrize(
    ("bid", "ask", "outcome"),
    [("49980", "50020", "opened"), ("49900", "50020", "spread_too_wide"), (None, None, "no_bid_ask")],
)
def test_an_entry_waits_for_bid_and_ask_and_is_judged_by_them(
    scene: Scene, bid: str | None, ask: str | None, outcome: str
) -> None:
    scene.desk(rules={"spread_pct": D("0.1")})
    scene.store(signal())
    answered(scene, bid, ask)
    row = scene.outcome("1")
    assert row["outcome"] == outcome
    if outcome == "spread_too_wide":
        assert row["outcome_figures"] == {
            "symbol": "BTCUSDT", "bid": "49900", "ask": "50020", "spread_pct": "0.2402", "limit_pct": "0.1",
        }  # fmt: skip
    if outcome == "no_bid_ask":
        assert row["outcome_figures"] == {"symbol": "BTCUSDT", "error": "timed out"}


@pytest.mark.parametrize(("bid", "ask", "code"), [("49900", "50020", "spread_too_wide"), (None, None, "no_bid_ask")])
def test_where_a_wide_spread_only_warns_the_entry_goes_on(
    scene: Scene, lines: list[str], bid: str | None, ask: str | None, code: str
) -> None:
    scene.desk(rules={"spread_pct": D("0.1"), "spread_warns": True})
    scene.store(signal())
    answered(scene, bid, ask)
    assert scene.outcome("1")["outcome"] == "opened"
    (said,) = [line for line in lines if "SPREAD_WIDE" in line]
    assert said.startswith("WARNING SPREAD_WIDE")
    assert f"code={code}" in said


def test_who_is_refused_anyway_costs_no_question(scene: Scene) -> None:
    scene.desk(rules={"spread_pct": D("0.1"), "max_exposure_usd": D(10)})
    scene.store(signal())
    assert scene.outcome("1")["outcome"] == "too_much_exposure"
    assert scene.heard[GATEWAY].of(AskQuote) == []


def test_an_operator_is_told_once_bid_and_ask_are_known(scene: Scene) -> None:
    scene.desk(rules={"spread_pct": D("0.1")})
    assert scene.by_hand().code == NOT_YET
    answered(scene, "49980", "50020")
    assert scene.by_hand().symbol == "BTCUSDT"

"""The built-in strategy trades on its own: from the paper exchange's candles to a protected position, in one process.

The exchange's past is written before its first start: a market that falls, and a harami in the last two minutes. It is
judged at the start, so that nobody waits for a candle to close.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.candles import EPOCH, MINUTE
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import Sections, ServiceProcess

PRICES = {"BTCUSDT": Decimal(64_000), "SOLUSDT": Decimal(152)}
PAST = 240
# The run begins at the earliest so late into a minute; a start that takes longer still finds its candle fresh.
DELAY_S = 6


def minute(ago: int, now: datetime) -> datetime:
    return now - (now - EPOCH) % MINUTE - ago * MINUTE


def past(symbol: str, price: Decimal, now: datetime) -> list[str]:
    """Minutes that fall by a thousandth each to `price`, the last two of them a harami."""
    step = price / 1000
    pairs = [(price + (n + 1) * step, price + n * step) for n in range(PAST, 2, -1)]
    low = price - step
    pairs += [(price + 3 * step, low), (low, low + step)]
    rows = []
    for ago, (first, close) in zip(range(PAST, 0, -1), pairs, strict=True):
        bar = [str(each) for each in (first, max(first, close), min(first, close), close)]
        rows.append(json.dumps([symbol, int(minute(ago, now).timestamp() * 1000), 4, *bar, *bar]) + "\n")
    return rows


@pytest.mark.chaos
@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit"])
def test_it_trades_on_its_own_and_a_kill_opens_nothing_twice(tmp_path: Path, exchange: str) -> None:
    settings: Sections = {
        "accounts.main": {"exchange": exchange},
        "paper": {"symbols": list(PRICES)},
        "strategy": {"enabled": True, "candle_minutes": 1, "higher_minutes": 3, "delay_s": DELAY_S},
    }
    service = ServiceProcess(tmp_path, settings)
    into = (datetime.now(UTC) - EPOCH) % MINUTE
    if into > timedelta(seconds=3):  # a start and a restart have to fit into the time in which a candle is fresh
        time.sleep((MINUTE - into).total_seconds())
    now = datetime.now(UTC)
    folder = service.state_dir / "paper" / "main"
    folder.mkdir(parents=True)
    lines = [line for symbol, price in PRICES.items() for line in past(symbol, price, now)]
    (folder / "candles.jsonl").write_text("".join(lines))
    wanted = {f"harami-main-{symbol}-1m-{minute(0, now):%Y-%m-%dT%H:%M}" for symbol in PRICES}
    try:
        service.start()
        ran = service.wait_event("strategy_ran", limit_s=20)
        assert (ran["data"]["symbols"], ran["data"]["signals"]) == (2, 2)
        service.kill9()
        service.restart()
        service.wait_for(lambda: len(service.positions()) == 2 or None, 20, "two positions")
        for position in service.positions():
            service.wait_state(position["id"], "ACTIVE")
            assert position["side"] == "long"
        told = service.ctl("signals")["signals"]
        assert {row["id"] for row in told} == wanted
        assert {row["outcome"] for row in told} == {"opened"}
        runs = [event["data"]["candle"] for event in service.events(type="strategy_ran")]
        assert runs.count(ran["data"]["candle"]) == 2, "the second life has judged the same candle again"
        (component,) = [each for each in service.ctl("status")["components"] if each["name"] == "strategy/main"]
        assert component["state"] == "healthy"
        judge(service)
        assert len(service.verdict().open_lives) == 2
    finally:
        service.clean_up()

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
from typing import Any

import pytest

from tests.candles import EPOCH, MINUTE
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import Sections, ServiceProcess

PRICES = {"BTCUSDT": Decimal(64_000), "SOLUSDT": Decimal(152)}
PAST = 240
START_S = 12
FRESH_S = 12  # a fifth of a candle
LATEST_S = 17  # into a minute, so that the delay stays within its limit
TRIES = 3


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


def started(base: Path, exchange: str) -> tuple[ServiceProcess, datetime]:
    """A service that has come up while the last candle may still be judged, and when that candle closed."""
    for attempt in range(TRIES):
        into = (datetime.now(UTC) - EPOCH) % MINUTE
        if into > timedelta(seconds=LATEST_S):
            time.sleep((MINUTE - into).total_seconds())
        now = datetime.now(UTC)
        closed_at = minute(0, now)
        delay_s = (now - closed_at).total_seconds() + START_S
        settings: Sections = {
            "accounts.main": {"exchange": exchange},
            "paper": {"symbols": list(PRICES)},
            "strategy": {"enabled": True, "candle_minutes": 1, "higher_minutes": 3, "delay_s": delay_s},
        }
        (base / str(attempt)).mkdir()
        service = ServiceProcess(base / str(attempt), settings)
        folder = service.state_dir / "paper" / "main"
        folder.mkdir(parents=True)
        lines = [line for symbol, price in PRICES.items() for line in past(symbol, price, now)]
        (folder / "candles.jsonl").write_text("".join(lines))
        try:
            service.start()
        except BaseException:
            service.clean_up()
            raise
        if datetime.now(UTC) - closed_at < timedelta(seconds=delay_s + FRESH_S - 1):
            return service, closed_at
        service.clean_up()  # so slow a machine is no fault of the strategy's
    pytest.skip(f"no start within {START_S + FRESH_S} s in {TRIES} tries")


def _answered(service: ServiceProcess, number: int) -> list[dict[str, Any]] | None:
    """The signals, once so many are there and every one has its answer."""
    rows: list[dict[str, Any]] = service.ctl("signals")["signals"]
    return rows if len(rows) == number and all(row["is_processed"] for row in rows) else None


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit"])
def test_it_trades_on_its_own_and_a_kill_opens_nothing_twice(tmp_path: Path, exchange: str) -> None:
    """Killed as soon as its run is written. The second life judges the same candle again if it is still fresh."""
    service, closed_at = started(tmp_path, exchange)
    try:
        ran = service.wait_event("strategy_ran", limit_s=START_S + FRESH_S)
        assert (ran["data"]["candle"], ran["data"]["signals"]) == (closed_at.isoformat(), len(PRICES))
        service.kill9()
        service.restart()
        wanted = {f"harami-main-{s}-1m-{closed_at:%Y-%m-%dT%H:%M}" for s in PRICES}
        told = service.wait_for(lambda: _answered(service, len(wanted)), 30, "an answer for each signal")
        assert {row["id"]: row["outcome"] for row in told} == dict.fromkeys(wanted, "opened")
        # An entry that the kill kept from the wire is given up: it is never sent late, and never twice.
        owned = [int(row["position_id"]) for row in told]
        for each in owned:
            service.wait_state(each, "ACTIVE", "FAILED", limit_s=30)
        live = [position for position in service.positions() if position["id"] in owned]
        assert {position["side"] for position in live} <= {"long"}
        (component,) = [each for each in service.ctl("status")["components"] if each["name"] == "strategy/main"]
        assert component["state"] == "healthy"
        assert len(service.verdict().open_lives) == len(live)
        service.ctl("close_all")  # a fill that the kill kept from the book is learnt at the close at the latest
        for position in live:
            service.wait_state(position["id"], "CLOSED")
        judge(service)
        assert len(service.verdict().lives) == len(live)
    finally:
        service.clean_up()

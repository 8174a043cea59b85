"""More moves than an account may write, on each dialect: they take turns, and no limit of the venue is passed (S15)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import Sections, ServiceProcess, running
from tests.oracle.reader import RequestLine, read_lines

pytestmark = pytest.mark.chaos
SYMBOLS = (
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT", "DOGEUSDT",
)  # fmt: skip
WRITES = ("/fapi/v1/order", "/fapi/v1/algoOrder", "/v5/position/trading-stop")
RISES, MOST_RISES = 24, 60
PAUSE_S = 0.35
TRAILING = {"activation_pct": 1, "breakeven_pct": 0, "callback_pct": 1, "min_step_pct": 0, "min_interval_s": 0}


# Half of the venue's limit; on Bybit, whose second is short, two more that were late on their way.
@pytest.mark.parametrize(("exchange", "window_s", "most"), [("binanceusdm", 10, 150), ("bybit", 1, 7)])
def test_moves_take_turns_within_the_writes_of_the_account(
    tmp_path: Path, exchange: str, window_s: int, most: int
) -> None:
    sections: Sections = {"accounts.main": {"exchange": exchange}, "trailing": TRAILING}
    with running(tmp_path, {**sections, "entries": {"max_positions": 20}}) as service:
        for symbol in SYMBOLS:
            service.open(symbol)
        time.sleep(window_s)
        begun = time.time_ns() // 1_000_000
        for rise in range(MOST_RISES):
            if rise >= RISES and len(_sent(service, begun)) > most:
                break  # on a slow machine more of the moves coalesce
            for symbol in SYMBOLS:
                service.move_mark(symbol, "0.3")
            time.sleep(PAUSE_S)
        marks = {symbol: service.mark(symbol) for symbol in SYMBOLS}  # once: our own questions count as requests too
        service.wait_for(lambda: _trailed(service, marks), 20, "every stop to stand where it belongs")
        sent = _sent(service, begun)
        assert len(sent) > most, "else nobody had to wait"
        assert _most_within(sent, window_s * 1000) <= most
        assert "trailing_move_failed" not in Counter(event["type"] for event in service.events())
        judge(service)


def _sent(service: ServiceProcess, begun: int) -> list[int]:
    """When orders and changes of stops arrived at the exchange since then."""
    return [
        line.t
        for line in read_lines(service.timeline)
        if isinstance(line, RequestLine) and line.method == "POST" and line.path in WRITES and line.t >= begun
    ]


def _trailed(service: ServiceProcess, marks: Mapping[str, Decimal]) -> bool:
    """Every stop is a per cent behind the mark, but for a tick and what the market has moved by itself."""
    shown = {position["symbol"]: Decimal(position["stop_price"]) for position in service.positions()}
    return all(shown[symbol] > marks[symbol] * Decimal("0.985") for symbol in SYMBOLS)


def _most_within(times: list[int], span_ms: int) -> int:
    return max(sum(at - span_ms < other <= at for other in times) for at in times)

"""Entries that the service refuses by what the venue says of market and money: spread, free margin, the day's loss.

One service a dialect. On the one a wide spread refuses, on the other it only warns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapters.admin.protocol import REFUSED, AdminError
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running

pytestmark = pytest.mark.chaos

ACTIONS = {"binanceusdm": "refuse", "bybit": "warn"}


@pytest.fixture(params=ACTIONS)
def service(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[ServiceProcess]:
    """Tenfold leverage, a loss of 5 a day, and what a wide spread does at this venue."""
    sections = {
        "accounts.main": {"exchange": request.param, "leverage": 10},
        "entries": {"spread_action": ACTIONS[request.param]},
        "risk": {"daily_loss_usd": 5},
    }
    with running(tmp_path, sections) as started:
        yield started
        judge(started)


def refused(service: ServiceProcess, symbol: str, usd: str) -> dict[str, Any]:
    """Why an entry is refused, with the figures."""
    with pytest.raises(AdminError) as refusal:
        service.ctl("position.open", account="main", symbol=symbol, side="long", usd=usd)
    assert refusal.value.code == REFUSED, refusal.value.message
    return dict(refusal.value.data or {})


def test_market_and_money_refuse_with_figures(service: ServiceProcess) -> None:
    service.wait_price("BTCUSDT")
    service.control("spread", bps=50)
    if service.bybit:
        opened = service.open("ETHUSDT", "long", "500")
        (said,) = service.events(type="spread_wide")
        assert (said["symbol"], said["severity"], said["data"]["code"]) == ("ETHUSDT", "warning", "spread_too_wide")
        service.ctl("position.close", id=opened["id"])
        service.wait_state(opened["id"], "CLOSED")
    else:
        wide = refused(service, "ETHUSDT", "500")
        assert (wide["code"], wide["limit_pct"]) == ("spread_too_wide", "0.1")
        assert 0.4 < float(wide["spread_pct"]) < 0.6
    service.control("spread", bps=2)

    poor = refused(service, "BTCUSDT", "96000")
    assert (poor["code"], poor["leverage"]) == ("not_enough_margin", 10)
    assert 9_600 < float(poor["needed_usd"]) < 9_800

    opened = service.open("SOLUSDT", "long", "5000")
    service.move_mark("SOLUSDT", "-0.3")
    service.ctl("position.close", id=opened["id"])
    service.wait_state(opened["id"], "CLOSED")
    assert refused(service, "XRPUSDT", "500")["code"] == "daily_loss"
    service.kill9()
    service.restart()
    assert refused(service, "XRPUSDT", "500")["code"] == "daily_loss"  # it is read from the book

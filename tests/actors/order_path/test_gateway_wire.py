"""The gateway on real ccxt: its connections are given back however it ends."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.account_feed import AccountFeed
from actors.account_feed import Wiring as AccountWiring
from actors.directory import Unavailable
from actors.gateway import Gateway, Wiring
from actors.market_feed import MarketFeed
from actors.market_feed import Wiring as MarketWiring
from actors.marks import Marks
from actors.messages import AskSnapshot, FeedState, SnapshotTaken
from actors.standing import Standing
from actors.supervision import Crash
from adapters.exchange.factory import open_account_stream, open_prices, open_trading
from persistence.spool import Spool
from tests.actors.order_path.house import EXPECTED, Exchange
from tests.actors.order_path.leases import held_lease
from tests.actors.order_path.stage import Stage, until

pytestmark = pytest.mark.wire
GATEWAY, MARKET, ACCOUNT = messages.gateway("main"), messages.market_feed("main"), messages.account_feed("main")


@pytest.fixture
def stage(exchange: Exchange, tmp_path: Path) -> Iterator[Stage]:
    """A gateway and both feeds, connected."""
    stage = Stage()
    stage.ear(messages.JOURNAL)
    stage.ear(messages.reconciler("main"))
    marks, spool, access = Marks(), Spool(tmp_path / "spool"), exchange.access
    shared: dict[str, Any] = {"account": "main", "owners": stage.owners, "recorder": stage.recorder}
    lease = held_lease(stage.clock)
    requests = Wiring(
        open_client=lambda: open_trading(access, stage.clock.now),
        expected=lambda: EXPECTED,
        standing=Standing(),
        lease=lease,
        instruments={},
        marks=marks,
        spool=spool,
        leverage=lambda _symbol: 0,
        max_stop_distance_pct=Decimal(60),
        dry_run=False,
        **shared,
    )
    prices = MarketWiring(
        open_stream=lambda: open_prices(access, stage.clock.now), symbols=lambda: (), marks=marks, **shared
    )
    private = AccountWiring(
        open_stream=lambda: open_account_stream(access, stage.clock.now), standing=Standing(), lease=lease, **shared
    )
    stage.add(GATEWAY, lambda context: Gateway.start(context, requests), start_s=30)
    stage.add(MARKET, lambda context: MarketFeed.start(context, prices))
    stage.add(ACCOUNT, lambda context: AccountFeed.start(context, private))
    stage.start()
    connected(stage)
    yield stage
    stage.stop()
    spool.close()


def connected(stage: Stage) -> None:
    """Both feeds have their streams."""

    def healthy(name: str) -> bool:
        try:
            return bool(stage.ask(name, FeedState()).state == "healthy")
        except Unavailable:
            return False  # between two incarnations

    for name in (MARKET, ACCOUNT):
        until(partial(healthy, name))


@pytest.mark.parametrize("end", ["stop", "exception", "exit"])
def test_nothing_is_left_unclosed(stage: Stage, end: Any, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(5):
            stage.tell(GATEWAY, AskSnapshot(reply_to=messages.reconciler("main")))
        loops = [stage.actor(name)._loop for name in (GATEWAY, MARKET, ACCOUNT)]
        if end == "stop":
            stage.stop()
            stage.__init__()  # type: ignore[misc] # for the fixture to stop
        else:
            for name in (GATEWAY, MARKET, ACCOUNT):
                stage.tell(name, Crash(how=end))
            for name in (GATEWAY, MARKET, ACCOUNT):
                until(lambda name=name: stage.directory.newest_incarnation(name) == 2)  # type: ignore[misc]
            connected(stage)
        until(lambda: not any(loop._thread.is_alive() for loop in loops), what="the event loops to end")
        loops.clear()
        gc.collect()
    assert [str(w.message) for w in warned if "nclosed" in str(w.message)] == []
    assert [r.getMessage() for r in caplog.records if r.name in ("asyncio", "ccxt", "aiohttp")] == []


def test_a_snapshot_over_the_wire(stage: Stage) -> None:
    ear = stage.ear("asker")
    stage.tell(GATEWAY, AskSnapshot(reply_to="asker"))
    taken = ear.wait(SnapshotTaken).snapshot
    assert len(taken.positions) > 5

"""The gateway on the real paper exchange over HTTP: budgets, bans, clocks, maintenance, filters that change."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.gateway import Gateway, Wiring
from actors.marks import Mark, Marks
from actors.messages import AskSnapshot, Perform, ReconcileNow, Write
from actors.owners import Place as Where
from actors.standing import Standing
from adapters.exchange.factory import open_trading
from domain.accounts import Expected, Realm
from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.instrument import Instrument, PositionSide
from domain.orders import Accepted, OrderIntent, Rejected, RejectReason
from domain.position.effects import AskPosition, Effect, Place
from domain.position.inputs import InstrumentHeard, OutcomeHeard, PositionHeard
from domain.position.state import TrailState
from persistence.spool import Spool
from tests.actors.order_path.house import Exchange, House, settled, stop_price
from tests.actors.order_path.leases import held_lease
from tests.actors.order_path.scripted import Owner
from tests.actors.order_path.stage import Stage, until
from tests.oracle.reader import RequestLine, read_lines
from tests.persistence.samples import position

pytestmark = pytest.mark.wire
NAME = messages.gateway("main")
SYMBOL = "BTCUSDT"
HALF_OF_WEIGHT = 1_200


class Wire:
    """A gateway on an exchange of its own, with the ears of one position."""

    def __init__(self, directory: Path, exchange: Exchange | None = None) -> None:
        self.exchange = exchange or Exchange(directory / "exchange")
        self.stage = Stage()
        self.owner = Owner()
        self.position = self.stage.ear(messages.position(self.owner.id))
        self.journal = self.stage.ear(messages.JOURNAL)
        self.reconciler = self.stage.ear(messages.reconciler("main"))
        self.spool = Spool(directory / "spool")
        self.standing = Standing()
        self.instruments: dict[str, Instrument] = {}
        marks = self.marks = Marks()
        now = datetime.now(UTC)
        self.mark = self.exchange.mark(SYMBOL)
        marks.put("main", SYMBOL, Mark(price=self.mark, at=now, heard_at=now))
        wiring = Wiring(
            account="main",
            open_client=lambda: open_trading(self.exchange.access, self.stage.clock.now),
            expected=lambda: Expected(account="main", mode="paper", realm=Realm.LOCAL),
            standing=self.standing,
            lease=held_lease(self.stage.clock),
            instruments=self.instruments,
            owners=self.stage.owners,
            marks=marks,
            spool=self.spool,
            recorder=self.stage.recorder,
            leverage=lambda _symbol: 0,
            max_stop_distance_pct=Decimal(60),
            dry_run=False,
        )
        self.stage.add(NAME, lambda context: Gateway.start(context, wiring), start_s=30)
        self.stage.start()

    def perform(self, effect: Effect, owner: Owner | None = None) -> None:
        told = Perform(
            effect=effect,
            asked_at=self.stage.clock.now(),
            fence=(owner or self.owner).fence,
            symbol=SYMBOL,
            side=PositionSide.LONG,
            mark_price=self.mark,
        )
        self.stage.tell(NAME, told)

    def order(self, kind: OrderKind = OrderKind.STOP, **changes: Any) -> OrderIntent:
        """An order of 0.01 BTC long, its stop 5 % below."""
        stop = self.instruments[SYMBOL].round_down(self.mark * Decimal("0.95"))
        trigger = {"trigger_price": stop} if kind.conditional else {}
        common = {"symbol": SYMBOL, "quantity": Decimal("0.01"), "reference_price": self.mark}
        intent = self.owner.intent(kind, **{**common, **trigger, **changes})
        self.perform(Place(intent=intent))
        return intent

    def outcome(self, intent: OrderIntent) -> Any:
        return self.position.wait(OutcomeHeard, lambda h: h.outcome.client_id == intent.client_id).outcome

    def events(self, kind: EventType) -> list[Any]:
        self.stage.worked_off(messages.JOURNAL)
        return [e for write in self.journal.of(Write) for e in write.record.events if e.type is kind]

    def used_weight(self) -> int:
        """What the exchange itself counts, this question included."""
        with urllib.request.urlopen(self.exchange.endpoint.rest_url + "/fapi/v1/time", timeout=10) as reply:  # noqa: S310
            return int(reply.headers["X-MBX-USED-WEIGHT-1M"])

    def early_in_a_minute(self) -> None:
        """The exchange counts by the minute of the clock: wait for the next one if this one is nearly over."""
        until(lambda: time.time() % 60 < 40, seconds=30, what="a new minute")

    def requests(self, *paths: str) -> int:
        """How many requests the exchange was asked, of these paths or of all but the clock's."""
        lines = read_lines(self.exchange.directory / "timeline.jsonl")
        found = [line.path.rsplit("/", 1)[-1] for line in lines if isinstance(line, RequestLine)]
        return sum(path in paths if paths else path != "time" for path in found)

    def close(self) -> None:
        self.stage.stop()
        self.spool.close()
        self.exchange.launcher.stop()


@contextmanager
def wired(directory: Path) -> Iterator[Wire]:
    wire = Wire(directory)
    try:
        yield wire
    finally:
        wire.close()


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with wired(tmp_path) as wire:
        yield wire


def test_a_flood_of_questions_stays_under_half_of_the_limit_and_delays_no_stop(wire: Wire) -> None:
    """LAWS S15, by the exchange's own count; the bucket and what it refills within the test bound it from above."""
    wire.early_in_a_minute()
    counted = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            counted.append(wire.used_weight())

    watcher = threading.Thread(target=watch)
    watcher.start()
    bought = wire.order(OrderKind.ENTRY)
    assert isinstance(wire.outcome(bought), Accepted)
    for number in range(300):  # 1,500 of weight
        wire.perform(AskPosition(), Owner(number=1_000 + number))
    for number in range(3):  # 255
        wire.stage.tell(NAME, AskSnapshot(reply_to=f"asker {number}"))
    waits = []
    for step in range(8):
        begun = time.monotonic()
        stop = wire.order(trigger_price=wire.instruments[SYMBOL].round_down(wire.mark * (90 + step) / 100))
        assert isinstance(wire.outcome(stop), Accepted)
        waits.append(time.monotonic() - begun)
    until(lambda: counted[-1] > 700, seconds=30, what="the budget to be used up")
    until(lambda: len(counted) > 8 and counted[-1] <= counted[-8] + 60, seconds=30, what="the questions to be held")
    done.set()
    watcher.join()
    assert wire.requests("positionRisk") < 300, "not all of it can have been asked"
    assert max(counted) < HALF_OF_WEIGHT
    assert max(waits) < 3.0, "the questions take many times as long"


def test_the_exchanges_own_count_is_believed_when_somebody_else_uses_the_address(wire: Wire) -> None:
    wire.early_in_a_minute()
    for _ in range(32):  # a neighbour asks for 40 of weight each
        urllib.request.urlopen(wire.exchange.endpoint.rest_url + "/fapi/v1/ticker/24hr", timeout=10).close()  # noqa: S310
    bought = wire.order(OrderKind.ENTRY)  # our own bucket is nearly full: this goes, and its answer shows the count
    assert isinstance(wire.outcome(bought), Accepted)
    asked = wire.requests()
    wire.perform(AskPosition())
    stop = wire.order()
    assert isinstance(wire.outcome(stop), Accepted)
    assert wire.position.of(PositionHeard) == []
    assert wire.requests() == asked + 1, "the stop alone"


def test_too_many_requests_are_waited_off_as_told(wire: Wire) -> None:
    wire.exchange.control("reject", code=-1003, status=429, retry_after_s=2, path="positionRisk", method="GET")
    begun = time.monotonic()
    wire.perform(AskPosition())
    (told,) = until(lambda: wire.events(EventType.RATE_LIMITED))
    assert told.data["pause_s"] == 2
    entry = wire.order(OrderKind.ENTRY)
    stop = wire.order()
    outcome = wire.outcome(stop)
    assert not isinstance(outcome, Rejected) or outcome.code != "local"
    assert [heard for heard in wire.position.of(OutcomeHeard) if heard.outcome.client_id == entry.client_id] == []
    assert isinstance(wire.outcome(entry), Accepted)
    assert time.monotonic() - begun > 2


def test_during_a_ban_nothing_leaves_and_afterwards_protection_goes_first(wire: Wire) -> None:
    bought = wire.order(OrderKind.ENTRY)
    assert isinstance(wire.outcome(bought), Accepted)
    ends = int(time.time() * 1000) + 3_500
    words = f"Way too many requests; IP banned until {ends}."
    wire.exchange.control("reject", code=-1003, status=418, path="positionRisk", method="GET", msg=words)
    wire.perform(AskPosition())
    (told,) = until(lambda: wire.events(EventType.VENUE_BANNED))
    assert datetime.fromisoformat(told.data["until"]).timestamp() == pytest.approx(ends / 1000, abs=0.2)
    asked = wire.requests()
    wire.perform(AskPosition())
    while time.time() * 1000 < ends - 1_500:
        refused = wire.outcome(wire.order())
        assert refused.reason is RejectReason.RATE_LIMIT
        assert "banned" in refused.text or "bans" in refused.text
        time.sleep(0.1)
    assert wire.requests() == asked, "each request would have prolonged the ban"
    accepted = until(lambda: isinstance(found := wire.outcome(wire.order()), Accepted) and found)
    assert accepted
    wire.position.wait(PositionHeard)
    lines = [json.loads(line) for line in (wire.exchange.directory / "timeline.jsonl").read_text().splitlines()]
    after = [line["path"] for line in lines if line.get("kind") == "request" and line["path"] != "/fapi/v1/time"]
    first = after[asked:]
    assert first[0].endswith("algoOrder"), "protection first"


def test_a_clock_that_went_wrong_is_put_right_and_holds_nobody_up(wire: Wire) -> None:
    bought = wire.order(OrderKind.ENTRY)
    assert isinstance(wire.outcome(bought), Accepted)
    wire.exchange.control("skew", ms=-60_000)
    first = wire.outcome(wire.order())
    assert first.reason is RejectReason.CLOCK
    assert isinstance(wire.outcome(wire.order()), Accepted)
    begun = time.monotonic()
    wire.perform(AskPosition())
    wire.position.wait(PositionHeard)
    assert time.monotonic() - begun < 5


def test_maintenance_is_waited_out(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.upkeep.PROBE_S", (0.2, 0.4))
    wire.exchange.control("reject", code=1, msg="System is under maintenance.", path="*", method="*", for_ms=3_000)
    wire.perform(AskPosition())
    until(lambda: wire.events(EventType.VENUE_MAINTENANCE))
    refused = wire.outcome(wire.order(OrderKind.ENTRY))
    assert refused.reason is RejectReason.ENTRIES_CLOSED
    assert "maintenance" in refused.text
    until(lambda: wire.events(EventType.VENUE_RESUMED))
    wire.reconciler.wait(ReconcileNow)
    assert isinstance(wire.outcome(wire.order(OrderKind.ENTRY)), Accepted)


def test_a_tick_that_changes_is_learnt_by_the_order_that_it_breaks(wire: Wire) -> None:
    owned = position(wire.owner.number)
    wire.stage.owners.claim(Where("main", SYMBOL), owned.changed(instrument=wire.instruments[SYMBOL]))
    wire.exchange.control("contract", symbol=SYMBOL, tick="10")
    trigger = wire.instruments[SYMBOL].round_down(wire.mark * Decimal("0.95")) // 10 * 10 + Decimal("5.1")
    assert wire.outcome(wire.order(trigger_price=trigger)).reason is RejectReason.PRECISION
    assert wire.position.wait(InstrumentHeard).instrument.tick == 10
    sent = wire.requests("algoOrder")
    assert wire.outcome(wire.order(trigger_price=trigger)).reason is RejectReason.PRECISION
    assert wire.requests("algoOrder") == sent, "what is known to be wrong is not sent"
    assert isinstance(wire.outcome(wire.order(trigger_price=trigger // 10 * 10)), Accepted)


def test_a_position_trails_on_over_a_new_tick(house: House) -> None:
    symbol = house.symbol()
    position_id = house.open(symbol)
    house.protected(position_id)
    tick = house.instruments[symbol].tick * 7
    house.exchange.control("contract", symbol=symbol, tick=str(tick))
    house.exchange.move(symbol, "2")
    house.wait(position_id, lambda p: p.instrument.tick == tick, what="the new tick to be known")
    house.exchange.move(symbol, "0.5")
    house.exchange.move(symbol, "0.5")
    trailed = house.wait(
        position_id, lambda p: p.trail.state is TrailState.TRAILING and settled(p) and stop_price(p) % tick == 0
    )
    assert trailed.close_wanted is None
    assert len(house.exchange.live_orders(symbol)) == 1
    house.close(position_id)

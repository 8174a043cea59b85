"""What a gateway sends on a mark price that has grown old: a move asks for a new one, protection does not wait for it.

How one would notice it broken: after a pause of the process, or while the price stream is dead, a stop is moved to the
wrong side of the market (LAWS S13); or a first stop waits for a question (S1).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.mark_questions import ENTRY_WITHIN_S, FRESH_S, WITHIN_S
from actors.marks import Mark
from actors.owners import Place as Where
from adapters.exchange import transport
from adapters.exchange.interface import MarkPrice
from domain.identity import OrderKind
from domain.orders import Accepted, OrderIntent, Rejected, RejectReason
from domain.position.effects import Place
from domain.position.state import OrderState, Purpose
from tests.actors.order_path.gateway_bench import Bench, hang
from tests.actors.order_path.house import Exchange
from tests.actors.order_path.scripted import MARK, Owner
from tests.actors.order_path.test_gateway_limits import SYMBOL, Wire
from tests.oracle.reader import RequestLine, read_lines
from tests.persistence.samples import protected

OLD_S = FRESH_S + 2
MOVER = 70


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


def aged(bench: Bench, price: Decimal, *, heard_s: float, said_s: float) -> None:
    now = datetime.now(UTC)
    mark = Mark(price=price, at=now - timedelta(seconds=said_s), heard_at=now - timedelta(seconds=heard_s))
    bench.marks.put("main", SYMBOL, mark)


def a_move(owners: Any, intent: OrderIntent, number: int) -> None:
    """The owner's state: covered whole by a stop that rests, and `intent` on its way to take its place."""
    covered = protected(number)
    stop = replace(covered.stops[0], attached=intent.attached)
    move = replace(stop, client_id=intent.client_id, purpose=Purpose.TRAIL, state=OrderState.SENDING)
    assert owners.claim(Where("main", f"S{number}"), covered.changed(stops=(stop, move)))


def moved(bench: Bench, trigger: Decimal) -> Any:
    """What became of a move to `trigger`."""
    owner = Owner(number=MOVER)
    ear = bench.stage.ear(f"position/{MOVER}")
    intent = owner.intent(trigger_price=trigger, reference_price=None)
    a_move(bench.stage.owners, intent, MOVER)
    bench.perform(Place(intent=intent), owner=owner)
    return ear.wait(object, lambda heard: hasattr(heard, "outcome")).outcome  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("heard_s", "said_s"), [(OLD_S, OLD_S), (0, OLD_S), (OLD_S, 0)], ids=["both", "a backlog", "silence"]
)
def test_a_move_on_an_old_price_is_judged_by_a_new_one(bench: Bench, heard_s: float, said_s: float) -> None:
    """The old price allows it, the market has passed it; each age alone is enough."""
    aged(bench, MARK, heard_s=heard_s, said_s=said_s)
    now = MarkPrice(symbol=SYMBOL, price=MARK - 500, at=datetime.now(UTC))
    bench.client.script["mark"] = lambda _: now
    outcome = moved(bench, MARK - 300)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.WOULD_TRIGGER
    assert bench.sent() == []


def test_a_move_that_the_new_price_allows_is_sent_though_the_old_one_spoke_against_it(bench: Bench) -> None:
    aged(bench, MARK - 500, heard_s=OLD_S, said_s=OLD_S)
    assert isinstance(moved(bench, MARK - 300), Accepted)
    assert len(bench.client.called("mark")) == 1


def test_a_young_price_costs_no_question(bench: Bench) -> None:
    assert isinstance(moved(bench, MARK - 300), Accepted)
    assert bench.client.called("mark") == []


def test_a_venue_whose_clock_is_behind_ours_tells_no_old_prices(bench: Bench) -> None:
    bench.client.ahead = timedelta(hours=1)
    aged(bench, MARK, heard_s=0, said_s=3600)
    assert isinstance(moved(bench, MARK - 300), Accepted)
    assert bench.client.called("mark") == []


def test_a_move_is_not_sent_while_nobody_tells_a_price(bench: Bench) -> None:
    aged(bench, MARK, heard_s=OLD_S, said_s=OLD_S)
    bench.client.script["mark"] = hang
    begun = time.monotonic()
    outcome = moved(bench, MARK - 300)
    assert (outcome.reason, bench.sent()) == (RejectReason.WITHHELD, [])
    assert "no mark price of BTCUSDT" in outcome.text
    assert time.monotonic() - begun < WITHIN_S + 5


@pytest.mark.parametrize("kind", [OrderKind.STOP, OrderKind.EXIT])
def test_what_protects_or_closes_does_not_wait_for_a_price(bench: Bench, kind: OrderKind) -> None:
    aged(bench, MARK, heard_s=60, said_s=60)
    bench.client.script["mark"] = hang
    assert isinstance(bench.outcome(bench.place(kind)), Accepted)
    assert bench.client.called("mark") == []


def test_a_first_stop_is_not_given_up_on_the_word_of_an_old_price(bench: Bench) -> None:
    """Refused it would have been before: its owner then closes the position."""
    aged(bench, MARK - 2_000, heard_s=OLD_S, said_s=OLD_S)
    assert isinstance(bench.outcome(bench.place(trigger_price=MARK - 1_000)), Accepted)
    assert len(bench.client.called("mark")) == 1


def test_an_entry_with_its_stop_is_judged_by_a_new_price(bench: Bench) -> None:
    aged(bench, MARK, heard_s=OLD_S, said_s=OLD_S)
    bench.client.script["mark"] = lambda _: MarkPrice(symbol=SYMBOL, price=MARK - 2_000, at=datetime.now(UTC))
    refused = bench.outcome(bench.place(OrderKind.ENTRY, attached_stop=MARK - 1_000))
    assert isinstance(refused, Rejected)
    assert "wrong side of the mark price" in refused.text
    assert bench.sent() == []


def test_an_entry_waits_longer_for_a_price(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that is slow for a moment costs no entry, as long as nothing of it is open."""
    assert ENTRY_WITHIN_S > 2 * WITHIN_S
    monkeypatch.setattr("actors.sending.ENTRY_WITHIN_S", 30.0)

    async def slow(_: object) -> None:
        await asyncio.sleep(2 * WITHIN_S)

    aged(bench, MARK, heard_s=OLD_S, said_s=OLD_S)
    bench.client.script["mark"] = slow
    assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY, attached_stop=MARK - 1_000)), Accepted)


class Late:
    """A connection that is waited for until the price is old; then the last look, as the transport takes it."""

    def __init__(self, bench: Bench, *waits_s: float) -> None:
        self._bench = bench
        self._waits = list(waits_s)
        self.looked: list[str | None] = []

    def __call__(self, intent: OrderIntent) -> Rejected | None:
        waited = self._waits.pop(0) if self._waits else 0.0
        if waited:
            aged(self._bench, MARK, heard_s=waited, said_s=waited)
        look = transport._LOOK.get()
        assert look is not None
        self.looked.append(look())
        if self.looked[-1] is None:
            return None
        now = datetime.now(UTC)
        return Rejected(
            client_id=intent.client_id, reason=RejectReason.OTHER, code="HeldBack", text="no", sent_at=now
        )


def test_a_price_that_grew_old_on_the_way_is_asked_for_at_the_last_moment(bench: Bench) -> None:
    late = bench.client.script["place"] = Late(bench, OLD_S)
    assert isinstance(moved(bench, MARK - 300), Accepted)
    assert [why is None for why in late.looked] == [False, True]
    assert len(bench.client.called("mark")) == 1


def test_a_move_that_the_market_passed_on_the_way_does_not_leave(bench: Bench) -> None:
    def passed(intent: OrderIntent) -> Rejected | None:
        bench.mark(MARK - 500)
        return late(intent)

    late = Late(bench)
    bench.client.script["place"] = passed
    outcome = moved(bench, MARK - 300)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.WOULD_TRIGGER
    assert len(late.looked) == 1


def test_nobody_asks_for_ever(bench: Bench) -> None:
    late = bench.client.script["place"] = Late(bench, OLD_S, OLD_S, OLD_S)
    bench.client.script["mark"] = lambda _: aged(bench, MARK, heard_s=0, said_s=0)
    outcome = moved(bench, MARK - 300)
    assert isinstance(outcome, Accepted | Rejected)
    assert len(late.looked) <= 2


@pytest.mark.wire
@pytest.mark.parametrize("dialect", ["binanceusdm", "bybit"])
def test_on_the_wire_no_stop_goes_to_the_wrong_side_after_a_pause(tmp_path: Path, dialect: str) -> None:
    """Real venues: the market falls while we hear nothing, and a move is sent on what was heard before."""
    wire = Wire(tmp_path, Exchange(tmp_path / "exchange", dialect=dialect))
    try:
        now = datetime.now(UTC)
        old = Mark(price=wire.mark, at=now - timedelta(seconds=OLD_S), heard_at=now)
        wire.marks.put("main", SYMBOL, old)
        wire.exchange.move(SYMBOL, "-3")
        tick = wire.instruments[SYMBOL].round_down(wire.mark * Decimal("0.99"))
        owner = Owner(number=MOVER)
        ear = wire.stage.ear(f"position/{MOVER}")
        intent = owner.intent(
            symbol=SYMBOL, quantity=Decimal("0.01"), trigger_price=tick, attached=dialect == "bybit",
            reference_price=wire.mark,
        )  # fmt: skip
        a_move(wire.stage.owners, intent, MOVER)
        wire.perform(Place(intent=intent), owner=owner)
        outcome: Any = ear.wait(object, lambda heard: hasattr(heard, "outcome"))
        assert outcome.outcome.reason is RejectReason.WOULD_TRIGGER
        assert outcome.outcome.code == "", "our own word, not the venue's"
        asked = [x for x in read_lines(wire.exchange.directory / "timeline.jsonl") if isinstance(x, RequestLine)]
        assert not [x for x in asked if x.path.endswith(("algoOrder", "trading-stop")) and x.method == "POST"]
    finally:
        wire.close()

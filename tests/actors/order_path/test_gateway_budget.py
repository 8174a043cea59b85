"""The gateway within the limits of each venue: what leaves, in what order, and what goes back (LAWS S15)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from actors import messages
from actors.messages import AskSnapshot, SnapshotTaken
from actors.owners import Place as Where
from adapters.exchange import binance, bybit
from adapters.exchange.interface import Errand, RateLimit
from domain.identity import OrderKind
from domain.orders import Accepted, AccountSnapshot, OrderIntent, Rejected, RejectReason
from domain.position.effects import AskPosition, Place
from domain.position.inputs import OutcomeHeard
from domain.position.state import OrderState, Purpose
from tests.actors.order_path.gateway_bench import NAME, Bench
from tests.actors.order_path.house import Exchange
from tests.actors.order_path.scripted import MARK, Owner, ScriptedClient
from tests.actors.order_path.stage import until
from tests.actors.order_path.test_gateway_limits import SYMBOL, Wire
from tests.oracle.judge import judge_file
from tests.persistence.samples import protected

FIRST = 100


class Movers:
    """Positions with a stop each, every next one farther from the mark, and a move of each."""

    def __init__(self, bench: Bench, count: int, *, attached: bool) -> None:
        self.bench = bench
        self.owners = [Owner(number=FIRST + n) for n in range(count)]
        self.moves = [self._claimed(owner, attached=attached) for owner in self.owners]

    def _claimed(self, owner: Owner, *, attached: bool) -> OrderIntent:
        move = owner.intent(trigger_price=Decimal(49_900), attached=attached)
        position = protected(owner.number)
        stop = replace(position.stops[0], trigger=Decimal(49_500) - owner.number, attached=attached)
        sending = replace(stop, client_id=move.client_id, purpose=Purpose.TRAIL, state=OrderState.SENDING)
        state = position.changed(stops=(stop, sending))
        assert self.bench.stage.owners.claim(Where("main", f"S{owner.number}"), state)
        return move

    def go(self, *numbers: int) -> None:
        for number in numbers:
            self.bench.perform(Place(intent=self.moves[number]), owner=self.owners[number])

    def sent(self) -> list[int]:
        """Which of them the venue has been asked for, in that order."""
        ours: dict[str, int] = {move.client_id: number for number, move in enumerate(self.moves)}
        return [ours[client_id] for client_id in self.bench.sent() if client_id in ours]


def bench_of(directory: Path, limits: tuple[RateLimit, ...]) -> Bench:
    client = ScriptedClient()
    client.limits = limits
    return Bench(directory, client=client)


@pytest.mark.parametrize(
    ("limits", "attached", "at_once"),
    [(binance.CAPABILITIES.limits, False, 140), (bybit.CAPABILITIES.limits, True, 5)],
    ids=["binance", "bybit"],
)
def test_moves_beyond_the_writes_wait_and_go_back_and_a_first_cover_does_not(
    tmp_path: Path, limits: tuple[RateLimit, ...], attached: bool, at_once: int
) -> None:
    bench = bench_of(tmp_path, limits)
    try:
        movers = Movers(bench, at_once + 7, attached=attached)
        last = bench.stage.ear(messages.position(movers.owners[-1].id))
        begun = time.monotonic()
        movers.go(*range(at_once + 7))
        bench.client.wait("place", at_once)
        cover = bench.place(attached=attached)
        assert isinstance(bench.outcome(cover), Accepted)
        leave = bench.place(OrderKind.EXIT)
        assert isinstance(bench.outcome(leave), Accepted)
        assert len(movers.sent()) < at_once + 7, "cover and exit have overtaken moves that wait"
        assert movers.sent()[:at_once] == list(range(at_once)), "in the order in which they came, while there is room"
        given_back = last.wait(OutcomeHeard).outcome
        assert isinstance(given_back, Rejected)
        assert (given_back.client_id, given_back.reason) == (movers.moves[-1].client_id, RejectReason.BUDGET)
        assert movers.moves[-1].client_id not in bench.sent()
        assert time.monotonic() - begun > 1.0
    finally:
        bench.stop()


def test_when_writes_come_free_the_nearest_stop_has_them(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, bybit.CAPABILITIES.limits)
    try:
        movers = Movers(bench, 12, attached=True)
        movers.go(7, 8, 9, 10, 11)
        bench.client.wait("place", 5)
        movers.go(6, 2, 5, 1, 4, 0, 3)
        bench.client.wait("place", 10)
        assert sorted(movers.sent()[:5]) == [7, 8, 9, 10, 11]
        assert movers.sent()[5:10] == [0, 1, 2, 3, 4]
        assert Decimal(50_000) == MARK
    finally:
        bench.stop()


def test_a_waiting_move_whose_other_stop_is_lost_leaves_at_once(tmp_path: Path) -> None:
    """Had it waited on, it would have been given back: no room comes free within that time."""
    bench, at_once = bench_of(tmp_path, binance.CAPABILITIES.limits), 140
    try:
        movers = Movers(bench, at_once + 1, attached=False)
        movers.go(*range(at_once))
        bench.client.wait("place", at_once)
        movers.go(at_once)
        state = bench.stage.owners.state(movers.owners[at_once].id)
        assert state is not None
        bare = state.changed(stops=(replace(state.stops[0], state=OrderState.DONE), state.stops[1]))
        bench.stage.owners.handed_over(bare)
        bench.client.wait("place", at_once + 1)
    finally:
        bench.stop()


def test_the_check_of_the_account_at_a_start_takes_its_share_of_the_budget(tmp_path: Path) -> None:
    """Sixty of sixty-five are gone: one question may be asked, the next one waits for minutes."""
    limit = RateLimit(of=frozenset(Errand), weighed=True, most=132, window_s=60, kept=0, burst=65)
    bench = bench_of(tmp_path, (limit,))
    try:
        for number in range(3):
            bench.perform(AskPosition(), owner=Owner(number=FIRST + number))
        bench.client.wait("position", 1)
        assert isinstance(bench.outcome(bench.place()), Accepted)
        assert sum(name == "position" for name, _ in bench.client.calls) == 1
    finally:
        bench.stop()


def tight(burst: int) -> RateLimit:
    """What is used up comes back after minutes only."""
    return RateLimit(of=frozenset(Errand), weighed=True, most=2 * burst + 2, window_s=60, kept=0, burst=burst)


@pytest.mark.parametrize(("left_out", "asked"), [(0, 1), (2, 0)])
def test_symbols_that_a_reading_left_out_take_their_share_of_the_budget(
    tmp_path: Path, left_out: int, asked: int
) -> None:
    """A check, a reading and the balance leave ten of 160; two symbols asked for besides take them."""
    bench = bench_of(tmp_path, (tight(160),))
    try:
        now = datetime.now(UTC)
        shown = AccountSnapshot(
            account="main", asked_at=now, answered_at=now, positions=(), orders=(), left_out=left_out
        )
        bench.client.script["snapshot"] = lambda _held: shown
        bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
        bench.reconciler.wait(SnapshotTaken)
        bench.client.wait("balance")
        bench.perform(AskPosition())
        assert isinstance(bench.outcome(bench.place()), Accepted)
        bench.client.wait("position", asked)
        assert len(bench.client.called("position")) == asked
    finally:
        bench.stop()


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(tmp_path, Exchange(tmp_path / "exchange", dialect="bybit"))
    yield wire
    wire.close()


@pytest.mark.wire
def test_a_flood_of_questions_stays_under_half_of_bybits_address_and_delays_no_stop(wire: Wire) -> None:
    """Judged by the oracle from the exchange's own timeline: no 300 requests in any five seconds."""
    wire.exchange.control("limits", per_second=10_000)
    bought = wire.order(OrderKind.ENTRY, attached_stop=wire.instruments[SYMBOL].round_down(wire.mark * Decimal("0.9")))
    assert isinstance(wire.outcome(bought), Accepted)
    for number in range(400):
        wire.perform(AskPosition(), Owner(number=1_000 + number))
    until(lambda: wire.requests("list") > 150, seconds=20, what="the flood")
    waits = []
    for step in range(4):
        begun = time.monotonic()
        price = wire.instruments[SYMBOL].round_down(wire.mark * (91 + step) / 100)
        assert isinstance(wire.outcome(wire.order(trigger_price=price, attached=True)), Accepted)
        waits.append(time.monotonic() - begun)
    until(lambda: wire.requests("list") > 400, seconds=30, what="the end of the flood")
    assert max(waits) < 3.0, "behind the questions it would be five at least"
    verdict = judge_file(wire.exchange.directory / "timeline.jsonl", wire.exchange.terms)
    assert "S15" not in verdict.broken()

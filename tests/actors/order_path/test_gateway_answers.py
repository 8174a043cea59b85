"""One answer for each request, whatever becomes of the request or the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages
from actors.guard import abandon
from actors.messages import (
    AskQuote,
    AskSnapshot,
    GatewayStarted,
    QuoteHeard,
    SnapshotFailed,
    SnapshotTaken,
)
from actors.owners import Place as Where
from actors.refs import guarded
from actors.zombie_messages import AskSymbol, CancelZombie, SymbolRead, ZombieAnswered
from adapters.exchange.interface import VenueFailure
from domain.entries.situation import Quote
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import (
    CancelResult,
    NoAnswer,
    NotFound,
    RejectReason,
    Unknown,
)
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Effect, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    CancelHeard,
    OutcomeHeard,
    PositionHeard,
    QuestionFailed,
)
from tests.actors.order_path.gateway_bench import NAME, Bench, hang, waiting_ticket
from tests.actors.order_path.scripted import MARK, Owner, ScriptedClient, ref_of
from tests.actors.order_path.stage import until
from tests.persistence.samples import BTC


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that a test hangs do not hold up its end."""
    monkeypatch.setattr("actors.gateway.DRAIN_S", 0.6)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


def test_every_request_gets_one_answer(bench: Bench) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    stop = bench.owner.intent()
    asked: list[Effect] = [
        Place(intent=bench.owner.intent()),
        Cancel(ref=ref_of(stop.client_id), client_id=stop.client_id),
        Find(ref=ref_of(stop.client_id)),
        AskPosition(),
        AskFills(since=since),
        AskCandles(since=since),
    ]
    for effect in asked:
        bench.perform(effect)
    until(lambda: len(bench.position.messages) >= len(asked))
    bench.settle()
    kinds = sorted(type(message).__name__ for message in bench.position.messages)
    assert kinds == sorted(
        ["OutcomeHeard", "CancelHeard", "AnswerHeard", "PositionHeard", "FillsListed", "QuestionFailed"]
    )
    asked_at = bench.position.of(PositionHeard)[0].asked_at
    assert asked_at is not None


@pytest.mark.parametrize("failure", ["venue", "bug"])
def test_a_failure_is_an_answer_too(bench: Bench, failure: str, lines: list[str]) -> None:
    def fail(_: object) -> None:
        if failure == "venue":
            raise VenueFailure(RejectReason.TRANSIENT, "-1000", "no", certain=True)
        raise ZeroDivisionError("a bug of ours")

    def bug(_: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    calls = ("position", "fills", "candles", "snapshot")
    bench.client.script.update(dict.fromkeys(calls, fail))
    bench.client.script.update(dict.fromkeys(("place", "cancel", "find"), bug))
    since = datetime.now(UTC)
    stop = bench.owner.intent()
    placed = bench.place()
    bench.perform(Cancel(ref=ref_of(stop.client_id), client_id=stop.client_id))
    bench.perform(Find(ref=ref_of(stop.client_id)))
    for effect in (AskPosition(), AskFills(since=since), AskCandles(since=since)):
        bench.perform(effect)
    bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    unknown = bench.outcome(placed)
    assert isinstance(unknown, Unknown)
    assert unknown.absence_proof_at >= unknown.sent_at + timedelta(seconds=2)
    assert bench.position.wait(CancelHeard).outcome.result is CancelResult.UNKNOWN
    assert isinstance(bench.position.wait(AnswerHeard).answer, NoAnswer)
    assert {m.what for m in bench.position.count(QuestionFailed, 3)} == {"position", "fills", "candles"}
    bench.reconciler.wait(SnapshotFailed)
    bench.settle()
    assert len(bench.position.messages) == 6
    assert [line for line in lines if line.startswith("CRITICAL GATEWAY_ERROR")]


def test_a_snapshot_goes_to_who_asked(bench: Bench) -> None:
    bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    assert bench.reconciler.wait(SnapshotTaken).snapshot.account == "main"


def test_the_money_is_read_beside_the_account_and_not_again_at_once(bench: Bench) -> None:
    for number in range(1, 3):
        bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
        bench.reconciler.count(SnapshotTaken, number)
    until(lambda: bench.standing.funds is not None, what="the balance")
    funds = bench.standing.funds
    assert funds is not None
    assert [str(each) for each in (funds.wallet, funds.equity, funds.free)] == ["1", "1", "1"]
    assert [call for call, _ in bench.client.calls].count("balance") == 1


def test_a_reading_does_not_wait_for_the_money(bench: Bench, lines: list[str]) -> None:
    async def away(_: object) -> None:
        raise VenueFailure(RejectReason.TRANSIENT, "1", "no", certain=True)

    bench.client.script["balance"] = away
    bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    bench.reconciler.wait(SnapshotTaken)
    until(lambda: any("BALANCE_UNREAD" in line for line in lines), what="the warning")
    assert bench.standing.funds is None


@pytest.mark.parametrize("fails", [False, True])
def test_bid_and_ask_go_to_who_asked(bench: Bench, fails: bool) -> None:
    async def away(_: object) -> None:
        raise VenueFailure(RejectReason.TRANSIENT, "1", "no", certain=True)

    if fails:
        bench.client.script["quote"] = away
    bench.stage.tell(NAME, AskQuote(symbol=BTC.symbol, reply_to=messages.reconciler("main")))
    heard = bench.reconciler.wait(QuoteHeard)
    assert (heard.account, heard.symbol) == ("main", BTC.symbol)
    if fails:
        assert (heard.quote, heard.error is not None) == (None, True)
    else:
        assert (heard.quote, heard.error) == (Quote(bid=MARK - 1, ask=MARK + 1), None)


def test_a_reading_asks_for_what_we_hold_and_a_position_for_its_own_side(bench: Bench) -> None:
    """A venue that lists open positions only says nothing of one that is gone, unless it is asked for it."""
    bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    assert bench.client.wait("snapshot") == [((BTC.symbol, PositionSide.LONG),)]
    bench.perform(AskPosition())
    bench.position.wait(PositionHeard)
    assert bench.client.sides == [PositionSide.LONG]


def test_a_reading_asks_for_a_strangers_position_too_until_it_is_shown_to_be_gone(bench: Bench) -> None:
    """One that ended while the stream was broken was in the way of entries until the next start."""
    owners, ours = bench.stage.owners, (BTC.symbol, PositionSide.LONG)
    for symbol, trading in (("ETHUSDT", True), ("OLDUSDT", False)):
        bench.wiring.instruments[symbol] = replace(BTC, symbol=symbol, trading=trading)
    for account, symbol in (("main", "ETHUSDT"), ("main", "OLDUSDT"), ("main", "GONEUSDT"), ("second", "ETHUSDT")):
        owners.show_foreign(Where(account, symbol), Decimal(1))
    bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    assert bench.client.wait("snapshot") == [(ours, ("ETHUSDT", None))]
    bench.reconciler.wait(SnapshotTaken)
    owners.show_foreign(Where("main", "ETHUSDT"), Decimal(0))
    bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    assert bench.client.wait("snapshot", 2)[-1] == (ours,)


def test_a_zombie_is_cancelled_and_its_end_told(bench: Bench) -> None:
    ref = ref_of(bench.owner.intent().client_id)
    bench.stage.tell(NAME, CancelZombie(key="z", ref=ref, reply_to=messages.reconciler("main")))
    assert bench.client.wait("cancel") == [ref]
    answered = bench.reconciler.wait(ZombieAnswered)
    assert (answered.key, answered.outcome.result) == ("z", CancelResult.DONE)


def test_nothing_is_taken_off_a_place_that_has_an_owner_by_now(bench: Bench) -> None:
    """An entry may be filling: the stop that comes with it would be taken away (LAWS S1)."""
    ref = replace(ref_of(bench.owner.intent().client_id), client_id=None, attached=True)
    bench.stage.tell(NAME, CancelZombie(key="z", ref=ref, reply_to=messages.reconciler("main")))
    assert bench.reconciler.wait(ZombieAnswered).outcome.result is CancelResult.REFUSED
    assert bench.client.called("cancel") == []


def test_one_symbol_is_read_and_what_fails_is_told(bench: Bench) -> None:
    ask = AskSymbol(symbol=BTC.symbol, reply_to=messages.reconciler("main"))
    bench.stage.tell(NAME, ask)
    assert bench.reconciler.wait(SymbolRead).snapshot is not None
    bench.reconciler.clear()

    def refuse(_: object) -> None:
        raise VenueFailure(RejectReason.TRANSIENT, "503", "away", certain=True)

    bench.client.script["symbol_snapshot"] = refuse
    bench.stage.tell(NAME, ask)
    heard = bench.reconciler.wait(SymbolRead)
    assert (heard.snapshot, heard.symbol) == (None, BTC.symbol)
    assert "away" in (heard.error or "")


@pytest.mark.usefixtures("unhurried")
def test_no_such_order_is_no_answer_while_it_is_still_on_its_way(bench: Bench) -> None:
    """Asking overtakes the order itself: after a restart the position does not know when it left."""
    ticket = waiting_ticket()
    intent = bench.place(ticket=ticket)
    bench.settle()
    bench.perform(Find(ref=ref_of(intent.client_id)))
    assert isinstance(bench.position.wait(AnswerHeard).answer, NoAnswer)
    ticket.settle()
    bench.outcome(intent)
    bench.perform(Find(ref=ref_of(intent.client_id)))
    assert isinstance(bench.position.count(AnswerHeard, 2)[1].answer, NotFound)


@settings(max_examples=15, deadline=None)
@given(
    kinds=st.lists(
        st.sampled_from(["stop", "exit", "entry", "cancel", "find", "position", "fills"]), min_size=1, max_size=25
    ),
    bugs=st.sets(st.sampled_from(["place", "cancel", "find", "position", "fills"]), max_size=3),
)
def test_any_mixture_is_answered_once_each(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], bugs: set[str]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("mixture"))
    try:

        def bug(_: object) -> None:
            raise KeyError("a bug of ours")

        bench.client.script.update(dict.fromkeys(bugs, bug))
        expected: list[str] = []
        for kind in kinds:
            if kind in ("stop", "exit", "entry"):
                bench.place({"stop": OrderKind.STOP, "exit": OrderKind.EXIT, "entry": OrderKind.ENTRY}[kind])
                expected.append("OutcomeHeard")
            elif kind in ("cancel", "find"):
                ref = ref_of(bench.owner.intent().client_id)
                bench.perform(Cancel(ref=ref, client_id=str(ref.client_id)) if kind == "cancel" else Find(ref=ref))
                expected.append("CancelHeard" if kind == "cancel" else "AnswerHeard")
            else:
                bench.settle()  # two that wait together would be one
                bench.perform(AskPosition() if kind == "position" else AskFills(since=datetime.now(UTC)))
                told = {"position": "PositionHeard", "fills": "FillsListed"}[kind]
                expected.append("QuestionFailed" if kind in bugs else told)
        until(lambda: len(bench.position.messages) >= len(expected))
        bench.settle()
        assert sorted(type(message).__name__ for message in bench.position.messages) == sorted(expected)
    finally:
        bench.stop()


@pytest.mark.parametrize("how", ["exception", "exit"])
def test_owners_hear_of_a_new_gateway(bench: Bench, how: Any) -> None:
    bench.client.script["place"] = hang
    bench.place()
    bench.client.wait("place")
    bench.clients.append(ScriptedClient())
    bench.stage.kill(NAME, how)
    bench.position.wait(GatewayStarted)
    bench.reconciler.wait(GatewayStarted)
    until(lambda: bench.client.closed >= 1, what="the dead gateway's connections to be given back")
    assert bench.position.of(OutcomeHeard) == []


def test_a_dead_gateway_sends_nothing_that_waited(bench: Bench) -> None:
    bench.client.script["place"] = hang
    for number in range(20):
        bench.place(owner=Owner(number=100 + number))
    bench.client.wait("place", 12)
    bench.clients.append(ScriptedClient())
    bench.stage.kill(NAME)
    until(lambda: bench.client.closed >= 1)
    assert len(bench.client.called("place")) == 12


def test_a_hung_gateway_is_replaced_and_cannot_send(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ref = guarded(bench.stage.directory.ref(NAME))  # type: ignore[arg-type]
    try:
        actor = bench.stage.actor(NAME)
        bench.client.script["place"] = hang
        bench.place()
        bench.client.wait("place")
        abandon(ref)
        until(lambda: bench.client.closed >= 1)
        until(lambda: not actor._loop._thread.is_alive())
        assert bench.position.of(OutcomeHeard) == []
    finally:
        ref.stop(block=False)
        bench.stop()


def test_stopping_waits_for_what_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.gateway.DRAIN_S", 10.0)
    bench = Bench(tmp_path)

    async def slow(_: object) -> None:
        try:
            await asyncio.sleep(0.3)
            bench.client.calls.append(("answered", None))
        except asyncio.CancelledError:
            bench.client.calls.append(("cancelled", None))
            raise

    bench.client.script["place"] = slow
    bench.place()
    bench.client.wait("place")
    bench.stage.stop()
    bench.spool.close()
    assert [name for name, _ in bench.client.calls] == ["connect", "facts", "place", "answered", "close"]


def test_a_gateway_that_cannot_connect_tries_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    try:
        tries = ScriptedClient()

        def fail(_: object) -> None:
            if len(tries.called("connect")) < 3:
                raise VenueFailure(RejectReason.MAINTENANCE, "503", "closed", certain=True)

        tries.script["connect"] = fail
        bench.clients.append(tries)
        bench.stage.kill(NAME)
        assert len(tries.called("connect")) == 3
        assert tries.closed == 2
        bench.position.wait(GatewayStarted)
    finally:
        bench.stop()


def test_a_position_without_candles_is_told_so(bench: Bench) -> None:
    bench.perform(AskCandles(since=datetime.now(UTC)))
    assert bench.position.wait(QuestionFailed).what == "candles"

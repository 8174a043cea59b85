"""What a gateway does of its own accord, on a scripted client: the account, filters, maintenance, bans, leverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actors.messages import Claim, ReconcileNow
from adapters.exchange.interface import Allowance, Limit, Usage, VenueFailure
from domain.accounts import AccountFacts, MarginMode, Unread
from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.orders import Accepted, OrderIntent, Rejected, RejectReason
from domain.position.effects import AskFills, AskPosition
from domain.position.inputs import FillsListed, InstrumentHeard, PositionHeard, QuestionFailed
from tests.actors.order_path.gateway_bench import NAME, Bench, hang
from tests.actors.order_path.scripted import Owner, ScriptedClient, flat
from tests.actors.order_path.stage import until
from tests.persistence.samples import BTC

FINE = AccountFacts(hedge_mode=False)
HEDGED = AccountFacts(hedge_mode=True)
FINER = replace(BTC, tick=Decimal("0.01"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes by the clock goes quickly."""
    monkeypatch.setattr("actors.gateway.DRAIN_S", 0.6)
    monkeypatch.setattr("actors.account_check.REFUSED_EVERY_S", 0.05)
    monkeypatch.setattr("actors.account_check.SOON_S", 0.01)
    monkeypatch.setattr("actors.upkeep.PROBE_S", (0.02, 0.04))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


def rejected(intent: OrderIntent, reason: RejectReason, code: str) -> Rejected:
    return Rejected(client_id=intent.client_id, reason=reason, code=code, text="no", sent_at=datetime.now(UTC))


# The account.


def test_a_refused_account_opens_nothing_and_protects_everything(tmp_path: Path) -> None:
    client = ScriptedClient()
    client.facts = HEDGED
    bench = Bench(tmp_path, client=client)
    try:
        refused = bench.outcome(bench.place(OrderKind.ENTRY))
        assert refused.reason is RejectReason.ENTRIES_CLOSED
        assert "hedge mode" in refused.text
        assert isinstance(bench.outcome(bench.place(OrderKind.STOP)), Accepted)
        assert isinstance(bench.outcome(bench.place(OrderKind.EXIT)), Accepted)
        (told,) = until(lambda: bench.events(EventType.ACCOUNT_REFUSED))
        assert told.severity == "critical"
        assert told.data["code"] == "position_mode"
        assert "never switches it" in told.data["reason"]
        assert "hedge mode" in (bench.standing.closed_because or "")
    finally:
        bench.stop()


def test_entries_open_when_the_account_is_mended_and_it_is_told_once(bench: Bench) -> None:
    bench.client.facts = HEDGED
    bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.CREDENTIALS, "-2015")
    bench.outcome(bench.place())
    until(lambda: bench.standing.closed_because)
    bench.client.wait("facts", 5)
    bench.client.facts = FINE
    until(lambda: bench.standing.closed_because is None)
    until(lambda: bench.events(EventType.ACCOUNT_MENDED))
    assert len(bench.events(EventType.ACCOUNT_REFUSED)) == 1
    bench.client.script.clear()
    assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)


def test_an_entry_refused_for_want_of_margin_closes_entries_until_the_balance_is_read_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.upkeep.FUNDS_PAUSE_S", 0.05)
    bench.client.script["balance"] = hang
    bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.NO_FUNDS, "-2019")
    bench.outcome(bench.place(OrderKind.STOP))
    assert bench.standing.closed_because is None, "what protects needs no margin: it says nothing of entries"
    assert bench.outcome(bench.place(OrderKind.ENTRY)).reason is RejectReason.NO_FUNDS
    until(lambda: bench.standing.closed_because)
    again = bench.outcome(bench.place(OrderKind.ENTRY))
    assert (again.reason, "want of margin" in again.text) == (RejectReason.ENTRIES_CLOSED, True)
    (told,) = until(lambda: bench.events(EventType.ACCOUNT_DOUBTFUL))
    assert (told.severity, told.data["code"], told.data["reason"]) == ("warning", "no_funds", "no")
    bench.client.script.clear()
    until(lambda: bench.standing.closed_because is None)
    until(lambda: bench.events(EventType.ACCOUNT_MENDED))
    assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)


def test_a_key_that_is_refused_has_the_account_read_but_not_each_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.account_check.REFUSED_EVERY_S", 30.0)
    no_key = Unread(question="the balance", reason=RejectReason.CREDENTIALS, code="-2015", text="no")
    bench.client.facts = AccountFacts(unread=(no_key,))
    bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.CREDENTIALS, "-2015")
    before = len(bench.client.called("facts"))
    bench.outcome(bench.place())
    until(lambda: "API key" in (bench.standing.closed_because or ""))
    for _ in range(100):
        bench.outcome(bench.place())
    assert len(bench.client.called("facts")) == before + 1


def test_what_cannot_be_read_in_time_closes_entries_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.upkeep.FIRST_CHECK_WITHIN_S", 0.05)
    client = ScriptedClient()
    client.script["facts"] = hang
    bench = Bench(tmp_path, client=client)
    try:
        refused = bench.outcome(bench.place(OrderKind.ENTRY))
        assert refused.reason is RejectReason.ENTRIES_CLOSED
        assert "position mode is not known" in refused.text
        client.script.clear()
        until(lambda: bench.standing.closed_because is None)
    finally:
        bench.stop()


def test_a_later_gateway_does_not_wait_for_the_account(bench: Bench) -> None:
    successor = ScriptedClient()
    successor.script["facts"] = hang
    bench.clients.append(successor)
    bench.stage.kill(NAME)
    assert isinstance(bench.outcome(bench.place(OrderKind.STOP)), Accepted)
    successor.wait("facts")


def test_no_entry_on_a_symbol_whose_margin_mode_is_not_as_set(tmp_path: Path) -> None:
    client = ScriptedClient()
    modes = {BTC.symbol: MarginMode.CROSS, "ETHUSDT": MarginMode.ISOLATED}
    client.facts = AccountFacts(hedge_mode=False, margin_modes=modes)
    bench = Bench(tmp_path, client=client, margin_mode=MarginMode.ISOLATED)
    try:
        refused = bench.outcome(bench.place(OrderKind.ENTRY))
        assert refused.reason is RejectReason.ENTRIES_CLOSED
        assert f"margin is cross on {BTC.symbol}" in refused.text
        assert isinstance(bench.outcome(bench.place(OrderKind.STOP)), Accepted)
        assert bench.standing.closed_because is None
        assert bench.standing.margin_refusal("ETHUSDT") is None
    finally:
        bench.stop()


# Filters.


def test_an_order_that_breaks_a_filter_is_answered_when_the_new_filters_are_known(bench: Bench) -> None:
    bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.PRECISION, "-4014")
    bench.client.markets = {BTC.symbol: FINER}
    stop = bench.place()
    assert bench.outcome(stop).reason is RejectReason.PRECISION
    kinds = [type(message) for message in bench.position.messages]
    assert kinds.index(InstrumentHeard) == 0, "its owner has to know the filters before it decides again"
    assert bench.position.of(InstrumentHeard)[0].instrument == FINER
    assert bench.wiring.instruments[BTC.symbol] == FINER
    assert bench.client.called("place") == [stop], "nothing is sent again by the gateway itself"
    assert until(lambda: bench.events(EventType.INSTRUMENTS_REFRESHED))


def test_many_broken_filters_are_one_reading(bench: Bench) -> None:
    bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.PRECISION, "-1111")
    for number in range(10):
        bench.place(owner=Owner(number=100 + number))
    bench.client.wait("place", 10)
    bench.settle()
    assert len(bench.client.called("instruments")) == 1


def test_filters_that_cannot_be_read_hold_the_answer_for_a_second_at_most(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.upkeep.FILTERS_KNOWN_WITHIN_S", 0.05)
    bench.client.script["instruments"] = hang
    bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.PRECISION, "-1111")
    assert bench.outcome(bench.place()).reason is RejectReason.PRECISION


def test_an_owner_that_decides_by_old_filters_is_told_quietly(bench: Bench) -> None:
    coarser = replace(BTC, tick=Decimal(10))
    bench.wiring.instruments[BTC.symbol] = coarser
    stop = bench.place(trigger_price=Decimal("49000.1"))
    assert bench.outcome(stop).reason is RejectReason.PRECISION
    assert bench.position.of(InstrumentHeard)[-1].instrument == coarser
    assert bench.events(EventType.ORDER_REFUSED_UNSAFE) == [], "the venue changed, nobody made a mistake"
    assert bench.sent() == []
    assert isinstance(bench.outcome(bench.place(trigger_price=Decimal(49_000))), Accepted)


def test_a_new_owner_hears_of_filters_that_changed_before_its_time(bench: Bench) -> None:
    bench.wiring.instruments[BTC.symbol] = FINER
    bench.stage.tell(NAME, Claim(fence=bench.owner.fence))
    assert bench.position.wait(InstrumentHeard).instrument == FINER


def test_filters_are_read_again_by_the_clock_and_what_is_delisted_trades_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.upkeep.INSTRUMENTS_EVERY_S", 0.05)
    client = ScriptedClient()
    bench = Bench(tmp_path, client=client)
    try:
        other = replace(BTC, symbol="NEWUSDT")
        client.markets = {other.symbol: other}
        until(lambda: other.symbol in bench.wiring.instruments)
        assert bench.wiring.instruments[other.symbol].trading
        assert not bench.wiring.instruments[BTC.symbol].trading
    finally:
        bench.stop()


def test_the_clock_is_measured_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.upkeep.SYNCHRONISE_EVERY_S", 0.02)
    bench = Bench(tmp_path)
    try:
        limited = VenueFailure(RejectReason.TRANSIENT, "503", "gone", certain=True)

        def fail(_: object) -> None:
            raise limited

        bench.client.script["synchronise"] = fail
        bench.client.wait("synchronise", 3)
        bench.client.script.clear()
        bench.client.wait("synchronise", 6)
    finally:
        bench.stop()


# Maintenance.


@pytest.mark.parametrize("first_seen", ["order", "question", "account"])
def test_maintenance_pauses_probes_and_resumes(bench: Bench, first_seen: str) -> None:
    closed = VenueFailure(RejectReason.MAINTENANCE, "1", "System is under maintenance.", certain=True)

    def away(_: object) -> None:
        raise closed

    bench.client.script["balance"] = away
    if first_seen == "order":
        bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.MAINTENANCE, "1")
        bench.outcome(bench.place())
    elif first_seen == "question":
        bench.client.script["position"] = away
        bench.perform(AskPosition())
        bench.position.wait(QuestionFailed)
    else:
        unread = Unread(question="the balance", reason=RejectReason.MAINTENANCE, code="1", text="no")
        bench.client.facts = AccountFacts(hedge_mode=False, unread=(unread,))
        bench.client.script["place"] = lambda intent: rejected(intent, RejectReason.CREDENTIALS, "-2015")
        bench.outcome(bench.place())
    until(lambda: bench.events(EventType.VENUE_MAINTENANCE))
    bench.client.script.pop("place", None)
    refused = bench.outcome(bench.place(OrderKind.ENTRY))
    assert refused.reason is RejectReason.ENTRIES_CLOSED
    assert "maintenance" in refused.text
    assert isinstance(bench.outcome(bench.place(OrderKind.STOP)), Accepted), "protection is tried all the same"
    bench.client.wait("balance", 3)
    bench.client.facts = FINE
    bench.client.script.clear()
    until(lambda: bench.events(EventType.VENUE_RESUMED))
    assert len(bench.events(EventType.VENUE_MAINTENANCE)) == 1
    assert bench.reconciler.wait(ReconcileNow).reason == "the exchange is back"
    until(lambda: bench.standing.closed_because is None)


def test_a_gateway_that_is_replaced_leaves_no_entries_closed_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the one before it waited for its successor waits for: the venue was back before anything failed again."""
    monkeypatch.setattr("actors.upkeep.FUNDS_PAUSE_S", 0.05)
    bench.client.script["balance"] = hang
    for kind, reason in ((OrderKind.ENTRY, RejectReason.NO_FUNDS), (OrderKind.STOP, RejectReason.MAINTENANCE)):
        bench.client.script["place"] = partial(rejected, reason=reason, code="1")
        bench.outcome(bench.place(kind))
    until(lambda: bench.standing.short_of_funds and bench.standing.maintenance)
    bench.client.script.clear()
    bench.client.script["balance"] = hang
    bench.stage.kill(NAME)
    assert bench.standing.closed_because is not None
    bench.client.script.clear()
    until(lambda: bench.standing.closed_because is None)
    assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)


# Limits.


def test_a_ban_is_told_once_and_holds_every_question(bench: Bench) -> None:
    until_ = datetime.now(UTC) + timedelta(seconds=30)

    def ban(_: OrderIntent) -> None:
        """The order went through; another request of the same moment was one too many."""
        bench.client.allowance = Allowance(banned_until=until_)

    bench.client.script["place"] = ban
    bench.outcome(bench.place())
    bench.client.script.clear()
    bench.perform(AskFills(since=datetime.now(UTC)))
    bench.outcome(bench.place())
    bench.settle()
    assert bench.position.of(FillsListed) == []
    (told,) = bench.events(EventType.VENUE_BANNED)
    assert told.severity == "critical"
    assert told.data["until"] == until_.isoformat()


def test_the_same_count_corrects_once(bench: Bench) -> None:
    """A count is of its answer's time: it must not hold back what comes after it has begun anew."""
    used = Usage(limit=Limit.REQUESTS, used=2_400, most=2_400, resets_in_s=0.2)

    def much(_: object) -> None:
        bench.client.allowance = Allowance(usage=(used,))

    bench.client.script["place"] = much
    bench.outcome(bench.place())
    bench.client.script.clear()
    begun = bench.stage.clock.monotonic()
    for number in range(5):
        bench.place(owner=Owner(number=100 + number))
    bench.client.wait("place", 6)
    bench.settle()
    turns = bench.stage.actor(NAME)._desk._turns
    assert max(turns._until.values()) <= begun + 0.2


# Leverage.


def test_leverage_is_set_on_a_flat_symbol_only(tmp_path: Path) -> None:
    bench = Bench(tmp_path, leverage=5)
    try:
        bench.client.script["position"] = lambda symbol: flat(symbol, Decimal(1))
        refused = bench.outcome(bench.place(OrderKind.ENTRY))
        assert "a position is open" in refused.text
        assert bench.client.called("leverage") == []
        bench.client.script.clear()
        assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)
        names = [name for name, _ in bench.client.calls]
        assert names.index("leverage") < len(names) - 1 - names[::-1].index("place")
        assert bench.client.called("leverage") == [5]
    finally:
        bench.stop()


def test_leverage_that_is_as_wanted_beside_a_position_needs_no_setting(tmp_path: Path) -> None:
    """In hedge mode the other side may be open: the leverage is the symbol's."""
    client = ScriptedClient()
    client.facts = AccountFacts(hedge_mode=False, leverages={BTC.symbol: 5})
    client.script["position"] = lambda symbol: flat(symbol, Decimal(1))
    bench = Bench(tmp_path, leverage=5, client=client)
    try:
        assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)
        assert client.called("leverage") == []
    finally:
        bench.stop()


@pytest.mark.parametrize(("shown", "accepted"), [(5, True), (20, False)])
def test_beside_a_position_the_newest_word_on_leverage_counts(tmp_path: Path, shown: int, accepted: bool) -> None:
    """The account is read once an hour; the row of the position is of now."""
    client = ScriptedClient()
    client.facts = AccountFacts(hedge_mode=False, leverages={BTC.symbol: 5 if shown != 5 else 20})
    client.script["position"] = lambda symbol: replace(flat(symbol, Decimal(1)), leverage=Decimal(shown))
    bench = Bench(tmp_path, leverage=5, client=client)
    try:
        assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted) is accepted
        assert client.called("leverage") == []
    finally:
        bench.stop()


def test_in_hedge_mode_the_other_side_counts_as_a_position_too(tmp_path: Path) -> None:
    client, asked = ScriptedClient(), iter((Decimal(0), Decimal(-1), Decimal(0), Decimal(0)))
    client.facts = HEDGED
    client.script["position"] = lambda symbol: replace(flat(symbol, next(asked)), leverage=Decimal(20))
    bench = Bench(tmp_path, leverage=5, client=client, hedge_mode=True)
    try:
        assert "a position is open" in bench.outcome(bench.place(OrderKind.ENTRY)).text
        assert client.called("leverage") == []
        assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)
        assert client.called("leverage") == [5]
    finally:
        bench.stop()


def test_a_position_that_nobody_could_read_sets_no_leverage(tmp_path: Path) -> None:
    bench = Bench(tmp_path, leverage=5)
    try:

        def fail(_: object) -> Any:
            raise VenueFailure(RejectReason.TRANSIENT, "-1000", "no", certain=True)

        bench.client.script["position"] = fail
        assert bench.outcome(bench.place(OrderKind.ENTRY)).reason is RejectReason.TRANSIENT
        assert bench.client.called("leverage") == []
        bench.client.script.clear()
        bench.perform(AskPosition())
        bench.position.wait(PositionHeard)
    finally:
        bench.stop()

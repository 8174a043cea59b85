"""The reconciler as an actor: when it looks, when it looks again, what it does after how many sightings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Literal

import pytest

from actors import hunt, messages, reconciler
from actors.agreement_messages import Adopt, ReconcileReport, StrangerSeen
from actors.messages import (
    AskSnapshot,
    GatewayStarted,
    Reconciled,
    ReconcileNow,
    Show,
    SnapshotFailed,
    SnapshotTaken,
    Write,
)
from actors.owners import Place
from actors.reconciler import Reconciler, Wiring
from actors.zombie_messages import CancelZombie
from config.settings import Zombies
from domain.agreement import sightings
from domain.catalogue import EventType
from domain.orders import AccountSnapshot, OrderReport, PositionReport
from domain.position.inputs import View
from tests.actors.desk.scene import instrument
from tests.actors.order_path.stage import WAIT_S, Heard, Stage
from tests.unit.agreement.test_compare import MINE, OVER, order, owned, row

ACCOUNT = "main"
D = Decimal
Policy = Literal["adopt", "alert", "close"]

ENDS = (EventType.RECONCILE_FINISHED, EventType.RECONCILE_FAILED)


class Account:
    """What the exchange shows, and the reconciler that looks at it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gateway = stage.ear(messages.gateway(ACCOUNT))
        self.desk = stage.ear(messages.ENTRY_DESK)
        self.journal = stage.ear(messages.JOURNAL)
        self.owner = stage.ear(messages.position(MINE))
        self.asked = 0
        self.zombies = Zombies()

    def start(self, untracked: Policy = "adopt", exclude: frozenset[str] = frozenset(), interval_s: float = 60) -> None:
        instruments = {symbol: instrument(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
        wiring = Wiring(
            account=ACCOUNT,
            interval_s=lambda: interval_s,
            untracked=untracked,
            exclude=lambda: exclude,
            instruments=instruments,
            owners=self.stage.owners,
            recorder=self.stage.recorder,
            hunt=hunt.Wiring(
                account=ACCOUNT,
                instance="ab12",
                owners=self.stage.owners,
                exclude=lambda: exclude,
                settings=lambda: self.zombies,
                recall=lambda _key: None,
                dry_run=False,
            ),
        )
        self.stage.add(messages.reconciler(ACCOUNT), lambda context: Reconciler.start(context, wiring))
        self.stage.start()

    def tell(self, message: object) -> None:
        self.stage.tell(messages.reconciler(ACCOUNT), message)

    def expect_look(self) -> None:
        """One more reading is asked for."""
        self.asked += 1
        self.gateway.count(AskSnapshot, self.asked)

    def looks_no_more(self) -> None:
        """No other reading follows within some of the pauses."""
        time.sleep(0.5)
        assert len(self.gateway.of(AskSnapshot)) == self.asked

    def show(self, rows: list[PositionReport], orders: list[OrderReport] | None = None, *, late_s: float = 0) -> None:
        """The exchange's answer to the look that is under way."""
        now = self.stage.clock.now() - timedelta(seconds=late_s)
        snapshot = AccountSnapshot(
            account=ACCOUNT, asked_at=now, answered_at=now, positions=tuple(rows), orders=tuple(orders or [])
        )
        self.tell(SnapshotTaken(snapshot=snapshot))
        if not late_s:
            self.report(lambda report: report.asked_at == now)

    def findings(self) -> list[tuple[object, object]]:
        """What was told of findings, in order, up to the end of the last cycle (the journal hears a moment later)."""
        cycle = self.report(lambda report: report.cycle > 0).cycle
        deadline = time.monotonic() + WAIT_S
        while True:
            events = [event for write in self.journal.of(Write) for event in write.record.events]
            if any(e.type in ENDS and e.data["cycle"] == cycle for e in events):
                return [(e.data["finding"], e.data["seen"]) for e in events if e.type is EventType.RECONCILE_FINDING]
            assert time.monotonic() < deadline, f"the end of cycle {cycle} was not told"
            time.sleep(0.002)

    def report(self, fits: Callable[[ReconcileReport], bool]) -> ReconcileReport:
        """The report that comes with the end of a reading. (A question overtakes what waits: ask until it is there.)"""
        deadline = time.monotonic() + WAIT_S
        while True:
            report: ReconcileReport = self.stage.ask(messages.reconciler(ACCOUNT), Show())
            if fits(report):
                return report
            assert time.monotonic() < deadline, f"the last report is {report}"
            time.sleep(0.002)

    def quiet(self) -> None:
        """Everything told so far has been heard, by the reconciler and by those whom it told of it."""
        self.tell(SnapshotFailed(text="quiet"))
        self.report(lambda report: report.error == "quiet")
        self.heard()

    def heard(self) -> None:
        """What the reconciler has said has been heard."""
        everybody = (messages.gateway(ACCOUNT), messages.ENTRY_DESK, messages.JOURNAL, messages.position(MINE))
        self.stage.worked_off(messages.reconciler(ACCOUNT), *everybody)


@pytest.fixture
def account(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Account:
    """With a tenth of the pauses, and patience with what a test has not answered yet."""
    assert (reconciler.LOOK_AGAIN_S, reconciler.PATIENCE_S) == (1, 3)
    monkeypatch.setattr(reconciler, "LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr(reconciler, "PATIENCE_S", 60.0)
    monkeypatch.setattr(sightings, "APART", sightings.APART / 10)
    return Account(stage)


def none_of(heard: Heard, kind: type) -> bool:
    return heard.of(kind) == []


def test_owner_and_desk_hear_of_a_reading(account: Account) -> None:
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), owned())
    account.start()
    account.expect_look()
    account.show([row(), row("ETHUSDT", "-3")], [order()])
    account.desk.wait(Reconciled)
    account.heard()
    assert len(account.owner.of(View)) == 1
    assert account.stage.owners.foreign(Place(ACCOUNT, "ETHUSDT")) == -3
    report = account.report(lambda report: report.positions == 1)
    assert [finding["finding"] for finding in report.findings] == ["untracked"]


@pytest.mark.parametrize("policy", ["adopt", "close", "alert"])
def test_untracked_is_seen_twice_a_second_apart(account: Account, policy: Policy) -> None:
    account.start(untracked=policy)
    account.expect_look()
    account.show([row(quantity="-2")])
    account.expect_look()
    assert none_of(account.desk, Adopt)
    account.show([row(quantity="-2")])
    assert account.findings() == [("untracked BTCUSDT short", "1/2"), ("untracked BTCUSDT short", "2/2")]
    account.quiet()
    if policy == "alert":
        assert none_of(account.desk, Adopt)
        assert none_of(account.gateway, CancelZombie)
    else:
        adopt = account.desk.wait(Adopt)
        assert (adopt.close, adopt.quantity, adopt.side.value) == (policy == "close", D(2), "short")


def test_what_grows_from_look_to_look_is_untracked_all_the_same(account: Account) -> None:
    """Somebody who builds a position up, or takes it down, has one that stands bare."""
    account.start()
    account.expect_look()
    account.show([row(quantity="-2")])
    seen_first = account.stage.clock.now()
    account.expect_look()
    account.show([row(quantity="-3")])
    adopt = account.desk.wait(Adopt)
    assert (adopt.quantity, adopt.side.value) == (D(3), "short")
    assert adopt.bare_since is not None
    assert adopt.bare_since <= seen_first < adopt.seen_at


def test_one_that_turned_over_between_two_looks_is_another(account: Account) -> None:
    account.start()
    for quantity in ("-2", "2"):
        account.expect_look()
        account.show([row(quantity=quantity)])
    account.expect_look()
    assert account.findings() == [("untracked BTCUSDT short", "1/2"), ("untracked BTCUSDT long", "1/2")]
    assert none_of(account.desk, Adopt)


def test_two_readings_within_the_same_second_are_one_sighting(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "APART", timedelta(seconds=60))
    account.start()
    account.expect_look()
    account.tell(ReconcileNow(reason="stream connected"))
    account.show([row(quantity="-2")])
    account.expect_look()
    account.show([row(quantity="-2")])
    assert account.findings() == [("untracked BTCUSDT short", "1/2")]
    assert none_of(account.desk, Adopt)
    account.expect_look()


def test_what_was_gone_the_second_time_is_forgotten(account: Account) -> None:
    account.start()
    for quantity in ("-2", "0", "-2"):
        account.expect_look()
        account.show([row(quantity=quantity)])
        if quantity == "0":
            account.tell(ReconcileNow(reason="test"))
    account.quiet()
    assert none_of(account.desk, Adopt)


def test_absence_is_looked_at_three_times_and_nothing_is_done(account: Account) -> None:
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), owned())
    account.start()
    for _ in range(3):
        account.expect_look()
        account.show([])
    assert account.findings() == [(f"unseen {MINE}", f"{n}/3") for n in (1, 2, 3)]
    assert account.owner.messages == []
    assert none_of(account.gateway, CancelZombie)
    assert none_of(account.desk, Adopt)


def test_a_phantom_is_shown_to_its_owner_each_time(account: Account) -> None:
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), owned())
    account.start()
    for seen in (1, 2, 3):
        account.expect_look()
        account.show([row(quantity="0")])
        account.owner.count(View, seen)
    assert account.findings() == [("phantom BTCUSDT long", f"{n}/3") for n in (1, 2, 3)]


def test_what_is_excluded_is_left_alone(account: Account) -> None:
    account.start(exclude=frozenset({"BTCUSDT"}), interval_s=0.1)
    for _ in range(3):
        account.expect_look()
        account.show([row(quantity="-2")], [order(OVER)])
    account.quiet()
    assert none_of(account.desk, Adopt)
    assert none_of(account.gateway, CancelZombie)
    assert account.stage.owners.foreign(Place(ACCOUNT, "BTCUSDT")) == -2


def test_a_wish_during_a_reading_gets_one_of_its_own(account: Account) -> None:
    """The reading under way began before the wish."""
    account.start()
    account.expect_look()
    account.tell(ReconcileNow(reason="operator"))
    account.show([])
    account.expect_look()
    account.show([])
    account.quiet()
    assert len(account.gateway.of(AskSnapshot)) == 2


def test_a_reading_that_came_before_many_owners_began_is_repeated(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a start of hundreds each asked for its own size, and the budget of questions made that take long (L5)."""
    monkeypatch.setattr(reconciler, "FEW_OWNERS", 0)
    began = replace(owned(), verify_wanted=True, last_activity_at=account.stage.clock.now() + timedelta(minutes=1))
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), began)
    account.start()
    account.expect_look()
    account.show([row()], [order()])
    account.expect_look()
    account.stage.owners.handed_over(replace(began, verify_wanted=False))
    account.show([row()], [order()])
    account.quiet()
    assert len(account.gateway.of(AskSnapshot)) == 2


def test_a_reading_from_before_an_owner_that_waits_for_one_is_repeated(account: Account) -> None:
    """It knows its stops from the local book only, and misses none before it has heard of those that rest (S5)."""
    now = account.stage.clock.now()
    until = now + timedelta(minutes=1)
    began = replace(owned(), verify_wanted=True, unread_until=until, last_activity_at=now + timedelta(seconds=50))
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), began)
    account.start()
    account.expect_look()
    account.show([row()], [order()])
    account.expect_look()
    account.stage.owners.handed_over(replace(began, unread_until=None))
    account.show([row()], [order()])
    account.quiet()


def test_a_wish_outlives_the_reading_that_failed_beside_it(account: Account) -> None:
    """The stream was back while a reading failed; what it had missed was seen five seconds later only (S6, L1)."""
    account.start()
    account.expect_look()
    account.tell(ReconcileNow(reason="stream connected"))
    account.tell(SnapshotFailed(text="502 bad gateway"))
    account.expect_look()


def test_a_wish_waits_for_no_reading_that_was_lost(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: with the second one out, it waits like any."""
    monkeypatch.setattr(reconciler, "PATIENCE_S", 0.1)
    account.start()
    account.expect_look()
    for _ in range(2):
        account.tell(ReconcileNow(reason="stream connected"))
        time.sleep(0.3)
    account.expect_look()
    account.tell(ReconcileNow(reason="stream connected"))
    time.sleep(0.3)
    assert len(account.gateway.of(AskSnapshot)) == 2


def test_a_wanted_reading_that_failed_is_asked_for_soon(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the dead stream had missed stood for five seconds more (S6); where all fails, as slowly as ever (S15)."""
    monkeypatch.setattr(reconciler, "FAILED_AGAIN_S", 60.0)
    account.start()
    account.expect_look()
    account.show([])
    account.tell(ReconcileNow(reason="stream connected"))
    account.expect_look()
    for _ in range(reconciler.QUICK_LOOKS):
        account.tell(SnapshotFailed(text="502 bad gateway"))
        account.expect_look()
    account.tell(SnapshotFailed(text="502 bad gateway"))
    account.looks_no_more()


def test_a_wanted_reading_that_nobody_answers_is_asked_for_once_more(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited 20 s for the answer, and knew nothing of what the dead stream had missed (S2, S6)."""
    account.start()
    account.expect_look()
    account.show([])
    monkeypatch.setattr(reconciler, "PATIENCE_S", 0.1)
    account.tell(ReconcileNow(reason="stream connected"))
    account.expect_look()
    account.expect_look()
    account.looks_no_more()


@pytest.mark.parametrize("quantity", ["4", "1"])
def test_another_size_is_looked_at_twice(account: Account, quantity: str) -> None:
    """Its owner had an order under way, so that the first reading proved nothing; the next came 15 s later (L1)."""
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), owned())
    account.start()
    for seen in (1, 2):
        account.expect_look()
        account.show([row(quantity=quantity)], [order(quantity=D(4))])
        account.owner.count(View, seen)
    time.sleep(0.3)
    assert len(account.gateway.of(AskSnapshot)) == 2


def test_doubt_without_end_is_looked_at_slowly(account: Account) -> None:
    """Readings a second apart would use up the requests of the minute (S15), and then nobody can look at all."""
    assert (reconciler.QUICK_LOOKS + 60 / reconciler.SLOW_LOOK_S) * 85 < 1200
    account.start()
    for look in range(1, reconciler.QUICK_LOOKS + 2):
        account.expect_look()
        account.show([row(quantity=str(-look if look % 2 else look))])
    time.sleep(0.5)
    assert len(account.gateway.of(AskSnapshot)) == reconciler.QUICK_LOOKS + 1


def test_an_overtaken_reading_is_dropped(account: Account) -> None:
    account.start()
    account.expect_look()
    account.show([row("ETHUSDT", "0")])
    account.quiet()
    account.tell(ReconcileNow(reason="operator"))
    account.expect_look()
    account.show([row("ETHUSDT", "5")], late_s=5)
    account.quiet()
    assert account.stage.owners.foreign(Place(ACCOUNT, "ETHUSDT")) is None


def test_a_clock_that_was_set_back_does_not_make_every_reading_an_old_one(account: Account) -> None:
    account.start()
    account.expect_look()
    account.show([row("ETHUSDT", "0")])
    account.show([row("ETHUSDT", "5")], late_s=3_600)
    account.quiet()
    assert account.stage.owners.foreign(Place(ACCOUNT, "ETHUSDT")) == 5


def test_a_failed_reading_concludes_nothing_and_is_tried_again(account: Account) -> None:
    account.start(interval_s=0.2)
    account.expect_look()
    account.tell(SnapshotFailed(text="502 bad gateway"))
    account.report(lambda report: report.error == "502 bad gateway")
    assert none_of(account.desk, Reconciled)
    account.expect_look()


def test_a_new_gateway_is_asked_at_once(account: Account) -> None:
    account.start()
    account.expect_look()
    account.tell(GatewayStarted(account=ACCOUNT))
    account.expect_look()




def test_a_stranger_that_the_stream_shows_is_looked_at_now(account: Account) -> None:
    """It stood bare for a whole cycle (L1); who trades by hand all the time costs one look in six seconds."""
    account.start()
    account.expect_look()
    account.show([])
    account.tell(StrangerSeen(symbol="BTCUSDT"))
    account.expect_look()
    account.show([row(quantity="0")])
    for _ in range(3):
        account.tell(StrangerSeen(symbol="BTCUSDT"))
    account.quiet()
    assert len(account.gateway.of(AskSnapshot)) == 2
    account.expect_look()


@pytest.mark.parametrize(("policy", "exclude"), [("alert", ""), ("adopt", "BTCUSDT")])
def test_a_stranger_that_is_left_alone_waits_for_the_next_cycle(account: Account, policy: Policy, exclude: str) -> None:
    account.start(untracked=policy, exclude=frozenset({exclude} - {""}))
    account.expect_look()
    account.show([])
    account.tell(StrangerSeen(symbol="BTCUSDT"))
    account.quiet()
    assert len(account.gateway.of(AskSnapshot)) == 1


def test_what_rests_beside_an_untracked_position_and_since_when_it_is_bare_goes_with_it(account: Account) -> None:
    account.start()
    account.expect_look()
    account.show([row()])
    first = account.report(lambda report: report.asked_at is not None).asked_at
    account.expect_look()
    account.show([row()], [order(None, quantity=D(1))])
    adopt = account.desk.wait(Adopt)
    assert (adopt.bare_since, [report.exchange_id for report in adopt.orders]) == (first, ["900"])


def test_an_untracked_position_with_a_stop_is_not_bare(account: Account) -> None:
    account.start()
    for _ in range(2):
        account.expect_look()
        account.show([row()], [order(None)])
    assert account.desk.wait(Adopt).bare_since is None


def test_a_repair_is_told_and_shown(account: Account) -> None:
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), owned())
    account.start(interval_s=0.2)
    for quantity in ("3", "3", "2"):
        account.expect_look()
        account.show([row(quantity=quantity)], [order(quantity=D(3))])
    report = account.report(lambda report: bool(report.repairs))
    assert [(each["finding"], each["seen"], each["result"]) for each in report.repairs] == [
        ("quantity", "2/2", "agrees")
    ]
    assert report.totals == {"quantity": 1}
    account.heard()
    told = [e for write in account.journal.of(Write) for e in write.record.events]
    (repaired,) = [e for e in told if e.type is EventType.RECONCILE_REPAIRED]
    assert (repaired.position_id, repaired.correlation_id, repaired.data["kind"]) == (MINE, "c", "quantity")
    severities = [e.severity.value for e in told if e.type is EventType.RECONCILE_FINDING]
    assert severities == ["info", "warning"], "one sighting is no alert yet"


def test_a_stop_that_somebody_keeps_taking_away_is_told_critically(account: Account) -> None:
    p = owned()
    account.stage.owners.claim(Place(ACCOUNT, "BTCUSDT"), p)
    account.start(interval_s=0.2)
    for recoveries in (0, 3):
        account.expect_look()
        account.stage.owners.handed_over(replace(p, recoveries=recoveries))
        account.show([row()], [order()])
    account.quiet()
    (fought,) = [
        event
        for write in account.journal.of(Write)
        for event in write.record.events
        if event.type is EventType.STOP_LOSS_FOUGHT_OVER
    ]
    assert (fought.severity.value, fought.position_id, fought.data["times"]) == ("critical", MINE, 3)

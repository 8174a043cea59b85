"""The hunt on the reconciler's thread: looked at twice, cancelled, told, counted; scans; the ends of positions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from actors import hunt, hunt_rounds, messages
from actors.messages import GatewayStarted, ReconcileNow, SnapshotFailed, Write
from actors.zombie_messages import (
    AskSymbol,
    CancelZombie,
    PositionOver,
    ScanReport,
    ScanZombies,
    ShowScan,
    SymbolRead,
    ZombieAnswered,
)
from config.settings import Zombies
from domain.catalogue import EventType
from domain.orders import AccountSnapshot, CancelOutcome, CancelResult, OrderReport, PositionReport
from tests.actors.desk.test_reconciler import ACCOUNT, Account, none_of
from tests.actors.order_path.stage import Stage, until
from tests.unit.agreement.test_compare import OVER, order, row

FLAT = [row(quantity="0")]


class Ground(Account):
    """The account of the reconciler's tests, whose symbols can be read one by one."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.symbols_asked = 0
        self.cancels = 0

    def stranger(self) -> OrderReport:
        return order(None, exchange_id="77", at=self.stage.clock.now() - timedelta(minutes=1))

    def expect_symbol(self, symbol: str = "BTCUSDT") -> None:
        """One more reading of a symbol is asked for."""
        self.symbols_asked += 1
        self.gateway.count(AskSymbol, self.symbols_asked)
        assert self.gateway.of(AskSymbol)[-1].symbol == symbol

    def show_symbol(
        self, orders: list[OrderReport], rows: list[PositionReport] | None = None, symbol: str = "BTCUSDT"
    ) -> None:
        now = self.stage.clock.now()
        snapshot = AccountSnapshot(
            account=ACCOUNT, asked_at=now, answered_at=now, positions=tuple(rows or FLAT), orders=tuple(orders)
        )
        self.tell(SymbolRead(symbol=symbol, snapshot=snapshot))

    def expect_cancel(self) -> CancelZombie:
        self.cancels += 1
        self.gateway.count(CancelZombie, self.cancels)
        cancel: CancelZombie = self.gateway.of(CancelZombie)[-1]
        return cancel

    def answer(self, cancel: CancelZombie, result: CancelResult = CancelResult.DONE) -> None:
        outcome = CancelOutcome(
            ref=cancel.ref, result=result, code="", text="why", answered_at=self.stage.clock.now()
        )
        self.tell(ZombieAnswered(key=cancel.key, outcome=outcome))

    def told(self, kind: EventType) -> list[Any]:
        self.heard()
        return [e.data for w in self.journal.of(Write) for e in w.record.events if e.type is kind]

    def facts(self) -> list[Any]:
        self.heard()
        return [w.record.facts for w in self.journal.of(Write) if w.record.facts]

    def finished(self, reason: str) -> dict[str, Any]:
        """The figures of a round that ended."""

        def look() -> dict[str, Any] | None:
            ends = self.told(EventType.ZOMBIE_SCAN_FINISHED)
            return next((data for data in reversed(ends) if data["reason"] == reason), None)

        until(lambda: look() is not None, what=f"the end of a round: {reason}")
        found = look()
        assert found is not None
        return found

    def scan(self, *, dry_run: bool = False, aggressive: bool = False) -> Any:
        return self.stage.ask(
            messages.reconciler(ACCOUNT), ScanZombies(dry_run=dry_run, aggressive=aggressive, uid=1000)
        )

    def scanned(self, number: int) -> ScanReport:
        """The scan, once it is over."""

        def over() -> bool:
            report = self.stage.ask(messages.reconciler(ACCOUNT), ShowScan(number=number))
            return report is not None and report.done

        until(over, what="the end of the scan")
        report: ScanReport = self.stage.ask(messages.reconciler(ACCOUNT), ShowScan(number=number))
        return report


@pytest.fixture
def ground(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """With a tenth of the pauses."""
    assert (hunt.LOOK_AGAIN_S, hunt.APART_S) == (1, 0.8)
    monkeypatch.setattr(hunt, "LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr(hunt, "APART_S", 0.08)
    monkeypatch.setattr(hunt_rounds, "FIRST_PAUSE_S", 0.2)
    return Ground(stage)


def begun(ground: Ground, orders: list[OrderReport], **more: Any) -> None:
    """The first reading shows these orders and no position."""
    ground.start(**more)
    ground.expect_look()
    ground.show(FLAT, orders)


def test_a_suspect_is_looked_at_again_and_cancelled(ground: Ground) -> None:
    begun(ground, [order(OVER), ground.stranger()])
    ground.expect_symbol()
    assert none_of(ground.gateway, CancelZombie)
    ground.show_symbol([order(OVER), ground.stranger()])
    cancel = ground.expect_cancel()
    assert cancel.ref.exchange_id == "900"
    ground.answer(cancel)
    figures = ground.finished("reading")
    assert (figures["found"], figures["cancelled"], figures["kinds"]) == (1, 1, {"no_position": 1})
    assert [data["seen"] for data in ground.told(EventType.ZOMBIE_FOUND)] == ["1/2", "2/2"]
    assert [data["order_id"] for data in ground.told(EventType.ZOMBIE_CANCELLED)] == ["900"]
    assert ground.facts()[-1][f"zombies.{ACCOUNT}"]["cancelled"] == 1
    ground.quiet()
    assert len(ground.gateway.of(AskSymbol)) == len(ground.gateway.of(CancelZombie)) == 1


def test_quiet_readings_cost_nothing_more_and_say_nothing_more(ground: Ground) -> None:
    begun(ground, [order(None)])
    ground.quiet()
    assert none_of(ground.gateway, AskSymbol)
    assert ground.told(EventType.ZOMBIE_SCAN_STARTED) == []
    assert ground.facts() == []


@pytest.mark.parametrize("rows", [FLAT, [row()], [row("ETHUSDT", "0")]], ids=["gone", "held", "no row"])
def test_what_the_second_look_does_not_bear_out_is_left_alone(ground: Ground, rows: list[PositionReport]) -> None:
    begun(ground, [order(OVER)])
    ground.expect_symbol()
    ground.show_symbol([] if rows == FLAT else [order(OVER)], rows)
    figures = ground.finished("reading")
    assert (figures["found"], figures["cancelled"]) == (0, 0)
    assert none_of(ground.gateway, CancelZombie)


def test_a_cancel_that_came_to_nothing_is_tried_again_after_a_pause(ground: Ground) -> None:
    begun(ground, [order(OVER)])
    for _ in range(2):
        ground.expect_symbol()
        ground.show_symbol([order(OVER)])
        ground.answer(ground.expect_cancel(), CancelResult.REFUSED)
        until(lambda: len(ground.told(EventType.ZOMBIE_CANCEL_FAILED)) == ground.cancels)
        until(lambda: more_readings(ground, [order(OVER)]) > ground.symbols_asked)
    assert len(ground.told(EventType.ZOMBIE_CANCEL_FAILED)) == 2


def more_readings(ground: Ground, orders: list[OrderReport]) -> int:
    """One more reading of the whole account; how often single symbols have been asked for so far."""
    ground.tell(ReconcileNow(reason="test"))
    ground.expect_look()
    ground.show(FLAT, orders)
    ground.heard()
    return len(ground.gateway.of(AskSymbol))


def test_each_end_of_a_position_has_its_symbol_read_at_once(ground: Ground) -> None:
    begun(ground, [])
    ground.tell(PositionOver(symbol="BTCUSDT", side=None, reason="closed"))
    ground.expect_symbol()
    ground.show_symbol([])
    assert ground.finished("closed BTCUSDT")["found"] == 0
    assert not ground.gateway.of(AskSymbol)[-1].rows, "the orders alone tell whether there is anything to prove"
    ground.tell(PositionOver(symbol="BTCUSDT", side=None, reason="rolled_back"))
    for _ in range(2):
        ground.expect_symbol()
        ground.show_symbol([order(OVER)])
    assert [ask.rows for ask in ground.gateway.of(AskSymbol)] == [False, False, True]
    ground.answer(ground.expect_cancel(), CancelResult.GONE)
    figures = ground.finished("rolled_back BTCUSDT")
    assert (figures["found"], figures["gone"]) == (1, 1)


def test_what_stands_on_a_flat_position_is_ours_where_one_of_ours_has_ended(ground: Ground) -> None:
    left = order(None, attached=True, close_position=True)
    begun(ground, [left])
    ground.quiet()
    assert none_of(ground.gateway, AskSymbol)
    ground.tell(PositionOver(symbol="BTCUSDT", side=None, reason="closed"))
    for _ in range(2):
        ground.expect_symbol()
        ground.show_symbol([left])
    cancel = ground.expect_cancel()
    assert (cancel.ref.attached, cancel.ref.with_profit, cancel.ref.exchange_id) == (True, True, None)


def test_many_ends_at_once_are_one_reading_of_the_whole(ground: Ground) -> None:
    begun(ground, [])
    for number in range(hunt.MANY + 5):
        ground.tell(PositionOver(symbol=f"S{number}", side=None, reason="closed"))
    ground.expect_look()
    ground.show(FLAT, [])
    ground.quiet()
    assert len(ground.gateway.of(AskSymbol)) == 1, "one at a time"


def test_a_scan_lists_and_touches_nothing_when_dry(ground: Ground) -> None:
    begun(ground, [])
    number = ground.scan(dry_run=True, aggressive=True)
    assert ground.scan() is None, "one at a time"
    orders = [order(OVER), ground.stranger()]
    ground.expect_look()
    ground.show(FLAT, orders)
    ground.expect_symbol()
    ground.show_symbol(orders)
    report = ground.scanned(number)
    assert [(z["whose"], z["result"]) for z in report.zombies] == [("ours", "listed"), ("stranger", "listed")]
    assert report.orders == 2
    assert report.totals["listed"] == 2
    assert none_of(ground.gateway, CancelZombie)
    assert ground.told(EventType.ZOMBIE_SCAN_STARTED)[-1]["uid"] == 1000
    assert ground.scan() == number + 1


@pytest.mark.parametrize("by", ["scan", "settings", "nobody"])
def test_strangers_are_touched_only_where_somebody_says_so(ground: Ground, by: str) -> None:
    ground.zombies = Zombies(aggressive=by == "settings")
    begun(ground, [])
    orders = [ground.stranger()]
    number = ground.scan(aggressive=by == "scan")
    ground.expect_look()
    ground.show(FLAT, orders)
    if by == "nobody":
        assert ground.scanned(number).zombies == ()
    else:
        ground.expect_symbol()
        ground.show_symbol(orders)
        ground.answer(ground.expect_cancel())
        assert [z["result"] for z in ground.scanned(number).zombies] == ["cancelled"]
    more_readings(ground, orders)
    if by == "settings":
        ground.expect_symbol()
        return
    ground.quiet()
    assert len(ground.gateway.of(AskSymbol)) == ground.symbols_asked, "an aggressive scan is over when it is over"


def test_the_settings_can_have_it_list_only_and_then_once(ground: Ground) -> None:
    ground.zombies = Zombies(dry_run=True)
    begun(ground, [order(OVER)])
    ground.expect_symbol()
    ground.show_symbol([order(OVER)])
    assert ground.finished("reading")["listed"] == 1
    more_readings(ground, [order(OVER)])
    ground.quiet()
    assert len(ground.gateway.of(AskSymbol)) == 1
    ground.zombies = Zombies()
    more_readings(ground, [order(OVER)])
    ground.expect_symbol()
    ground.show_symbol([order(OVER)])
    ground.expect_cancel()


def test_too_many_within_an_hour_are_told_once(ground: Ground) -> None:
    ground.zombies = Zombies(alert_over=1)
    orders = [order(OVER, exchange_id=str(number)) for number in range(3)]
    begun(ground, orders)
    ground.expect_symbol()
    ground.show_symbol(orders)
    ground.gateway.count(CancelZombie, 3)
    ground.quiet()
    assert [data["within_an_hour"] for data in ground.told(EventType.ZOMBIES_MANY)] == [2]
    ground.zombies = Zombies(alert_over=5)
    more_readings(ground, [])
    ground.quiet()
    assert len(ground.told(EventType.ZOMBIES_FEW)) == 1


def test_a_scan_ends_when_the_account_cannot_be_read(ground: Ground) -> None:
    begun(ground, [])
    number = ground.scan()
    ground.expect_look()
    ground.tell(SnapshotFailed(text="502 bad gateway"))
    assert ground.scanned(number).error == "502 bad gateway"


def test_whatever_a_dead_gateway_took_along_gets_an_end(ground: Ground) -> None:
    begun(ground, [order(OVER)])
    ground.expect_symbol()
    ground.show_symbol([order(OVER)])
    ground.expect_cancel()
    ground.tell(GatewayStarted(account=ACCOUNT))
    assert ground.finished("reading")["unknown"] == 1


def test_what_nobody_answers_is_given_up(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt, "ANSWER_LIMIT_S", 0.2)
    begun(ground, [order(OVER)])
    ground.expect_symbol()
    figures = ground.finished("reading")
    assert figures["unknown"] == 1
    ground.tell(SymbolRead(symbol="BTCUSDT", snapshot=None, error="503"))
    ground.quiet()
    assert none_of(ground.gateway, CancelZombie)

"""What an operator is told when something goes wrong that no other story here brings about, and that it is over.

One service for all of it. The slow ones begin with it: whoever falls again and again is steady only after a minute, and
a loss that one source alone shows is doubtful only after a minute. The account is read rarely: each reading takes a
fifteenth of a minute of questions (LAWS S15), for which no story is to wait. How it would show when broken: an event,
an alert or the end of one that does not come.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psutil
import psycopg
import pytest
from psycopg.types.json import Jsonb

from adapters.admin.protocol import AdminError
from domain.judgement.losses import Source
from tests.end_to_end.agreement import conninfo, differences
from tests.end_to_end.fault_stage import Act, Stage, Venue, Watch
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.strangers import lay_as
from tests.oracle.report import breach_text

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

VENUE = Venue(exchange="binanceusdm")
HELD, BY_HAND, SILENT, BARE, LEFT, RAW, DYING, AGAIN = (
    "BTCUSDT", "LTCUSDT", "SOLUSDT", "XRPUSDT", "ETHUSDT", "DOGEUSDT", "AVAXUSDT", "BNBUSDT",
)  # fmt: skip
FALLING = ("performance", "judge", "archivist", "symbol_keeper")
"""Nobody whose work another story needs meanwhile: more than five falls of each in 30 s, more than twenty of all."""
ROUNDS = 20
MINUTE_S = 100.0
LARGE_USD = 4_000
SETTINGS: dict[str, dict[str, Any]] = {
    "accounts.main": {"exclude": [BY_HAND], "leverage": 10},
    "chaos": {"enabled": True},
    "reconciler": {"interval_s": 30, "alert_unrepaired_s": Decimal("0.5")},
    "risk": {"kill_switch_drawdown_pct": Decimal("0.6")},  # 60 USD; a loss of the day would end at midnight
    "supervision": {"base_backoff_s": Decimal("0.01"), "max_backoff_s": 1},
    "zombies": {"alert_over": 1},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Some of its actors have fallen again and again, and a position has lost money that the account still has."""
    with running(tmp_path_factory.mktemp("troubles"), SETTINGS) as service:
        service.wait_for(lambda: counted_from(service) == set(Source) or None, 40, "both sources of losses")
        fall_again_and_again(service)
        lose_what_a_hand_makes_good(service)
        yield service


def counted_from(service: ServiceProcess) -> set[str]:
    """Which sources of losses have said a first word: what is lost from then on counts."""
    return {event["data"]["source"] for event in service.events(type="losses_counted_from")}


def lose_what_a_hand_makes_good(service: ServiceProcess) -> None:
    """Our position loses more than the limit, a human's that is left to him gains more: the book alone shows a loss."""
    mark, step = service.mark(BY_HAND), service.terms.filters[BY_HAND].step
    quantity = (LARGE_USD / mark / step).quantize(Decimal(1)) * step
    service.control("order", symbol=BY_HAND, side="BUY", quantity=str(quantity))
    service.open(HELD, usd=str(LARGE_USD), stop_pct=5)
    service.move_mark(BY_HAND, "3")
    service.move_mark(HELD, "-2")


def fall_again_and_again(service: ServiceProcess) -> None:
    """These fall, at the same time, until that is too often for each of them and for their supervisor."""
    for _round in range(ROUNDS):
        if all(service.events(type=kind) for kind in ("actor_escalated", "group_escalated")):
            return
        fall(service, *FALLING)
    raise AssertionError(f"{ROUNDS} falls of {FALLING} were not too many\n{service.log_tail()}")


def fall(service: ServiceProcess, *names: str) -> None:
    """These fall now; wait until each has a successor that runs."""
    before = actors(service)
    for name in names:
        service.ctl("actors.kill", name=name, how="exit")

    def replaced() -> bool | None:
        now = actors(service)
        return all(name not in now or lives_again(now[name], before[name]["epoch"]) for name in names) or None

    service.wait_for(replaced, 30, f"successors of {names}")


def lives_again(actor: dict[str, Any], epoch: int) -> bool:
    return actor["state"] == "RUNNING" and bool(actor["epoch"] > epoch)


def actors(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in service.ctl("actors")["actors"]}


def alert(service: ServiceProcess, type_: str, condition: str) -> dict[str, Any]:
    """The event of an alert that was raised or is over, waited for."""

    def look() -> dict[str, Any] | None:
        return next((e for e in service.events(type=type_) if e["data"]["condition"] == condition), None)

    found: dict[str, Any] = service.wait_for(look, MINUTE_S, f"{type_} {condition}")
    return found


def have_read(service: ServiceProcess) -> None:
    """Have the account read now. One that is late, for want of questions, is read all the same."""
    with contextlib.suppress(AdminError, TimeoutError):
        service.ctl("reconcile", account="main")


def stage_of(service: ServiceProcess, symbol: str) -> Stage:
    return Stage(service, Watch(service.timeline), VENUE, symbol, "long")


def test_who_falls_again_and_again_is_named(service: ServiceProcess) -> None:
    told = service.wait_event("actor_escalated", severity="critical")["data"]
    assert told["name"] in FALLING
    assert (told["supervisor"], told["restarts"] >= 5, bool(told["error"])) == ("root", True, True)
    assert alert(service, "alert_raised", f"crash_loop:{told['name']}")["severity"] == "critical"
    group = service.wait_event("group_escalated", severity="critical")["data"]
    assert (group["name"] in FALLING, group["supervisor"]) == (True, "root")
    assert alert(service, "alert_raised", "crash_loop:children of root")["severity"] == "critical"
    assert service.alive


def test_a_zombie_that_cannot_be_cancelled_is_told_of_and_too_many_are(service: ServiceProcess) -> None:
    (held,) = service.positions(symbol=HELD)
    entry = next(o["client_id"] for o in service.position(held["id"])["orders"] if o["kind"] == "entry")
    prefix, _position, epoch, _rest = entry.split("-")
    service.operator_acts(LEFT)
    stuck, other = (lay_as(service, LEFT, f"{prefix}-1-{epoch}-{number}s") for number in (1, 2))
    refusal = {"method": "DELETE", "path": "/fapi/v1/algoOrder", "where": {"algoId": stuck}, "code": -1008, "next": 1}
    service.exchange("POST", "/control/reject", refusal)
    have_read(service)
    failed = service.wait_event("zombie_cancel_failed", 40, severity="warning", symbol=LEFT)["data"]
    assert (failed["order_id"], failed["whose"], failed["kind"]) == (stuck, "ours", "no_position")
    assert (failed["result"], bool(failed["error"])) == ("refused", True)
    many = service.wait_event("zombies_many", severity="warning")["data"]
    assert (many["within_an_hour"], many["alert_over"]) == (2, 1)
    assert alert(service, "alert_raised", "zombies:main")["severity"] == "warning"
    service.wait_for(lambda: cancelled(service) == {other} or None, 20, "the other one cancelled")


def cancelled(service: ServiceProcess) -> set[str]:
    return {event["data"]["order_id"] for event in service.events(type="zombie_cancelled")}


def test_a_wrong_row_of_symbol_settings_is_left_out_and_named(service: ServiceProcess) -> None:
    with psycopg.connect(conninfo(service.state_dir)) as database:
        insert = "INSERT INTO monitoring.symbol_settings (symbol, protection_overrides) VALUES (%s, %s)"
        database.execute(insert, (RAW, Jsonb({"stop_pct": "-3"})))
    refused = service.wait_event("symbol_settings_refused", 30, severity="warning", symbol=RAW)["data"]
    assert refused["name"] == RAW
    assert "stop_pct" in refused["error"]
    assert stop_pct(service) == "default"
    with psycopg.connect(conninfo(service.state_dir)) as database:
        update = "UPDATE monitoring.symbol_settings SET protection_overrides = %s WHERE symbol = %s"
        database.execute(update, (Jsonb({"stop_pct": "3"}), RAW))
    changed = service.wait_event("symbol_settings_changed", 30, symbol=RAW)["data"]
    assert changed["by"] == "database"
    assert stop_pct(service) == "db"


def stop_pct(service: ServiceProcess) -> str:
    """Who says how far off the first stop of that symbol is."""
    source: str = service.ctl("symbol.get", symbol=RAW)["values"]["protection.stop_pct"]["source"]
    return source


def test_the_entry_of_an_owner_that_was_replaced_meanwhile_is_not_sent(service: ServiceProcess) -> None:
    """It dies while the venue is slow to say that the leverage is set, which comes before the entry."""
    stage = stage_of(service, DYING)
    stage.watch.struck()  # what was before is read by then
    slow = {"method": "POST", "path": "/fapi/v1/leverage", "symbol": DYING, "after_ms": 4_000}
    fault = service.exchange("POST", "/control/delay", slow)["fault"]
    stage.order()
    service.wait_for(lambda: fault in stage.watch.struck() or None, 20, "the leverage under way")
    fall(service, f"position/{stage.id}")
    fenced = service.wait_event("request_fenced", severity="warning", symbol=DYING)["data"]
    assert (int(fenced["position"]), fenced["effect"]) == (stage.id, "Place")
    stage.flat("FAILED")
    assert stage.lives() == []


def test_a_symbol_whose_prices_stop_is_named_until_they_come_again(service: ServiceProcess) -> None:
    service.open(SILENT)
    lost = service.exchange("POST", "/control/lose", {"path": "markPriceUpdate", "symbol": SILENT, "for_ms": 120_000})
    stale = service.wait_event("price_stale", 60, severity="warning", symbol=SILENT)["data"]
    assert (stale["limit_s"], bool(stale["last_heard"])) == (15, True)
    assert feed_is(service, "degraded") == f"no price for {SILENT}"
    service.exchange("POST", "/control/clear", {"fault": lost["fault"]})
    fresh = service.wait_event("price_fresh", 30, symbol=SILENT)["data"]
    assert Decimal(fresh["mark_price"]) > 0
    feed_is(service, "healthy")


def feed_is(service: ServiceProcess, state: str) -> str | None:
    """Why the market feed is in this state, once it is."""

    def look() -> dict[str, Any] | None:
        shown = {each["name"]: each for each in service.ctl("status")["components"]}["market_feed/main"]
        return shown if shown["state"] == state else None

    reason: str | None = service.wait_for(look, 20, f"a market feed that is {state}")["reason"]
    return reason


def test_what_nobody_puts_right_is_an_alarm_until_somebody_does(service: ServiceProcess) -> None:
    """The venue takes neither a stop nor an exit: the reading goes on to show a position without cover."""
    stage = stage_of(service, BARE)
    stage.open()
    stage.fault("reject", Act.STOP, code=-4045, for_ms=120_000)
    stage.fault("reject", Act.EXIT, code=-2019, for_ms=120_000)
    stage.lose_stop_by_hand()
    stage.event("position_needs_intervention", "critical", limit_s=40)
    have_read(service)
    raised = alarm(service, "reconcile_alarm", "error", 0)
    assert (raised["data"]["why"], raised["data"]["symbols"]) == ("unrepaired", BARE)
    assert (raised["data"]["unrepaired"], raised["data"]["findings"] >= 1) == (1, True)
    stage.calm()
    stage.flat("ROLLED_BACK", "CLOSED", limit_s=60)
    have_read(service)
    over = alarm(service, "reconcile_alarm_over", "info", raised["seq"])["data"]
    assert (over["why"], over["unrepaired"], over["symbols"]) == ("unrepaired", 0, "")


def alarm(service: ServiceProcess, type_: str, severity: str, since: int) -> dict[str, Any]:
    """The first of its kind after that event."""

    def look() -> dict[str, Any] | None:
        return next((each for each in service.events(type=type_, severity=severity) if each["seq"] > since), None)

    found: dict[str, Any] = service.wait_for(look, 60, f"{type_} after {since}")
    return found


def test_an_exchange_that_died_is_started_again_where_it_was(service: ServiceProcess) -> None:
    opened = service.open(AGAIN)
    before = service.endpoint()
    service.disturb("the exchange is killed")
    psutil.Process(before["pid"]).kill()
    again = service.wait_event("exchange_restarted", 40, severity="warning")["data"]
    assert again == {"exchange": "paper"}
    assert service.endpoint()["rest_url"] == before["rest_url"]
    assert service.endpoint()["pid"] != before["pid"]
    service.wait_price(AGAIN, limit_s=90)
    shown = service.position(opened["id"])
    assert (shown["state"], shown["stop_order_id"]) == ("ACTIVE", opened["stop_order_id"])


def test_a_zombie_is_tried_again_and_the_alert_ends_with_its_reason(service: ServiceProcess) -> None:
    """The second try comes with a reading after a pause; what is too many is for the operator to say."""
    service.wait_for(lambda: len(cancelled(service)) == 2 or None, 90, "the order whose cancel was refused is gone")
    service.settings.write_text(service.settings.read_text().replace("alert_over = 1\n", "alert_over = 10\n"))
    service.ctl("settings.reload")
    have_read(service)
    few = service.wait_event("zombies_few", 60)["data"]
    assert (few["within_an_hour"], few["alert_over"]) == (2, 10)
    alert(service, "alert_cleared", "zombies:main")


def test_a_loss_that_one_source_alone_shows_is_told_and_fires_nothing(service: ServiceProcess) -> None:
    doubt = service.wait_event("kill_switch_doubtful", MINUTE_S, severity="warning")["data"]
    assert (doubt["account"], doubt["cause"]) == ("main", "drawdown")
    assert Decimal(doubt["lost_by_book"]) >= Decimal(doubt["limit"]) > Decimal(doubt["lost_by_account"])
    assert service.events(type="kill_switch_fired") == []
    assert service.ctl("status")["kill_switch"] is None


def test_who_has_stopped_falling_is_steady(service: ServiceProcess) -> None:
    escalated = {event["data"]["name"] for event in service.events(type="actor_escalated")}
    for name in escalated:
        alert(service, "alert_cleared", f"crash_loop:{name}")
    alert(service, "alert_cleared", "crash_loop:children of root")
    steady = {event["data"]["name"] for event in service.events(type="actor_steady", severity="warning")}
    assert steady == escalated
    calm_groups = service.events(type="group_steady", severity="warning")
    assert {event["data"]["supervisor"] for event in calm_groups} == {"root"}
    assert [each for each in service.ctl("alerts")["standing"] if each["type"] == "crash_loop"] == []


def test_no_law_was_broken_meanwhile(service: ServiceProcess) -> None:
    service.ctl("close_all")
    service.wait_for(lambda: not service.positions() or None, 60, "everything closed")

    def disagreement() -> list[str]:
        return differences(service.state_dir, service.verdict())

    service.wait_for(lambda: not disagreement() or None, 20, f"agreement, still: {disagreement()}")
    # What was laid there in our name is no order of ours.
    broken = [breach_text(breach) for breach in service.verdict().breaches if breach.symbol != LEFT]
    assert broken == []

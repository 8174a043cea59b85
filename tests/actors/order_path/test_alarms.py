"""The alarms with journal, notifier and database: raised once, known, over; across deaths of the actor and of all."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.alarms import Alarms, Memory, Wiring
from actors.alerting_messages import ALARMS, Acknowledge, ShowAlarms
from actors.messages import Write
from actors.owners import Owners
from actors.recording import plain_event
from config.in_force import SettingsInForce
from config.settings import Account, Settings
from domain.alerting.evidence import Evidence
from domain.catalogue import EventType
from domain.records import Record
from persistence.database import DatabaseAway
from persistence.digest import read_day
from tests.actors.order_path.stage import until
from tests.actors.order_path.test_notifier import Bench, Phone
from tests.persistence.conftest import Query

NUMBERS = itertools.count(1)
SETTINGS = Settings(accounts={"main": Account(exchange="binanceusdm")})


class House(Bench):
    """Journal, notifier and alarms."""

    def __init__(
        self,
        database: str,
        directory: Path,
        phone: Phone,
        settings: Settings = SETTINGS,
        before_reading: Callable[[], object] = lambda: None,
    ) -> None:
        """`before_reading`: what happens before the database says what stands."""
        super().__init__(database, directory, phone)

        def earlier() -> Sequence[Mapping[str, Any]]:
            before_reading()
            return self.reader.alerts_standing()

        self.memory = Memory(evidence=Evidence(datetime.now(UTC)))
        wiring = Wiring(
            memory=self.memory,
            in_force=SettingsInForce(settings),
            owners=Owners(),
            accounts=(),
            earlier=earlier,
            fact=self.reader.fact,
            digest=lambda day: read_day(self.reader, day),
            recorder=self.stage.recorder,
        )
        self.stage.add(ALARMS, lambda context: Alarms.start(context, wiring))

    def happens(self, kind: EventType, symbol: str = "BTCUSDT") -> None:
        event = plain_event(kind, datetime.now(UTC), {"error": "-4045"}, account="main", symbol=symbol)
        record = Record(record_id=f"happening-{next(NUMBERS)}", at=event.at, events=(event,))
        self.stage.tell(messages.JOURNAL, Write(record=record))

    def refuse(self) -> None:
        self.happens(EventType.STOP_LOSS_REFUSED)
        self.happens(EventType.STOP_LOSS_REFUSED)

    def standing(self) -> list[str]:
        return [each.alert_id for each in self.stage.ask(ALARMS, ShowAlarms())]


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Phone:
    monkeypatch.setattr("actors.notifier.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("actors.alarms.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("actors.alarms.ASK_EVERY_S", 0.05)
    return Phone()


@pytest.fixture
def house(database: str, tmp_path: Path, phone: Phone) -> Iterator[House]:
    house = House(database, tmp_path, phone)
    house.stage.start()
    yield house
    house.stop()


def told(phone: Phone) -> list[str]:
    return [text.partition(":")[0].removeprefix("STOPS_REFUSED ")[:4] for text in phone.texts if "REFUSED" in text]


def marked(rows: Query) -> None:
    """Wait until all that was told is marked as told: a life that ends before that has its successor tell it again."""
    until(lambda: rows("SELECT 1 FROM monitoring.alerts WHERE sent_at IS NOT NULL"), what="an alert that is marked")
    until(lambda: not rows("SELECT 1 FROM monitoring.alerts WHERE sent_at IS NULL"), what="no alert to tell")


def events(rows: Query, kind: str) -> list[dict[str, Any]]:
    return rows("SELECT event_data, severity, symbol FROM monitoring.events WHERE event_type = %s ORDER BY id", kind)


def test_it_is_raised_known_and_over(house: House, phone: Phone, rows: Query) -> None:
    house.refuse()
    until(lambda: told(phone) == ["the "])
    (alert,) = house.standing()
    assert house.stage.ask(ALARMS, Acknowledge(alert_id="nothing", uid=7)) is False
    assert house.stage.ask(ALARMS, Acknowledge(alert_id=alert, uid=7)) is True
    house.refuse()
    house.happens(EventType.STOP_LOSS_PLACED)
    until(lambda: told(phone) == ["the ", "OVER"])
    assert house.standing() == []
    until(lambda: events(rows, "alert_cleared"))
    (raised,) = events(rows, "alert_raised")
    assert (raised["severity"], raised["symbol"]) == ("critical", "BTCUSDT")
    assert events(rows, "alert_acknowledged")[0]["event_data"]["uid"] == 7
    row = rows.one("SELECT * FROM monitoring.alerts WHERE condition IS NOT NULL")
    assert (row["alert_id"], row["acknowledged_by"]) == (alert, "uid 7")
    assert row["cleared_at"] is not None


def test_the_death_of_the_actor_changes_nothing(house: House, phone: Phone) -> None:
    house.refuse()
    until(lambda: len(told(phone)) == 1)
    before = house.standing()
    house.stage.kill(ALARMS)
    until(lambda: house.stage.actor(ALARMS).incarnation == 2)
    assert house.standing() == before
    house.happens(EventType.STOP_LOSS_PLACED)
    until(lambda: told(phone) == ["the ", "OVER"])


def test_the_next_life_takes_up_what_stands(database: str, tmp_path: Path, phone: Phone, rows: Query) -> None:
    first = House(database, tmp_path / "first", phone)
    first.stage.start()
    first.refuse()
    until(lambda: len(told(phone)) == 1)
    (alert,) = first.standing()
    marked(rows)
    first.stop()
    rows(
        "INSERT INTO monitoring.alerts (alert_id, severity, type, text, raised_at, condition, sent_at) "
        "VALUES ('s-new', 'critical', 'of_tomorrow', 'text', now(), 'of_tomorrow:x', now()) RETURNING 1"
    )
    second = House(database, tmp_path / "second", phone)
    second.stage.start()
    try:
        until(lambda: second.standing() == [alert])  # and not the one that only a newer program knows
        second.refuse()
        second.happens(EventType.STOP_LOSS_PLACED)
        until(lambda: told(phone) == ["the ", "OVER"])
        until(lambda: rows.one("SELECT cleared_at FROM monitoring.alerts WHERE alert_id = %s", alert)["cleared_at"])
    finally:
        second.stop()


def test_what_stands_is_not_told_again_by_a_life_that_hears_of_it_before_it_has_read(
    database: str, tmp_path: Path, phone: Phone, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was: whoever was refused within the first second raised it anew, and nobody's word that he knew of it held."""
    monkeypatch.setattr("actors.alarms.EARLIER_S", 60)
    first = House(database, tmp_path / "first", phone)
    first.stage.start()
    first.refuse()
    until(lambda: len(told(phone)) == 1)
    (alert,) = first.standing()
    first.stage.ask(ALARMS, Acknowledge(alert_id=alert, uid=7))
    until(lambda: rows("SELECT 1 FROM monitoring.alerts WHERE acknowledged_by = 'uid 7'"))
    marked(rows)
    first.stop()
    heard = threading.Event()
    second = House(database, tmp_path / "second", phone, before_reading=heard.wait)
    second.stage.start()
    try:
        second.refuse()
        until(lambda: len(events(rows, "stop_loss_refused")) == 4)
        assert second.standing() == []
        heard.set()
        until(second.standing)
        assert [
            (each.alert_id, each.acknowledged_by) for each in second.stage.ask(ALARMS, ShowAlarms())
        ] == [(alert, "uid 7")]
        second.happens(EventType.STOP_LOSS_PLACED)
        until(lambda: told(phone)[-1] == "OVER")
        assert told(phone) == ["the ", "OVER"]
        assert len(events(rows, "alert_raised")) == 1
    finally:
        heard.set()
        second.stop()


@pytest.mark.parametrize("away", [True, False], ids=["refuses", "hangs"])
def test_a_database_that_does_not_say_what_stands_is_not_waited_for(
    database: str, tmp_path: Path, phone: Phone, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    monkeypatch.setattr("actors.alarms.EARLIER_S", 60 if away else 0.1)
    over = threading.Event()

    def unread() -> None:
        if not away:
            over.wait()
        raise DatabaseAway("down")

    house = House(database, tmp_path / "blind", phone, before_reading=unread)
    house.stage.start()
    try:
        house.refuse()
        until(lambda: told(phone) == ["the "])
    finally:
        over.set()
        house.stop()


def test_what_was_told_by_its_own_event_is_not_told_twice(house: House, phone: Phone, rows: Query) -> None:
    data = {"name": "gateway/main", "error": "boom"}
    event = plain_event(EventType.ACTOR_ESCALATED, datetime.now(UTC), data)
    record = house.stage.recorder.record(event.at, events=[event])
    house.stage.tell(messages.JOURNAL, Write(record=record))
    until(house.standing)
    until(lambda: rows("SELECT 1 FROM monitoring.alerts WHERE condition = 'crash_loop:gateway/main'"))
    until(lambda: phone.texts)
    steady = plain_event(EventType.ACTOR_STEADY, datetime.now(UTC), data)
    house.stage.tell(messages.JOURNAL, Write(record=house.stage.recorder.record(event.at, events=[steady])))
    until(lambda: any("CRASH_LOOP OVER" in text for text in phone.texts))
    assert sorted(text.split()[0] for text in phone.texts) == ["ACTOR_ESCALATED", "ACTOR_STEADY", "CRASH_LOOP"]


def test_the_digest_is_told_once_a_day_over_restarts(
    database: str, tmp_path: Path, phone: Phone, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = Settings.model_validate(
        {"accounts": {"main": {"exchange": "binanceusdm"}}, "notifier": {"digest_hour": 0}}
    )
    first = House(database, tmp_path / "first", phone, hour)
    first.stage.start()
    fact = "SELECT value FROM monitoring.service_facts WHERE key = 'digest_day'"
    until(lambda: rows(fact))
    yesterday = date.fromisoformat(str(rows.one(fact)["value"]))
    first.stop()
    assert phone.texts == []  # of a day that it has not seen nothing is told
    before = yesterday - timedelta(days=3)
    rows("UPDATE monitoring.service_facts SET value = %s::jsonb WHERE key = 'digest_day' RETURNING 1", f'"{before}"')
    for life in ("second", "third"):
        house = House(database, tmp_path / life, phone, hour)
        house.stage.start()
        until(lambda: any("DAILY_DIGEST" in text for text in phone.texts))
        until(lambda: rows.one(fact)["value"] == yesterday.isoformat())
        marked(rows)
        house.stop()
    assert len(phone.texts) == 1
    assert "unprotected 0 s; 0 positions closed" in phone.texts[0]

"""The notifier with the real outbox: what is raised is delivered once a life, and stays queued until it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors import messages, notifier
from actors.alerting_messages import ShowTrial, TryChannels
from actors.journal import Journal
from actors.journal import Wiring as JournalWiring
from actors.messages import AlertsRaised, Show, Write
from actors.notifier import Notifier, Wiring
from adapters.channels.interface import Channel, Message, NotDelivered
from domain.alerting.routes import Route
from persistence.database import DatabaseAway
from persistence.reader import Reader
from persistence.spool import Spool
from tests.actors.order_path.stage import Stage, until
from tests.persistence.conftest import Query
from tests.persistence.samples import alert, record


class Phone:
    """A channel that rings, or does not, or hangs."""

    tag = "NOTICE"

    def __init__(self, name: str = "phone") -> None:
        self.name = name
        self.rang: list[str] = []
        self.texts: list[str] = []
        self.broken: str | None = None
        self.refuses = False
        self.attempts = 0
        self.answers = threading.Event()
        self.answers.set()

    def deliver(self, message: Message) -> None:
        self.attempts += 1
        self.answers.wait()
        if self.broken is not None:
            raise NotDelivered(self.broken, refused=self.refuses)
        self.rang += [alert.alert_id for alert in message.alerts] or ["trial"]
        self.texts.append(message.text)


class Bench:
    """Journal and notifier on one database."""

    def __init__(self, database: str, directory: Path, *channels: Channel, window_s: float = 0) -> None:
        self.stage = Stage()
        self.spool = Spool(directory / "spool")
        self.reader = Reader(database)
        self.away: str | None = None
        book = JournalWiring(
            conninfo=database,
            spool=self.spool,
            refused_dir=directory / "refused",
            recorder=self.stage.recorder,
            gateways=(),
            away_because=lambda: None,
            durable=lambda position: None,
        )
        self.stage.ear(messages.ENTRY_DESK)
        self.stage.add(messages.JOURNAL, lambda context: Journal.start(context, book))
        wiring = Wiring(
            channels=channels,
            routes=tuple(Route(channel=channel.name) for channel in channels),
            window_s=window_s,
            per_minute=1000,
            pending=self._pending,
            recorder=self.stage.recorder,
        )
        self.stage.add(messages.NOTIFIER, lambda context: Notifier.start(context, wiring))

    def _pending(self, after: int) -> Sequence[dict[str, Any]]:
        if self.away is not None:
            raise DatabaseAway(self.away)
        return self.reader.alerts_pending(notifier.LOADED, after)

    def raise_alert(self, alert_id: str) -> None:
        self.stage.tell(messages.JOURNAL, Write(record=record(f"of-{alert_id}", alerts=(alert(alert_id),))))

    def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.stage.ask(messages.NOTIFIER, Show())
        return shown

    def stop(self) -> None:
        self.stage.stop()
        self.reader.close()
        self.spool.close()


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Phone:
    monkeypatch.setattr("actors.notifier.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("actors.notifier.AGAIN_S", 0.05)
    monkeypatch.setattr("actors.notifier.TOLD_AFTER", 1_000_000)
    monkeypatch.setattr("domain.alerting.outbox.FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr("domain.alerting.outbox.LONGEST_PAUSE_S", 0.02)
    return Phone()


@pytest.fixture
def bench(database: str, tmp_path: Path, phone: Phone) -> Iterator[Bench]:
    bench = Bench(database, tmp_path, phone)
    bench.stage.start()
    yield bench
    bench.stop()


def row(rows: Query, alert_id: str) -> dict[str, object]:
    found = rows("SELECT sent_at, error FROM monitoring.alerts WHERE alert_id = %s", alert_id)
    return found[0] if found else {"sent_at": None, "error": None}  # not written yet


def test_delivered_once_and_marked(bench: Bench, phone: Phone, rows: Query) -> None:
    bench.raise_alert("a-1")
    until(lambda: rows("SELECT 1 FROM monitoring.alerts WHERE sent_at IS NOT NULL"))
    bench.stage.tell(messages.NOTIFIER, AlertsRaised(alerts=(alert("a-1"),)))
    assert bench.show()["sent"] == 1
    assert phone.rang == ["a-1"]


def test_text_that_nothing_can_write_holds_up_no_channel(bench: Bench, phone: Phone) -> None:
    """Half of a surrogate pair: an error text that its venue has cut, the id of a signal."""
    bench.stage.tell(messages.NOTIFIER, AlertsRaised(alerts=(alert("a-1", text="refused: \ud83d"), alert("a-2"))))
    until(lambda: len(phone.texts) == 2)
    assert next(text.encode() for text in phone.texts) == b"refused: ?"


def test_a_failing_channel_is_tried_again_and_said_so(bench: Bench, phone: Phone, rows: Query) -> None:
    phone.broken = "429 from the messenger"
    bench.raise_alert("a-1")
    until(lambda: phone.attempts > 3)
    assert bench.show()["waiting"] == 1
    until(lambda: row(rows, "a-1")["error"])
    assert "429 from the messenger" in str(row(rows, "a-1")["error"])
    assert row(rows, "a-1")["sent_at"] is None
    assert rows.one("SELECT attempts FROM monitoring.alert_deliveries")["attempts"] == 1  # its first failure only
    phone.broken = None
    until(lambda: row(rows, "a-1")["sent_at"])
    assert phone.rang == ["a-1"]
    assert bench.show()["waiting"] == 0


def test_of_two_channels_the_good_one_rings_once(database: str, tmp_path: Path, phone: Phone, rows: Query) -> None:
    other = Phone("mail")
    other.broken = "no route"
    bench = Bench(database, tmp_path, phone, other)
    bench.stage.start()
    try:
        bench.raise_alert("a-1")
        until(lambda: other.attempts > 3)
        until(lambda: phone.rang)
        assert phone.rang == ["a-1"]
        other.broken = None
        until(lambda: row(rows, "a-1")["sent_at"])
        assert (phone.rang, other.rang) == (["a-1"], ["a-1"])
    finally:
        bench.stop()


def test_the_outbox_survives_a_restart(database: str, tmp_path: Path, phone: Phone, rows: Query) -> None:
    phone.broken = "nobody there"
    first = Bench(database, tmp_path / "first", phone)
    first.stage.start()
    for alert_id in ("a-1", "a-2"):
        first.raise_alert(alert_id)
    until(lambda: first.show()["waiting"] == 2)
    first.stop()
    phone.broken = None
    second = Bench(database, tmp_path / "second", phone)
    second.stage.start()
    try:
        until(lambda: len(phone.rang) == 2)
        until(lambda: not rows("SELECT 1 FROM monitoring.alerts WHERE sent_at IS NULL"))
        assert phone.rang == ["a-1", "a-2"]
    finally:
        second.stop()


def test_a_channel_that_is_dead_for_days_keeps_nothing_from_the_others(
    database: str, tmp_path: Path, phone: Phone, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.notifier.LOADED", 2)
    dead = Phone("dead")
    dead.broken = phone.broken = "nobody there"
    first = Bench(database, tmp_path / "first", phone, dead)
    first.stage.start()
    alerts = [f"a-{number}" for number in range(1, 8)]
    for alert_id in alerts:
        first.raise_alert(alert_id)
    until(lambda: len(rows("SELECT 1 FROM monitoring.alerts")) == len(alerts))
    first.stop()
    phone.broken = None
    second = Bench(database, tmp_path / "second", phone, dead)
    second.stage.start()
    try:
        until(lambda: set(phone.rang) == set(alerts), what="all that the first life left, page after page")
        assert sorted(phone.rang) == alerts
        dead.broken = None
        until(lambda: not rows("SELECT 1 FROM monitoring.alerts WHERE sent_at IS NULL"))
        assert sorted(dead.rang) == alerts
    finally:
        second.stop()


def test_a_killed_notifier_loses_nothing(bench: Bench, phone: Phone, rows: Query) -> None:
    phone.broken = "nobody there"
    bench.raise_alert("a-1")
    until(lambda: bench.show()["waiting"] == 1)
    until(lambda: rows("SELECT 1 FROM monitoring.alerts"))
    bench.stage.kill(messages.NOTIFIER)
    phone.broken = None
    until(lambda: row(rows, "a-1")["sent_at"])
    assert phone.rang == ["a-1"]


def test_an_outbox_that_cannot_be_read_is_read_later(database: str, tmp_path: Path, phone: Phone, rows: Query) -> None:
    bench = Bench(database, tmp_path, phone)
    bench.away = "the server is starting"
    bench.stage.start()
    try:
        bench.stage.directory.tell(messages.JOURNAL, Write(record=record("r", alerts=(alert("a-9", text=None),))))
        with_row = record("row", alerts=(alert("a-1"),))
        book = bench.stage.actor(messages.JOURNAL)._writer
        book.write([with_row])  # a row that an earlier life left: nobody tells of it
        assert phone.rang == []
        bench.away = None
        until(lambda: phone.rang == ["a-1"])
        until(lambda: row(rows, "a-1")["sent_at"])
    finally:
        bench.stop()


def test_a_channel_that_hangs_delays_no_other_and_no_answer(
    database: str, tmp_path: Path, phone: Phone, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.dispatch.DEADLINE_S", 0.3)
    hung = Phone("hung")
    hung.answers.clear()
    bench = Bench(database, tmp_path, hung, phone)
    bench.stage.start()
    try:
        bench.raise_alert("a-1")
        until(lambda: phone.rang == ["a-1"])
        until(lambda: hung.attempts >= 3, what="an overdue delivery is given up and tried again")
        assert "no end within" in bench.show()["channels"]["hung"]["error"]
        assert row(rows, "a-1")["sent_at"] is None
        hung.answers.set()  # the first of them is taken late, which counts
        until(lambda: row(rows, "a-1")["sent_at"])
        assert phone.rang == ["a-1"]
        assert bench.show()["waiting"] == 0
    finally:
        hung.answers.set()
        bench.stop()


def test_what_one_channel_took_is_not_sent_there_again_by_the_next_life(
    database: str, tmp_path: Path, phone: Phone, rows: Query
) -> None:
    other = Phone("mail")
    other.broken = "no route"
    first = Bench(database, tmp_path / "first", phone, other)
    first.stage.start()
    first.raise_alert("a-1")
    until(lambda: rows("SELECT 1 FROM monitoring.alert_deliveries WHERE channel = 'phone' AND sent_at IS NOT NULL"))
    first.stop()
    other.broken = None
    second = Bench(database, tmp_path / "second", phone, other)
    second.stage.start()
    try:
        until(lambda: row(rows, "a-1")["sent_at"])
        assert (phone.rang, other.rang) == (["a-1"], ["a-1"])
    finally:
        second.stop()


def test_what_is_refused_for_itself_is_put_aside_and_told_by_the_others(
    database: str, tmp_path: Path, phone: Phone, rows: Query
) -> None:
    strict = Phone("strict")
    strict.broken, strict.refuses = "HTTP 400: message is too long", True
    bench = Bench(database, tmp_path, strict, phone)
    bench.stage.start()
    try:
        bench.raise_alert("a-1")
        until(lambda: row(rows, "a-1")["sent_at"], what="no channel waits for it any more")
        refused = "SELECT error, refused_at FROM monitoring.alert_deliveries WHERE channel = 'strict' AND alert_id = %s"
        assert rows.one(refused, "a-1")["refused_at"] is not None
        until(lambda: any("ALERT_UNDELIVERED" in text and "strict" in text for text in phone.texts))
        until(lambda: bench.show()["waiting"] == 0, what="the news of it is refused too, and that is the end of it")
        count = "SELECT count(*) AS n FROM monitoring.events WHERE event_type = 'alert_undelivered'"
        until(lambda: rows.one(count)["n"] not in (0, 1), what="the journal has written what was told last")
        assert rows.one(count)["n"] == 2
    finally:
        bench.stop()


def test_a_channel_that_goes_on_failing_is_told_once_and_its_return_too(
    database: str, tmp_path: Path, phone: Phone, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.notifier.TOLD_AFTER", 3)
    other = Phone("mail")
    other.broken = "no route"
    bench = Bench(database, tmp_path, phone, other)
    bench.stage.start()
    try:
        bench.raise_alert("a-1")
        until(lambda: other.attempts > 6)
        until(lambda: any("CHANNEL_FAILED channel=mail" in text for text in phone.texts))
        other.broken = None
        until(lambda: rows("SELECT 1 FROM monitoring.events WHERE event_type = 'channel_restored'"))
        told = rows.one("SELECT count(*) AS n FROM monitoring.events WHERE event_type = 'channel_failed'")
        assert told["n"] == 1
    finally:
        bench.stop()


def test_a_trial_goes_by_every_channel_and_says_what_each_made_of_it(
    database: str, tmp_path: Path, phone: Phone
) -> None:
    other = Phone("mail")
    other.broken = "no route"
    bench = Bench(database, tmp_path, phone, other)
    bench.stage.start()
    try:
        number = bench.stage.ask(messages.NOTIFIER, TryChannels(uid=7))
        until(lambda: all(bench.stage.ask(messages.NOTIFIER, ShowTrial(number=number)).values()))
        tried = bench.stage.ask(messages.NOTIFIER, ShowTrial(number=number))
        assert {name: each.error for name, each in tried.items()} == {"phone": None, "mail": "no route"}
        assert phone.rang == ["trial"]
    finally:
        bench.stop()

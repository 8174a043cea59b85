"""The notifier with the real outbox: what is raised is delivered once a life, and stays queued until it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.journal import Journal
from actors.journal import Wiring as JournalWiring
from actors.messages import AlertsRaised, Show, Write
from actors.notifier import Notifier, Wiring
from adapters.channels.interface import Channel, NotDelivered
from domain.records import AlertChange
from persistence.database import DatabaseAway
from persistence.reader import Reader
from persistence.spool import Spool
from tests.actors.order_path.stage import Stage, until
from tests.persistence.conftest import Query
from tests.persistence.samples import alert, record


class Phone:
    """A channel that rings, or does not."""

    def __init__(self, name: str = "phone") -> None:
        self.name = name
        self.rang: list[str] = []
        self.broken: str | None = None
        self.attempts = 0

    def deliver(self, alert: AlertChange) -> None:
        self.attempts += 1
        if self.broken is not None:
            raise NotDelivered(self.broken)
        self.rang.append(alert.alert_id)


class Bench:
    """Journal and notifier on one database."""

    def __init__(self, database: str, directory: Path, *channels: Channel) -> None:
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
        wiring = Wiring(channels=channels, pending=self._pending, recorder=self.stage.recorder)
        self.stage.add(messages.NOTIFIER, lambda context: Notifier.start(context, wiring))

    def _pending(self) -> Sequence[dict[str, Any]]:
        if self.away is not None:
            raise DatabaseAway(self.away)
        return self.reader.alerts_pending()

    def raise_alert(self, alert_id: str) -> None:
        self.stage.tell(messages.JOURNAL, Write(record=record(f"of-{alert_id}", alerts=(alert(alert_id),))))

    def show(self) -> dict[str, int]:
        shown: dict[str, int] = self.stage.ask(messages.NOTIFIER, Show())
        return shown

    def stop(self) -> None:
        self.stage.stop()
        self.reader.close()
        self.spool.close()


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Phone:
    monkeypatch.setattr("actors.notifier.RETRY_S", 0.05)
    return Phone()


@pytest.fixture
def bench(database: str, tmp_path: Path, phone: Phone) -> Iterator[Bench]:
    bench = Bench(database, tmp_path, phone)
    bench.stage.start()
    yield bench
    bench.stop()


def row(rows: Query, alert_id: str) -> dict[str, object]:
    return rows.one("SELECT sent_at, error FROM monitoring.alerts WHERE alert_id = %s", alert_id)


def test_delivered_once_and_marked(bench: Bench, phone: Phone, rows: Query) -> None:
    bench.raise_alert("a-1")
    until(lambda: rows("SELECT 1 FROM monitoring.alerts WHERE sent_at IS NOT NULL"))
    bench.stage.tell(messages.NOTIFIER, AlertsRaised(alerts=(alert("a-1"),)))
    assert bench.show()["sent"] == 1
    assert phone.rang == ["a-1"]


def test_a_failing_channel_is_tried_again_and_said_so(bench: Bench, phone: Phone, rows: Query) -> None:
    phone.broken = "429 from the messenger"
    bench.raise_alert("a-1")
    until(lambda: phone.attempts > 3)
    assert bench.show()["waiting"] == 1
    until(lambda: row(rows, "a-1")["error"])
    assert "429 from the messenger" in str(row(rows, "a-1")["error"])
    assert row(rows, "a-1")["sent_at"] is None
    marks = rows.one("SELECT count(*) AS n FROM monitoring.transaction_log")["n"]
    assert marks == 2  # the alert, and its first failure: not one a try
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

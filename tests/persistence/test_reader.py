"""What can be looked up, and that looking survives a restart of the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.catalogue import EventType, Severity
from domain.identity import Epoch, PositionId
from domain.position.state import Phase
from domain.records import AlertChange, Delivery, SignalOutcome
from persistence import positions
from persistence.database import DatabaseAway, migrate
from persistence.embedded import EmbeddedPostgres
from persistence.positions import UnreadablePosition
from persistence.reader import Reader
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.samples import NOON, record


@pytest.fixture
def journal(writer: Writer) -> None:
    """Ten events of two symbols, the last of them grave."""
    for n in range(10):
        writer.write(
            [
                record(
                    events=(
                        samples.event(
                            EventType.FILL if n % 2 else EventType.PRICE_RANGE,
                            data={"n": n},
                            severity=Severity.CRITICAL if n == 9 else Severity.INFO,
                            symbol="ETH/USDT:USDT" if n > 6 else "BTC/USDT:USDT",
                            position_id=PositionId(n % 3),
                            correlation_id=f"c-{n % 3}",
                        ),
                    )
                )
            ]
        )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, list(range(10))),
        ({"limit": 2}, [8, 9]),
        ({"symbol": "ETH/USDT:USDT"}, [7, 8, 9]),
        ({"type_": "fill", "symbol": "BTC/USDT:USDT"}, [1, 3, 5]),
        ({"severity": "critical"}, [9]),
        ({"position": 0}, [0, 3, 6, 9]),
        ({"correlation": "c-1", "limit": 1}, [7]),
        ({"since": 0, "limit": 3}, [0, 1, 2]),
    ],
)
@pytest.mark.usefixtures("journal")
def test_events_by_filter(reader: Reader, filters: dict[str, Any], expected: list[int]) -> None:
    assert [row["data"]["n"] for row in reader.events(**filters)] == expected


@pytest.mark.usefixtures("journal")
def test_events_can_be_followed_without_a_gap(reader: Reader) -> None:
    seen: list[int] = []
    since = 0
    while page := reader.events(since=since, limit=4):
        seen += [row["data"]["n"] for row in page]
        since = page[-1]["seq"]
    assert seen == list(range(10))
    assert since == reader.last_event_seq()
    assert set(reader.events(limit=1)[0]) == {
        "seq",
        "ts",
        "type",
        "severity",
        "position_id",
        "symbol",
        "correlation_id",
        "data",
    }


def test_open_positions_come_back_as_the_core_left_them(writer: Writer, reader: Reader) -> None:
    kept = [samples.protected(3), samples.position(2), samples.position(5, account="second")]
    over = samples.position(1, phase=Phase.CLOSED, closed_at=NOON)
    writer.write([record(position=p) for p in [*kept, over]])
    assert positions.load_open(reader.pool, "main") == [kept[1], kept[0]]
    assert positions.load(reader.pool, PositionId(1)) == over
    assert positions.load(reader.pool, PositionId(99)) is None


def test_a_position_that_cannot_be_read_is_not_passed_over(writer: Writer, reader: Reader, rows: Any) -> None:
    writer.write([record(position=samples.position(n)) for n in (1, 2)])
    rows("UPDATE monitoring.positions SET state = state - 'account' WHERE id = 2 RETURNING id")
    with pytest.raises(UnreadablePosition, match="position 2"):
        positions.load_open(reader.pool, "main")


def test_the_highest_term_that_wrote(writer: Writer, reader: Reader) -> None:
    assert positions.highest_term(reader.pool, "main") == 0
    writer.write([record(position=samples.position(n, epoch=Epoch(n, 1))) for n in (4, 9, 2)])
    assert positions.highest_term(reader.pool, "main") == 9


def test_rows_of_positions_and_orders(writer: Writer, reader: Reader) -> None:
    writer.write([record(position=samples.protected(7), orders=(samples.intent(7),))])
    writer.write([record(position=samples.position(8, phase=Phase.FAILED))])
    assert [row["id"] for row in reader.positions()] == [7]
    assert [row["id"] for row in reader.positions(only_open=False)] == [7, 8]
    assert [row["id"] for row in reader.positions(only_open=False, limit=1)] == [8]
    assert reader.positions(account="second") == reader.positions(symbol="ETH/USDT:USDT") == []
    row = reader.position(PositionId(7))
    assert row is not None
    assert row["stop_loss_price"] == Decimal("49000.10")
    assert [order["client_id"] for order in reader.orders(PositionId(7))] == [samples.stop_id(7)]


def test_unprotected_seconds_of_a_day_so_far(writer: Writer, reader: Reader) -> None:
    yesterday = NOON - timedelta(days=1)
    writer.write(
        [
            record(position=samples.position(1, unprotected_seconds=Decimal("0.5"), phase=Phase.CLOSED)),
            record(position=samples.position(2, unprotected_seconds=Decimal("0.25"), opened_at=yesterday)),
            record(
                position=samples.position(
                    3, unprotected_seconds=Decimal(9), opened_at=yesterday, phase=Phase.CLOSED, account="second"
                )
            ),
        ]
    )
    assert reader.unprotected_so_far(NOON.date()) == Decimal("0.75")
    assert reader.unprotected_so_far(date(2026, 11, 20)) == Decimal("9.25")
    assert reader.unprotected_so_far(date(2026, 11, 20), "main") == Decimal("0.25")


def test_signals_from_receipt_to_answer(writer: Writer, reader: Reader) -> None:
    assert reader.last_signal_id() is None
    for name in ("s-9", "s-1", "s-5"):
        writer.write([record(signals=(samples.signal(name),))])
    writer.write([record(signals=(samples.signal("s-9", symbol="ETH/USDT:USDT"),))])
    assert reader.last_signal_id() == "s-5"
    answer = SignalOutcome(signal_id="s-1", outcome="cooldown", at=NOON, figures={"seconds_remaining": 12})
    writer.write([record(outcomes=(answer,))])
    assert [row["id"] for row in reader.unprocessed_signals(NOON)] == ["s-9", "s-5"]
    assert reader.unprocessed_signals(NOON + timedelta(seconds=1)) == []
    assert [row["id"] for row in reader.signals(limit=2)] == ["s-5", "s-1"]
    assert [row["id"] for row in reader.signals(outcome="cooldown")] == ["s-1"]
    writer.write([record(signals=(samples.signal("s-2", symbol=" eth/usdt:usdt"),))])
    assert [row["id"] for row in reader.signals(spelled=("ETHUSDT", "ETH/USDT:USDT"))] == ["s-2"]
    assert [row["id"] for row in reader.signals(spelled=("BTCUSDT",), outcome="cooldown")] == ["s-1"]
    assert reader.signals(spelled=("btcusdt",)) == []
    row = reader.signal("s-1")
    assert row is not None
    assert (row["outcome_figures"], row["score_week"]) == ({"seconds_remaining": 12}, Decimal("71.25"))
    assert reader.signal("s-0") is None


def test_guards_ask_by_key_and_by_base(writer: Writer, reader: Reader) -> None:
    position = samples.position(7, signal_key="BTC/USDT:USDT:long:1200")
    writer.write([record(position=position, orders=(samples.intent(7),))])
    key = "BTC/USDT:USDT:long:1200"
    assert reader.signal_key_seen("main", key, NOON - timedelta(hours=24)) == 7
    assert reader.signal_key_seen("main", key, NOON + timedelta(seconds=1)) is None
    assert reader.signal_key_seen("second", key, NOON - timedelta(hours=24)) is None
    assert reader.last_order_at("main", ["BTC", "ETH"]) == {}
    assert reader.last_order_at("main", ["BTC", "ETH"], kinds=["stop"]) == {"BTC": NOON}
    assert reader.last_order_at("second", ["BTC"]) == {}


def test_the_last_end_on_each_symbol(writer: Writer, reader: Reader) -> None:
    ended = (samples.position(7, closed_at=NOON), samples.position(8, closed_at=NOON - timedelta(hours=1)))
    writer.write([record(position=position) for position in (*ended, samples.position(9))])
    assert reader.last_ends("main", NOON - timedelta(hours=2)) == {"BTCUSDT": NOON}
    assert reader.last_ends("main", NOON + timedelta(seconds=1)) == {}
    assert reader.last_ends("second", NOON - timedelta(hours=2)) == {}


def test_the_outbox_holds_what_was_not_sent(writer: Writer, reader: Reader) -> None:
    writer.write([record(alerts=(samples.alert("a-1"), samples.alert("a-2"), samples.alert("a-3")))])
    writer.write(
        [
            record(
                alerts=(
                    AlertChange(alert_id="a-2", at=NOON, sent_at=NOON),
                    AlertChange(alert_id="a-1", at=NOON, error="429"),
                )
            )
        ]
    )
    assert [(row["alert_id"], row["error"]) for row in reader.alerts_pending()] == [("a-1", "429"), ("a-3", None)]
    assert [row["alert_id"] for row in reader.alerts(2)] == ["a-3", "a-2"]


def test_the_outbox_knows_what_each_channel_did(writer: Writer, reader: Reader) -> None:
    def did(alert_id: str, channel: str, **what: Any) -> Delivery:
        return Delivery(alert_id=alert_id, channel=channel, at=NOON, **what)

    writer.write(
        [
            record(
                alerts=(samples.alert("a-1"), samples.alert("a-2")),
                deliveries=(
                    did("a-1", "phone", error="429"),
                    did("a-1", "phone", sent_at=NOON),
                    did("a-1", "mail", error="no route"),
                    did("a-2", "mail", refused_at=NOON, error="too long"),
                ),
            )
        ]
    )
    done = {row["alert_id"]: row["done"] for row in reader.alerts_pending()}
    assert done == {"a-1": ["phone"], "a-2": ["mail"]}
    shown = {each["channel"]: each for each in reader.alerts()[1]["channels"]}
    assert (shown["phone"]["attempts"], shown["phone"]["error"]) == (2, None)
    assert (shown["mail"]["attempts"], shown["mail"]["error"], shown["mail"]["sent_at"]) == (1, "no route", None)


def test_what_stands_is_known_until_it_is_over(writer: Writer, reader: Reader) -> None:
    standing = samples.alert("s-1", condition="stream_down:account_feed/main", account="main", sent_at=NOON)
    writer.write([record(alerts=(standing, samples.alert("a-2")))])
    known = AlertChange(alert_id="s-1", at=NOON, acknowledged_at=NOON, acknowledged_by="uid 7")
    writer.write([record(alerts=(known,))])
    (row,) = reader.alerts_standing()
    assert (row["condition"], row["account"], row["acknowledged_by"]) == (standing.condition, "main", "uid 7")
    assert [row["alert_id"] for row in reader.alerts_pending()] == ["a-2"]  # an event of its own has told it
    assert reader.alert(str(row["id"])) == reader.alert("s-1") is not None
    assert reader.alert("s-9") is None
    writer.write([record(alerts=(AlertChange(alert_id="s-1", at=NOON, cleared_at=NOON),))])
    assert reader.alerts_standing() == []


def test_facts(writer: Writer, reader: Reader) -> None:
    writer.write([record(facts={"paused": {"main": "operator"}, "count": 1}), record(facts={"count": 2})])
    assert reader.fact("paused") == {"main": "operator"}
    assert reader.fact("count") == 2
    assert reader.fact("unknown") is None


def test_a_cut_connection_costs_the_asker_nothing(reader: Reader, rows: Any) -> None:
    assert reader.fact("x") is None
    rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'holdfast reader'")
    assert reader.fact("x") is None


def test_without_a_server_it_is_away_and_comes_back(state_dir: Any) -> None:
    server = EmbeddedPostgres(state_dir / "pg", server_settings={"fsync": "off"})
    conninfo = server.start()
    migrate(conninfo)
    reader = Reader(conninfo)
    try:
        assert reader.fact("x") is None
        server.stop()
        with pytest.raises(DatabaseAway):
            reader.fact("x")
        server.start()
        assert reader.fact("x") is None
    finally:
        reader.close()
        server.stop()


def test_two_ask_at_a_time_and_more_wait_their_turn(reader: Reader) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: reader.pool.row("SELECT %s::int AS n, pg_sleep(0.01)", (n,)), range(24)))
    assert [row["n"] for row in found if row] == list(range(24))
    sessions = reader.pool.row(
        "SELECT count(*) AS n FROM pg_stat_activity "
        "WHERE application_name = 'holdfast reader' AND datname = current_database()"
    )
    assert sessions == {"n": 2}


def test_a_closed_reader_answers_nothing(database: str) -> None:
    reader = Reader(database)
    assert reader.fact("x") is None
    reader.close()
    with pytest.raises(DatabaseAway, match="closed"):
        reader.fact("x")

"""Groups of records: whole, once, in order, exact; the newest position stays; one bad record costs itself alone."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from domain.catalogue import EventType
from domain.identity import Epoch, PositionId
from domain.instrument import PositionSide
from domain.orders import OrderStatus
from domain.position.state import Phase
from domain.records import AlertChange, SignalOutcome, SymbolChange
from persistence.database import DatabaseAway, migrate, migrations
from persistence.embedded import EmbeddedPostgres
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.samples import NOON, record

Rows = Callable[..., list[dict[str, Any]]]


def test_a_whole_record_lands_in_every_table(writer: Writer, rows: Any) -> None:
    whole = record(
        "r-whole",
        signals=(samples.signal(),),
        position=samples.protected(signal_id="s-1", signal_key="BTC:BUY:1", unprotected_seconds=Decimal("0.25")),
        orders=(samples.intent(),),
        trades=(samples.trade(),),
        events=(samples.event(EventType.STOP_LOSS_PLACED),),
        outcomes=(
            SignalOutcome(
                signal_id="s-1", outcome="opened", at=NOON, figures={"usd": "250"}, position_id=PositionId(7)
            ),
        ),
        alerts=(samples.alert(),),
        facts={"kill_switch": {"armed": False}},
    )
    assert writer.write([whole]) == []

    position = rows.one("SELECT * FROM monitoring.positions")
    assert position["status"] == "active"
    assert position["open"] is True
    assert (position["quantity"], position["entry_price"]) == (Decimal("0.003"), Decimal(50000))
    assert (position["has_stop_loss"], position["stop_loss_order_id"]) == (True, "901")
    assert str(position["stop_loss_price"]) == "49000.10"
    assert position["trailing_activation_price"] == Decimal(50750)
    assert position["unprotected_seconds"] == Decimal("0.25")
    trailing = rows.one("SELECT * FROM monitoring.trailing_stop_state")
    assert (trailing["highest_price"], trailing["lowest_price"], trailing["update_count"]) == (
        Decimal("51234.5"),
        None,
        2,
    )
    order = rows.one("SELECT * FROM monitoring.orders")
    assert (order["kind"], order["base"], order["status"]) == ("stop", "BTC", "new")
    assert rows.one("SELECT * FROM monitoring.trades")["price"] == Decimal("50000.123456789012345678")
    assert rows.one("SELECT * FROM monitoring.events")["event_type"] == "stop_loss_placed"
    signal = rows.one("SELECT * FROM fas.signals")
    assert (signal["is_processed"], signal["outcome"], signal["raw"]["nested"]) == (
        True,
        "opened",
        {"list": [1, 2.5, None]},
    )
    assert rows.one("SELECT * FROM monitoring.alerts")["sent_at"] is None
    assert rows.one("SELECT * FROM monitoring.service_facts")["value"] == {"armed": False}
    log = rows.one("SELECT * FROM monitoring.transaction_log")
    assert (log["record_id"], log["row_count"]) == ("r-whole", 9)
    assert log["duration_ms"] > 0


def test_a_record_is_written_once_however_often_it_comes(writer: Writer, rows: Any) -> None:
    one = record("r-1", events=(samples.event(),))
    other = record("r-2", events=(samples.event(),))
    writer.write([one, one])
    writer.write([one, other])
    writer.write([other])
    assert rows.one("SELECT count(*) AS n FROM monitoring.events")["n"] == 2


def test_the_order_of_events_is_the_order_of_records(writer: Writer, rows: Any) -> None:
    for group in range(3):
        writer.write(
            [
                record(events=tuple(samples.event(data={"n": group * 100 + i * 2 + j}) for j in range(2)))
                for i in range(50)
            ]
        )
    assert [row["event_data"]["n"] for row in rows("SELECT * FROM monitoring.events ORDER BY id")] == list(range(300))


def test_an_older_position_never_replaces_a_newer_one(writer: Writer, rows: Any) -> None:
    stamps = [(term, inc, version) for term in (1, 2) for inc in (1, 2) for version in (1, 5, 9)]
    random.Random(1).shuffle(stamps)
    records = [
        record(position=samples.protected(epoch=Epoch(term, inc), version=version, mark_price=Decimal(version)))
        for term, inc, version in stamps
    ]
    for start in range(0, len(records), 4):
        writer.write(records[start : start + 4])
        seen = rows.one("SELECT term, incarnation, version, mark_price FROM monitoring.positions")
        assert (seen["term"], seen["incarnation"], seen["version"]) == max(stamps[: start + 4])
        assert seen["mark_price"] == seen["version"]


def test_of_two_with_one_version_the_first_stays(writer: Writer, rows: Any) -> None:
    writer.write([record(position=samples.protected(mark_price=Decimal(1)))])
    writer.write([record(position=samples.protected(mark_price=Decimal(2)))])
    assert rows.one("SELECT mark_price FROM monitoring.positions")["mark_price"] == 1


def test_a_late_old_version_leaves_the_trailing_state_alone(writer: Writer, rows: Any) -> None:
    newer = samples.protected(version=5)
    older = samples.position(version=4)
    writer.write([record(position=newer)])
    writer.write([record(position=older)])
    assert rows.one("SELECT * FROM monitoring.trailing_stop_state")["update_count"] == 2


def test_the_life_of_an_order_within_one_group(writer: Writer, rows: Any) -> None:
    writer.write(
        [
            record(position=samples.position(), orders=(samples.intent(),)),
            record(orders=(samples.news(OrderStatus.ACK, exchange_id="901"),)),
            record(
                orders=(
                    samples.news(
                        OrderStatus.PART_FILLED, cumulative_quantity=Decimal("0.001"), average_price=Decimal(49000)
                    ),
                    samples.news(
                        OrderStatus.FILLED, cumulative_quantity=Decimal("0.003"), average_price=Decimal("48999.5")
                    ),
                )
            ),
        ]
    )
    order = rows.one("SELECT * FROM monitoring.orders")
    assert (order["status"], order["exchange_id"]) == ("filled", "901")
    assert (order["cumulative_quantity"], order["average_price"]) == (Decimal("0.003"), Decimal("48999.5"))
    assert order["trigger_price"] == Decimal("49000.10")


@pytest.mark.parametrize("late", [OrderStatus.NEW, OrderStatus.ACK, OrderStatus.UNKNOWN, OrderStatus.PART_FILLED])
def test_late_news_does_not_reopen_an_order(writer: Writer, rows: Any, late: OrderStatus) -> None:
    writer.write([record(position=samples.position(), orders=(samples.intent(),))])
    writer.write([record(orders=(samples.news(OrderStatus.FILLED, cumulative_quantity=Decimal("0.003")),))])
    writer.write([record(orders=(samples.news(late, cumulative_quantity=Decimal("0.001")),))])
    order = rows.one("SELECT * FROM monitoring.orders")
    assert (order["status"], order["cumulative_quantity"]) == ("filled", Decimal("0.003"))


def test_an_intent_that_comes_after_its_acknowledgement_completes_the_row(writer: Writer, rows: Any) -> None:
    writer.write([record(position=samples.position(), orders=(samples.news(OrderStatus.ACK, exchange_id="901"),))])
    writer.write([record(orders=(samples.intent(),))])
    order = rows.one("SELECT * FROM monitoring.orders")
    assert (order["status"], order["exchange_id"], order["quantity"]) == ("ack", "901", Decimal("0.003"))


def test_an_execution_heard_twice_is_one_row(writer: Writer, rows: Any) -> None:
    writer.write([record(position=samples.position(), trades=(samples.trade("t1"), samples.trade("t1")))])
    writer.write([record(trades=(samples.trade("t1"), samples.trade("t2")))])
    assert [row["trade_id"] for row in rows("SELECT trade_id FROM monitoring.trades ORDER BY id")] == ["t1", "t2"]


def test_an_alert_counts_its_attempts_until_it_is_sent(writer: Writer, rows: Any) -> None:
    failed = AlertChange(alert_id="a-1", at=NOON, error="timed out")
    writer.write([record(alerts=(samples.alert(), failed, failed, AlertChange(alert_id="a-1", at=NOON, sent_at=NOON)))])
    row = rows.one("SELECT * FROM monitoring.alerts")
    assert (row["attempts"], row["sent_at"], row["error"]) == (3, NOON, None)


def test_one_poisonous_record_costs_itself_alone(writer: Writer, rows: Any) -> None:
    good = [record(events=(samples.event(data={"n": n}),)) for n in range(4)]
    homeless = record("r-bad", orders=(samples.intent(99),), events=(samples.event(data={"n": 99}),))
    unspeakable = record("r-nan", position=samples.position(mark_price=Decimal("NaN")))
    refused = writer.write([good[0], homeless, good[1], good[2], unspeakable, good[3]])
    assert [r.record.record_id for r in refused] == ["r-bad", "r-nan"]
    assert isinstance(refused[0].cause, psycopg.errors.ForeignKeyViolation)
    assert [r["event_data"]["n"] for r in rows("SELECT * FROM monitoring.events ORDER BY id")] == [0, 1, 2, 3]
    assert writer.write([record(events=(samples.event(),))]) == []


def test_one_signal_opens_one_position(writer: Writer) -> None:
    first = samples.position(7, signal_id="s-1", signal_key="BTC:BUY:1")
    same_id = samples.position(8, signal_id="s-1", signal_key="BTC:BUY:2")
    same_key = samples.position(9, signal_id="s-2", signal_key="BTC:BUY:1")
    elsewhere = samples.position(10, signal_id="s-1", signal_key="BTC:BUY:1", account="second")
    refused = writer.write([record(position=p) for p in (first, same_id, same_key, elsewhere)])
    assert [r.record.position.id for r in refused if r.record.position] == [8, 9]


def test_events_of_any_month_find_a_place(writer: Writer, rows: Any) -> None:
    years = [samples.event(at=NOON.replace(year=year)) for year in (1999, 2026, 2399)]
    assert writer.write([record(events=tuple(years))]) == []
    assert rows.one("SELECT count(*) AS n FROM monitoring.events")["n"] == 3


def test_a_touched_row_says_when(writer: Writer, rows: Any) -> None:
    writer.write([record(position=samples.position())])
    before = rows.one("SELECT updated_at FROM monitoring.positions")["updated_at"]
    writer.write([record(position=samples.position(version=2, phase=Phase.ACTIVE))])
    assert rows.one("SELECT updated_at FROM monitoring.positions")["updated_at"] > before


def test_a_position_with_orders_cannot_be_deleted(writer: Writer, rows: Any) -> None:
    writer.write([record(position=samples.position(), orders=(samples.intent(),))])
    with pytest.raises(psycopg.IntegrityError):
        rows("DELETE FROM monitoring.positions RETURNING id")


def test_a_cut_connection_is_replaced_at_once(writer: Writer, rows: Any) -> None:
    writer.write([record(events=(samples.event(),))])
    rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast writer'")
    assert writer.write([record(events=(samples.event(),))]) == []
    assert rows.one("SELECT count(*) AS n FROM monitoring.events")["n"] == 2


def test_a_server_that_hangs_is_given_up(database: str, rows: Any) -> None:
    writer = Writer(database, statement_timeout_ms=100)
    writer.write([record(events=(samples.event(),))])
    backend = rows.one("SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast writer'")["pid"]
    os.kill(backend, signal.SIGSTOP)
    try:
        group = [record(events=(samples.event(),))]
        # It is given up after 1.1 s; the server itself is well, so the second connection writes the group.
        assert writer.write(group) == []
    finally:
        os.kill(backend, signal.SIGCONT)
    assert rows.one("SELECT count(*) AS n FROM monitoring.events")["n"] == 2
    writer.close()


def test_a_commit_of_unknown_fate_may_be_written_again(writer: Writer, rows: Any, database: str) -> None:
    group = [record(events=(samples.event(),)) for _ in range(5)]
    other = Writer(database)
    other.write(group[:3])
    other.close()
    assert writer.write(group) == []
    assert rows.one("SELECT count(*) AS n FROM monitoring.events")["n"] == 5


def test_a_schema_that_does_not_fit_loses_nothing(writer: Writer, rows: Any) -> None:
    one = record(events=(samples.event(),))
    with psycopg.connect(writer._conninfo, autocommit=True) as conn:
        conn.execute("ALTER TABLE monitoring.events RENAME TO hidden")
        with pytest.raises(DatabaseAway, match="UndefinedTable"):
            writer.write([one])
        conn.execute("ALTER TABLE monitoring.hidden RENAME TO events")
    assert writer.write([one]) == []
    assert rows.one("SELECT count(*) AS n FROM monitoring.events")["n"] == 1


def test_without_a_server_it_is_away_and_comes_back(state_dir: Any) -> None:
    server = EmbeddedPostgres(state_dir / "pg")
    conninfo = server.start()
    try:
        migrate(conninfo)
        writer = Writer(conninfo)
        writer.write([record("r-a", events=(samples.event(),))])
        server.stop()
        with pytest.raises(DatabaseAway):
            writer.write([record("r-b", events=(samples.event(),))])
        server.start()
        assert writer.write([record("r-b", events=(samples.event(),))]) == []
        writer.close()
    finally:
        server.stop()


def test_a_position_reads_the_same_in_state_and_columns(writer: Writer, rows: Any) -> None:
    short = replace(samples.protected(), side=PositionSide.SHORT)
    writer.write([record(position=short)])
    trailing = rows.one("SELECT * FROM monitoring.trailing_stop_state")
    assert (trailing["highest_price"], trailing["lowest_price"]) == (None, Decimal("51234.5"))
    row = rows.one("SELECT side, version, state FROM monitoring.positions")
    assert (row["state"]["side"], row["state"]["version"]) == (row["side"], row["version"])


def test_the_base_currency_of_orders_written_by_older_programs_is_put_right(writer: Writer, rows: Any) -> None:
    """They took the whole symbol for it, and the cooldown forgot other pairs of the coin at each restart."""
    position = samples.position(7)
    writer.write([record(position=position, orders=(samples.intent(7),))])
    rows("UPDATE monitoring.orders SET base = symbol RETURNING id")
    step = next(step for step in migrations() if step.name == "order_base")
    rows(f"{step.apply.rstrip().removesuffix(';')} RETURNING o.id")
    assert rows.one("SELECT base FROM monitoring.orders")["base"] == "BTC"


def test_what_is_set_for_a_symbol_takes_the_place_of_what_was(writer: Writer, rows: Any) -> None:
    empty = dict.fromkeys(("alert_enabled", "buy_alert_enabled", "sell_alert_enabled", "leverage"))
    empty |= dict.fromkeys(("cooldown_seconds", "protection_overrides", "trailing_overrides"))
    first = {**empty, "symbol": "BTCUSDT", "trade_enabled": False, "min_trade_usd": Decimal("12.50")}
    then = {**first, "trade_enabled": None, "trailing_overrides": {"callback_pct": "0.3"}}
    for row in (first, then):
        writer.write([record(symbols=(SymbolChange(symbol="BTCUSDT", row=row),))])
    found = rows.one("SELECT * FROM monitoring.symbol_settings")
    assert (found["trade_enabled"], str(found["min_trade_usd"])) == (None, "12.50")
    assert found["trailing_overrides"] == {"callback_pct": "0.3"}


def test_a_risk_level_has_a_row_of_its_own_beside_its_event_once(writer: Writer, rows: Any) -> None:
    told = {"risk_level": "high", "old_level": "low", "score": "63.5", "action": "tighten", "stop_danger": "88.1"}
    event = replace(samples.event(EventType.POSITION_RISK_CHANGED), data=told, position_id=PositionId(7))
    whole = record("r-risk", position=samples.protected(), events=(event, samples.event(EventType.FILL)))
    assert writer.write([whole]) == []
    assert writer.write([whole]) == []
    row = rows.one("SELECT * FROM monitoring.risk_events")
    assert (row["risk_type"], row["risk_level"], row["score"], row["action"]) == (
        "health", "high", Decimal("63.5"), "tighten",
    )  # fmt: skip
    assert row["details"] == {"old_level": "low", "stop_danger": "88.1"}
    assert (row["position_id"], row["created_at"]) == (event.position_id, event.at)
    (count,) = rows("SELECT count(*) FROM monitoring.events")
    assert count["count"] == 2

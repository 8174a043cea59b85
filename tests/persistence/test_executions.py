"""What all executions came to is kept as they are written, and is always what a sum over all of them gives.

How one would notice it broken: the automatic kill switch counts a loss that never was, or misses one.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence import database as db
from persistence.executions import traded
from persistence.reader import Reader
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.samples import NOON

D = Decimal
ACCOUNTS = ("main", "second")
POSITIONS = range(1, 5)  # two of each account
WHOLE = """
SELECT coalesce(sum(realized_pnl - CASE WHEN fee_currency = 'USDT' THEN fee ELSE coalesce(fee_converted, 0) END), 0)
    AS net
FROM monitoring.trades WHERE account = %s AND NOT position_id = ANY(%s)
"""

money = st.decimals(-(10**9), 10**9, places=8)
executions: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    trade_id=st.integers(0, 30).map(str),  # now and then one that is there already: it is not written again
    number=st.sampled_from(POSITIONS),
    realized_pnl=money,
    fee=money,
    fee_currency=st.sampled_from(["USDT", "BNB"]),
    fee_price=st.none() | st.decimals(0, 1000, places=2),
    at=st.sampled_from([NOON, NOON - timedelta(days=400), NOON + timedelta(days=400)]),
)
by_hand = st.sampled_from(
    [
        "DELETE FROM monitoring.trades WHERE trade_id::int % 3 = 0",
        "UPDATE monitoring.trades SET fee = fee + 1, realized_pnl = realized_pnl * 2 WHERE trade_id::int % 2 = 0",
        "UPDATE monitoring.trades SET account = 'second', exchange = id::text WHERE account = 'main' AND id % 3 = 0",
        "UPDATE monitoring.trades SET fee_converted = 3 WHERE fee_currency <> 'USDT'",
        "DELETE FROM monitoring.trades",
    ]
)
steps = st.lists(st.lists(executions, min_size=1, max_size=5) | by_hand, max_size=8)


def account_of(number: int) -> str:
    return ACCOUNTS[number % 2]


def trade(trade_id: str, number: int, **fill: Any) -> Any:
    made = samples.trade(trade_id, number, **fill)
    return type(made)(position_id=made.position_id, account=account_of(number), exchange=made.exchange, fill=made.fill)


def opened(writer: Writer) -> None:
    whole = [samples.position(number, account=account_of(number)) for number in POSITIONS]
    assert writer.write([samples.record(position=p) for p in whole]) == []


def agrees(reader: Reader, rows: Any) -> None:
    for account in ACCOUNTS:
        for besides in ([], [1], [1, 2, 99], list(POSITIONS)):
            assert reader.realized(account, besides) == rows.one(WHOLE, account, besides)["net"], (account, besides)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_the_kept_sum_is_the_whole_sum(writer: Writer, reader: Reader, rows: Any, steps: list[Any]) -> None:
    opened(writer)
    rows.execute("DELETE FROM monitoring.trades")
    agrees(reader, rows)
    for step in steps:
        if isinstance(step, str):
            rows.execute(step)
        else:
            assert writer.write([samples.record(trades=tuple(trade(**each) for each in step))]) == []
        agrees(reader, rows)


def test_two_that_write_at_once_lose_nothing(database: str, writer: Writer, reader: Reader, rows: Any) -> None:
    opened(writer)

    def write(name: int) -> None:
        mine = Writer(database)
        for group in range(20):
            numbers = (1, 2) if name else (2, 1)  # both accounts in each group, in either order
            trades = tuple(trade(f"{name}{group}{n}", n, realized_pnl=D(1), fee=D("0.25")) for n in numbers)
            assert mine.write([samples.record(trades=trades)]) == []
        mine.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reader.realized(account, []) for account in ACCOUNTS] == [D(30), D(30)]
    agrees(reader, rows)


def test_a_book_that_is_full_already_gets_its_sums(empty_database: str, tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    for file in db.MIGRATIONS.glob("000[1-5].*"):
        (before / file.name).write_bytes(file.read_bytes())
    db.migrate(empty_database, before)
    add = (
        "INSERT INTO monitoring.trades (account, exchange, symbol, trade_id, position_id, order_id, side, quantity, "
        "price, fee, fee_currency, realized_pnl, liquidation, executed_at) VALUES ('main', 'x', 'BTCUSDT', %s, 7, 'o', "
        "'buy', 1, 1, %s, %s, 10, false, now())"
    )
    with psycopg.connect(empty_database) as conn:
        conn.execute(
            "INSERT INTO monitoring.positions (id, account, exchange, symbol, side, status, open, quantity, "
            "has_stop_loss, has_trailing_stop, trailing_activated, realized_pnl, fees, unprotected_seconds, "
            "needs_intervention, adopted, correlation_id, term, incarnation, version, state, opened_at, last_update) "
            "VALUES (7, 'main', 'x', 'BTCUSDT', 'long', 'active', true, 0, false, false, false, 0, 0, 0, false, false, "
            "'c', 1, 1, 1, '{}', now(), now())"
        )
        conn.execute(add, ("1", "0.5", "USDT"))
        conn.execute(add, ("2", "0.5", "BNB"))
    assert db.migrate(empty_database)[0].startswith("0006")
    reader = Reader(empty_database)
    try:
        assert reader.realized("main", []) == D("19.5")
        assert reader.realized("main", [7]) == reader.realized("other", []) == 0
    finally:
        reader.close()


def test_a_fee_in_another_coin_is_no_usdt(writer: Writer, reader: Reader) -> None:
    """Seen: 0.01 BNB was summed as 0.01 USDT."""
    opened(writer)
    bnb = {"fee": D("0.01"), "fee_currency": "BNB", "realized_pnl": D(10), "quantity": D(1), "price": D(1)}
    trades = (
        trade("1", 1, **bnb, fee_price=D(650)), trade("2", 1, **bnb), trade("3", 1, **bnb),
        trade("4", 1, **{**bnb, "fee_currency": "USDT"}), trade("5", 1, **{**bnb, "fee": D(0)}),
    )  # fmt: skip
    assert writer.write([samples.record(trades=trades)]) == []
    account = account_of(1)
    found = traded(reader.pool, account, NOON - timedelta(days=1), NOON + timedelta(days=1))
    assert (found.realized_pnl, found.fees, found.fees_apart) == (D(50), D("6.51"), {"BNB": D("0.02")})
    assert reader.realized_since(account, NOON) == reader.realized(account, []) == D("43.49")
    assert dict(reader.day_of(account, NOON.date()).fees_apart) == {"BNB": D("0.02")}

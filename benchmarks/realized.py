"""`python -m benchmarks.realized`: what the automatic kill switch asks the book every ten seconds, over a long history.

An account with so many executions in the real database (embedded, fsync on), so many positions of it open; the question
is what all executions but those of the open positions came to. Beside it: a sum over the whole history, as it was made
before, and one commit of an execution with and without the kept sum.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import psycopg

from domain.records import Record
from persistence.database import migrate
from persistence.embedded import EmbeddedPostgres
from persistence.partitions import ensure_partitions
from persistence.reader import Reader
from persistence.writer import Writer
from tests.persistence import samples

TIMES = 30
EACH = 4  # executions of a position
FILL_POSITIONS = """
INSERT INTO monitoring.positions (id, account, exchange, symbol, side, status, open, quantity, has_stop_loss,
    has_trailing_stop, trailing_activated, realized_pnl, fees, unprotected_seconds, needs_intervention, adopted,
    correlation_id, term, incarnation, version, state, opened_at, last_update)
SELECT n, 'main', 'binanceusdm', 'BTCUSDT', 'long', 'closed', false, 0, false, false, false, 0, 0, 0, false, false, 'c',
    1, 1, 1, '{}', now(), now() FROM generate_series(1, %s) AS n
"""
FILL_TRADES = """
INSERT INTO monitoring.trades (account, exchange, symbol, trade_id, position_id, order_id, side, quantity, price, fee,
    fee_currency, realized_pnl, liquidation, executed_at)
SELECT 'main', 'binanceusdm', 'BTCUSDT', n, 1 + n / %s, 'o', 'buy', 0.001, 50000.12345678, 0.02500006, 'USDT',
    (n %% 1000 - 499) / 1000.0, false, now() - make_interval(secs => (%s - n) * 10) FROM generate_series(0, %s - 1) AS n
"""
WHOLE = """
SELECT sum(realized_pnl - fee) FROM monitoring.trades
WHERE account = 'main' AND executed_at < now() + interval '1 day' AND NOT position_id = ANY(%s)
"""


def main() -> int:
    """Print one row a number of open positions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    count = parser.parse_args().executions
    with tempfile.TemporaryDirectory(prefix="holdfast-realized-") as folder:
        embedded = EmbeddedPostgres(Path(folder) / "pg")
        embedded.start()
        try:
            _measure(embedded.conninfo, count)
        finally:
            embedded.stop()
    return 0


def _measure(conninfo: str, count: int) -> None:
    migrate(conninfo)
    ensure_partitions(conninfo, samples.NOON)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(FILL_POSITIONS, (count // EACH + 1,))
        began = time.perf_counter()
        conn.execute(FILL_TRADES, (EACH, count, count))
        print(f"{count} executions written in {time.perf_counter() - began:.1f} s")
        conn.execute("VACUUM ANALYZE monitoring.trades")
        reader = Reader(conninfo)
        for open_positions in (0, 100, 1_000):
            besides = list(range(count // EACH - open_positions + 1, count // EACH + 1))
            whole = conn.execute(WHOLE, (besides,)).fetchone()
            assert whole is not None  # noqa: S101
            assert Decimal(whole[0]) == reader.realized("main", besides)  # noqa: S101
            print(
                f"{open_positions} positions open: kept sum {_times(lambda b=besides: reader.realized('main', b))}; "  # type: ignore[misc]
                f"whole sum {_times(lambda b=besides: conn.execute(WHOLE, (b,)).fetchone(), 10)}"  # type: ignore[misc]
            )
        reader.close()
        print(f"one execution committed: {_writes(conninfo, 0)}")
        conn.execute("ALTER TABLE monitoring.trades DISABLE TRIGGER added")
        print(f"… without a kept sum: {_writes(conninfo, 1)}")


def _writes(conninfo: str, run: int) -> str:
    writer, numbers = Writer(conninfo), iter(range(10**6))

    def write() -> None:
        number = f"w{run}-{next(numbers)}"
        trade = samples.trade(number, 1, at=samples.NOON + timedelta(days=1))
        refused = writer.write([Record(record_id=number, at=samples.NOON, trades=(trade,))])
        assert refused == []  # noqa: S101

    found = _times(write, 300)
    writer.close()
    return found


def _times(work: Callable[[], object], times: int = TIMES) -> str:
    work()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1000)
    return f"median {statistics.median(spent):.2f} ms, min {min(spent):.2f}, max {max(spent):.2f}"


if __name__ == "__main__":
    sys.exit(main())

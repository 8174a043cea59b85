"""Does the database tell the same story as the exchange's timeline, to the last decimal?

Rules of this file: one side is read with SQL, the other from the oracle's book; sums are exact, an average price may
differ by what the division's last digit makes of it and no more.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.oracle.facts import Life
from tests.oracle.judge import Verdict

LAST_DIGIT = Decimal("1e-15")
# Of an average entry price in Bybit's lists, which tells what an execution gained where no stream has, and of a gain.
BYBIT_ENTRY_DIGIT = Decimal("1e-8")


def conninfo(state_dir: Path) -> str:
    """How to reach the embedded server of a running service."""
    pg = state_dir / "pg"
    elsewhere = pg / "run.elsewhere"
    host = elsewhere.read_text().strip() if elsewhere.exists() else str(pg / "run")
    return psycopg.conninfo.make_conninfo(
        host=host, user="holdfast", dbname="holdfast", passfile=str(pg / "pgpass"), sslmode="disable"
    )


def differences(
    state_dir: Path, verdict: Verdict, *, same_ids: bool = True, account: str = "main", over_only: bool = False
) -> list[str]:
    """Every difference between the closed positions (and all executions) of both sides, in words.

    `same_ids`: the timeline names executions as the wire does (Bybit's dialect makes ids of its own). `over_only`: an
    open position may lack executions that nobody heard of; they are asked for when it is over. An adopted position is
    left out: what its human did before is in no book of ours.
    """
    with psycopg.connect(conninfo(state_dir), row_factory=dict_row) as connection:
        found_rows = connection.execute("SELECT * FROM monitoring.positions WHERE account = %s", (account,))
        rows = {row["id"]: row for row in found_rows}
        trades = connection.execute("SELECT * FROM monitoring.trades WHERE account = %s", (account,)).fetchall()
    adopted = {owner for owner, row in rows.items() if row["adopted"]}
    rows = {owner: row for owner, row in rows.items() if owner not in adopted}
    trades = [row for row in trades if row["position_id"] not in adopted]
    found: list[str] = []
    lives: dict[int, list[Life]] = {}
    for life in (*verdict.lives, *verdict.open_lives):
        if life.owner is not None and life.owner not in adopted:
            lives.setdefault(life.owner, []).append(life)
    whole = lives
    if over_only:
        whole = {owner: its for owner, its in lives.items() if all(life.ended is not None for life in its)}
        trades = [row for row in trades if row["position_id"] in whole]
    found += _trades(whole, trades) if same_ids else _alike(whole, trades)
    for owner, its in lives.items():
        row = rows.get(owner)
        if row is None:
            found.append(f"position {owner} is on the exchange and not in the database")
        elif all(life.ended is not None for life in its):
            found += _closed(owner, its, row, same_ids=same_ids)
    for owner, row in rows.items():
        if owner not in lives and row["status"] not in ("failed", "pending_entry", "entry_placed"):
            found.append(f"position {owner} ({row['status']}) is in the database and never was on the exchange")
    return found


def _trades(lives: dict[int, list[Life]], rows: list[dict[str, Any]]) -> list[str]:
    exchange = {
        trade.trade_id: (owner, trade.quantity, trade.price, trade.fee, trade.realized_pnl)
        for owner, its in lives.items()
        for life in its
        for trade in life.trades
    }
    database = {
        row["trade_id"]: (row["position_id"], row["quantity"], row["price"], row["fee"], row["realized_pnl"])
        for row in rows
    }
    found = [f"execution {name}: exchange {exchange[name]}, database none" for name in exchange if name not in database]
    found += [
        f"execution {name}: database {database[name]}, exchange none" for name in database if name not in exchange
    ]
    found += [
        f"execution {name}: exchange {exchange[name]}, database {database[name]}"
        for name in exchange.keys() & database.keys()
        if exchange[name] != database[name]
    ]
    if len(rows) != len(database):
        found.append(f"{len(rows)} rows of {len(database)} executions")
    return found


def _alike(lives: dict[int, list[Life]], rows: list[dict[str, Any]]) -> list[str]:
    """The same executions as often on both sides, by what they did; a gain as exact as Bybit's lists tell it."""
    exchange, database = defaultdict(list), defaultdict(list)
    for owner, its in lives.items():
        for trade in (trade for life in its for trade in life.trades):
            exchange[owner, trade.quantity, trade.price, trade.fee].append(trade.realized_pnl)
    for row in rows:
        database[row["position_id"], row["quantity"], row["price"], row["fee"]].append(row["realized_pnl"])
    found = []
    for key in exchange.keys() | database.keys():
        ours, theirs = sorted(exchange[key]), sorted(database[key])
        allowed = (key[1] + 1) * BYBIT_ENTRY_DIGIT
        if len(ours) != len(theirs) or any(abs(a - b) > allowed for a, b in zip(ours, theirs, strict=True)):
            found.append(f"execution {key}: gains on the exchange {ours}, in the database {theirs}")
    return found


def _closed(owner: int, lives: list[Life], row: dict[str, Any], *, same_ids: bool) -> list[str]:
    with localcontext() as context:
        context.prec = 60
        entered, left = sum(life.entered for life in lives), sum(life.left for life in lives)
        pairs = {
            "realized_pnl": (
                sum(life.realized for life in lives),
                row["realized_pnl"],
                Decimal(0) if same_ids else (left + sum(len(life.trades) for life in lives)) * BYBIT_ENTRY_DIGIT,
            ),
            "fees": (sum(life.fees for life in lives), row["fees"], Decimal(0)),
            "entry_price": (sum(life.entered_notional for life in lives) / entered, row["entry_price"], LAST_DIGIT),
            "exit_price": (sum(life.left_notional for life in lives) / left, row["exit_price"], LAST_DIGIT),
        }
        found = [
            f"position {owner} {name}: exchange {ours}, database {theirs}"
            for name, (ours, theirs, allowed) in pairs.items()
            if theirs is None or abs(ours - theirs) > allowed
        ]
    if row["open"] or row["closed_at"] is None:
        found.append(f"position {owner}: flat at the exchange, {row['status']} in the database")
    if row["side"] != ("long" if lives[0].side > 0 else "short"):
        found.append(f"position {owner}: side {row['side']}")
    return found

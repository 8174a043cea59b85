"""What a replay says: tables for people, CSV and JSON for programs, a picture of one position.

Rules of this file: prices and money are shown exactly as they are; only per cents are rounded, to two places. Times are
UTC.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from actors.replay.bars import Tape
from actors.replay.session import Replayed
from actors.replay.times import instant, shown
from actors.replay.totals import Totals
from adapters.drawing import Execution, Run, draw_run
from adapters.paper_exchange.orders import Fill, Side
from adapters.paper_exchange.tape import BarOrder
from domain import decimals
from domain.identity import OrderKind, parse_client_id

ABSENT = "-"
WIDTH_WITHOUT_TERMINAL = 240
_CENT = Decimal("0.01")
_COLUMNS: tuple[tuple[str, Callable[[Replayed], str]], ...] = (
    ("no", lambda row: str(row.number)),
    ("symbol", lambda row: row.symbol),
    ("order", lambda row: row.bar_order.value),
    ("opened", lambda row: shown(row.opened_at)),
    ("side", lambda row: row.side.value),
    ("entry", lambda row: plain(row.entry_price)),
    ("first stop", lambda row: plain(row.first_stop)),
    ("last stop", lambda row: plain(row.last_stop)),
    ("moves", lambda row: str(row.moves)),
    ("extreme", lambda row: plain(row.extreme)),
    ("closed", lambda row: ABSENT if row.closed_at is None else shown(row.closed_at)),
    ("reason", lambda row: row.reason),
    ("exit", lambda row: plain(row.exit_price)),
    ("P&L %", lambda row: percent(row.pnl_pct)),
    ("P&L", lambda row: plain(row.pnl)),
    ("fees", lambda row: plain(row.fees)),
    ("unprotected ms", lambda row: str(row.unprotected_ms)),
)
_LEFT = frozenset({"symbol", "order", "opened", "side", "closed", "reason"})
_INNER = frozenset({"stops", "executions", "timeline"})


def plain(value: Decimal | None) -> str:
    """Exact digits without an exponent or needless zeros."""
    return ABSENT if value is None else decimals.plain(value)


def percent(value: Decimal | None) -> str:
    """To two places."""
    return ABSENT if value is None else f"{value.quantize(_CENT, ROUND_HALF_EVEN):f}"


def print_tables(rows: Sequence[Replayed], sums: Sequence[Totals], out: TextIO) -> None:
    """A row a position, then the totals with a column for each bar order."""
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, _ in _COLUMNS:
        table.add_column(name, justify="left" if name in _LEFT else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell(row) for _, cell in _COLUMNS))
    console.print(table)
    summary = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    summary.add_column("totals")
    for of_order in sums:
        summary.add_column(of_order.bar_order.value, justify="right")
    for name, figure in _FIGURES:
        summary.add_row(name, *(figure(of_order) for of_order in sums))
    console.print(summary)


_FIGURES: tuple[tuple[str, Callable[[Totals], str]], ...] = (
    ("positions", lambda t: str(t.positions)),
    ("not opened", lambda t: str(t.unopened)),
    ("closed", lambda t: str(t.closed)),
    ("  by the first or break-even stop", lambda t: str(t.stopped)),
    ("  by the trailing stop", lambda t: str(t.trailed)),
    ("  by take-profits", lambda t: str(t.taken)),
    ("  otherwise", lambda t: str(t.other)),
    ("open at the end", lambda t: str(t.still_open)),
    ("stop moves", lambda t: str(t.moves)),
    ("win rate, %", lambda t: percent(t.win_pct)),
    ("P&L after fees", lambda t: plain(t.pnl)),
    ("fees", lambda t: plain(t.fees)),
    ("best, %", lambda t: percent(t.best_pct)),
    ("worst, %", lambda t: percent(t.worst_pct)),
    ("mean, %", lambda t: percent(t.mean_pct)),
    ("longest unprotected, ms", lambda t: str(t.unprotected_ms)),
)


def print_json(rows: Sequence[Replayed], sums: Sequence[Totals], notes: Sequence[str], out: TextIO) -> None:
    """The same for programs: money as decimal strings, times in ISO 8601."""
    document = {"positions": [_record(row) for row in rows], "totals": [_record(t) for t in sums], "notes": list(notes)}
    out.write(json.dumps(document, indent=1) + "\n")


def write_csv(rows: Sequence[Replayed], out: TextIO) -> None:
    """A line a position."""
    names = [field.name for field in fields(Replayed) if field.name not in _INNER]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(row) for row in rows)


def _record(row: Replayed | Totals) -> dict[str, str | int | None]:
    return {f.name: _value(f.name, getattr(row, f.name)) for f in fields(row) if f.name not in _INNER}


def _value(name: str, value: object) -> str | int | None:
    if isinstance(value, Decimal):
        return percent(value) if name.endswith("_pct") else plain(value)
    if isinstance(value, int):
        return instant(value).isoformat(timespec="milliseconds") if name.endswith("_at") else value
    return None if value is None else str(value)


def picture(tape: Tape, row: Replayed) -> str:
    """One position as SVG: the mark price, its stop as a staircase, its executions, with room around them.

    Raises ValueError for one that was never opened.
    """
    if row.entry_price is None:
        raise ValueError(f"position {row.number} was not opened: there is nothing to draw")
    end = tape.end if row.closed_at is None else row.closed_at
    room = max((end - row.opened_at) // 8, 5 * tape.bar_ms)
    window = max(row.opened_at - room, tape.begin), min(end + room, tape.end)
    run = Run(symbol=row.symbol, marks=_marks(tape, row.bar_order, window), stops=list(row.stops))
    run.executions = [_execution(fill) for fill in row.executions]
    words = f"{row.symbol} {row.side.value}, opened {shown(row.opened_at)} UTC: {row.moves} stop moves, "
    return draw_run(run, window, f"{words}{row.reason.replace('_', ' ')}, {percent(row.pnl_pct)} %")


def busiest(rows: Sequence[Replayed]) -> Replayed | None:
    """The position whose stop moved most often, the first of several; None when none was opened."""
    opened = [row for row in rows if row.entry_price is not None]
    return max(opened, key=lambda row: row.moves, default=None)


def _marks(tape: Tape, order: BarOrder, window: tuple[int, int]) -> list[tuple[int, Decimal]]:
    marks = []
    third = tape.bar_ms // 3
    for timed in tape.bars:
        if window[0] <= timed.at <= window[1]:
            bar = timed.bar
            inner = (bar.low, bar.high) if order is BarOrder.LOW_FIRST else (bar.high, bar.low)
            places = (timed.at, timed.at + third, timed.at + 2 * third, timed.at + tape.bar_ms - 1)
            marks += list(zip(places, (bar.open, *inner, bar.close), strict=True))
    return marks


def _execution(fill: Fill) -> Execution:
    ours = parse_client_id(fill.client_order_id)
    # An execution without an id of ours is the child of our stop: nobody else trades on a replayed account.
    kind = OrderKind.STOP if ours is None else ours.kind
    return Execution(at=fill.time, price=fill.price, buys=fill.side is Side.BUY, kind=kind.value)

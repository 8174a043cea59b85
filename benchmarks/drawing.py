"""A run read from an exchange's timeline, as the oracle's book sees it, ready to be drawn (`adapters.drawing`)."""

from __future__ import annotations

from pathlib import Path

from adapters.drawing import Execution, Run, busiest_window, draw_run
from tests.oracle.judge import Judge
from tests.oracle.reader import FillLine, PriceLine, read_lines

__all__ = ["Run", "busiest_window", "draw_run", "read_run"]


def read_run(timeline: Path, symbol: str) -> Run:
    """What happened on one symbol. Raises TimelineError, OSError, and ValueError if the timeline lacks the symbol."""
    run = Run(symbol=symbol)
    judge = Judge()
    key = (symbol, "BOTH")
    for line in read_lines(timeline):
        judge.hear(line)
        if isinstance(line, PriceLine) and line.symbol == symbol:
            run.marks.append((line.t, line.mark))
        elif isinstance(line, FillLine) and line.symbol == symbol:
            order = judge.book.orders.get(f"order {line.order_id}")
            kind = order.ident.kind if order is not None and order.ident is not None else ""
            run.executions.append(Execution(at=line.t, price=line.price, buys=line.side == "BUY", kind=kind))
        if not line.more:
            stop = judge.book.stop_in_force(key)
            if not run.stops or run.stops[-1][1] != stop:
                run.stops.append((line.t, stop))
    if not run.marks:
        raise ValueError(f"{timeline.name}: no price of {symbol}")
    for life in (*judge.book.past, *judge.book.lives.values()):
        if life.key == key and life.owner is not None:
            run.lives.append((life.began.t, life.ended.t if life.ended else run.marks[-1][0], life.moves))
    return run

"""What a decision costs: `python -m benchmarks.decision [--prices N]`.

One position with a trailing stop, its machine alone, no thread and no actor. Mark prices of four kinds: inside the band
(nothing changes), the first one after a change, a new extreme that is not worth a move, and one that moves the stop
(its intent, its events and its record included). Microseconds a price, and the memory blocks that a price which changes
nothing leaves behind.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.figures import Figure, table
from domain.entries.opening import new_position
from domain.identity import Epoch, PositionId
from domain.instrument import Instrument, PositionSide
from domain.orders import Accepted, OrderIntent, OrderReport, OrderStatus, PositionReport, Source
from domain.position import machine
from domain.position.effects import Place, Transition
from domain.position.inputs import Begin, Input, OutcomeHeard, PositionHeard, PriceRange
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import Position

D = Decimal
NOW = datetime(2026, 11, 21, tzinfo=UTC)
MARK = D(60_000)
QUANTITY = D("0.01")
WHERE = "one position, one thread"


class Told:
    """A position and the time, as its owner would lead it."""

    def __init__(self) -> None:
        """Nothing sent yet."""
        self.now = NOW
        self.position = new_position(
            position_id=PositionId(114661785600001),
            account="main",
            exchange="binanceusdm",
            instance="ab12",
            instrument=Instrument(
                symbol="BTCUSDT",
                base="BTC",
                quote="USDT",
                tick=D("0.1"),
                step=D("0.001"),
                min_quantity=D("0.001"),
                max_market_quantity=D(100),
                min_notional=D(5),
            ),
            side=PositionSide.LONG,
            plan=Plan(
                quantity=QUANTITY,
                protection=Protection(),
                trailing=TrailingRules(breakeven_pct=D(1)),
                reference_price=MARK,
            ),
            epoch=Epoch(1, 1),
            now=NOW,
            correlation_id="benchmark",
        )
        self.last: Transition = self.hear(Begin())

    def hear(self, heard: Input) -> Transition:
        """Hear one input a millisecond later."""
        self.now += timedelta(milliseconds=1)
        self.last = machine.handle(self.position, heard, self.now)
        self.position = self.last.position
        return self.last

    def intent(self) -> OrderIntent:
        """The order that the last turn wanted placed."""
        return next(effect.intent for effect in self.last.effects if isinstance(effect, Place))

    def accept(self, *, filled: bool = False) -> None:
        """The venue takes that order."""
        intent = self.intent()
        report = _filled(intent, self.now) if filled else None
        at = self.now
        outcome = Accepted(
            client_id=intent.client_id, exchange_id=intent.client_id[-2:], report=report, sent_at=at, answered_at=at
        )
        self.hear(OutcomeHeard(outcome=outcome))

    def price(self, price: Decimal) -> PriceRange:
        """A mark price, now."""
        return PriceRange(last=price, low=price, high=price, at=self.now)


def _filled(intent: OrderIntent, at: datetime) -> OrderReport:
    return OrderReport(
        symbol=intent.symbol,
        client_id=intent.client_id,
        exchange_id="1",
        conditional=False,
        side=intent.side,
        status=OrderStatus.FILLED,
        quantity=intent.quantity,
        filled=intent.quantity,
        average_price=MARK,
        trigger_price=None,
        reduce_only=False,
        close_position=False,
        position_side=None,
        child_id=None,
        reason="",
        at=at,
        source=Source.REPLY,
    )


def trailing() -> Told:
    """A filled, protected position that trails: first stop accepted, moved once, the mark a little below its best."""
    told = Told()
    told.accept(filled=True)
    told.accept()
    row = PositionReport(
        symbol="BTCUSDT",
        position_side=None,
        quantity=QUANTITY,
        entry_price=MARK,
        mark_price=MARK,
        liquidation_price=None,
        at=told.now,
        source=Source.STREAM,
    )
    told.hear(PositionHeard(report=row))
    told.hear(told.price(D(61_200)))
    told.accept()
    rest = replace(told.position, stops=told.position.stops[-1:])
    told.position = rest
    told.now += timedelta(seconds=60)
    return told


def measure(heard: Callable[[int], tuple[Position, PriceRange, datetime]], count: int) -> list[float]:
    """What each of so many decisions took, microseconds."""
    times: list[float] = []
    for number in range(count):
        position, prices, now = heard(number)
        begun = time.perf_counter_ns()
        machine.handle(position, prices, now)
        times.append((time.perf_counter_ns() - begun) / 1000)
    return times


def figures(count: int) -> list[Figure]:
    """All kinds of price; the last row counts memory blocks."""
    told = trailing()
    calm = machine.handle(told.position, told.price(D(61_150)), told.now).position
    cases: dict[str, Callable[[int], tuple[Position, PriceRange, datetime]]] = {
        "changes nothing, inside the band": lambda n: (calm, told.price(D(61_100) + n % 90), told.now),
        "changes nothing, first after a change": lambda n: (told.position, told.price(D(61_100) + n % 90), told.now),
        "new extreme, not worth a move": lambda n: (told.position, told.price(D(61_201) + n % 9), told.now),
        "moves the stop": lambda n: (told.position, told.price(D(61_400) + n % 90), told.now),
    }
    found = []
    gc.collect()
    gc.disable()
    try:
        for name, heard in cases.items():
            measure(heard, count // 10)
            found.append(Figure(name=f"decision alone, price {name}, us", where=WHERE, values=measure(heard, count)))
        prices, now, position = told.price(D(61_100)), told.now, calm
        before = sys.getallocatedblocks()
        for _ in range(count):
            position = machine.handle(position, prices, now).position
        left = (sys.getallocatedblocks() - before) / count
    finally:
        gc.enable()
    name = "memory blocks left behind by a price that changes nothing"
    found.append(Figure(name=name, where=WHERE, values=[left], aim="0", digits=2))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prices", type=int, default=50_000)
    sys.stdout.write(table(figures(parser.parse_args().prices)) + "\n")


if __name__ == "__main__":
    main()

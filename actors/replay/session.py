"""A replay: a position at each entry time of a tape, each on an exchange of its own, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from actors.replay.bars import Tape
from actors.replay.market import Market
from actors.replay.owner import Owner, Terms
from actors.replay.times import MINUTE_MS, shown
from adapters.paper_exchange.codec import Record
from adapters.paper_exchange.orders import Fill
from adapters.paper_exchange.tape import BarOrder, TapeError
from domain.instrument import MONEY, PositionSide
from domain.position import ledger
from domain.position.state import Position

ZERO = Decimal(0)
OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A position to open at `at` (ms)."""

    at: int
    side: PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of one entry. Money in quote currency; `pnl` is after fees, of an open one at the last mark price.

    `reason` is the close reason, `open` at the tape's end, or why it was not opened (then there is no entry price).
    `extreme` is the most favourable mark price of its life; `unprotected_ms` its longest time without full cover, as
    the exchange saw it; `stops` the stop in force from each time on.
    """

    number: int
    tape: str
    symbol: str
    bar_order: BarOrder
    side: PositionSide
    opened_at: int
    reason: str
    quantity: Decimal = ZERO
    entry_price: Decimal | None = None
    first_stop: Decimal | None = None
    last_stop: Decimal | None = None
    moves: int = 0
    extreme: Decimal | None = None
    closed_at: int | None = None
    exit_price: Decimal | None = None
    pnl: Decimal = ZERO
    pnl_pct: Decimal = ZERO
    fees: Decimal = ZERO
    unprotected_ms: int = 0
    stops: tuple[tuple[int, Decimal | None], ...] = ()
    executions: tuple[Fill, ...] = ()
    timeline: tuple[Record, ...] = ()


def entries_every(tape: Tape, minutes: int, sides: Sequence[PositionSide]) -> list[Entry]:
    """An entry of each side every so many minutes of the tape; none where the tape has a hole."""
    moments = range(tape.begin, tape.end, minutes * MINUTE_MS)
    return [Entry(at=at, side=side) for at in moments if tape.covers(at) for side in sides]


def entries_at(tape: Tape, moments: Sequence[int], sides: Sequence[PositionSide]) -> list[Entry]:
    """An entry of each side at each of these times (ms). Raises TapeError for one that the tape does not cover."""
    for at in moments:
        if not tape.covers(at):
            raise TapeError(f"--at {shown(at)}: no bar of the tape covers it; {tape.reach()}")
    return [Entry(at=at, side=side) for at in sorted(set(moments)) for side in sides]


def replay(
    tape: Tape, entries: Sequence[Entry], terms: Terms, bar_order: BarOrder, *, jumps: bool = False
) -> list[Replayed]:
    """Play the tape once, in one order of its bars' extremes, and say what became of each entry."""
    market = Market(tape, bar_order, jumps=jumps, delay_ms=terms.round_trip_ms - terms.round_trip_ms // 2)
    owners = [Owner(market, terms, number, entry.side) for number, entry in enumerate(entries, start=1)]
    for owner, entry in zip(owners, entries, strict=True):
        market.at(entry.at, owner.enter)
    market.run()
    last = tape.bars[-1].bar.close
    return [_outcome(tape, bar_order, owner, last) for owner in owners]


def _outcome(tape: Tape, bar_order: BarOrder, owner: Owner, last: Decimal) -> Replayed:
    position, venue = owner.position, owner.venue
    unopened = Replayed(
        number=owner.number,
        tape=tape.name,
        symbol=tape.contract.symbol,
        bar_order=bar_order,
        side=owner.side,
        opened_at=owner.opened_at,
        reason="not opened" if owner.refused is None else f"not opened: {owner.refused.code}",
        timeline=tuple(venue.lines or ()),
    )
    entry_price = None if position is None else ledger.entry_price(position)
    if position is None or entry_price is None:
        return unopened
    stops = [price for _, price in venue.stops if price is not None]
    flat = venue.quantity == 0
    quantity, fees = ledger.opened_quantity(position), ledger.fees(position)
    with localcontext(MONEY):
        gross = ledger.realized_pnl(position) + (last - entry_price) * venue.quantity
        percent = (gross - fees) / (entry_price * quantity) * 100
    return replace(
        unopened,
        reason=OPEN if not flat else _reason(position),
        quantity=quantity,
        entry_price=entry_price,
        first_stop=stops[0] if stops else None,
        last_stop=stops[-1] if stops else None,
        moves=max(len(stops) - 1, 0),
        extreme=owner.best,
        closed_at=venue.executions[-1].time if flat else None,
        exit_price=ledger.exit_price(position) if flat else last,
        pnl=gross - fees,
        pnl_pct=percent,
        fees=fees,
        unprotected_ms=venue.longest_bare_ms,
        stops=tuple(venue.stops),
        executions=tuple(venue.executions),
    )


def _reason(position: Position) -> str:
    return "closing" if position.close_reason is None else position.close_reason.value

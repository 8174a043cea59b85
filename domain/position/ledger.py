"""How big the position is, and how sure we are: executions we heard of against what the venue says.

The book is the sum of executions on the symbol since the opening, each counted once however often it is heard. The
venue's own figure comes separately. While the two differ we protect the larger one, and nothing is believed closed;
when they go on differing the venue is asked again, and its answer is taken once it has been heard often enough
(LAWS S11: an explicit row newer than our last activity, twice; three times before a position counts as gone).
An answer that news has overtaken says nothing, and is asked for again soon; the next one after a second.
What executions and the venue's explicit figure together have shown as gone is over for good (`over_at`): whatever a
stranger does on the symbol after that time is not this position's, the rest of the order that ended it included: that
opens one the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from domain.catalogue import EventType
from domain.identity import parse_client_id
from domain.instrument import MONEY
from domain.orders import Fill, OrderReport, PositionReport
from domain.position.effects import AskFills, AskPosition
from domain.position.state import (
    ZERO,
    OrderFills,
    OrderState,
    Position,
    Reported,
    derived,
)
from domain.position.turn import Turn
from domain.records import Trade

SETTLE_S = 0.5
ASK_AGAIN_S = 1
SOON_S = 0.05  # what comes in one moment has come by then
ANSWER_LIMIT_S = 6
FILLS_BEFORE_S = 5
# How much earlier than an execution its row may be dated, and for how long an answer is taken for an old one.
DATED_WITHIN = timedelta(milliseconds=500)
OUTDATED_AT_MOST = timedelta(seconds=15)
NEEDED = 2
NEEDED_FOR_FLAT = 3
EXECUTED = ("fills", "adjustment", "adjustment_price", "adopted_quantity", "adopted_price")
PRICED = (*EXECUTED, "entry_shown")
SIZED = (*EXECUTED, "reported", "last_fill_at", "over_at")


@derived(*EXECUTED)
def book(p: Position) -> Decimal:
    """The size that the executions add up to, in the position's direction."""
    total = p.adopted_quantity + p.adjustment
    for fills in p.fills:
        total += fills.filled if fills.side is p.side.opening else -fills.filled
    return total


def has_history(p: Position) -> bool:
    """Whether there ever was anything to protect."""
    return bool(p.fills or p.adjustment or p.adopted_quantity)


@derived("reported", "last_fill_at")
def trusted_report(p: Position) -> Reported | None:
    """The venue's word on the size, unless an execution is newer."""
    if p.reported is None or (p.last_fill_at is not None and p.reported.at < p.last_fill_at):
        return None
    return p.reported


@derived(*SIZED)
def exposure(p: Position) -> Decimal:
    """The size that has to be protected: the larger of book and report, never negative."""
    if p.over_at is not None:
        return ZERO
    reported = trusted_report(p)
    return max(book(p), reported.quantity if reported else ZERO, ZERO)


def agreed(p: Position) -> bool:
    """Whether book and venue say the same."""
    reported = trusted_report(p)
    return reported is not None and reported.quantity == book(p)


@derived(*SIZED)
def flat(p: Position) -> bool:
    """Whether the position is proven gone: executions and the venue's own explicit figure say so."""
    return p.over_at is not None or (agreed(p) and book(p) <= 0)


def itemised(p: Position) -> bool:
    """Whether the executions that the venue listed account for all that its orders reported."""
    return all(fills.traded >= fills.reported for fills in p.fills)


@derived(*PRICED)
def entry_price(p: Position) -> Decimal | None:
    """Average price of the position: what the venue was believed to say instead of the executions, else theirs."""
    return executed_price(p) if p.entry_shown is None else p.entry_shown


def executed_price(p: Position) -> Decimal | None:
    """Average price of what opened the position, all of it."""
    grown = max(p.adjustment, ZERO)
    quantity = p.adopted_quantity + grown
    with localcontext(MONEY):
        notional = p.adopted_quantity * (p.adopted_price or ZERO) + grown * (p.adjustment_price or ZERO)
        for fills in p.fills:
            if fills.side is p.side.opening:
                quantity += fills.filled
                notional += fills.notional
    return _ratio(notional, quantity)


def opened_quantity(p: Position) -> Decimal:
    """What was ever opened, reductions not counted."""
    executed = sum((f.filled for f in p.fills if f.side is p.side.opening), ZERO)
    return p.adopted_quantity + max(p.adjustment, ZERO) + executed


def exit_price(p: Position) -> Decimal | None:
    """Average price of what closed the position, so far."""
    closing = [f for f in p.fills if f.side is p.side.closing]
    return _ratio(sum((f.notional for f in closing), ZERO), sum((f.filled for f in closing), ZERO))


def realized_pnl(p: Position) -> Decimal:
    """Realised profit as the venue booked it, before fees."""
    return sum((f.realized_pnl for f in p.fills), ZERO)


def fees(p: Position) -> Decimal:
    """Fees paid, positive, in the margin currency."""
    return sum((f.fee for f in p.fills), ZERO)


def fees_apart(p: Position) -> dict[str, Decimal]:
    """By coin, fees that are not in `fees`: paid in another currency, at a price that nobody knew."""
    return _by_coin(pair for f in p.fills for pair in f.fees_apart)


def _by_coin(pairs: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for coin, amount in pairs:
        found[coin] = found.get(coin, ZERO) + amount
    return found


def of_its_time(p: Position, at: datetime | None) -> bool:
    """Whether a mark price of this time says anything of the position: one from before its first execution does not."""
    return p.first_fill_at is None or (at is not None and at >= p.first_fill_at)


def mark(p: Position) -> Decimal | None:
    """The last mark price that was one of the position's time; None: nobody knows where the market stands now."""
    return p.mark_price if of_its_time(p, p.mark_at) else None


def unrealized_pnl(p: Position) -> Decimal | None:
    """Profit at the mark price, or None while either price is unknown."""
    price = entry_price(p)
    if price is None or p.mark_price is None:
        return None
    with localcontext(MONEY):
        return (p.mark_price - price) * book(p) * p.side.sign


def _ratio(notional: Decimal, quantity: Decimal) -> Decimal | None:
    if quantity <= 0:
        return None
    with localcontext(MONEY):
        return notional / quantity


def hear_report(turn: Turn, report: OrderReport) -> None:
    """Count what an ordinary order has executed. A conditional order executes only through its child."""
    p = turn.position
    if report.conditional or report.filled <= 0 or report.position_side not in (None, p.side):
        return
    if not concerns(p, report.client_id, report.exchange_id, report.at):
        return
    known = _fills(p, report.exchange_id) or OrderFills(
        exchange_id=report.exchange_id, side=report.side, client_id=report.client_id
    )
    if report.filled <= known.filled:
        return
    with localcontext(MONEY):
        price = report.average_price or p.mark_price or ZERO
        changed = replace(known, reported=report.filled, reported_notional=report.filled * price)
    _store(turn, changed, report.at)


def hear_fill(turn: Turn, fill: Fill, *, listed: bool = False) -> None:
    """Count one execution, once. `listed`: from the venue's list of all, which goes by their time."""
    p = turn.position
    if fill.position_side not in (None, p.side):
        return
    known = _fills(p, fill.exchange_id) or OrderFills(
        exchange_id=fill.exchange_id, side=fill.side, client_id=fill.client_id
    )
    if fill.trade_id in known.trades:
        return
    itemises = listed and known.traded + fill.quantity <= known.filled
    if not (concerns(p, fill.client_id, fill.exchange_id, fill.at) or itemises):
        return
    cost = fill.fee_usdt
    apart = known.fees_apart if cost is not None else (*known.fees_apart, (fill.fee_currency, fill.fee))
    with localcontext(MONEY):
        changed = replace(
            known,
            traded=known.traded + fill.quantity,
            traded_notional=known.traded_notional + fill.quantity * fill.price,
            fee=known.fee + (ZERO if cost is None else cost),
            fees_apart=tuple(_by_coin(apart).items()),
            realized_pnl=known.realized_pnl + fill.realized_pnl,
            trades=known.trades | {fill.trade_id},
            liquidation=known.liquidation or fill.liquidation,
        )
    turn.trades.append(Trade(position_id=p.id, account=p.account, exchange=p.exchange, fill=fill))
    turn.say(
        EventType.FILL,
        {
            "trade_id": fill.trade_id,
            "side": fill.side,
            "quantity": fill.quantity,
            "price": fill.price,
            "fee": fill.fee,
            "fee_currency": fill.fee_currency,
            "fee_usdt": cost,
            "realized_pnl": fill.realized_pnl,
            "liquidation": fill.liquidation,
        },
        order_id=fill.client_id or fill.exchange_id,
    )
    if changed.filled > known.filled:
        _store(turn, changed, fill.at)
    else:
        turn.set(fills=_replaced(turn.position.fills, changed))


def triggered(p: Position, exchange_id: str) -> bool:
    """Whether an order is what the trigger of a stop or take-profit of ours made."""
    children = (*(stop.child_id for stop in p.stops), *(target.child_id for target in p.targets))
    return exchange_id in children


def concerns(p: Position, client_id: str | None, exchange_id: str, at: datetime) -> bool:
    """Whether an order acts on this position: ours, our stop's child, or a stranger's between opening and end."""
    ours = parse_client_id(client_id)
    if ours is not None:
        return ours.position_id == p.id
    if triggered(p, exchange_id):
        return True
    since_opening = at >= p.opened_at or _fills(p, exchange_id) is not None
    return since_opening and (p.over_at is None or at <= p.over_at)


def _fills(p: Position, exchange_id: str) -> OrderFills | None:
    return next((f for f in p.fills if f.exchange_id == exchange_id), None)


def _replaced(fills: tuple[OrderFills, ...], changed: OrderFills) -> tuple[OrderFills, ...]:
    if any(f.exchange_id == changed.exchange_id for f in fills):
        return tuple(changed if f.exchange_id == changed.exchange_id else f for f in fills)
    return (*fills, changed)


def _store(turn: Turn, changed: OrderFills, at: datetime) -> None:
    p = turn.position
    if changed.side is p.side.opening:
        turn.set(entry_shown=None)
    turn.set(
        fills=_replaced(p.fills, changed),
        first_fill_at=min(at, p.first_fill_at) if p.first_fill_at else at,
        last_fill_at=max(at, p.last_fill_at) if p.last_fill_at else at,
        last_activity_at=turn.now,
    )


def hear_position(turn: Turn, report: PositionReport, asked_at: datetime | None, *, asked_alone: bool = True) -> None:
    """Take the venue's word on the size. A reading asked before our own last activity is dropped (DESIGN 2).

    `asked_alone`: the answer to a question of ours; else all owners hear of the same reading.
    """
    p = turn.position
    pushed = asked_at is None
    turn.note(liquidation_price=_liquidation_price(p, report))
    if p.mark_price is None and report.mark_price is not None:
        turn.note(mark_price=report.mark_price, mark_at=report.at)
    before = p.reported
    if _overtaken(p, report, asked_at):
        if not pushed:
            _ask_again(turn, asked_alone=asked_alone)
        return
    if not pushed:
        turn.note(verify_at=turn.now + timedelta(seconds=ASK_AGAIN_S))
    if outdated(report, p.last_fill_at):
        return
    quantity = report.quantity * p.side.sign
    turn.note(
        reported=Reported(quantity=quantity, at=report.at),
        verify_wanted=p.verify_wanted and pushed,
        verify_hurried=p.verify_hurried and pushed,
        doubt_at=p.doubt_at if pushed else None,
    )
    if p.over_at is not None:
        return
    if trusted_report(turn.position) is None:
        return
    if quantity == book(turn.position):
        turn.note(disagreements=0, disagreed_since=None)
        return
    same = before is not None and before.quantity == quantity
    turn.note(disagreements=(p.disagreements if same else 0) + (2 if pushed and not same else 1))
    if not pushed:
        _adjust(turn, report, quantity)


def _overtaken(p: Position, report: PositionReport, asked_at: datetime | None) -> bool:
    """Whether we have acted, or heard of the size, after this was so."""
    if asked_at is not None and p.last_activity_at is not None and asked_at <= p.last_activity_at:
        return True
    return p.reported is not None and report.at < p.reported.at


def _ask_again(turn: Turn, *, asked_alone: bool) -> None:
    """Soon, if news overtook the answer to our own question: two stops may wait for it. Once only (LAWS L6, S15)."""
    p = turn.position
    soon = asked_alone and not p.verify_hurried
    again = turn.now + timedelta(seconds=SOON_S if soon else ASK_AGAIN_S)
    if not asked_alone and p.verify_at is not None:
        again = min(again, p.verify_at)
    turn.note(verify_at=again, verify_hurried=p.verify_hurried or soon)
    if asked_alone and p.doubt_at is not None:
        turn.note(doubt_at=again)


def _liquidation_price(p: Position, report: PositionReport) -> Decimal | None:
    """Where this position would be liquidated; None where the price is another's: on the other side of the mark.

    One the other way round has its own, and in hedge mode a venue may name the level of both sides together.
    """
    price, mark = report.liquidation_price or p.liquidation_price, report.mark_price or p.mark_price
    if report.quantity * p.side.sign <= 0 or price is None:
        return None
    return None if mark is not None and price > 0 and not p.side.better(mark, price) else price


def outdated(report: PositionReport, last_fill_at: datetime | None) -> bool:
    """Whether a row cannot hold our last execution yet, by the venue's own time of its last change (LAWS S11).

    For a while only: a venue that dates its rows otherwise than we think is believed in the end.
    """
    if report.changed_at is None or last_fill_at is None:
        return False
    return report.changed_at + DATED_WITHIN < last_fill_at and report.at < last_fill_at + OUTDATED_AT_MOST


def _adjust(turn: Turn, report: PositionReport, shown: Decimal) -> None:
    """Believe the venue's figure once it was heard often enough: somebody else changed the position."""
    p = turn.position
    needed = NEEDED_FOR_FLAT if shown <= 0 else NEEDED
    market_orders = (*p.exits, p.entry) if p.entry else p.exits
    if any(o.state in (OrderState.SENDING, OrderState.UNKNOWN) for o in market_orders):
        return  # what is under way may explain the difference: its own outcome is asked for
    if p.disagreements < needed:
        ask_fills(turn)
        turn.say(
            EventType.RECONCILE_FINDING,
            {
                "finding": "phantom" if shown <= 0 else "quantity",
                "book": book(p),
                "exchange": shown,
                "seen": f"{p.disagreements}/{needed}",
            },
        )
        return
    difference = shown - book(p)
    turn.say(
        EventType.POSITION_CHANGED_OUTSIDE,
        {"book": book(p), "exchange": shown, "difference": difference},
    )
    turn.set(
        adjustment=p.adjustment + difference,
        adjustment_price=executed_price(p) or report.entry_price or p.mark_price,
        entry_shown=None if difference > 0 else p.entry_shown,
        disagreements=0,
        disagreed_since=None,
        last_activity_at=turn.now,
    )


def filled_by(p: Position, exchange_id: str | None) -> Decimal:
    """What one order has executed, as far as we heard."""
    fills = _fills(p, exchange_id) if exchange_id is not None else None
    return ZERO if fills is None else fills.filled


def ask_fills(turn: Turn) -> None:
    """Ask the venue for all executions since the opening: they explain what no stream of ours told."""
    turn.want(AskFills(since=turn.position.opened_at - timedelta(seconds=FILLS_BEFORE_S)))


def doubt(turn: Turn) -> None:
    """Something happened as if the position were gone: ask for its size, unless the stream says so in a moment."""
    turn.note(doubt_at=turn.position.doubt_at or turn.now + timedelta(seconds=SETTLE_S))


def _ask_in_doubt(turn: Turn) -> None:
    """Nothing that we heard speaks against the book: no order waits for this answer."""
    due = turn.position.doubt_at
    if due is None:
        return
    if turn.now >= due:
        turn.want(AskPosition())
        due = turn.now + timedelta(seconds=ANSWER_LIMIT_S)
        turn.note(doubt_at=due)
    turn.wake_at(due)


def settle(turn: Turn) -> None:
    """Ask the venue for the size while book and report go on differing, or a flat book lacks its proof."""
    p = turn.position
    if p.phase.final:
        return
    if p.over_at is None and p.reported is not None and _is_over(p):
        turn.set(over_at=p.reported.at)
        p = turn.position
    if p.over_at is not None:
        turn.note(disagreed_since=None, disagreements=0, verify_at=None, verify_wanted=False, doubt_at=None)
        return
    reported = trusted_report(p)
    unsettled = has_history(p) and book(p) <= 0 if reported is None else reported.quantity != book(p)
    if not (unsettled or p.verify_wanted):
        if p.disagreed_since is not None or p.verify_at is not None:
            turn.note(disagreed_since=None, disagreements=0, verify_at=None, verify_hurried=False)
        _ask_in_doubt(turn)
        return
    since = p.disagreed_since
    if since is None:
        since = turn.now
        turn.note(disagreed_since=since)
    due = p.verify_at or (turn.now if p.verify_wanted else since + timedelta(seconds=SETTLE_S))
    if turn.now < due:
        turn.wake_at(due)
        return
    turn.want(AskPosition())
    turn.note(verify_at=turn.now + timedelta(seconds=ANSWER_LIMIT_S))
    turn.wake_at(turn.now + timedelta(seconds=ANSWER_LIMIT_S))


def _is_over(p: Position) -> bool:
    """Whether it is gone for good: by executions that we heard of, not by readings alone, and nothing can add to it."""
    sent = (*p.exits, p.entry) if p.entry is not None else p.exits
    if any(o.state in (OrderState.SENDING, OrderState.UNKNOWN) for o in sent):
        return False
    entered = p.entry is None or p.entry.state.over
    return entered and has_history(p) and flat(p) and book(p) - min(p.adjustment, ZERO) <= 0

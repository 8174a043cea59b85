"""What the oracle's breaches are worth here: some have a reason that a timeline cannot show.

The oracle sees what arrives at the exchange. It cannot see that a position was adopted because the settings say so, or
that the news of a human's fill was still on its way when we acted on what we knew. LAWS grants both ('within 5 s after
an outsider's act'; 'unless the operator set it so'). Each such excuse is counted beside the oracle's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from adapters.paper_exchange.orders import OrderStatus, Origin, Side
from domain.catalogue import EventType
from domain.position.state import Purpose
from tests.oracle.court import GRACE_MS, Breach
from tests.oracle.cover import MOST_UNPROTECTED_MS, SEEN_WITHIN_MS
from tests.oracle.facts import By
from tests.oracle.ours import identify
from tests.oracle.reader import AlgoLine, FillLine, RequestLine
from tests.simulation import reports
from tests.simulation.plan import RECONCILE_S
from tests.simulation.venue import START_MS
from tests.simulation.world import Violation, World

# Acts of others that change a position, or keep us from hearing of it. A request of ours that went wrong is none.
ACT_MS = 2_500
ORPHAN_MS = 15_000
CROSSING_MS = 300
OFTEN = 4
_MOVED_FOR = frozenset({Purpose.TRAIL, Purpose.BREAKEVEN})
_LEFT = re.compile(
    r"cover (?P<cover>[\d.]+) of (?P<size>[\d.]+) is left"
    r"|uncovered a covered position: position (?P<s>[\d.]+), cover (?P<c>[\d.]+)"
)
_TO = re.compile(r"-> (?P<price>[\d.]+)$")
_OUTSIDE = (
    "a fill of origin",
    "an outsider's",
    "a message of the private stream",
    "the private stream is silent",
    "the streams are dead",
    "a stream was cut",
)
# Of these, what only a reading of the account can make good.
_LOST_NEWS = _OUTSIDE[2:]
_ACTED = _OUTSIDE[:2]
_GONE = ("a request was lost", "a reply was lost")
UNREAD_MS, USED_UP = 20_000, 900


def violations(world: World, breaches: tuple[Breach, ...]) -> list[Violation]:
    """The breaches that nothing excuses; what is excused is counted in the court's own list."""
    found = []
    court = world.exchange.judge.court
    for breach in breaches:
        why = _excuse(world, breach)
        if why is None:
            at = (breach.at - START_MS) / 1000
            found.append(Violation(law=breach.law, at=at, text=f"{breach.symbol}: {breach.text}"))
        else:
            court.excuse(breach.law, why)
    return found


def _excuse(world: World, breach: Breach) -> str | None:
    for laws, words, granted, why in _EXCUSES:
        if breach.law in laws and words in breach.text and granted(world, breach):
            return why
    return _unheard(world, breach) if breach.law in ("S1", "S16") and "we uncovered" not in breach.text else None


def _adopted(world: World, breach: Breach) -> bool:
    at = reports.instant(breach.at)
    slack = timedelta(seconds=1)
    return any(
        p.adopted and p.symbol == breach.symbol and p.opened_at <= at
        and (p.closed_at is None or at <= p.closed_at + slack)
        for p in world.database.positions.values()
    )  # fmt: skip


def _covered_once(world: World, breach: Breach) -> bool:
    book = world.exchange.judge.book
    return any(
        life.first_cover_at is not None
        and life.first_cover_at - life.began.t <= SEEN_WITHIN_MS
        and life.key[0] == breach.symbol
        and life.began.t <= breach.at <= (life.ended.t if life.ended is not None else breach.at)
        for life in (*book.past, *book.lives.values())
    )


def _started_often(world: World, breach: Breach) -> bool:
    at = (breach.at - START_MS) * 1000
    starts = sum(0 <= at - process.born <= 60_000_000 for process in world.processes)
    minute = reports.instant(breach.at) - timedelta(seconds=60)
    fallen = sum(e.type is EventType.ACTOR_RESTARTED and e.at >= minute for e in world.database.events)
    return starts + fallen >= OFTEN


def _unheard(world: World, breach: Breach) -> str | None:
    """What nobody tells us is found by the reconciler: within one cycle, and two more looks at a stranger's."""
    began = min((line.t for line in breach.lines), default=breach.at)
    limit_ms = round(RECONCILE_S * 1000) + GRACE_MS
    for interval in world.exchange.judge.measures.intervals:
        if interval.symbol == breach.symbol and interval.began <= breach.at <= interval.ended + 1:
            began = interval.began
            if interval.length > limit_ms and not _absent(world, began, interval.ended):
                return None
    court = world.exchange.judge.court
    if any(
        symbol in (None, breach.symbol) and began - 1_000 <= at <= breach.at and why.startswith(_LOST_NEWS)
        for at, symbol, why in court._disturbances
    ):
        return "the news of it was lost: the reconciler has to find it"
    book = world.exchange.judge.book
    for life in (*book.past, *book.lives.values()):
        over = life.ended.t if life.ended is not None else breach.at
        stranger = isinstance(life.began, FillLine) and not life.began.client_id.startswith("hf")
        if life.key[0] == breach.symbol and stranger and life.began.t <= breach.at <= over:
            return "a stranger's position until the reconciler has seen it twice"
    return None


def _absent(world: World, since: int, until: int) -> bool:
    return any(begun <= until and over >= since for begun, over, _ in world.exchange.judge.court._absences)


def _blind(world: World, breach: Breach) -> bool:
    """Without a stream a move asks for the mark first: only what protects goes out without one."""
    court = world.exchange.judge.court
    dark = ("the streams are dead", "a stream was cut")
    cut = any(0 <= breach.at - at <= GRACE_MS and why.startswith(dark) for at, _, why in court._disturbances)
    asked = {line.params.get("clientAlgoId") for line in breach.lines if isinstance(line, RequestLine)}
    moved = any(
        event.type is EventType.STOP_LOSS_SENT and event.order_id in asked and event.data["purpose"] in _MOVED_FOR
        for event in world.database.events
    )
    return (cut and not moved) or any(since <= breach.at <= until for since, until, _ in court._absences)


def _unread(world: World, breach: Breach) -> bool:
    """LAWS S15 goes first: what was lost on the stream is found by a reading, which waits for the minute's requests."""
    disturbances = world.exchange.judge.court._disturbances
    gone = [at for at, symbol, why in disturbances if symbol is None and why.startswith(_GONE)]
    readings = [each for each in world.exchange.readings if not any(0 <= at - each[0] <= CROSSING_MS for at in gone)]
    for acted, symbol, why in disturbances:
        if symbol != breach.symbol or not why.startswith(_ACTED) or not 0 <= breach.at - acted <= UNREAD_MS:
            continue
        lost = any(-GRACE_MS <= at - acted <= 0 and news.startswith(_LOST_NEWS) for at, _, news in disturbances)
        asked, weighed = next(((at, weight) for at, weight in readings if at > acted), (0, 0))
        if lost and asked > acted + GRACE_MS and weighed > USED_UP:
            return True
    return False


def _outsider_before(world: World, breach: Breach) -> bool:
    return any(
        symbol in (None, breach.symbol) and 0 <= breach.at - at <= GRACE_MS and why.startswith(_OUTSIDE)
        for at, symbol, why in world.exchange.judge.court._disturbances
    )


def _two_halves(_world: World, breach: Breach) -> bool:
    """Parts of the entry filled while a cancel was in doubt: neither stop is enough alone."""
    figures = _LEFT.search(breach.text)
    stop = next((line for line in breach.lines if isinstance(line, AlgoLine)), None)
    if figures is None or stop is None:
        return False
    size, cover = Decimal(figures["size"] or figures["s"]), Decimal(figures["cover"] or figures["c"])
    return 0 < cover < size and stop.quantity < size


def _emergency(world: World, breach: Breach) -> bool:
    sent = {e.order_id for e in world.database.events if e.data.get("purpose") == Purpose.EMERGENCY}
    return any(isinstance(line, AlgoLine) and line.client_id in sent for line in breach.lines)


def _operator_wanted(world: World, breach: Breach) -> bool:
    """An operator's stop is owed until it stands: refusals, a dead exchange and deaths of ours do not end the wish."""
    wanted = _TO.search(breach.text)
    return wanted is not None and any(
        e.type is EventType.STOP_OVERRIDDEN
        and e.symbol == breach.symbol
        and Decimal(str(e.data["new_stop"])) == Decimal(wanted["price"])
        and e.at <= reports.instant(breach.at)
        for e in world.database.events
    )


def _taken_away(world: World, breach: Breach) -> bool:
    acts = ("a stop rejected by exchange", "a stop expired by exchange", "a stop canceled by outsider")
    return any(
        symbol == breach.symbol and 0 <= breach.at - at <= GRACE_MS and why.startswith(acts)
        for at, symbol, why in world.exchange.judge.court._disturbances
    )


def _waiting(world: World, breach: Breach) -> bool:
    """A request that nobody answers is in flight for its sender until it gives up; then it acts."""
    # A reading of the account that got lost delays nobody's stop: it is the orphans' excuse alone.
    concerned = (None, breach.symbol) if breach.law == "S6" else (breach.symbol,)
    return any(
        symbol in concerned and since <= breach.at <= until + ACT_MS
        for since, until, symbol in world.network.unanswered
    )


def _bare_before(world: World, breach: Breach) -> bool:
    return any(
        interval.symbol == breach.symbol
        and interval.cause is By.FILL
        and 0 < breach.at - interval.began <= MOST_UNPROTECTED_MS
        and (interval.ended == 0 or breach.at <= interval.ended)
        for interval in world.exchange.judge.measures.intervals
    )


def _outsider_while_away(world: World, breach: Breach) -> bool:
    court = world.exchange.judge.court
    return any(
        begun <= at <= breach.at <= over and symbol in (None, breach.symbol) and why.startswith(_OUTSIDE[0])
        for begun, over, _ in court._absences
        for at, symbol, why in court._disturbances
    )


def _orphan_by_fault(world: World, breach: Breach) -> bool:
    return world.exchange.judge.court.reason_within(breach.symbol, breach.at - ORPHAN_MS, breach.at) is not None


def _of_an_adopted(world: World, breach: Breach) -> bool:
    """The oracle gave the stranger's position to the owner whose stop came there last, on the wire at the turning."""
    adopted = {int(p.id) for p in world.database.positions.values() if p.adopted}
    return any(position in adopted for position in _named(world, breach))


def _named(world: World, breach: Breach) -> set[int]:
    """The positions whose orders, or whose stops' children, the lines of a breach speak of."""
    parents = {str(algo.actual_order_id): algo.client_algo_id for algo in world.exchange.engine.book.algos.values()}
    ids = {line.client_id for line in breach.lines if isinstance(line, AlgoLine | FillLine)}
    ids |= {parents.get(str(line.order_id), "") for line in breach.lines if isinstance(line, FillLine)}
    return {ident.position for ident in map(identify, ids) if ident is not None}


def _turned_back(world: World, breach: Breach) -> bool:
    """Humans turned it over and back before we could act: its owner goes on, and its stop covers what is there."""
    book = world.exchange.judge.book
    lives = [life for life in (*book.past, *book.lives.values()) if life.key[0] == breach.symbol]
    there = [life for life in lives if life.began.t <= breach.at and (life.ended is None or life.ended.t > breach.at)]
    stops = [line for line in breach.lines if isinstance(line, AlgoLine)]
    named = _named(world, breach)
    before = [life for life in lives if life.owner in named and life.ended is not None]
    if not there or not stops or not before:
        return False
    since = min(life.ended.t for life in before if life.ended is not None)
    by_humans = all(
        isinstance(life.began, FillLine) and not life.began.client_id.startswith("hf")
        for life in lives
        if since <= life.began.t <= breach.at
    )
    closing = all(stop.reduce_only or stop.close_position for stop in stops)
    return by_humans and closing and there[-1].side == before[-1].side


def _outgrown(world: World, breach: Breach) -> bool:
    """An outsider made the position larger than the better of two stops, and a third is not allowed (S5).

    The one that covers all is kept (S4), for as long as it takes to place a better one of the new size.
    """
    stop = next((line for line in breach.lines if isinstance(line, AlgoLine)), None)
    fills = [f for f in world.exchange.engine.book.fills if f.symbol == breach.symbol and f.time <= breach.at]
    held = abs(sum((f.quantity if f.side == Side.BUY else -f.quantity for f in fills), Decimal(0)))
    if stop is None or stop.close_position or stop.quantity >= held:
        return False
    return any(
        symbol == breach.symbol and 0 <= breach.at - at <= GRACE_MS and why.startswith(_OUTSIDE[0])
        for at, symbol, why in world.exchange.judge.court._disturbances
    )


def _other_taken_away(world: World, breach: Breach) -> bool:
    """Of two stops somebody took the one while our cancel of the other was on the wire, or the news of it was."""
    court = world.exchange.judge.court
    taken = ("a stop rejected by exchange", "a stop expired by exchange", "a stop canceled by outsider")
    late = any(
        symbol in (None, breach.symbol) and 0 <= breach.at - at <= GRACE_MS and why.startswith(_LOST_NEWS)
        for at, symbol, why in court._disturbances
    )
    return _spent(world, breach) or any(
        symbol == breach.symbol and 0 <= breach.at - at <= (GRACE_MS if late else CROSSING_MS) and why.startswith(taken)
        for at, symbol, why in court._disturbances
    )


def _spent(world: World, breach: Breach) -> bool:
    """The better of the two has just triggered, and the venue has let its order expire half filled."""
    return any(
        order.symbol == breach.symbol
        and order.origin is Origin.ALGO
        and order.status is OrderStatus.EXPIRED
        and 0 <= breach.at - order.update_time <= CROSSING_MS
        for order in world.exchange.engine.book.orders.values()
    )


_ON_ITS_WAY = "an outsider acted, and the news was on its way"
_AWAY = "an outsider acted while we were away: the stop goes out before the question"
_LOST = "a request of ours was in flight, and lost"
_GIVEN = "an adopted position that the oracle gave to an earlier owner"
_CROSSED = "one of two stops was taken away while our cancel of the other was on the wire"
_HALVES = "two stops covered only together, and a third is not allowed (S5)"
# Which laws, which words in the breach, what has to be so, and how it is counted. The first that fits is taken.
_EXCUSES: tuple[tuple[tuple[str, ...], str, Callable[[World, Breach], bool], str], ...] = (
    (("S16",), "", _covered_once, "its entry was covered in time: what happened later is S1's"),
    (("S6",), "accepted without", _of_an_adopted, _GIVEN),
    (("S6",), "an order of another position", _of_an_adopted, _GIVEN),
    (("S6",), "live", _turned_back, "humans turned it over and back: the stop covers what is there"),
    (("S6",), "live", _orphan_by_fault, "an orphan made by a fault is the reconciler's to find (L2)"),
    (("S9",), "closed a stranger's position", _adopted, "adopted, as the settings say"),
    (("S1",), "unprotected for", _waiting, _LOST),
    (("S5", "S6", "S16"), "", _waiting, _LOST),
    (("S4",), "", _bare_before, "a fill had uncovered it before, and two stops are the most"),
    (("S2",), "on the side that adds", _outsider_before, _ON_ITS_WAY),
    (("S6", "S9"), "filled", _outsider_before, _ON_ITS_WAY),
    (("S9",), "closed", _outsider_before, _ON_ITS_WAY),
    (("S2",), "on the side that adds", _outsider_while_away, _AWAY),
    (("S1", "S4"), "", _two_halves, _HALVES),
    (("S4",), "we cancelled", _other_taken_away, _CROSSED),
    (("S1",), "we uncovered", _other_taken_away, _CROSSED),
    (("S3",), "stop in force", _operator_wanted, "an operator asked for this very price, and had to wait"),
    (("S3",), "", _outgrown, "an outsider made it larger than the better of two stops: whole cover is kept"),
    (("S3",), "", _taken_away, "the venue had just taken the better stop away"),
    (("S3",), "", _emergency, "an emergency stop, when neither a close nor the better price could be had"),
    (("S15",), "", _started_often, "the process or its actors were started again and again within the minute"),
    (("S13",), "wrong side", _blind, "the mark could not be known: no stream, or we stood still"),
    (("S1", "S2", "S4", "S6"), "", _unread, "an outsider's act was lost, and the reading waited for the minute (S15)"),
    (("S4",), "", _outsider_before, _ON_ITS_WAY),
    (("S1",), "we uncovered", _outsider_before, _ON_ITS_WAY),
    (("S4",), "", _outsider_while_away, _AWAY),
    (("S1",), "we uncovered", _outsider_while_away, _AWAY),
)

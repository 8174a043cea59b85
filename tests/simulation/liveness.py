"""What has to come right once every fault has ended (LAWS L1, L2, L5, S10): asked of the exchange and of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from actors import messages
from adapters.paper_exchange.orders import AlgoOrder
from domain.catalogue import EventType
from domain.entries.signal import MalformedSignal, parse_signal
from domain.identity import parse_client_id
from domain.position.state import Phase
from tests.oracle.cover import MOST_UNPROTECTED_MS
from tests.simulation.plan import RECONCILE_S
from tests.simulation.world import World

_LOST = ("a message of the private stream was lost", "the private stream is silent")
_GIVEN_CAUSES = (
    "ordered by chaos", "VenueFailure", "DatabaseAway", "TimeoutError", "did not stop within", "thread is gone",
)  # fmt: skip


Found = list[tuple[str, str]]
"""What is not as it has to be: the law, and what."""


def unheard(world: World) -> frozenset[str]:
    """Symbols of which news was lost within the last cycle of the reconciler, which alone can find out (L2)."""
    court, since = world.exchange.judge.court, world.exchange.clock() - round(RECONCILE_S * 1000)
    lost = {symbol for at, symbol, why in court._disturbances if at >= since and why.startswith(_LOST)}
    return frozenset(world.markets) if None in lost else frozenset(symbol for symbol in lost if symbol is not None)


def just_filled(world: World) -> frozenset[str]:
    """Symbols on which an order of ours was executed within the time that S1 gives for its cover: S1 judges those."""
    since = world.exchange.clock() - MOST_UNPROTECTED_MS
    fills = world.exchange.engine.book.fills
    return frozenset(f.symbol for f in fills if f.time > since and parse_client_id(f.client_order_id) is not None)


def unprotected(world: World, *, strangers: bool, unheard: Collection[str] = ()) -> Found:
    """L1: an owner that lives, and one stop of the right size.

    `strangers`: also of what a human opened (L2); not asked of the symbols of `unheard`.
    """
    process = world.process
    if process is None or process.tree is None or process.ready_at is None:
        return [("L5", "no process is up")]
    found: Found = []
    for symbol in sorted(set(world.markets) - just_filled(world)):
        held = world.exchange.quantity(symbol)
        if not held or symbol in unheard or not (strangers or world.is_ours(symbol)):
            continue
        owner = world.owner_of(symbol)
        if owner is None:
            found.append(("L1", f"{symbol}: {held} at the exchange, and nobody owns it"))
        elif process.tree.directory.ref(messages.position(owner)) is None:
            found.append(("L1", f"{symbol}: its owner {owner} is not alive"))
        else:
            stops = [algo for algo in world.exchange.resting(symbol) if _closes(algo, held > 0)]
            if len(stops) != 1 or not (stops[0].close_position or stops[0].quantity == abs(held)):
                shown = ", ".join(f"{s.client_algo_id} {s.side} {s.quantity}" for s in stops) or "none"
                found.append(("L1", f"{symbol}: {held} at the exchange, its stops: {shown}"))
    return found


def left_over(world: World) -> Found:
    """L2: no orphan, no duplicate, no phantom."""
    found: Found = []
    for symbol in world.markets:
        held = world.exchange.quantity(symbol)
        owner = world.owner_of(symbol)
        for algo in world.exchange.resting(symbol):
            ours = parse_client_id(algo.client_algo_id)
            if ours is not None and (not held or ours.position_id != owner):
                found.append(("L2", f"{symbol}: {algo.client_algo_id} rests, {held} is held, owned by {owner}"))
        if not held and owner is not None:
            phase = next((p.phase.value for p in world.owners() if p.id == owner), "unknown")
            found.append(("L2", f"{symbol}: {owner} ({phase}) is in the book, and the exchange shows flat"))
    return found


def every_position_has_its_stop(world: World, *, strangers: bool) -> None:
    """L1, now."""
    for law, text in unprotected(world, strangers=strangers):
        world.violate(law, text)


def nothing_is_left_over(world: World) -> None:
    """L2, now."""
    for law, text in left_over(world):
        world.violate(law, text)


def memory_is_whole(world: World) -> None:
    """S10: no stored signal is lost or acted on twice, no record waits, no execution of ours is missing."""
    database = world.database
    for raw in world.signals.sent:
        try:
            signal = parse_signal(raw)
        except MalformedSignal:
            continue
        if signal.id not in database.signals:
            world.violate("S10", f"signal {signal.id} was sent and is not stored")
        elif signal.id not in database.outcomes:
            world.violate("S10", f"signal {signal.id} was stored and never answered for")
    opened = [p.signal_id for p in database.positions.values() if p.signal_id is not None]
    for signal_id in sorted({s for s in opened if opened.count(s) > 1}):
        world.violate("S7", f"signal {signal_id} opened {opened.count(signal_id)} positions")
    _no_wave_is_too_big(world)
    if world.disk.spooled:
        world.violate("S10", f"{len(world.disk.spooled)} records wait in the spool")
    if world.disk.aside:
        world.violate("S10", f"{len(world.disk.aside)} records were put aside")
    for text in behind(world):
        world.violate("S10", text)
    for p in database.positions.values():
        if p.phase.final and p.entry is not None:
            _executions_are_written(world, p.id)


def _no_wave_is_too_big(world: World) -> None:
    """SYSTEM A2: at most so many entries a wave, whatever died in its midst; one that filled nothing does not count."""
    database, most = world.database, world.settings.entries.max_per_wave
    entered: Counter[tuple[str, str]] = Counter()
    for outcome in database.outcomes.values():
        p = None if outcome.position_id is None else database.positions.get(outcome.position_id)
        if outcome.ranked is not None and outcome.outcome == "opened" and p is not None and p.phase is not Phase.FAILED:
            entered[outcome.ranked.account, outcome.ranked.wave] += 1
    for (_, name), count in entered.items():
        if count > most:
            world.violate("A2", f"wave {name} has {count} entries, {most} are set")


def behind(world: World) -> list[str]:
    """S10: states that are in the book and not in the store."""
    process = world.process
    if process is None or process.tree is None:
        return []
    stored = world.database.positions
    return [
        f"position {p.id}: the book has version {p.version}, the store another"
        for p in process.tree.owners.all()
        if p.id not in stored or (stored[p.id].version, stored[p.id].epoch) != (p.version, p.epoch)
    ]


def nobody_fell_by_itself(world: World) -> None:
    """No actor crashes unless it was told to, or what it needs at its start cannot be reached."""
    for event in world.database.events:
        error = event.error_message or ""
        if event.type is EventType.ACTOR_CRASHED and not any(cause in error for cause in _GIVEN_CAUSES):
            world.violate("CRASH", f"{event.data.get('name')}: {error}")


def _executions_are_written(world: World, position_id: int) -> None:
    """The executions of orders of ours, of a position whose life is over."""
    children = {
        algo.actual_order_id
        for algo in world.exchange.engine.book.algos.values()
        if (ours := parse_client_id(algo.client_algo_id)) is not None and ours.position_id == position_id
    }
    for fill in world.exchange.engine.book.fills:
        ours = parse_client_id(fill.client_order_id)
        mine = ours is not None and ours.position_id == position_id
        if (mine or fill.order_id in children) and f"{fill.symbol} {fill.trade_id}" not in world.database.trades:
            world.violate("S10", f"position {position_id}: execution {fill.trade_id} is not written down")


def _closes(algo: AlgoOrder, long: bool) -> bool:
    return (algo.side == "SELL") is long and (algo.reduce_only or algo.close_position)

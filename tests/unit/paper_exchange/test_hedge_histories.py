"""Histories of any kind in both modes, with attached stops: money, cover, and the independence of the two sides."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.codec import from_record, to_record
from adapters.paper_exchange.orders import AlgoOrder, AlgoStatus, Fill, Insurance, Order, Origin, Position, PositionSide
from adapters.paper_exchange.refusals import Refused
from tests.unit.paper_exchange.desk import fills
from tests.unit.paper_exchange.hedger import Hedger

Act = Callable[[Hedger], object]
_SIDES = st.sampled_from(["BUY", "SELL"])
_POSITIONS = st.sampled_from(["LONG", "SHORT"])


def _price_at(desk: Hedger, distance: int) -> str:
    return f"{desk.book.prices['BTCUSDT'].mark + distance:.1f}"


def _side(desk: Hedger, position_side: str) -> str:
    return position_side if desk.book.hedged() else "BOTH"


def _trade(side: str, position: str, thousandths: int, distance: int | None, reduce: bool) -> Act:
    def act(desk: Hedger) -> object:
        away = None if distance is None else _price_at(desk, -distance if side == "BUY" else distance)
        quantity = str(Decimal(thousandths) / 1000)
        return desk.trade(side, quantity, _side(desk, position), stop=None if reduce else away, reduce=reduce)

    return act


def _protect(position: str, distance: int | None, profit: bool, part: bool) -> Act:
    def act(desk: Hedger) -> object:
        held = desk.held(_side(desk, position))
        direction = (1 if held > 0 else -1) * (1 if profit else -1)
        leg = "0" if distance is None else _price_at(desk, distance * direction)
        size = "0.001" if part and distance is not None else None
        return desk.protect(None if profit else leg, leg if profit else None, _side(desk, position), part=size)

    return act


def _rest(position: str, distance: int, thousandths: int, profit: bool) -> Act:
    def act(desk: Hedger) -> object:
        side = _side(desk, position)
        held = desk.held(side)
        direction = (1 if held > 0 else -1) * (1 if profit else -1)
        closing = "SELL" if held > 0 else "BUY"
        quantity = str(Decimal(thousandths) / 1000)
        return desk.rest(closing, _price_at(desk, distance * direction), quantity, side, profit=profit)

    return act


def _amend(place: int, distance: int) -> Act:
    def act(desk: Hedger) -> object:
        resting = list(desk.book.open_algos.values())
        if not resting:
            return None
        return desk.amend(resting[place % len(resting)], _price_at(desk, distance))

    return act


def _cancel(place: int) -> Act:
    def act(desk: Hedger) -> object:
        resting = list(desk.book.open_algos)
        return desk.took(desk.engine.cancel_conditional(desk.now, resting[place % len(resting)])) if resting else None

    return act


_DISTANCES = st.integers(5, 2_500)
_ACTS = st.one_of(
    st.builds(
        _trade, _SIDES, _POSITIONS, st.integers(1, 1_500), st.none() | _DISTANCES, st.sampled_from([False, False, True])
    ),
    st.builds(_protect, _POSITIONS, st.none() | _DISTANCES, st.booleans(), st.booleans()),
    st.builds(_rest, _POSITIONS, _DISTANCES, st.integers(1, 500), st.booleans()),
    st.builds(_amend, st.integers(0, 9), st.integers(-2_500, 2_500)),
    st.builds(_cancel, st.integers(0, 9)),
    st.builds(lambda mark: lambda desk: desk.price(f"{mark}.0"), st.integers(55_000, 65_000)),
    st.just(lambda desk: desk.took(desk.engine.work(desk.now))),
)
_HISTORIES = st.integers(1, 45).flatmap(lambda length: st.lists(_ACTS, min_size=length, max_size=length))


def played(history: list[Act], *, hedge: bool, seed: int = 1) -> Hedger:
    desk = Hedger(hedge=hedge, partial_fills=40, seed=seed)
    for act in history:
        try:
            act(desk)
        except Refused:
            continue
    return desk


@given(_HISTORIES, st.booleans(), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_the_wallet_is_the_exact_sum_of_what_was_reported(history: list[Act], hedge: bool, seed: int) -> None:
    desk = played(history, hedge=hedge, seed=seed)
    expected = Decimal(10_000)
    expected += sum((fill.realized_pnl - fill.fee for fill in fills(desk.events)), Decimal(0))
    expected += sum((event.amount for event in desk.events if isinstance(event, Insurance)), Decimal(0))
    assert desk.book.wallet == expected
    ever = sum((position.realized_ever for position in desk.book.positions.values()), Decimal(0))
    assert ever == sum((fill.realized_pnl - fill.fee for fill in fills(desk.events)), Decimal(0))


@given(_HISTORIES, st.booleans())
@settings(max_examples=150, deadline=None)
def test_each_position_is_the_sum_of_its_own_fills_and_keeps_to_its_side(history: list[Act], hedge: bool) -> None:
    desk = played(history, hedge=hedge)
    sums: dict[PositionSide, Decimal] = {}
    for event in desk.events:
        if isinstance(event, Fill):
            before = sums.get(event.position_side, Decimal(0))
            after = before + event.side.sign * event.quantity
            sums[event.position_side] = after
            assert event.closed == max(Decimal(0), abs(before) - abs(after) if before * after >= 0 else abs(before))
        if isinstance(event, Position):
            assert event.quantity == sums[event.position_side]
            assert event.position_side is not PositionSide.LONG or event.quantity >= 0
            assert event.position_side is not PositionSide.SHORT or event.quantity <= 0
    assert set(sums) <= ({PositionSide.LONG, PositionSide.SHORT} if hedge else {PositionSide.BOTH})


@given(_HISTORIES, st.booleans())
@settings(max_examples=150, deadline=None)
def test_an_attached_leg_never_outlives_its_position_and_there_is_one_of_a_kind(
    history: list[Act], hedge: bool
) -> None:
    desk = Hedger(hedge=hedge, partial_fills=40)
    for act in history:
        try:
            act(desk)
        except Refused:
            continue
        standing = desk.resting_attached()
        for algo in standing:
            held = desk.book.position(algo.symbol, algo.position_side).quantity
            assert held * algo.side.sign < 0, f"{algo.type} {algo.side} stands on {held}"
        wholes = [(algo.position_side, algo.type) for algo in standing if algo.close_position]
        assert len(wholes) == len(set(wholes))


@given(_HISTORIES, st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_reduce_only_never_makes_a_position_larger(history: list[Act], hedge: bool) -> None:
    desk = played(history, hedge=hedge)
    held: dict[PositionSide, Decimal] = {}
    bound = {order.order_id: order.reduce_only for order in desk.events if isinstance(order, Order)}
    for fill in fills(desk.events):
        before = held.get(fill.position_side, Decimal(0))
        after = before + fill.side.sign * fill.quantity
        held[fill.position_side] = after
        if bound[fill.order_id]:
            assert abs(after) < abs(before)
            assert before * after >= 0


@given(_HISTORIES)
@settings(max_examples=80, deadline=None)
def test_neither_side_changes_what_the_other_does(history: list[Act]) -> None:
    """Without its short side the account makes the same long trades. Deep pockets, no cap: nothing links them."""

    def long_fills(acts: list[Act], only: PositionSide | None) -> list[tuple[str, Decimal, Decimal]]:
        desk = Hedger(hedge=True)
        desk.took(desk.engine.deposit(desk.now, Decimal(100_000_000)))
        contract = desk.engine.contracts["BTCUSDT"]
        desk.engine.contracts["BTCUSDT"] = replace(contract, max_conditionals=1_000)
        for act in acts:
            try:
                act(_OneSided(desk, only))  # type: ignore[arg-type]
            except Refused:
                continue
        of_long = [fill for fill in fills(desk.events) if fill.position_side is PositionSide.LONG]
        return [(fill.side, fill.quantity, fill.price) for fill in of_long]

    # Amending and cancelling pick from both sides' orders by place: left out here.
    acts = [act for act in history if act.__qualname__.split(".")[0] in ("_trade", "_protect", "_rest", "<lambda>")]
    assert long_fills(acts, None) == long_fills(acts, PositionSide.LONG)


class _OneSided:
    """A desk that lets only one side's acts through."""

    def __init__(self, desk: Hedger, only: PositionSide | None) -> None:
        self._desk = desk
        self._only = only

    def __getattr__(self, name: str) -> object:
        found = getattr(self._desk, name)
        if name not in ("trade", "protect", "rest") or self._only is None:
            return found

        def filtered(*args: object, **more: object) -> object:
            return found(*args, **more) if self._only is not None and self._only.value in args else None

        return filtered


@given(_HISTORIES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_replay_of_the_records_makes_the_same_book(history: list[Act], hedge: bool) -> None:
    desk = played(history, hedge=hedge)
    again = Book()
    for event in desk.events:
        read = from_record(json.loads(json.dumps(to_record(event))))
        assert read == event
        again.apply(read)
    assert [to_record(event) for event in again.events()] == desk.records()
    snapshot = Book()
    for event in desk.book.events():
        snapshot.apply(event)
    assert snapshot.hedged() == desk.book.hedged() == hedge
    assert [to_record(event) for event in snapshot.events()] == desk.records()
    for algo in desk.resting_attached():
        if algo.close_position:
            assert snapshot.attached(algo.symbol, algo.position_side, algo.type) == algo


@given(_HISTORIES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_triggered_conditional_comes_to_an_end_in_its_step(history: list[Act], hedge: bool) -> None:
    desk = played(history, hedge=hedge)
    ends = (AlgoStatus.FINISHED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED)
    triggered = {event.algo_id for event in desk.events if isinstance(event, AlgoOrder) and event.trigger_time}
    assert all(desk.book.algos[algo_id].status in ends for algo_id in triggered)
    children = [order for order in desk.book.orders.values() if order.origin is Origin.ALGO]
    assert {order.algo_id for order in children} <= triggered

"""Position actors on the real paper exchange: whole lives, and deaths at every moment of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Literal

import pytest

from actors import messages
from actors.position import RefusedByPosition
from actors.supervision import Crash
from domain.identity import Epoch, PositionId
from domain.instrument import PositionSide
from domain.position import ledger
from domain.position.inputs import CloseWanted, StopWanted
from domain.position.plan import TrailingRules
from domain.position.state import CloseReason, OrderState, Phase, Position, TrailState
from tests.actors.order_path.house import ACCOUNT, TRAILING, House, Sight, settled, stop_price
from tests.actors.order_path.stage import until

pytestmark = pytest.mark.wire
GATEWAY = messages.gateway(ACCOUNT)
FEED = messages.market_feed(ACCOUNT)


@pytest.fixture
def lawful(house: House) -> Iterator[list[str]]:
    """Symbols named here are judged when the test is over."""
    symbols: list[str] = []
    yield symbols
    for symbol in symbols:
        assert house.exchange.breaches(symbol) == []


@pytest.mark.parametrize("side", list(PositionSide))
def test_opened_protected_trailed_stopped(house: House, lawful: list[str], side: PositionSide) -> None:
    symbol = house.symbol()
    lawful.append(symbol)
    position_id = house.open(symbol, side)
    first = house.protected(position_id)
    gain, loss = ("2", "-1.2") if side is PositionSide.LONG else ("-2", "1.2")
    house.exchange.move(symbol, gain)
    trailed = house.wait(position_id, lambda p: p.trail.state is TrailState.TRAILING and settled(p) and p.trail.updates)
    assert side.better(stop_price(trailed), stop_price(first))
    house.exchange.move(symbol, loss)
    ended = house.ended(position_id)
    assert ended.phase is Phase.CLOSED
    assert ended.close_reason is CloseReason.TRAILING_STOP
    assert house.exchange.live_orders(symbol) == []
    house._free.append(symbol)


def in_flight(p: Position) -> bool:
    """Whether a stop is on its way."""
    return any(stop.state is OrderState.SENDING for stop in p.stops)


MOMENTS: dict[str, Callable[[Position], object]] = {
    "the entry is on its way": lambda p: p.entry is not None and p.entry.state is OrderState.SENDING,
    "the first stop is on its way": lambda p: in_flight(p) and not p.protected_once,
    "it rests": lambda p: p.phase is Phase.ACTIVE and settled(p),
    "a move is on its way": lambda p: in_flight(p) and p.protected_once,
    "the old stop is being cancelled": lambda p: any(s.state is OrderState.CANCELLING for s in p.stops),
}


def killing(house: House, how: Literal["exception", "exit", "hang"]) -> Callable[[Position], object]:
    """Has the owner of a position killed; one that is being started can be told so an instant later only."""

    def kill(p: Position) -> None:
        crash = Crash(how=how, hang_s=3)
        told = partial(house.stage.directory.tell, messages.position(p.id), crash)
        threading.Thread(target=until, args=(told,), daemon=True).start()

    return kill


@pytest.mark.parametrize("how", ["exception", "exit", "hang"])
def test_killed_at_any_moment(house: House, lawful: list[str], how: Literal["exception", "exit", "hang"]) -> None:
    """One position for each moment, all at once; after that one stop each, and no law is broken.

    An entry that had not left when its owner died is refused: that position has failed without ever being open.
    """
    owned: dict[PositionId, Sight] = {}
    for moment in MOMENTS.values():
        symbol = house.symbol()
        lawful.append(symbol)
        killed = Sight(house, symbol, moment, killing(house, how))
        owned[house.open(symbol)] = killed
    for position_id in tuple(owned):
        state = house.wait(position_id, lambda p: p.phase is Phase.FAILED or (p.protected_once and settled(p)))
        if state.phase is Phase.FAILED:
            owned.pop(position_id)
            assert house.exchange.orders_sent(position_id, "e") == []
            house.ended(position_id)
            house._free.append(state.symbol)
    alive = [house.state(position_id).symbol for position_id in owned]
    assert len(alive) >= len(MOMENTS) - 1
    for symbol in alive:
        house.exchange.move(symbol, "2")
    for position_id in owned:
        house.wait(position_id, lambda p: p.trail.updates and settled(p), what="a moved stop")
    for position_id, killed in owned.items():
        killed.wait(f"the moment of {position_id}")
        # Not the second alone: on a slow machine the watchdog may have replaced it once more.
        house.wait(position_id, lambda p: p.epoch >= Epoch(1, 2) and settled(p), what="a later incarnation")
        assert len(house.exchange.orders_sent(position_id, "e")) == 1
    for symbol in alive:
        until(lambda symbol=symbol: len(house.exchange.live_orders(symbol)) == 1)  # type: ignore[misc]
    for position_id in owned:
        assert house.close(position_id).phase is Phase.CLOSED


def test_a_timer_is_set_again_by_the_successor(house: House, lawful: list[str]) -> None:
    """The second move is due by the clock alone, later than the size is verified: the price stands still."""
    symbol = house.symbol()
    lawful.append(symbol)
    rules = TrailingRules(min_interval_s=Decimal(4))
    position_id = house.open(symbol, trailing=rules)
    house.protected(position_id)
    house.exchange.move(symbol, "2")
    first = house.wait(position_id, lambda p: p.trail.updates == 1 and settled(p))
    house.exchange.move(symbol, "0.5")
    until(lambda: house.ask(position_id).trail.extreme != first.trail.extreme, what="the next extreme")
    assert house.state(position_id).trail.updates == 1
    house.stage.kill(messages.position(position_id))
    moved = house.wait(position_id, lambda p: p.trail.updates == 2 and settled(p), seconds=20)
    assert moved.trail.moved_at is not None
    assert first.trail.moved_at is not None
    assert (moved.trail.moved_at - first.trail.moved_at).total_seconds() >= 4
    house.close(position_id)


def test_what_an_operator_cannot_have_is_refused_with_reasons(house: House, lawful: list[str]) -> None:
    symbol = house.symbol()
    lawful.append(symbol)
    position_id = house.open(symbol)
    p = house.protected(position_id)
    mark = house.exchange.mark(symbol)
    with pytest.raises(RefusedByPosition, match="losing side of the mark price"):
        house.operator(position_id, StopWanted(price=mark * 2), "position.set_stop")
    with pytest.raises(RefusedByPosition, match=r"9\d\.\d\d % away from the mark price .*, at most 50 % are allowed"):
        house.operator(position_id, StopWanted(price=mark / 20), "position.set_stop")
    small = p.instrument.min_quantity / ledger.exposure(p) / 2
    with pytest.raises(RefusedByPosition, match=r"fraction=.*: of .* that is .*, the venue takes .* at least"):
        house.operator(position_id, CloseWanted(reason=CloseReason.OPERATOR, fraction=small))
    assert house.ask(position_id).close_fraction is None
    assert stop_price(house.ask(position_id)) == stop_price(p)
    house.operator_acts(symbol)
    wanted = p.instrument.round_up(mark * Decimal("0.95"))
    house.operator(position_id, StopWanted(price=wanted), "position.set_stop")
    loosened = house.wait(position_id, lambda p: settled(p) and stop_price(p) == wanted)
    assert loosened.phase is Phase.ACTIVE
    house.operator(position_id, CloseWanted(reason=CloseReason.OPERATOR))
    ended = house.ended(position_id)
    assert ended.close_reason is CloseReason.OPERATOR
    house._free.append(symbol)


@pytest.mark.parametrize("kind", ["e", "s"])
def test_a_gateway_that_dies_with_an_order_on_the_wire(
    house: House, lawful: list[str], kind: Literal["e", "s"]
) -> None:
    """The order went through, its answer did not: the owner asks, and there is no second one with another id."""
    symbol = house.symbol()
    lawful.append(symbol)
    moment = MOMENTS["the entry is on its way" if kind == "e" else "the first stop is on its way"]
    sight = Sight(house, symbol, moment)
    position_id = house.open(symbol)
    state = sight.wait("the moment")
    sought = state.entry.client_id if kind == "e" and state.entry else state.stops[-1].client_id
    until(lambda: sought in house.exchange.orders_sent(position_id, kind), what="the request at the exchange")
    house.stage.kill(GATEWAY)
    house.protected(position_id)
    assert house.exchange.orders_sent(position_id, kind) == [sought]
    assert len(house.exchange.live_orders(symbol)) == 1
    house.close(position_id)


def test_orders_given_while_the_gateway_is_away_go_out_once(house: House, lawful: list[str]) -> None:
    symbol = house.symbol()
    lawful.append(symbol)
    incarnation = house.stage.directory.newest_incarnation(GATEWAY)
    assert incarnation is not None
    house.stage.tell(GATEWAY, Crash(how="exception"))
    position_id = house.open(symbol)
    house.stage.risen(GATEWAY, above=incarnation)
    house.protected(position_id)
    assert len(house.exchange.orders_sent(position_id, "e")) == 1
    assert len(house.exchange.orders_sent(position_id, "s")) == 1
    house.close(position_id)


def test_a_feed_that_dies_misses_no_extreme(house: House, lawful: list[str]) -> None:
    symbol = house.symbol()
    lawful.append(symbol)
    position_id = house.open(symbol)
    house.protected(position_id)
    incarnation = house.stage.directory.newest_incarnation(FEED)
    assert incarnation is not None
    house.stage.tell(FEED, Crash(how="exception"))
    house.exchange.move(symbol, "2")
    house.stage.risen(FEED, above=incarnation)
    house.wait(position_id, lambda p: p.trail.state is TrailState.TRAILING and settled(p))
    house.exchange.control("cut_streams")
    before = stop_price(house.state(position_id))
    house.exchange.move(symbol, "1")
    house.wait(position_id, lambda p: settled(p) and stop_price(p) > before)
    house.close(position_id)


def test_the_account_feed_dies_while_the_stop_fires(house: House, lawful: list[str]) -> None:
    symbol = house.symbol()
    lawful.append(symbol)
    position_id = house.open(symbol)
    house.protected(position_id)
    house.stage.tell(messages.account_feed(ACCOUNT), Crash(how="exception"))
    house.exchange.move(symbol, "-2.5")
    ended = house.ended(position_id)
    assert ended.close_reason is CloseReason.STOP_LOSS
    assert house.exchange.live_orders(symbol) == []
    house._free.append(symbol)


def test_every_client_id_of_a_life_is_its_own(house: House, lawful: list[str]) -> None:
    symbol = house.symbol()
    lawful.append(symbol)
    position_id = house.open(symbol, trailing=TRAILING)
    house.protected(position_id)
    for _ in range(4):
        updates = house.state(position_id).trail.updates
        house.exchange.move(symbol, "1.6")
        house.wait(position_id, lambda p, updates=updates: p.trail.updates > updates and settled(p))  # type: ignore[misc]
    sent = house.exchange.orders_sent(position_id, "s")
    assert len(set(sent)) == len(sent)
    house.close(position_id)


"""The built-in strategy on a stage: its finds go the way of all signals, once, whatever dies; and it says how it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from actors import messages
from actors.clock import SystemClock
from actors.guard import ActorContext, GuardedActor
from actors.messages import AskTradedCandles, FeedState, Health, Tick, TradedCandles, Write
from actors.strategy import Strategy, Wiring
from actors.symbol_lists import Spellings
from adapters.exchange.interface import Candle
from domain.catalogue import EventType, Severity
from domain.records import Event
from domain.strategy.harami import HaramiRules
from domain.strategy.verdict import StrategyRules
from tests.actors.desk.scene import PRICES, Scene, instrument
from tests.actors.order_path.stage import Heard, Stage
from tests.candles import EPOCH, MINUTE, bodies
from tests.persistence.conftest import Query

NAME = messages.strategy("main")
RULES = StrategyRules(candle_minutes=1, higher_minutes=3, harami=HaramiRules(atr_period=3, trend_candles=4))
SYMBOLS = ("BTCUSDT", "ETHUSDT")
STORED = "SELECT id, outcome, raw FROM fas.signals ORDER BY id"
Answer = Callable[[AskTradedCandles], TradedCandles | None]


def last_close(now: datetime) -> datetime:
    """When the last minute closed."""
    return now - (now - EPOCH) % MINUTE


def falling(ask: AskTradedCandles, *pair: tuple[str, str]) -> TradedCandles:
    """A market that falls by 1 a minute to 100; then the pair. It closed when it was asked for."""
    pairs = [(100 + n, 99 + n) for n in range(RULES.needed - len(pair), 0, -1)]
    begin = ask.closed_at - RULES.needed * MINUTE
    return heard(ask, bodies(*pairs, *pair, span=MINUTE, begin=begin))


def heard(ask: AskTradedCandles, candles: list[Candle]) -> TradedCandles:
    return TradedCandles(account="main", symbol=ask.symbol, closed_at=ask.closed_at, candles=tuple(candles))


def harami(ask: AskTradedCandles) -> TradedCandles:
    return falling(ask, ("100", "98"), ("98", "98.5"))


def quiet(ask: AskTradedCandles) -> TradedCandles:
    return falling(ask)


class Market(GuardedActor):
    """Stands where the gateway would: answers for candles as a test says, or not at all."""

    def __init__(self, context: ActorContext, answers: dict[str, Answer], asked: list[AskTradedCandles]) -> None:
        super().__init__(context)
        self._answers = answers
        self._questions = asked

    def receive(self, message: Any) -> object:
        if isinstance(message, AskTradedCandles):
            self._questions.append(message)
            answer = self._answers.get(message.symbol, quiet)(message)
            if answer is not None:
                self.tell(message.reply_to, answer)
        return None


class Floor:
    """A stage with the strategy, its market, and an ear for the journal."""

    def __init__(
        self,
        stage: Stage,
        answers: dict[str, Answer],
        factory: Callable[[ActorContext], Any] | None = None,
        **changes: Any,
    ) -> None:
        self.stage = stage
        self.asked: list[AskTradedCandles] = []
        self.journal = stage.ear(messages.JOURNAL)
        stage.add(messages.gateway("main"), lambda context: Market.start(context, answers, self.asked))
        stage.add(NAME, factory or strategy(stage, **changes))
        stage.start()

    def event(self, kind: EventType, number: int = 1) -> Event:
        """The latest of so many events of a kind."""
        return self._events(kind, number)[-1]

    def record(self, kind: EventType) -> Write:
        """The record that an event of a kind is in."""
        return self.journal.wait(Write, lambda write: any(e.type is kind for e in write.record.events))

    def _events(self, kind: EventType, number: int) -> list[Event]:
        writes = self.journal.count(Write, number, lambda write: any(e.type is kind for e in write.record.events))
        return [event for write in writes for event in write.record.events if event.type is kind]

    def health(self) -> Health:
        found: Health = self.stage.ask(NAME, FeedState())
        return found


def strategy(stage: Stage, **changes: Any) -> Callable[[ActorContext], Any]:
    """Makes a strategy to whom the last minute is due at once, whatever the clock shows."""
    into = stage.clock.now() - last_close(stage.clock.now())
    instruments = {symbol: instrument(symbol) for symbol in SYMBOLS}
    wiring = Wiring(
        account="main",
        exchange="binanceusdm",
        instruments=instruments,
        spellings=Spellings({"main": instruments}, dict),
        symbols=(),
        max_symbols=50,
        exclude=frozenset,
        rules=RULES,
        delay=max(into - timedelta(seconds=1), timedelta(0)),
        recorder=stage.recorder,
    )
    return lambda context: Strategy.start(context, replace(wiring, **changes))


def test_a_find_is_stored_with_the_run_that_made_it(stage: Stage) -> None:
    floor = Floor(stage, {"BTCUSDT": harami})
    write = floor.record(EventType.STRATEGY_RAN)
    closed_at = floor.asked[0].closed_at
    (stored,) = write.record.signals
    assert stored.signal_id == f"harami-main-BTCUSDT-1m-{closed_at:%Y-%m-%dT%H:%M}"
    assert (stored.account, stored.action, stored.created_at) == ("main", "BUY", closed_at)
    assert (stored.raw["first_body"], stored.raw["second_body"], stored.raw["atr"]) == ("2", "0.5", "1")
    assert [event.type for event in write.record.events] == [EventType.STRATEGY_RAN, EventType.SIGNAL_RECEIVED]
    ran = write.record.events[0]
    assert (ran.data["symbols"], ran.data["signals"], ran.data["quiet"], ran.data["skipped"]) == (2, 1, 1, None)
    assert ran.severity is Severity.INFO
    assert write.then is not None
    assert write.then[0] == messages.ENTRY_DESK
    assert floor.health().state == "healthy"
    assert floor.health().last_at is not None


def test_each_candle_is_asked_for_once_and_whole(stage: Stage) -> None:
    floor = Floor(stage, {})
    floor.record(EventType.STRATEGY_RAN)
    assert [ask.symbol for ask in floor.asked] == list(SYMBOLS)
    assert {(ask.minutes, ask.count) for ask in floor.asked} == {(1, RULES.needed)}
    stage.tell(NAME, Tick())
    assert floor.health().state == "healthy"
    assert len(floor.asked) == 2, "the candle has been judged"


def test_it_asks_only_when_its_answers_can_reach_it(stage: Stage) -> None:
    """Its name is in the directory after its start, here a while after it: an answer before that would be lost."""

    def slow(context: ActorContext) -> Any:
        ref = make(context)
        time.sleep(0.2)
        return ref

    make = strategy(stage)
    floor = Floor(stage, {}, factory=slow)
    floor.record(EventType.STRATEGY_RAN)
    assert [ask.symbol for ask in floor.asked] == list(SYMBOLS)
    assert stage.directory.dead_letter_counts() == {}


def test_the_start_says_who_is_looked_at_and_who_is_not(stage: Stage) -> None:
    markets = {symbol: instrument(symbol) for symbol in SYMBOLS}
    markets["1000PEPEUSDT"] = replace(instrument("1000PEPEUSDT"), trading=False)
    wanted = ("btc/usdt:usdt", "ETHUSDT", "1000PEPEUSDT", "NOSUCHUSDT")
    floor = Floor(stage, {}, instruments=markets, symbols=wanted, exclude=lambda: frozenset({"ETHUSDT"}))
    started = floor.event(EventType.STRATEGY_STARTED)
    skipped = {"excluded": "ETHUSDT", "not_trading": "1000PEPEUSDT", "unknown_symbol": "NOSUCHUSDT"}
    assert (started.data["symbols"], started.data["skipped"]) == (1, skipped)
    ran = floor.event(EventType.STRATEGY_RAN)
    assert (ran.data["symbols"], ran.data["quiet"], ran.data["skipped"]) == (4, 1, skipped)
    assert [ask.symbol for ask in floor.asked] == ["BTCUSDT"]
    assert floor.health().state == "degraded"
    assert floor.health().reason == "1 of 4 symbols not judged: unknown_symbol: NOSUCHUSDT"


def test_no_more_than_the_limit_of_the_account_s_symbols(stage: Stage) -> None:
    floor = Floor(stage, {}, instruments={symbol: instrument(symbol) for symbol in PRICES}, max_symbols=2)
    floor.record(EventType.STRATEGY_RAN)
    assert [ask.symbol for ask in floor.asked] == sorted(PRICES)[:2]


def test_a_venue_that_gives_nothing_is_asked_again_and_a_human_told_once(stage: Stage) -> None:
    def refuse(ask: AskTradedCandles) -> TradedCandles:
        return replace(heard(ask, []), error="maintenance")

    floor = Floor(stage, dict.fromkeys(SYMBOLS, refuse))
    ran = floor.event(EventType.STRATEGY_RAN)
    assert ran.severity is Severity.WARNING
    assert ran.data["skipped"] == {"no_candles": "BTCUSDT,ETHUSDT"}
    assert ran.data["error"] == "no_candles error=maintenance"
    assert len(floor.asked) == 6, "three times each"
    assert floor.health().state == "down"


class Jumping(SystemClock):
    """The machine's clock, set to ten seconds into a minute, so that none ends in a test; which sets it ahead."""

    ahead = timedelta(0)

    def __init__(self) -> None:
        super().__init__()
        now = datetime.now(UTC)
        self._shift = last_close(now) + timedelta(seconds=10) - now

    def now(self) -> datetime:
        return super().now() + self._shift + self.ahead


@pytest.fixture
def clock(stage: Stage) -> Jumping:
    """The clock of everybody on the stage."""
    assert stage.clock.stop()
    stage.clock = clock = Jumping()
    clock.start()
    return clock


def test_each_candle_is_judged_and_a_human_told_at_the_first_failure_only(clock: Jumping, stage: Stage) -> None:
    floor = Floor(stage, {}, symbols=("NOSUCHUSDT",))
    runs = [floor.event(EventType.STRATEGY_RAN)]
    for number in (2, 3):
        clock.ahead += MINUTE
        stage.tell(NAME, Tick())
        runs.append(floor.event(EventType.STRATEGY_RAN, number))
    candles = [datetime.fromisoformat(str(ran.data["candle"])) for ran in runs]
    assert [later - earlier for earlier, later in pairwise(candles)] == [MINUTE, MINUTE]
    assert [ran.severity for ran in runs] == [Severity.WARNING, Severity.INFO, Severity.INFO]


def test_a_clock_that_is_set_back_does_not_silence_it(clock: Jumping, stage: Stage) -> None:
    """A day ahead for one run, then right again: the next candle is not a day away."""
    clock.ahead = timedelta(days=1)
    floor = Floor(stage, {}, symbols=("NOSUCHUSDT",))
    floor.event(EventType.STRATEGY_RAN)
    clock.ahead = timedelta(0)
    stage.tell(NAME, Tick())
    ran = floor.event(EventType.STRATEGY_RAN, 2)
    assert datetime.fromisoformat(str(ran.data["candle"])) <= clock.now()


def test_answers_of_another_run_and_doubled_ones_change_nothing(stage: Stage) -> None:
    def odd(ask: AskTradedCandles) -> TradedCandles:
        stage.tell(NAME, replace(heard(ask, []), closed_at=ask.closed_at - MINUTE, error="of another run"))
        stage.tell(NAME, quiet(ask))
        return harami(ask)

    floor = Floor(stage, {"BTCUSDT": odd}, symbols=("BTCUSDT",))
    write = floor.record(EventType.STRATEGY_RAN)
    assert write.record.signals == ()
    assert write.record.events[0].data["quiet"] == 1


def test_killed_in_the_midst_of_a_run_it_begins_anew(stage: Stage) -> None:
    """The first question is swallowed, then the strategy dies: its successor asks all of them."""
    swallowed: list[AskTradedCandles] = []

    def once(ask: AskTradedCandles) -> TradedCandles | None:
        if swallowed:
            return harami(ask)
        swallowed.append(ask)
        return None

    floor = Floor(stage, {"BTCUSDT": once})
    floor.event(EventType.STRATEGY_STARTED)
    stage.kill(NAME, "exit")
    write = floor.record(EventType.STRATEGY_RAN)
    assert len(write.record.signals) == 1
    assert len(floor.asked) >= 3


def test_a_find_opens_a_position_and_found_again_by_a_successor_opens_no_other(
    clock: Jumping, scene: Scene, rows: Query
) -> None:
    """Through the real desk and a real database."""
    scene.desk()
    asked: list[AskTradedCandles] = []
    ran = "SELECT count(*) AS n FROM monitoring.events WHERE event_type = 'strategy_ran'"
    gateway: Heard = scene.heard[messages.gateway("main")]
    scene.stage.add(NAME, strategy(scene.stage, symbols=("BTCUSDT",)))
    for life in (1, 2):
        asks = gateway.count(AskTradedCandles, life)
        asked.append(asks[-1])
        scene.stage.tell(NAME, harami(asked[-1]))
        scene.wait(lambda: rows(ran)[0]["n"] == life, f"run {life}")  # noqa: B023 - called in this turn
        assert scene.outcome(f"harami-main-BTCUSDT-1m-{asked[0].closed_at:%Y-%m-%dT%H:%M}")["outcome"] == "opened"
        if life == 1:
            scene.stage.kill(NAME)
    assert asked[1].closed_at == asked[0].closed_at
    (stored,) = rows(STORED)
    assert '"pattern": "harami"' in json.dumps(stored["raw"])
    assert len(scene.owned()) == 1

"""The built-in strategy of an account: shortly after each candle has closed, its finds go the way of all signals.

Rules of this file: it is a source and nothing more, so what it finds passes the same desk as any stranger's signal.
What a run found and what became of the run are one record. A find's id follows from account, symbol and candle: a run
in whose midst a life ends is repeated by the next one, and nothing is acted on twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from actors import messages
from actors.clock import Cancellable
from actors.guard import ActorContext
from actors.messages import AskTradedCandles, FeedState, Health, Tick, TradedCandles
from actors.recording import Recorder, plain_event
from actors.reporting import ReportingActor
from actors.ruling import Ruling
from actors.signal_store import Received, SignalStore
from actors.symbol_lists import Spellings, as_spelled
from domain.catalogue import EventType, Severity
from domain.instrument import Instrument
from domain.records import Event
from domain.strategy.harami import HaramiRules
from domain.strategy.run import Run
from domain.strategy.schedule import candle_due, next_look
from domain.strategy.series import Skipped
from domain.strategy.verdict import Origin, StrategyRules, as_signal, figures

# A clock that is set forward or back changes when the next candle is due: look at it at least so often.
LOOK_EVERY_S = 15.0
# An answer reaches nobody before the directory has this actor's name, which it gets after its start.
FIRST_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a strategy is given. `symbols` in any spelling; none: the first `max_symbols` of the account's.

    `exclude`, by the venue's spelling, is asked for each time: it may change while the service runs.
    """

    account: str
    exchange: str
    instruments: dict[str, Instrument]
    symbols: tuple[str, ...]
    max_symbols: int
    exclude: Callable[[], frozenset[str]]
    spellings: Spellings
    rules: StrategyRules
    delay: timedelta
    recorder: Recorder


class Strategy(ReportingActor):
    """Candles in, stored signals out."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._store = SignalStore(self)
        self._run: Run | None = None
        self._judged: datetime | None = None
        self._timer: Cancellable | None = None
        self._began = self.clock.now()
        self._last_at: datetime | None = None
        self._failing = False
        self._health = ("healthy", "waits for its first candle")

    def started(self) -> None:
        """Say what will be looked at; a candle that has just closed is judged in a moment."""
        asked, skipped = self._symbols()
        rules = self._wiring.rules
        data = {"symbols": len(asked), "skipped": _by_reason(skipped) or None, "candle_minutes": rules.candle_minutes}
        self.report(EventType.STRATEGY_STARTED, {**data, "higher_minutes": rules.higher_minutes})
        self._timer = self.remind_after(FIRST_LOOK_S, Tick())

    def receive(self, message: Any) -> object:
        """The time, candles, or the question how it is."""
        match message:
            case Tick():
                self._step()
            case TradedCandles():
                self._hear(message)
                self._step()
            case FeedState():
                state, reason = self._health
                return Health(state=state, reason=reason, since=self._began, last_at=self._last_at)
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _step(self) -> None:
        """Begin what is due, ask what may be asked, end what is over; then wait for what comes first."""
        if self._run is None:
            self._begin()
        if self._run is not None:
            self._ask(self._run)
            if self._run.over:
                self._end(self._run)
        self._go_on()

    def _begin(self) -> None:
        closed_at = candle_due(self.clock.now(), self._wiring.rules.span, self._wiring.delay)
        if closed_at is None or closed_at == self._judged:
            return
        self._judged = closed_at
        asked, skipped = self._symbols()
        self._run = Run(closed_at, asked, self._wiring.rules, self._moment(), skipped)

    def _symbols(self) -> tuple[list[str], dict[str, Skipped]]:
        """Whom to ask for, and who is not even asked for."""
        wiring = self._wiring
        instruments = dict(wiring.instruments)
        names = wiring.spellings.of(wiring.account)
        wanted = sorted(as_spelled(wiring.symbols, names)) or sorted(instruments)[: wiring.max_symbols]
        exclude = wiring.exclude()
        skipped: dict[str, Skipped] = {}
        for symbol in wanted:
            if symbol not in instruments:
                skipped[symbol] = Skipped(reason="unknown_symbol", fault=True)
            elif not instruments[symbol].trading:
                skipped[symbol] = Skipped(reason="not_trading")
            elif symbol in exclude:
                skipped[symbol] = Skipped(reason="excluded")
        return [symbol for symbol in wanted if symbol not in skipped], skipped

    def _ask(self, run: Run) -> None:
        rules = self._wiring.rules
        for symbol in run.asks(self._moment()):
            ask = AskTradedCandles(
                symbol=symbol,
                minutes=rules.candle_minutes,
                count=rules.needed,
                closed_at=run.closed_at,
                reply_to=self.name,
            )
            self.tell(messages.gateway(self._wiring.account), ask)

    def _hear(self, answer: TradedCandles) -> None:
        run = self._run
        if run is None or answer.closed_at != run.closed_at:
            return  # of a run that is over
        if answer.error is not None:
            run.failed(answer.symbol, answer.error, self._moment())
        else:
            run.heard(answer.symbol, answer.candles, self._moment())

    def _end(self, run: Run) -> None:
        """Hand over what was found, together with the account of the run."""
        wiring, rules = self._wiring, self._wiring.rules
        received = []
        for symbol, find in sorted(run.finds.items()):
            origin = Origin(account=wiring.account, exchange=wiring.exchange, symbol=symbol)
            signal = as_signal(find, origin, run.closed_at, rules)
            received.append(Received(signal=signal, raw=figures(find, rules)))
        self._store.keep(received, [self._told(run)])
        self._last_at = self.clock.now()
        self._health = _health(run)
        self._failing = self._health[0] == "down"
        self._run = None

    def _told(self, run: Run) -> Event:
        """The event of a run; the first of a row in which nothing could be judged asks for a human."""
        data = {
            "candle": run.closed_at.isoformat(),
            "symbols": run.symbols,
            "quiet": len(run.quiet),
            "signals": len(run.finds),
            "skipped": _by_reason(run.skipped) or None,
            "error": next((_said(each) for each in run.skipped.values() if each.fault), None),
            "took_s": f"{(self._moment() - run.begun).total_seconds():.3f}",
        }
        grave = Severity.WARNING if _health(run)[0] == "down" and not self._failing else None
        at = self.clock.now()
        return plain_event(EventType.STRATEGY_RAN, at, data, severity=grave, account=self._wiring.account)

    def _moment(self) -> timedelta:
        return timedelta(seconds=self.clock.monotonic())

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self.clock.now()
        if self._run is not None:
            wait = (self._run.next_at() - self._moment()).total_seconds()
        else:
            wait = (next_look(now, self._wiring.rules.span, self._wiring.delay) - now).total_seconds()
        self._timer = self.remind_after(min(max(wait, 0.0), LOOK_EVERY_S), Tick())


def wiring_of(
    ruling: Ruling, account: str, exchange: str, instruments: dict[str, Instrument], recorder: Recorder
) -> Wiring:
    """What the settings say of the strategy on one account."""
    chosen = ruling.in_force.now.strategy
    harami = HaramiRules(
        atr_period=chosen.atr_period,
        long_body_atr=chosen.long_body_atr,
        small_body_pct=chosen.small_body_pct,
        trend_candles=chosen.trend_candles,
        trend_atr=chosen.trend_atr,
    )
    return Wiring(
        account=account,
        exchange=exchange,
        instruments=instruments,
        symbols=chosen.symbols,
        max_symbols=chosen.max_symbols,
        exclude=lambda: ruling.excluded(account),
        spellings=ruling.spellings,
        rules=StrategyRules(candle_minutes=chosen.candle_minutes, higher_minutes=chosen.higher_minutes, harami=harami),
        delay=timedelta(seconds=chosen.delay_s),
        recorder=recorder,
    )


def _health(run: Run) -> tuple[str, str]:
    """Healthy while symbols can be judged; what is not there to be judged, such as a young market, is no fault."""
    if not run.faults:
        return "healthy", ""
    said = ", ".join(f"{reason}: {symbols}" for reason, symbols in _by_reason(run.skipped, fault=True).items())
    judged = len(run.finds) + len(run.quiet)
    return "degraded" if judged else "down", f"{run.faults} of {run.symbols} symbols not judged: {said}"


def _by_reason(skipped: dict[str, Skipped], *, fault: bool | None = None) -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for symbol, each in sorted(skipped.items()):
        if fault in (None, each.fault):
            found[each.reason].append(symbol)
    return {reason: ",".join(symbols) for reason, symbols in sorted(found.items())}


def _said(skipped: Skipped) -> str:
    return " ".join([skipped.reason, *(f"{name}={value}" for name, value in skipped.figures.items())])

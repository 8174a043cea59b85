"""One run: the symbols looked at after one candle, from the first question to the last verdict. Pure: time is given.

Rules of this file: a few symbols are asked for at a time, so that a question of anybody else waits behind a few of
ours only (LAWS S15); an answer that does not come, fails, or is late at the venue is asked for again a little later;
whatever is open when the run's time is up is skipped with its reason. Every symbol ends in exactly one of: a find,
quiet, skipped. A moment is the time since some beginning, by a clock that is never set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from domain.strategy.series import Bar, Skipped
from domain.strategy.verdict import Find, StrategyRules, judge

IN_FLIGHT = 4
ATTEMPTS = 3
ANSWER = timedelta(seconds=5)
AGAIN = timedelta(seconds=2)
LONGEST = timedelta(seconds=30)


class Run:
    """`finds`, `quiet` and `skipped` are whole when it is `over`."""

    def __init__(
        self,
        closed_at: datetime,
        symbols: Sequence[str],
        rules: StrategyRules,
        now: timedelta,
        skipped: Mapping[str, Skipped] | None = None,
    ) -> None:
        """Over the candle that closed at `closed_at`; `skipped` are symbols that are not even asked for."""
        self.closed_at = closed_at
        self.finds: dict[str, Find] = {}
        self.quiet: list[str] = []
        self.skipped: dict[str, Skipped] = dict(skipped or {})
        self.begun = now
        self._rules = rules
        self._until = now + min(LONGEST, rules.span / 2)
        self._waiting = dict.fromkeys(symbols, now)
        self._in_flight: dict[str, timedelta] = {}
        self._tries: dict[str, int] = {}

    @property
    def over(self) -> bool:
        """Whether nothing is open any more."""
        return not self._waiting and not self._in_flight

    @property
    def faults(self) -> int:
        """How many symbols were skipped because something failed."""
        return sum(skipped.fault for skipped in self.skipped.values())

    @property
    def symbols(self) -> int:
        """How many symbols have their end."""
        return len(self.finds) + len(self.quiet) + len(self.skipped)

    def asks(self, now: timedelta) -> list[str]:
        """The symbols to ask for now; they count as asked."""
        for symbol, due in list(self._in_flight.items()):
            if due <= now:
                self.failed(symbol, "no answer", now)
        if now >= self._until:
            for symbol in [*self._waiting, *self._in_flight]:
                self._end(symbol, _failure("the time of the run is up"))
        ready = [symbol for symbol, at in self._waiting.items() if at <= now]
        chosen = ready[: max(IN_FLIGHT - len(self._in_flight), 0)]
        for symbol in chosen:
            del self._waiting[symbol]
            self._in_flight[symbol] = now + ANSWER
            self._tries[symbol] = self._tries.get(symbol, 0) + 1
        return chosen

    def next_at(self) -> timedelta:
        """When `asks` may have something to say though nobody was heard."""
        waiting = self._waiting.values() if len(self._in_flight) < IN_FLIGHT else ()
        return min(self._until, *self._in_flight.values(), *waiting)

    def heard(self, symbol: str, candles: Sequence[Bar], now: timedelta) -> None:
        """The candles of a symbol."""
        if not self._is_open(symbol):
            return
        verdict = judge(candles, self.closed_at, self._rules)
        if isinstance(verdict, Skipped) and verdict.reason == "late" and self._may_ask_again(symbol):
            self._again(symbol, now)
        else:
            self._end(symbol, verdict)

    def failed(self, symbol: str, error: str, now: timedelta) -> None:
        """A symbol's candles could not be had."""
        if not self._is_open(symbol):
            return
        if self._may_ask_again(symbol):
            self._again(symbol, now)
        else:
            self._end(symbol, _failure(error))

    def _is_open(self, symbol: str) -> bool:
        return symbol in self._in_flight or symbol in self._waiting

    def _may_ask_again(self, symbol: str) -> bool:
        return self._tries.get(symbol, 0) < ATTEMPTS

    def _again(self, symbol: str, now: timedelta) -> None:
        self._in_flight.pop(symbol, None)
        self._waiting[symbol] = now + AGAIN

    def _end(self, symbol: str, verdict: Find | Skipped | None) -> None:
        self._in_flight.pop(symbol, None)
        self._waiting.pop(symbol, None)
        match verdict:
            case Find():
                self.finds[symbol] = verdict
            case Skipped():
                self.skipped[symbol] = verdict
            case None:
                self.quiet.append(symbol)


def _failure(error: str) -> Skipped:
    return Skipped(reason="no_candles", figures={"error": error}, fault=True)

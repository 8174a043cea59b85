"""A market that moves and signals that come, all the time, beside whatever a test does to the service.

Rules of this file: it never asks the service anything, so that it goes on while there is none; prices are walks of its
own seed, strong enough that stops trail and are hit.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self

from tests.end_to_end.fault_stage import Watch
from tests.end_to_end.service import ServiceProcess
from tests.end_to_end.signal_source import SignalSource, signal_row
from tests.oracle.facts import ZERO

SYMBOLS = ("SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT")
SETTINGS = {"activation_pct": 1, "breakeven_pct": 0, "callback_pct": Decimal("0.6"), "min_interval_s": 0}
STEP_S = 0.15
STEP_PCT = 0.45
SIGNAL_PERCENT = 45
CLOSE_PERCENT = 8


class BusyMarket:
    """From `with` to its end prices walk on `symbols` and signals open and close there."""

    def __init__(
        self, service: ServiceProcess, watch: Watch, source: SignalSource, seed: int, symbols: Sequence[str] = SYMBOLS
    ) -> None:
        self.sent: list[dict[str, object]] = []
        self._service = service
        self._watch = watch
        self._source = source
        self._symbols = tuple(symbols)
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="busy-market", daemon=True)
        self._fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(15)
        if self._fault is not None and error is None:
            raise self._fault

    def stop(self) -> None:
        """No more prices, no more signals. Raises what went wrong in it."""
        self.__exit__(None, None, None)

    @property
    def active(self) -> list[str]:
        """The symbols with a position."""
        return [symbol for symbol in self._symbols if self._watch.resting((symbol, "BOTH"))[0] != ZERO]

    def _run(self) -> None:
        try:
            while not self._ended.wait(STEP_S):
                self._step()
        except BaseException as fault:
            self._fault = fault

    def _step(self) -> None:
        symbol = self._random.choice(self._symbols)
        held, _ = self._watch.resting((symbol, "BOTH"))
        favour = 1 if held > 0 else -1 if held < 0 else self._random.choice((1, -1))
        percent = self._random.uniform(-STEP_PCT, STEP_PCT * 2) * favour
        self._service.move_mark(symbol, f"{percent:.3f}")
        if held == ZERO and self._random.uniform(0, 100) < SIGNAL_PERCENT:
            self._signal(symbol, self._random.choice(("BUY", "SELL")))
        elif held != ZERO and self._random.uniform(0, 100) < CLOSE_PERCENT:
            self._signal(symbol, "CLOSE")

    def _signal(self, symbol: str, action: str) -> None:
        """Of a minute of its own: two of one minute would be taken for one."""
        number = len(self.sent)
        row = signal_row(f"busy-{number:05}", symbol, action, age_s=60 * (10_000 - number))
        row["exchange"] = "bybit" if self._service.bybit else "binanceusdm"
        self.sent.append(row)
        self._source.signals(row)

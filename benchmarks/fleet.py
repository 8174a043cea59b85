"""A service with many positions, one a market, whose prices stand still until a benchmark moves them.

Every market is a tape of one flat bar: once it has been played (in four seconds) nothing moves but what `rise` moves.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.admin.client import AdminClient
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.signal_source import SignalSource
from tests.oracle.reader import PriceLine, read_lines

# Bybit says an account's position mode only when it is asked about a symbol: this one.
ASKED_ABOUT = "BTCUSDT"
PRICE = Decimal(100)
TICK = Decimal("0.01")
USD = "500"
TAPE_POINTS = 4
AT_ONCE = 8
# Bybit takes ten requests a second at one address: what is measured is how fast they come.
BYBIT_LIMITS = {"per_second": 10_000, "ip_5s": 100_000}
LIMIT_S = 120.0

_minutes = itertools.count(1)


class Fleet:
    """The service, its markets, and the mark price of each."""

    def __init__(self, service: ServiceProcess, source: SignalSource, exchange: str, symbols: Sequence[str]) -> None:
        """Use `launched`."""
        self.service = service
        self.source = source
        self.exchange = exchange
        self.symbols = tuple(symbols)
        self._marks = dict.fromkeys(symbols, PRICE)
        self._connection: http.client.HTTPConnection | None = None

    def open_one(self, symbol: str) -> int:
        """Open a position by hand and wait until it is protected; returns its id."""
        opened = self.service.ctl("position.open", account="main", symbol=symbol, side="long", usd=USD)
        self.service.wait_state(opened["id"], "ACTIVE")
        return int(opened["id"])

    def open_many(self, symbols: Sequence[str]) -> None:
        """Open positions by hand, a few at a time; one that the service's own order budget refuses is asked for again.

        Returns when all are protected. Raises TimeoutError.
        """
        deadline = time.monotonic() + LIMIT_S
        wanted = list(symbols)
        while wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(wanted)} of {len(symbols)} positions were not opened within {LIMIT_S} s")
            some = wanted[:AT_ONCE]
            with ThreadPoolExecutor(AT_ONCE) as openers:
                list(openers.map(self._ask_for, some))
            self.service.wait_for(self._all_active, LIMIT_S, "positions to be protected or refused")
            held = {position["symbol"] for position in self.service.positions()}
            wanted = [symbol for symbol in wanted if symbol not in held]

    def wave(self, symbols: Sequence[str]) -> int:
        """Open positions by signals of one frame and wait until all are protected; returns when it was sent (ms)."""
        before = len(self.service.positions())
        created = datetime.now(UTC) - timedelta(minutes=next(_minutes))
        frame = [
            {
                "id": f"bench-{symbol}",
                "symbol": symbol,
                "exchange": self.exchange,
                "action": "BUY",
                "score_week": 70,
                "score_month": 60,
                "wave": None,
                "created_at": created.isoformat(),
            }
            for symbol in symbols
        ]
        sent = time.time_ns() // 1_000_000
        self.source.signals(*frame)
        self.wait_active(before + len(symbols))
        return sent

    def wait_active(self, count: int) -> None:
        """Wait until so many positions are protected."""

        def ready() -> bool:
            return [p["state"] for p in self.service.positions()].count("ACTIVE") >= count

        self.service.wait_for(ready, LIMIT_S, f"{count} protected positions")

    def rise(self, symbol: str, percent: Decimal) -> None:
        """Raise the mark price of a market by so many percent, on a connection that stays open."""
        price = (self._marks[symbol] * (1 + percent / 100) / TICK).quantize(Decimal(1)) * TICK
        self._marks[symbol] = price
        self._post("price", {"symbol": symbol, "mark": str(price)})

    def ready(self) -> None:
        """Wait until the tapes have been played and the service knows the prices; entries then fill whole."""
        last = self.symbols[-1]

        def played() -> bool:
            lines = read_lines(self.service.timeline)
            return sum(isinstance(line, PriceLine) and line.symbol == last for line in lines) >= TAPE_POINTS

        self.service.wait_for(played, 20, "the end of the tapes")
        self.service.control("partial_fills", percent=0)
        if self.exchange == "bybit":
            self.service.control("limits", **BYBIT_LIMITS)
        self.service.wait_price(last)

    def _ask_for(self, symbol: str) -> None:
        with AdminClient(self.service.state_dir / "admin.sock", timeout_s=20) as client:
            client.call("position.open", {"account": "main", "symbol": symbol, "side": "long", "usd": USD})

    def _all_active(self) -> bool:
        return all(position["state"] == "ACTIVE" for position in self.service.positions())

    def _post(self, command: str, body: dict[str, Any]) -> None:
        if self._connection is None:
            address = urlsplit(self.service.endpoint()["rest_url"])
            self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        self._connection.request("POST", f"/control/{command}", json.dumps(body))
        reply = self._connection.getresponse()
        said = reply.read().decode()
        if reply.status != http.client.OK:
            raise RuntimeError(f"control {command} {body}: {reply.status} {said}")


@contextlib.contextmanager
def launched(
    folder: Path, exchange: str, latency_ms: int, count: int, leverage: int = 0, read_s: int = 30, **paper: object
) -> Iterator[Fleet]:
    """A service on `exchange` with so many markets, ready for entries; leaves no process behind."""
    folder.chmod(0o755)
    tape = folder / "flat.json"
    tape.write_text(json.dumps([[0, str(PRICE), str(PRICE), str(PRICE), str(PRICE)]]))
    symbols = [f"B{number:04}USDT" for number in range(count)]
    with SignalSource() as source:
        settings: dict[str, dict[str, object]] = {
            "accounts.main": {"exchange": exchange, "leverage": leverage},
            "signals": {"url": source.url, "max_age_s": 10_000_000},
            "entries": {"cooldown_s": 0, "max_positions": count},
            "trailing": {"activation_pct": 1, "breakeven_pct": 0, "callback_pct": 1, "min_interval_s": 0},
            "reconciler": {"interval_s": read_s},
            "paper": {
                "latency_ms": latency_ms, "tape": [f"{symbol}={tape}" for symbol in (ASKED_ABOUT, *symbols)],
                "tape_speed": Decimal("0.25"), "only_tape": True, "balance": 10_000_000, "control": True,
                "demo_signals": False, **paper,
            },
        }  # fmt: skip
        with running(folder, settings) as service:
            fleet = Fleet(service, source, exchange, symbols)
            fleet.ready()
            yield fleet

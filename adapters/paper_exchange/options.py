"""The command line of the paper exchange, and what it builds."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NoReturn

from adapters.paper_exchange.binance_dialect import BinanceDialect
from adapters.paper_exchange.bybit_dialect import BybitDialect
from adapters.paper_exchange.contracts import contract_from_price, listed_contracts
from adapters.paper_exchange.exchange import Feed, PaperExchange
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.requests import Rules
from adapters.paper_exchange.tape import BarOrder, TapeError, TapeMarket, read_tape, symbol_of
from adapters.paper_exchange.wire import Credentials, Dialect

DIALECTS: Final[dict[str, Callable[[PaperExchange, Credentials], Dialect]]] = {
    "binanceusdm": BinanceDialect,
    "bybit": BybitDialect,
}
_NO_CAP: Final = 1 << 30


class UsageError(Exception):
    """A command line that cannot be carried out; the text names option, value and rule."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The parsed command line."""

    dialect: str
    host: str
    port: int
    state_dir: Path
    seed: int
    volatility: Decimal
    balance: Decimal
    partial_fills: int
    latency_ms: int
    hedge_mode: bool
    tapes: tuple[str, ...]
    speed: Decimal
    bar_order: BarOrder
    only_tape: bool
    loop: bool
    symbols: tuple[str, ...]
    key: str
    secret: str
    control: bool

    def rules(self) -> Rules:
        """The engine's settings."""
        rules = Rules(seed=self.seed, partial_fills=self.partial_fills, hedge_mode=self.hedge_mode)
        if self.dialect == "bybit":
            # No cap over all symbols there, and any number of orders that close the whole position.
            return replace(rules, conditionals_per_account=_NO_CAP, one_close_position=False)
        return rules


def parse_options(argv: list[str]) -> Options:
    """Read the command line; raises UsageError."""
    parser = _Parser(prog="paper-exchange", description="A simulated perpetual-futures exchange.")
    add = parser.add_argument
    add("--dialect", choices=sorted(DIALECTS), default="binanceusdm", help="the venue whose protocol is spoken")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one, see endpoint.json")
    add("--state-dir", type=Path, default=Path("state/paper/alone"), help="durable state; one process at a time")
    add("--seed", type=int, default=1)
    add("--volatility", default="0.75", help="typical move in a minute, percent; 0 stands still")
    add("--balance", default="10000", help="USDT in the wallet of a new state directory")
    add("--partial-fills", type=int, default=10, help="share of market orders filled in parts, percent")
    add("--latency-ms", type=int, default=0, help="round trip; half before and half after the work")
    add("--hedge-mode", action="store_true", help="a new state directory begins with a long and a short side")
    add("--tape", action="append", default=[], metavar="[SYMBOL=]FILE", help="recorded bars; repeatable")
    add("--speed", default="1", help="tape minutes in a real second (1 = sixty times real time)")
    add("--bar-order", choices=[order.value for order in BarOrder], default=BarOrder.LOW_FIRST.value)
    add("--only-tape", action="store_true", help="list no symbol without a tape")
    add("--loop", action="store_true", help="at its end play a tape backwards, and so on, without a jump")
    add("--symbols", default="", metavar="A,B", help="list these only")
    add("--key", default="paper")
    add("--secret", default="paper")
    add("--control", action="store_true", help="serve /control/*")
    found = parser.parse_args(argv)
    if not 0 <= found.port <= 65_535:
        raise UsageError(f"--port {found.port}: must be 0 to 65535")
    if not 0 <= found.partial_fills <= 100:
        raise UsageError(f"--partial-fills {found.partial_fills}: must be 0 to 100 percent")
    if not 0 <= found.latency_ms <= 60_000:
        raise UsageError(f"--latency-ms {found.latency_ms}: must be 0 to 60000")
    speed = _decimal("--speed", found.speed)
    if not speed:
        raise UsageError("--speed 0: must be above 0")
    return Options(
        dialect=found.dialect,
        host=found.host,
        port=found.port,
        state_dir=found.state_dir,
        seed=found.seed,
        volatility=_decimal("--volatility", found.volatility),
        balance=_decimal("--balance", found.balance),
        partial_fills=found.partial_fills,
        latency_ms=found.latency_ms,
        hedge_mode=found.hedge_mode,
        tapes=tuple(found.tape),
        speed=speed,
        bar_order=BarOrder(found.bar_order),
        only_tape=found.only_tape,
        loop=found.loop,
        symbols=tuple(symbol for symbol in found.symbols.upper().split(",") if symbol),
        key=found.key,
        secret=found.secret,
        control=found.control,
    )


def build_feeds(options: Options) -> dict[str, Feed]:
    """The markets of all listed symbols; raises UsageError."""
    listed = listed_contracts()
    tapes: dict[str, Path] = {}
    for text in options.tapes:
        named, separator, file = text.rpartition("=")
        path = Path(file)
        symbol = named.upper() if separator else symbol_of(path)
        if symbol is None:
            raise UsageError(f"--tape {text}: the file's name holds no symbol; write SYMBOL={text}")
        if symbol in tapes:
            raise UsageError(f"--tape {text}: {symbol} has a tape already")
        tapes[symbol] = path
    chosen = options.symbols or tuple(tapes if options.only_tape else {**listed, **tapes})
    feeds: dict[str, Feed] = {}
    for symbol in chosen:
        if symbol in tapes:
            feeds[symbol] = _tape_market(options, symbol, tapes[symbol])
        elif symbol in listed:
            feeds[symbol] = SyntheticMarket(contract=listed[symbol], seed=options.seed, volatility=options.volatility)
        else:
            raise UsageError(f"--symbols {symbol}: not listed and without a tape; listed: {', '.join(listed)}")
    if not feeds:
        raise UsageError("--only-tape: no --tape was given, so no symbol would be listed")
    return feeds


def build_dialect(options: Options, exchange: PaperExchange) -> Dialect:
    """The venue's protocol over the exchange."""
    return DIALECTS[options.dialect](exchange, Credentials(key=options.key, secret=options.secret))


def _tape_market(options: Options, symbol: str, path: Path) -> TapeMarket:
    try:
        bars = read_tape(path)
    except (OSError, TapeError) as fault:
        raise UsageError(f"--tape {path.name}: {fault}") from fault
    contract = listed_contracts().get(symbol) or contract_from_price(symbol, bars[0].open)
    return TapeMarket(contract=contract, bars=bars, speed=options.speed, bar_order=options.bar_order, loop=options.loop)


def _decimal(name: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise UsageError(f"{name} {text}: must be a decimal number") from None
    if not value.is_finite() or value < 0:
        raise UsageError(f"{name} {text}: must be a finite number, not negative")
    return value

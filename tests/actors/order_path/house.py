"""The order path whole and real: paper exchange process, ccxt, PostgreSQL, journal, gateway, feeds, position actors.

Rules of this file: an ear stands in for the entry desk and the reconciler; every test takes a symbol of its own, so
that one house serves many tests; what happened is judged by the oracle from the exchange's own timeline.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Literal

from actors import account_feed, gateway, journal, market_feed, messages
from actors import position as owner
from actors.marks import Marks
from actors.messages import OperatorInput, PositionEnded, Show
from actors.owners import Place
from actors.standing import Standing
from adapters.exchange.access import AccountAccess
from adapters.exchange.factory import open_account_stream, open_prices, open_trading
from adapters.paper_launcher import Endpoint, PaperLauncher
from domain.accounts import Expected, Realm
from domain.entries.opening import new_position
from domain.identity import Epoch, PositionId, mint_position_id, parse_client_id
from domain.instrument import Instrument, PositionSide
from domain.position.inputs import CloseWanted
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import CloseReason, OrderState, Phase, Position
from persistence.spool import Spool
from tests.actors.order_path.leases import held_lease
from tests.actors.order_path.stage import Stage, until
from tests.oracle.__main__ import filters_of
from tests.oracle.court import OperatorAct, Terms
from tests.oracle.facts import Order
from tests.oracle.judge import Judge, judge_file
from tests.oracle.reader import read_lines
from tests.oracle.report import breach_text

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, str(ROOT / "main.py"), "paper-exchange")
ACCOUNT = "main"
EXPECTED = Expected(account=ACCOUNT, mode="paper", realm=Realm.LOCAL)
BYBIT_LISTING = "/v5/market/instruments-info?category=linear"
USD = Decimal(500)
TRAILING = TrailingRules(min_interval_s=Decimal("0.1"))


class Exchange:
    """A paper exchange of this test run's own, in a market that stands still until a test moves it."""

    def __init__(self, directory: Path, latency_ms: int = 0, dialect: str = "binanceusdm") -> None:
        self.directory = directory
        self._dialect = dialect
        options = ("--dialect", dialect, "--volatility", "0", "--partial-fills", "0", "--control")
        self.launcher = PaperLauncher(directory, PROGRAM, [*options, "--latency-ms", str(latency_ms)])
        self.endpoint: Endpoint = self.launcher.start()
        listing = "/fapi/v1/exchangeInfo" if dialect == "binanceusdm" else BYBIT_LISTING
        self.terms = Terms(filters=filters_of(self.get(listing)))

    @property
    def access(self) -> AccountAccess:
        """How an account reaches it."""
        return AccountAccess(
            account=ACCOUNT,
            exchange=self._dialect,
            api_key="paper",
            secret="paper",
            rest_url=self.endpoint.rest_url,
            ws_url=self.endpoint.ws_url,
        )

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.endpoint.rest_url + path, timeout=10) as reply:  # noqa: S310
            return json.load(reply)

    def control(self, command: str, **asked: Any) -> Any:
        url = f"{self.endpoint.rest_url}/control/{command}"
        request = urllib.request.Request(url, json.dumps(asked).encode(), method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            return json.load(reply)

    def mark(self, symbol: str) -> Decimal:
        if self._dialect == "bybit":
            reply = self.get(f"/v5/market/tickers?category=linear&symbol={symbol}")
            return Decimal(reply["result"]["list"][0]["markPrice"])
        return Decimal(self.get(f"/fapi/v1/premiumIndex?symbol={symbol}")["markPrice"])

    def move(self, symbol: str, percent: str) -> Decimal:
        """Move the mark price by so many percent of where it is."""
        tick = self.terms.filters[symbol].tick
        price = (self.mark(symbol) * (1 + Decimal(percent) / 100) / tick).quantize(Decimal(1)) * tick
        self.control("price", symbol=symbol, mark=str(price))
        return price

    def live_orders(self, symbol: str) -> list[Order]:
        """Orders that rest, as the timeline shows them."""
        judge = Judge(self.terms)
        for line in read_lines(self.directory / "timeline.jsonl"):
            judge.hear(line)
        return [order for order in judge.book.resting.get((symbol, "BOTH"), []) if order.live]

    def breaches(self, symbol: str) -> list[str]:
        """The laws broken on a symbol so far."""
        verdict = judge_file(self.directory / "timeline.jsonl", self.terms)
        return [breach_text(breach) for breach in verdict.breaches if breach.symbol in (symbol, "")]

    def orders_sent(self, position_id: PositionId, kind: Literal["e", "s", "x"]) -> list[str]:
        """The client ids of a position's orders of a kind that the exchange was asked to place."""
        found = []
        for text in (self.directory / "timeline.jsonl").read_text().splitlines():
            line = json.loads(text)
            params = line.get("params") or {}
            sent = params.get("newClientOrderId") or params.get("clientAlgoId") or ""
            ours = parse_client_id(sent)
            if ours is None or line.get("method") != "POST":
                continue
            if (ours.position_id, ours.kind) == (position_id, kind):
                found.append(sent)
        return found


class House:
    """Everything between a decision and the exchange."""

    def __init__(self, exchange: Exchange, conninfo: str, directory: Path, hang_after_s: float = 0.7) -> None:
        self.exchange = exchange
        self.stage = stage = Stage()
        self.spool = Spool(directory / "spool")
        self.marks = Marks()
        self.instruments: dict[str, Instrument] = {}
        self.desk = stage.ear(messages.ENTRY_DESK)
        self.notifier = stage.ear(messages.NOTIFIER)
        self.reconciler = stage.ear(messages.reconciler(ACCOUNT))
        self.wiring = owner.Wiring(
            account=ACCOUNT,
            term=1,
            owners=stage.owners,
            marks=self.marks,
            recorder=stage.recorder,
            hang_after_s=hang_after_s,
            base_backoff_s=0.01,
            max_backoff_s=0.05,
        )
        book = journal.Wiring(
            conninfo=conninfo,
            spool=self.spool,
            refused_dir=directory / "refused",
            recorder=stage.recorder,
            gateways=(messages.gateway(ACCOUNT),),
            away_because=lambda: None,
            durable=lambda position: None,
        )
        requests = gateway.Wiring(
            account=ACCOUNT,
            open_client=lambda: open_trading(exchange.access, stage.clock.now),
            expected=lambda: EXPECTED,
            standing=Standing(),
            lease=held_lease(stage.clock),
            instruments=self.instruments,
            owners=stage.owners,
            marks=self.marks,
            spool=self.spool,
            recorder=stage.recorder,
            leverage=lambda _symbol: 0,
            max_stop_distance_pct=Decimal(60),
            dry_run=False,
        )
        prices = market_feed.Wiring(
            account=ACCOUNT,
            open_stream=lambda: open_prices(exchange.access, stage.clock.now),
            symbols=lambda: (),
            owners=stage.owners,
            marks=self.marks,
            recorder=stage.recorder,
        )
        private = account_feed.Wiring(
            account=ACCOUNT,
            open_stream=lambda: open_account_stream(exchange.access, stage.clock.now),
            owners=stage.owners,
            standing=Standing(),  # nobody reads this account: what the feed cannot see closes no entries here
            lease=held_lease(stage.clock),
            recorder=stage.recorder,
        )
        stage.add(messages.JOURNAL, lambda context: journal.Journal.start(context, book))
        stage.add(messages.gateway(ACCOUNT), lambda c: gateway.Gateway.start(c, requests), start_s=30)
        stage.add(messages.market_feed(ACCOUNT), lambda c: market_feed.MarketFeed.start(c, prices))
        stage.add(messages.account_feed(ACCOUNT), lambda c: account_feed.AccountFeed.start(c, private))
        stage.start()
        self._numbers = count()
        self._free = sorted(self.instruments)

    def symbol(self) -> str:
        """A symbol that nobody has now, with a price."""
        symbol = self._free.pop(0)
        until(lambda: self.marks.get(ACCOUNT, symbol), what=f"a price of {symbol}")
        return symbol

    def open(
        self,
        symbol: str,
        side: PositionSide = PositionSide.LONG,
        trailing: TrailingRules = TRAILING,
        protection: Protection | None = None,
    ) -> PositionId:
        """Start the owner of a new position; it sends its entry at once."""
        stage, instrument = self.stage, self.instruments[symbol]
        mark = self.marks.get(ACCOUNT, symbol)
        assert mark is not None
        now = stage.clock.now()
        position_id = mint_position_id(now, next(self._numbers))
        plan = Plan(
            quantity=instrument.floor_quantity(USD / mark.price),
            protection=protection or Protection(),
            trailing=trailing,
            reference_price=mark.price,
        )
        position = new_position(
            position_id=position_id,
            account=ACCOUNT,
            exchange="binanceusdm",
            instance="ab12",
            instrument=instrument,
            side=side,
            plan=plan,
            epoch=Epoch(1, 1),
            now=now,
            correlation_id=f"c-{position_id}",
        )
        assert stage.owners.claim(Place(ACCOUNT, symbol), position)
        spec = owner.position_spec(self.wiring, position_id)
        stage.add(spec.name, spec.factory, restart=spec.restart, essential=False, hang_after_s=spec.hang_after_s)
        return position_id

    def state(self, position_id: PositionId) -> Position:
        """The state last handed over."""
        found = self.stage.owners.state(position_id)
        assert found is not None
        return found

    def wait(
        self, position_id: PositionId, ready: Callable[[Position], object], seconds: float = 30, what: str = ""
    ) -> Position:
        """The state once it is as `ready` says."""

        def look() -> Position | None:
            state = self.state(position_id)
            return state if ready(state) else None

        found: Position = until(look, seconds, what or f"position {position_id}: {self.state(position_id).phase}")
        return found

    def protected(self, position_id: PositionId) -> Position:
        """The state once it rests behind one live stop."""
        return self.wait(position_id, lambda p: p.phase is Phase.ACTIVE and settled(p), what="a protected position")

    def ended(self, position_id: PositionId) -> Position:
        """The state told to the desk at the end of the life; the place is free then, as the desk would make it."""
        state = self.desk.wait(PositionEnded, lambda m: m.position.id == position_id).position
        self.stage.owners.release(Place(ACCOUNT, state.symbol), position_id)
        return state

    def close(self, position_id: PositionId) -> Position:
        """Close it, and give its symbol back."""
        self.stage.tell(messages.position(position_id), CloseWanted(reason=CloseReason.OPERATOR))
        ended = self.ended(position_id)
        self._free.append(ended.symbol)
        return ended

    def ask(self, position_id: PositionId) -> Position:
        """What the owner itself says."""
        shown = self.stage.ask(messages.position(position_id), Show())
        assert isinstance(shown, Position)
        return shown

    def operator(self, position_id: PositionId, wish: object, method: str = "position.close") -> Any:
        """An operator's wish; raises what the owner refuses it with."""
        return self.stage.ask(messages.position(position_id), OperatorInput(input=wish, method=method, uid=0))

    def operator_acts(self, symbol: str) -> None:
        """Tell the oracle that an operator is about to loosen a stop."""
        at = int(self.stage.clock.now().timestamp() * 1000)
        terms = self.exchange.terms
        acts = (*terms.operator_acts, OperatorAct(at=at, symbol=symbol))
        self.exchange.terms = replace(terms, operator_acts=acts)

    def close_everything(self) -> None:
        """Stop the actors; positions and stops stay on the exchange."""
        self.stage.stop()
        self.spool.close()


class Sight:
    """The first state on a symbol that is as `moment` says, caught as it is handed over; `then` is done with it there.

    To be made before the position is opened. A state that is looked for now and then may be over before it is seen.
    """

    def __init__(
        self,
        house: House,
        symbol: str,
        moment: Callable[[Position], object],
        then: Callable[[Position], object] = lambda _: None,
    ) -> None:
        self._symbol, self._moment, self._then = symbol, moment, then
        self._caught: list[Position] = []
        house.stage.owners.onlookers.append(self._look)

    def wait(self, what: str) -> Position:
        """That state; fails when it does not come."""
        caught: list[Position] = until(lambda: self._caught, what=what)
        return caught[0]

    def _look(self, p: Position) -> None:
        if p.symbol == self._symbol and not self._caught and self._moment(p):
            self._then(p)
            self._caught.append(p)


def settled(p: Position) -> bool:
    """Whether one stop rests and nothing is under way."""
    return [stop.state for stop in p.stops if not stop.state.over] == [OrderState.LIVE]


def stop_price(p: Position) -> Decimal:
    """The trigger of the stop that rests."""
    (found,) = (stop.trigger for stop in p.stops if stop.state is OrderState.LIVE)
    return found


@contextmanager
def living(exchange: Exchange, conninfo: str, directory: Path) -> Iterator[House]:
    """A house that is closed afterwards."""
    house = House(exchange, conninfo, directory)
    try:
        yield house
    finally:
        house.close_everything()

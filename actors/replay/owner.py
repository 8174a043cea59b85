"""One replayed position: the real machine on one side, its exchange on the other, and the time in between.

What the position actor, the gateway and the feeds are in the service, without threads and network: an effect goes to
the exchange and back in the set round trip, news and prices take half of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

from actors.replay import reports
from actors.replay.market import Market
from actors.replay.times import instant, stamp
from actors.replay.venue import News, Venue
from adapters.paper_exchange.requests import Rules
from domain.entries.opening import new_position
from domain.entries.situation import Refusal
from domain.entries.sizing import size_usd
from domain.identity import Epoch, PositionId
from domain.instrument import PositionSide
from domain.market.atr import AtrRules
from domain.orders import Fill, OrderIntent, OrderReport, Rejected
from domain.position import machine, trailing
from domain.position.effects import AskFills, AskPosition, Cancel, Effect, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    Begin,
    CancelHeard,
    FillHeard,
    FillsListed,
    Input,
    OrderHeard,
    OutcomeHeard,
    PositionHeard,
    PriceRange,
    Wake,
)
from domain.position.plan import Plan, Protection, TakeProfit, TrailingRules
from domain.position.state import Position
from domain.sanity import check_intent, refusal_of

ACCOUNT, EXCHANGE, INSTANCE = "replay", "binanceusdm", "play"
DEPOSIT_FACTOR = 10
"""The account holds ten times what the position costs: its stop comes long before a liquidation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every position of a replay lives by. `usd` is what one costs; `round_trip_ms` is that of a request."""

    protection: Protection
    trailing: TrailingRules
    usd: Decimal
    overshoot_pct: Decimal
    farthest_stop_pct: Decimal
    round_trip_ms: int = 50
    venue: Rules = field(default_factory=Rules)
    recorded: bool = False
    take_profits: tuple[TakeProfit, ...] = ()
    atr: AtrRules = field(default_factory=AtrRules)


class Owner:
    """Owns position `number`, opened in `market` when `enter` is called.

    `refused` says why it was not opened, `best` is the most favourable mark price of its life.
    """

    def __init__(self, market: Market, terms: Terms, number: int, side: PositionSide) -> None:
        self.number = number
        self.side = side
        self.opened_at = 0
        self.position: Position | None = None
        self.refused: Refusal | None = None
        self.best: Decimal | None = None
        deposit = terms.usd * DEPOSIT_FACTOR
        self.venue = Venue(market.contract, terms.venue, deposit, recorded=terms.recorded)
        self._market = market
        self._terms = terms
        self._there = terms.round_trip_ms // 2
        self._back = terms.round_trip_ms - self._there
        self._timer = 0

    def enter(self, now: int) -> None:
        """Decide on the size at the mark price of this moment and send the entry."""
        self.opened_at = now
        mark = self._market.mark(now)
        instrument = reports.instrument(self._market.contract)
        quantity = size_usd(self._terms.usd, mark, instrument, self._terms.overshoot_pct)
        if isinstance(quantity, Refusal):
            self.refused = quantity
            return
        atr = None
        if self._terms.trailing.enabled and self._terms.trailing.atr_multiple is not None:
            atr = self._market.average_range(now, self._terms.atr)
            if atr is None:
                figures = {"period": self._terms.atr.period, "candle_minutes": self._terms.atr.candle_minutes}
                self.refused = Refusal(code="no_atr", figures=figures)
                return
        self.venue.open(now, mark)
        self.venue.publish = self._on_its_way
        self._market.settle(self.number, self, witness=self._terms.recorded)
        self.position = new_position(
            position_id=PositionId(self.number),
            account=ACCOUNT,
            exchange=EXCHANGE,
            instance=INSTANCE,
            instrument=instrument,
            side=self.side,
            plan=Plan(
                quantity=quantity,
                protection=self._terms.protection,
                trailing=self._terms.trailing,
                reference_price=mark,
                take_profits=self._terms.take_profits,
                atr=atr,
            ),
            epoch=Epoch(1, 1),
            now=instant(now),
            correlation_id=f"replay-{self.number}",
        )
        self._hear(Begin(), now)

    # What the market says

    def touched(self, at: int, mark: Decimal) -> None:
        """The exchange's own price has reached a trigger."""
        self.venue.price(at, mark)
        self._watch_triggers()

    def told(self, at: int, prices: PriceRange) -> None:
        """A published price is on its way."""
        self._market.at(at + self._back, partial(self._alive_hear, prices))

    def witness(self, at: int, mark: Decimal) -> None:
        """A price was published: for the exchange's record, which is judged by the prices in it."""
        self.venue.price(at, mark)

    # Inside

    def _on_its_way(self, at: int, news: News) -> None:
        heard: Input
        if isinstance(news, OrderReport):
            heard = OrderHeard(report=news)
        elif isinstance(news, Fill):
            heard = FillHeard(fill=news)
        else:
            heard = PositionHeard(report=news)
        self._market.at(at + self._back, partial(self._alive_hear, heard))

    def _alive_hear(self, heard: Input, now: int) -> None:
        if self.position is not None and not self.position.phase.final:
            self._hear(heard, now)

    def _hear(self, heard: Input, now: int) -> None:
        position = self._fresh(now)
        if isinstance(heard, PriceRange):
            self._remember(heard)
        transition = machine.handle(position, heard, instant(now))
        self.position = transition.position
        for effect in transition.effects:
            self._carry_out(effect, now)
        if transition.position.phase.final:
            self._remember(self._market.unheard(self.number))
            self._market.leave(self.number)
            return
        self._watch(now)
        self._timer += 1
        if transition.wake_at is not None:
            self._market.at(max(stamp(transition.wake_at), now + 1), partial(self._wake, self._timer))

    def _wake(self, timer: int, now: int) -> None:
        if timer == self._timer:
            self._alive_hear(Wake(), now)

    def _fresh(self, now: int) -> Position:
        """The position, knowing the newest price that has reached it."""
        position, newest = self._known(), self._market.heard(now)
        if newest is None:
            return position
        price, published = newest
        if position.mark_at is not None and stamp(position.mark_at) >= published:
            return position
        return replace(position, mark_price=price, mark_at=instant(published))

    def _known(self) -> Position:
        if self.position is None:
            raise LookupError(f"position {self.number}: has not been opened")
        return self.position

    def _remember(self, prices: PriceRange | None) -> None:
        if prices is not None:
            end = prices.high if self.side is PositionSide.LONG else prices.low
            self.best = end if self.best is None else self.side.best(self.best, end)

    def _watch(self, now: int) -> None:
        low, high = trailing.band(self._known())
        due = self._market.watch_band(self.number, low, high)
        if due is not None:
            self._market.at(max(now, stamp(due.at) + self._back), partial(self._alive_hear, due))

    def _carry_out(self, effect: Effect, now: int) -> None:
        match effect:
            case Place(intent=intent):
                unsafe = self._unsafe(intent, now)
                if unsafe is not None:
                    self._market.at(now, partial(self._alive_hear, OutcomeHeard(outcome=unsafe)))
                    return
                self._ask(now, lambda at: OutcomeHeard(outcome=self.venue.place(intent, now, at)))
            case Cancel(ref=ref):
                self._ask(now, lambda at: CancelHeard(outcome=self.venue.cancel(ref, at)))
            case Find(ref=ref):
                self._ask(now, lambda at: AnswerHeard(answer=self.venue.find(ref, now, at)))
            case AskPosition():
                self._ask(now, lambda at: PositionHeard(report=self.venue.position(at), asked_at=instant(now)))
            case AskFills(since=since):
                self._ask(now, lambda at: FillsListed(fills=self.venue.fills(stamp(since), at)))
            case _:
                raise TypeError(f"position {self.number}: a replay has no answer to {type(effect).__name__}")

    def _ask(self, now: int, request: Callable[[int], Input]) -> None:
        """Half a round trip there, the exchange's work at its price of that moment, half a round trip back."""

        def arrived(at: int) -> None:
            self.venue.price(at, self._market.mark(at))
            answer = request(at)
            self._watch_triggers()
            self._market.at(at + self._back, partial(self._alive_hear, answer))

        self._market.at(now + self._there, arrived)

    def _unsafe(self, intent: OrderIntent, now: int) -> Rejected | None:
        """The gateway's last check before the wire (LAWS S13)."""
        position = self._known()
        objection = check_intent(
            intent,
            position.instrument,
            position.mark_price,
            position.liquidation_price,
            max_distance_pct=self._terms.farthest_stop_pct,
        )
        if objection is None:
            return None
        reason = refusal_of(intent, objection)
        return Rejected(client_id=intent.client_id, reason=reason, code="", text=objection.text, sent_at=instant(now))

    def _watch_triggers(self) -> None:
        if self.position is not None and not self.position.phase.final:
            self._market.watch_triggers(self.number, *self.venue.triggers())

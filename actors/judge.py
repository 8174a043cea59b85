"""The judge: looks at all open positions every few seconds, scores them, and tells their owners what changed.

Rules of this file: it decides nothing about a position and moves no stop. It reads the owners' last states and the
marks, and wakes an owner only when its level changes or other rules of age hold for it. What it remembers (best prices,
minutes of markets) may be lost: levels and steps are kept by the owners. A look that comes late, because the process
stood still, hears the prices anew and judges nobody: what looks stale then is only unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from actors import messages
from actors.guard import ActorContext, GuardedActor
from actors.healths import Healths
from actors.judgement_values import aging_rules_of, health_rules_of
from actors.marks import Marks
from actors.messages import Tick
from actors.owners import Owners
from config.in_force import SettingsInForce
from config.settings import Settings
from domain.identity import PositionId
from domain.judgement.aging import AgingRules
from domain.judgement.health import Health, HealthRules, Heard, examine
from domain.judgement.levels import Risk, RiskLevel
from domain.market.minutes import Minutes
from domain.position import ledger
from domain.position.inputs import AgingChanged, RiskHeard
from domain.position.state import Phase, Position

JUDGE = "judge"
STALE_S = 15
LATE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the judge is given."""

    in_force: SettingsInForce
    owners: Owners
    marks: Marks
    healths: Healths


class _News(NamedTuple):
    """The last mark of a market, and since when nothing newer came (monotonic: wall clocks are stepped)."""

    price: Decimal | None
    at: object
    since: float


class Judge(GuardedActor):
    """One look after another."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context)
        self._wiring = wiring
        self._looked_at: float | None = None
        self._news: dict[tuple[str, str], _News] = {}
        self._minutes: dict[tuple[str, str], Minutes] = {}
        self._peaks: dict[PositionId, Decimal] = {}

    def started(self) -> None:
        """The first look comes when there are prices."""
        self.remind_after(self._wiring.in_force.now.health.interval_s, Tick())

    def receive(self, message: Any) -> object:
        """The time."""
        if not isinstance(message, Tick):
            raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        settings = self._wiring.in_force.now
        self._look(settings)
        self.remind_after(settings.health.interval_s, Tick())
        return None

    def _look(self, settings: Settings) -> None:
        positions = self._wiring.owners.all()
        self._set_age(positions, aging_rules_of(settings.aging), adopted=settings.aging.adopted)
        now = self.clock.monotonic()
        before, self._looked_at = self._looked_at, now
        self._hear(positions, now)
        rules = health_rules_of(settings.health)
        late = before is not None and now - before > settings.health.interval_s + LATE_S
        if rules is not None and late:
            return
        found: dict[PositionId, Health] = {}
        if rules is not None:
            for p in positions:
                if p.phase is Phase.ACTIVE and p.close_wanted is None:
                    self._judge(p, rules, settings, now, found)
        self._wiring.healths.put(found)

    def _set_age(self, positions: tuple[Position, ...], rules: AgingRules | None, *, adopted: bool) -> None:
        """The rules in force hold for every position, those of earlier lives and of other settings too."""
        for p in positions:
            wanted = rules if adopted or not p.adopted else None
            if p.aging != wanted:
                self.tell(messages.position(p.id), AgingChanged(rules=wanted))

    def _hear(self, positions: tuple[Position, ...], now: float) -> None:
        """Take the last marks in, and forget what belongs to nobody any more."""
        wall = self.clock.now()
        markets = {(p.account, p.symbol) for p in positions}
        news: dict[tuple[str, str], _News] = {}
        for market in markets:
            mark, known = self._wiring.marks.get(*market), self._news.get(market)
            if mark is not None and (known is None or known.at != mark.at or known.price != mark.price):
                news[market] = _News(mark.price, mark.at, now)
                self._minutes.setdefault(market, Minutes()).hear(mark.price, wall)
            else:
                news[market] = known or _News(None, None, now)
        self._news = news
        self._minutes = {market: minutes for market, minutes in self._minutes.items() if market in markets}
        self._peaks = {p.id: peak for p in positions if (peak := self._peak(p)) is not None}

    def _peak(self, p: Position) -> Decimal | None:
        """The best price of a position: its entry, what it trailed behind, what was heard since."""
        heard = self._news[p.account, p.symbol].price
        prices = (ledger.entry_price(p), p.trail.extreme, self._peaks.get(p.id), heard)
        known = [price for price in prices if price is not None]
        return max(known, key=lambda price: price * p.side.sign, default=None)

    def _judge(
        self, p: Position, rules: HealthRules, settings: Settings, now: float, found: dict[PositionId, Health]
    ) -> None:
        news = self._news[p.account, p.symbol]
        mark, peak = news.price or p.mark_price, self._peaks.get(p.id)
        if mark is None or peak is None:
            return
        age_s = Decimal(round(now - news.since))
        minutes = self._minutes.get((p.account, p.symbol))
        atr = Decimal(0) if minutes is None else minutes.average_range()
        health = examine(p, Heard(mark=mark, age_s=age_s, peak=peak, atr=atr), rules, self.clock.now())
        found[p.id] = health
        stale = age_s > STALE_S
        known = p.risk
        waits = known is not None and known.withheld and health.level is known.level and not stale
        if health.level is (known.level if known is not None else RiskLevel.LOW) and not waits:
            return
        chosen = settings.health
        heard = RiskHeard(
            level=health.level,
            score=health.score,
            dangers=tuple(health.dangers._asdict().items()),
            action=rules.action(health.level, known or Risk(), self.clock.now()),
            tighten_pct=chosen.tighten_pct,
            fraction=chosen.reduce_fraction,
            cooldown_s=rules.cooldown_s,
            stale=stale,
        )
        self.tell(messages.position(p.id), heard)

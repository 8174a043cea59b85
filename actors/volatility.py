"""How far a symbol moves: the ATR that an entry's trailing stop is scaled by, from the venue's own candles.

Rules of this file: nobody waits. An ATR that is not known yet is asked for at the gateway, and the wish is taken up
again when the answer is there. Candles that are missing, old or too few refuse the entry with `no_atr` and the figures;
one is good until the next candle closes. Used by the desk's thread alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from actors import messages
from actors.messages import AskMarkCandles, MarkCandles
from actors.reporting import ReportingActor
from domain.decimals import plain, text_of
from domain.entries.situation import Refusal, Wish
from domain.instrument import MONEY, percent_of
from domain.market.atr import AtrRules, average_true_range, closed_candles

ANSWER_WITHIN_S = 6.0
FAILURE_STANDS_S = 5.0
LARGEST_PCT = Decimal(50)


@dataclass(slots=True)
class _Known:
    """What is known of one symbol by `rules`: an answer good until `until` (monotonic seconds), None: it is awaited."""

    until: float
    answer: Decimal | Refusal | None
    rules: AtrRules


class Volatility:
    """Average true ranges by account and symbol."""

    def __init__(self, desk: ReportingActor) -> None:
        """`desk` is who asks and is answered."""
        self._desk = desk
        self._known: dict[tuple[str, str], _Known] = {}

    def atr(
        self, wish: Wish, rules: AtrRules, multiple: Decimal, price: Decimal | None
    ) -> Decimal | Refusal | None:
        """The ATR in quote units, why the entry cannot have it, or None: it has just been asked for.

        `multiple` of it is the distance that the stop will keep: from one tick to half of `price`.
        """
        answer = self._average(wish, rules)
        if not isinstance(answer, Decimal):
            return answer
        distance = MONEY.multiply(multiple, answer)
        most = None if price is None else percent_of(price, LARGEST_PCT)
        if distance >= wish.instrument.tick and (most is None or distance <= most):
            return answer
        figures = {"symbol": wish.symbol, "atr": plain(answer), "multiple": plain(multiple)}
        limits = {"distance": plain(distance), "tick": plain(wish.instrument.tick), "most": text_of(most)}
        return Refusal(code="no_atr", figures={**figures, **limits})

    def _average(self, wish: Wish, rules: AtrRules) -> Decimal | Refusal | None:
        key, now = (wish.account, wish.symbol), self._desk.clock.monotonic()
        known = self._known.get(key)
        if known is not None and known.rules != rules:
            known = None  # the settings have changed since: an answer still under way is judged by them too
        if known is not None and now < known.until:
            return known.answer
        if known is not None and known.answer is None:
            return self._settle(key, rules, error=f"no answer within {ANSWER_WITHIN_S:g} s")
        self._known[key] = _Known(now + ANSWER_WITHIN_S, None, rules)
        since = rules.since(self._desk.clock.now())
        ask = AskMarkCandles(symbol=wish.symbol, since=since, reply_to=self._desk.name)
        self._desk.tell(messages.gateway(wish.account), ask)
        return None

    def hear(self, heard: MarkCandles) -> None:
        """The candles of a symbol, or why there are none."""
        key = (heard.account, heard.symbol)
        known = self._known.get(key)
        if known is None:
            return  # nobody of this life has asked
        rules = known.rules
        if heard.error is not None:
            self._settle(key, rules, error=heard.error)
            return
        now, span = self._desk.clock.now(), rules.span
        candles = closed_candles(heard.candles, span, now)
        average = average_true_range(candles, rules.period)
        if average is None:
            self._settle(key, rules, candles=len(candles), needed=rules.period + 1)
            return
        left = candles[-1].opened_at + 2 * span - now
        if left <= timedelta(0):
            self._settle(key, rules, newest=candles[-1].opened_at.isoformat())
            return
        self._known[key] = _Known(self._desk.clock.monotonic() + left.total_seconds(), average, rules)

    def _settle(self, key: tuple[str, str], rules: AtrRules, **figures: object) -> Refusal:
        asked = {"symbol": key[1], "period": rules.period, "candle_minutes": rules.candle_minutes}
        refusal = Refusal(code="no_atr", figures={**asked, **figures})
        self._known[key] = _Known(self._desk.clock.monotonic() + FAILURE_STANDS_S, refusal, rules)
        return refusal

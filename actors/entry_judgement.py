"""What the entry desk decides by: the account that a signal means, the situation of a wish, the checks, the size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from loguru import logger

from actors.intake import Intake, Told, as_stored
from actors.marks import Marks
from actors.owners import Owners
from actors.position import Wiring as PositionWiring
from actors.recording import Recorder
from actors.standing import Standing, slots_needed
from actors.symbol_lists import Spellings, as_spelled
from adapters.exchange.symbols import SymbolNames
from domain.days import day_of, midnight
from domain.decimals import plain
from domain.entries import margin
from domain.entries.checks import CHECKS, judge, wide
from domain.entries.signal import Signal
from domain.entries.situation import Grant, Quote, Refusal, Rules, Situation, Wish
from domain.entries.sizing import Asked, Stops, balance_of, grant
from domain.entries.terms import Terms
from domain.entries.trail import trail
from domain.entries.waves import WaveRules
from domain.identity import PositionId
from domain.instrument import Instrument
from domain.market.atr import AtrRules
from domain.position import ledger
from domain.position.plan import Plan, TakeProfit, VenueRules
from domain.position.state import Phase, Position
from persistence.reader import Reader

ZERO = Decimal(0)
REMEMBERED = timedelta(hours=24)
# An entry that was decided this long before the balance was read may not have been sent by then.
SETTLED_AFTER = timedelta(seconds=10)
EXCHANGE_NAMES = {"binance": "binanceusdm", "binance_futures": "binanceusdm", "binance-futures": "binanceusdm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDesk:
    """What the desk knows of one account. `adopt_stops`: strangers' stops on adopted positions are replaced by ours."""

    exchange: str
    instance: str
    instruments: dict[str, Instrument]
    positions: PositionWiring
    venue: VenueRules = field(default_factory=VenueRules)
    standing: Standing = field(default_factory=Standing)
    adopt_stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the desk is given. `terms`: what holds for a symbol of an account at this moment."""

    accounts: Mapping[str, AccountDesk]
    spellings: Spellings
    owners: Owners
    marks: Marks
    reader: Reader
    recorder: Recorder
    terms: Callable[[str, str], Terms]
    dry_run: bool
    waves: WaveRules = field(default_factory=WaveRules)
    told: Told = field(default_factory=Told)


Atr = Callable[[Wish, AtrRules, Decimal, Decimal | None], Decimal | Refusal | None]

Ask = Callable[[Wish], Quote | Refusal | None]


class Judgement:
    """Used by the desk's thread alone."""

    def __init__(self, wiring: Wiring, intake: Intake, atr: Atr, quote: Ask) -> None:
        """`intake` knows what was acted on and may not be in the database yet.

        `atr`: see `Volatility.atr`; `quote`: see `Quotes.quote`.
        """
        self._wiring = wiring
        self._intake = intake
        self._atr = atr
        self._quote = quote
        self.made: tuple[Mapping[str, object], ...] = ()
        """The checks of the wish that was considered last, with what each went by."""

    def symbols(self, account: str) -> SymbolNames:
        """How the account's venue spells its instruments."""
        return self._wiring.spellings.of(account)

    def account_of(self, signal: Signal) -> str | Refusal:
        """The one account that a signal means (INTERFACE 'Signals')."""
        accounts = self._wiring.accounts
        if signal.account is not None:
            if signal.account in accounts:
                return signal.account
            return Refusal(code="unknown_account", figures={"account": signal.account, "known": ",".join(accounts)})
        wanted = EXCHANGE_NAMES.get(signal.exchange.lower(), signal.exchange.lower())
        fitting = [name for name, desk in accounts.items() if desk.exchange == wanted]
        if len(fitting) == 1:
            return fitting[0]
        figures = {"exchange": signal.exchange, "fitting": ",".join(fitting) or None, "known": ",".join(accounts)}
        return Refusal(code="ambiguous_account", figures=figures)

    def consider(
        self,
        wish: Wish,
        terms: Terms,
        closed_because: str | None,
        last_order_at: datetime | None,
        now: datetime,
        asked: Asked,
        goals: Collection[TakeProfit] | None = None,
    ) -> Grant | Refusal | None:
        """What to open, or why not; None: the market's ATR, or bid and ask, are asked for. Raises DatabaseAway."""
        goals = terms.take_profits if goals is None else goals
        rules = self._as_spelled(terms.rules, wish.account)
        situation = self._situation(wish, terms, closed_because, last_order_at, now, goals)
        findings = judge(wish, rules, situation)
        if findings[-1][1] is None:  # whoever is refused anyway needs neither size nor spread, which may be asked for
            situation = replace(situation, granted=self._granted(wish, terms, situation.mark_price, asked, now))
            findings += judge(wish, rules, situation, len(findings))
        if findings[-1][1] is None and situation.granted is not None and rules.spread_pct > 0:
            situation = replace(situation, quote=self._quote(wish))
            findings += judge(wish, rules, situation, len(findings))
        self.made = trail(wish, rules, situation, findings)
        refused, granted = findings[-1][1], situation.granted
        if refused is None and len(findings) < len(CHECKS):
            return None  # judged again, and told of, when the answer is there
        for name, found in findings:
            _guard(name, wish, found)
        if refused is not None:
            return refused
        return replace(granted, warning=wide(wish, rules, situation)) if isinstance(granted, Grant) else granted

    def closed_by(self, account: str, symbol: str, signal: Signal) -> PositionId | None:
        """The position that another signal with this close's key has closed already. Raises DatabaseAway."""
        key = signal.key(symbol)
        known = self._intake.acted_by(account, key)
        if known is not None:
            return known
        spelled = self.symbols(account).spelled(symbol)
        for row in self._wiring.reader.signals(spelled=spelled, outcome="closing", limit=20):
            other = as_stored(row)
            if other.key(symbol) == key and self.account_of(other) == account:
                return PositionId(row["position_id"])
        return None

    def figures(self, plan: Plan, granted: Grant) -> dict[str, object]:
        """What decided the size of a signal's position."""
        price = plan.reference_price
        return {
            "quantity": plain(plan.quantity),
            "price": None if price is None else plain(price),
            "usd": plain(granted.wanted_usd),
            "notional": None if price is None else plain(plan.quantity * price),
        }

    def _as_spelled(self, rules: Rules, account: str) -> Rules:
        names = self.symbols(account)
        return replace(
            rules, stop_list=as_spelled(rules.stop_list, names), allow_list=as_spelled(rules.allow_list, names)
        )

    def _situation(
        self,
        wish: Wish,
        terms: Terms,
        closed_because: str | None,
        last_order_at: datetime | None,
        now: datetime,
        goals: Collection[TakeProfit],
    ) -> Situation:
        wiring = self._wiring
        owned = wiring.owners.all(wish.account)
        place = wiring.owners.place(wish.account, wish.symbol, wish.side)
        mark = wiring.marks.get(wish.account, wish.symbol)
        seen = None
        if wish.key is not None:
            seen = self._intake.acted_by(wish.account, wish.key)
            seen = seen or next((p.id for p in owned if p.signal_key == wish.key), None)
            seen = seen or wiring.reader.signal_key_seen(wish.account, wish.key, now - REMEMBERED)
        desk = wiring.accounts[wish.account]
        excluded = as_spelled(terms.exclude, self.symbols(wish.account))
        return Situation(
            now=now,
            closed_because=closed_because
            or desk.standing.closed_because
            or desk.standing.margin_refusal(wish.symbol),
            held={p.symbol: p.side for p in owned if wiring.owners.place_of(p) == place},
            open_positions=len(owned),
            exposure_usd=sum((_value(p) for p in owned), ZERO),
            symbol_usd=sum((_value(p) for p in owned if p.symbol == wish.symbol), ZERO),
            bound_usd=self._bound(owned, desk.standing),
            realized_today=self._realized_today(wish.account, now, terms.rules),
            last_order_at=last_order_at,
            key_seen_by=None if seen is None else str(seen),
            mark_price=None if mark is None else mark.price,
            mark_heard_at=None if mark is None else mark.heard_at,
            foreign_quantity=wiring.owners.foreign(place),
            excluded=wish.symbol in excluded,
            slots=desk.standing.slots(wish.instrument, owned, slots_needed(goals, desk.venue)),
            funds=desk.standing.funds,
            margin=desk.standing.margin(wish.symbol, terms.leverage),
        )

    def _granted(
        self, wish: Wish, terms: Terms, price: Decimal | None, asked: Asked, now: datetime
    ) -> Grant | Refusal | None:
        """What the sizing makes of the wish at `price`, which a check has let pass."""
        if price is None:
            raise TypeError("price=None: must be known where a size is found")
        atr: Decimal | None = None
        if asked.by_atr(terms.sizing):
            found = self._atr(wish, terms.atr, terms.sizing.atr_multiple, price)
            if not isinstance(found, Decimal):
                return found
            atr = found
        balance = balance_of(self._wiring.accounts[wish.account].standing.funds, now, terms.rules.balance_good_s)
        stops = Stops(usual_pct=terms.protection.stop_pct, farthest_pct=terms.protection.emergency_stop_pct)
        return grant(wish, asked, terms.sizing, stops, price, balance, atr)

    def _bound(self, owned: Collection[Position], standing: Standing) -> Decimal:
        """The margin of entries that the last reading of the balance cannot have known of."""
        funds, terms = standing.funds, self._wiring.terms
        if funds is None:
            return ZERO
        young = (p for p in owned if p.opened_at > funds.read_at - SETTLED_AFTER and not p.adopted)
        needs = (
            margin.initial(standing.margin(p.symbol, terms(p.account, p.symbol).leverage), _value(p)) for p in young
        )
        return sum(needs, ZERO)

    def _realized_today(self, account: str, now: datetime, rules: Rules) -> Decimal:
        """After fees, since midnight UTC; not asked for while nothing depends on it. Raises DatabaseAway."""
        if rules.daily_loss_usd <= 0:
            return ZERO
        return self._wiring.reader.realized_since(account, midnight(day_of(now)))


def _value(position: Position) -> Decimal:
    """What a position is worth, or will be once its entry is filled."""
    quantity = ledger.exposure(position)
    if position.phase in (Phase.PENDING_ENTRY, Phase.ENTRY_PLACED):
        quantity = max(quantity, position.plan.quantity)
    return quantity * (position.mark_price or ledger.entry_price(position) or ZERO)


def _guard(name: str, wish: Wish, found: Refusal | None) -> None:
    """One line for each check, as INTERFACE names them. An operator's wish has no key to be judged by."""
    if name == "idempotency" and wish.key is None:
        return
    known = {"signal_key": wish.key} if name == "idempotency" else {"symbol": wish.symbol}
    figures = {**known, **(found.figures if found is not None else {})}
    said = " ".join(f"{key}={_quoted(value)}" for key, value in figures.items())
    level = "INFO" if found is not None or name in ("idempotency", "cooldown") else "DEBUG"
    logger.bind(event="guard").log(level, "GUARD {}_{} {}", name, "passed" if found is None else "blocked", said)


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text

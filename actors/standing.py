"""How an account stands: what was found of it, and whether entries are possible at all. Shared by threads.

Written by the account's gateway, what the private stream can see by its feed, the kill switch by its actor; read by the
entry desk and whoever shows it. Each value has one writer, is replaced whole and never changed, so a reader needs no
lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from actors.symbol_lists import as_spelled
from adapters.exchange.access import AccountAccess
from adapters.exchange.factory import realm_of
from adapters.exchange.symbols import SymbolNames
from config.settings import Settings
from domain.accounts import AccountFacts, Expected, Finding, MarginMode
from domain.entries.funds import Funds, Wallet, known
from domain.entries.margin import Margin
from domain.entries.situation import Slots
from domain.identity import PositionId, parse_client_id
from domain.instrument import Instrument
from domain.judgement.kill_switch import OFF, Switch
from domain.orders import AccountSnapshot
from domain.position.plan import TakeProfit, VenueRules
from domain.position.state import Position

ACCOUNT, MAINTENANCE, FUNDS = "account", "maintenance", "funds"


class Standing:
    """One account's. Before anything was found, nothing speaks against it."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.facts: AccountFacts | None = None
        self.findings: tuple[Finding, ...] = ()
        self._margin_mode: MarginMode | None = None
        self._closed: Mapping[str, str] = {}
        self._strangers: Mapping[str, int] = {}
        self._lost: str | None = None
        self._connected_at: datetime | None = None
        self._read_at: datetime | None = None
        self._funds: Funds | None = None
        self._wallet: Wallet | None = None
        self.kill_switch: Switch = OFF
        """Written by its actor, and before there is one by the tree, from what was remembered."""

    @property
    def closed_because(self) -> str | None:
        """Why no entry is possible on the account; None: it is."""
        reasons = [self.kill_switch.reason, *self._closed.values(), self.blind]
        return "; ".join(reason for reason in reasons if reason is not None) or None

    @property
    def blind(self) -> str | None:
        """Why nothing is seen of what others do on the account; None: it is. Whoever enters blind may enter into a
        position of theirs.
        """
        if self._lost is not None:
            return f"the account's stream is down: {self._lost}"
        if self._connected_at is None or (self._read_at is not None and self._read_at >= self._connected_at):
            return None
        return "the account has not been read since its stream came back"

    def stream_lost(self, reason: str) -> None:
        """The feed hears nothing of the account."""
        self._lost = reason

    def stream_connected(self, at: datetime) -> None:
        """The feed hears again; what happened before is seen with the next complete reading."""
        self._connected_at = at
        self._lost = None

    def close(self, by: str, reason: str | None) -> None:
        """One ground for closing entries arises, or (None) falls away."""
        kept = {name: text for name, text in self._closed.items() if name != by}
        self._closed = kept if reason is None else {**kept, by: reason}

    @property
    def maintenance(self) -> str | None:
        """That the exchange says it is in maintenance; None: it does not."""
        return self._closed.get(MAINTENANCE)

    @property
    def short_of_funds(self) -> str | None:
        """That the exchange has refused an entry for want of margin, and the balance was not read since; None: no."""
        return self._closed.get(FUNDS)

    def margin_refusal(self, symbol: str) -> str | None:
        """Why the symbol's margin mode forbids an entry; None: it is as set, or nothing is set or known."""
        wanted = self._margin_mode
        mode = None if self.facts is None else (self.facts.margin_modes or {}).get(symbol)
        if wanted is None or mode is None or mode is wanted:
            return None
        return f"margin is {mode} on {symbol}, margin_mode = {wanted} is set"

    @property
    def funds(self) -> Funds | None:
        """The newest that is known of the account's money; None: nothing yet."""
        return known(self._funds, self._wallet)

    @property
    def funds_as_read(self) -> Funds | None:
        """What the last reading said, whatever the stream has told since; None: nothing was read yet."""
        return self._funds

    def funds_read(self, funds: Funds) -> None:
        """All of it was read."""
        self._funds = funds

    def wallet_heard(self, wallet: Wallet) -> None:
        """The stream told of it."""
        self._wallet = wallet

    def margin(self, symbol: str, leverage: int) -> Margin:
        """How an entry on the symbol is margined, by what was read; `leverage` is what we set before it, 0: nothing."""
        facts = self.facts
        if facts is None:
            return Margin(leverage=leverage or None)
        mode = (facts.margin_modes or {}).get(symbol, facts.margin_mode)
        return Margin(
            leverage=leverage or self.leverage(symbol),
            isolated=None if mode is None else mode is MarginMode.ISOLATED,
            brackets=(facts.brackets or {}).get(symbol, ()),
        )

    def leverage(self, symbol: str) -> int | None:
        """What was read of a symbol's leverage."""
        return None if self.facts is None else (self.facts.leverages or {}).get(symbol)

    def found(self, facts: AccountFacts, findings: tuple[Finding, ...], margin_mode: MarginMode | None) -> None:
        """The account was read and judged by an expected margin mode."""
        self.facts, self.findings, self._margin_mode = facts, findings, margin_mode
        read_at, wallet, equity, free = facts.read_at, facts.wallet, facts.total, facts.free
        if read_at is not None and wallet is not None and equity is not None and free is not None:
            self.funds_read(Funds(wallet=wallet, equity=equity, free=free, read_at=read_at))

    def seen(self, snapshot: AccountSnapshot, owned: Iterable[PositionId]) -> None:
        """A complete reading. Counts the conditional orders that no position of ours accounts for: a human's, a former
        position's.
        """
        self._read_at = snapshot.asked_at
        ids = frozenset(owned)
        strangers: Counter[str] = Counter()
        for order in snapshot.orders:
            ours = parse_client_id(order.client_id)
            if order.conditional and not order.attached and (ours is None or ours.position_id not in ids):
                strangers[order.symbol] += 1
        self._strangers = strangers

    def slots(self, instrument: Instrument, owned: Iterable[Position], needed: int) -> Slots:
        """What an entry that needs so many conditional orders would find."""
        symbol = instrument.symbol
        used, on_symbol = sum(self._strangers.values()), self._strangers.get(symbol, 0)
        for position in owned:
            taken = slots_of(position)
            used += taken
            on_symbol += taken if position.symbol == symbol else 0
        return Slots(
            used=used,
            limit=None if self.facts is None else self.facts.conditional_limit,
            used_on_symbol=on_symbol,
            limit_on_symbol=instrument.max_conditional_orders,
            needed=needed,
        )


def slots_needed(targets: Collection[TakeProfit], venue: VenueRules) -> int:
    """The conditional orders of a position with these targets; an attached stop is none."""
    return len(targets) + (0 if venue.attached_stop else 1)


def slots_of(position: Position) -> int:
    """The conditional orders that a position has or will need, whichever is more."""
    resting = sum(not stop.state.over and not stop.attached for stop in position.stops)
    plan = position.plan
    return max(resting + len(plan.take_profits), slots_needed(plan.take_profits, plan.venue))


def expected_of(
    settings: Settings, account: str, access: AccountAccess, instruments: Mapping[str, Instrument]
) -> Expected:
    """What the settings say of an account. Raises ValueError for an exchange that we do not speak."""
    chosen = settings.accounts[account]
    names = SymbolNames(instruments, settings.symbols.aliases)
    entered = as_spelled(settings.entries.allow_list, names) or frozenset(instruments)
    expected = Expected(
        account=account,
        mode=settings.service.mode,
        realm=realm_of(access),
        hedge_mode=chosen.hedge_mode,
        margin_mode=MarginMode(chosen.margin_mode) if chosen.margin_mode else None,
        leverage=chosen.leverage,
        receive_window_ms=access.receive_window_ms,
    )
    return replace(expected, symbols=entered - as_spelled(chosen.exclude, names))

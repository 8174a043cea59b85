"""What the database sets for single symbols, as last read: shared by all who decide, replaced whole.

Rules of this file: a decision on an entry asks for a fresh reading; while the database is away the last one stands, and
says so; a value that breaks a rule (of a section's overrides all) is left out and told of once, it never keeps another
from being read: a symbol that is switched off stays off.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loguru import logger

from actors.clock import Clock
from actors.core_values import terms_of
from actors.symbol_lists import Spellings
from adapters.exchange.symbols import UnknownSymbol
from config.in_force import SettingsInForce
from config.settings import Settings
from config.symbol_settings import NOTHING, SymbolSettings, WrongSymbolSetting, over, resolved, sound_part
from domain.entries.terms import Terms
from persistence.database import DatabaseAway
from persistence.reader import Reader

FRESH_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One reading: what is set, by canonical symbol, and what could not be understood, by the name in the table.

    `names`: how the table spells the symbols that it has.
    """

    own: Mapping[str, SymbolSettings]
    names: Mapping[str, str]
    wrong: Mapping[str, str]
    read_at: datetime | None


class SymbolBook:
    """One for a process."""

    def __init__(
        self,
        reader: Reader,
        in_force: SettingsInForce,
        spellings: Spellings,
        clock: Clock,
    ) -> None:
        """Nothing is read yet."""
        self._reader = reader
        self._in_force = in_force
        self._spellings = spellings
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._newest = 0
        self._asked_at: float | None = None
        self._said: dict[str, tuple[object, str]] = {}
        self.page = Page(own={}, names={}, wrong={}, read_at=None)
        self.told = self.page
        """What was told of, to humans and owners. Written by the keeper alone, after it has told; its successors go on
        from there, whoever has read the table meanwhile.
        """
        self.away: str | None = None

    def refresh(self) -> Page:
        """Read all rows now. Raises DatabaseAway; the last reading stands then.

        Nobody waits for another's reading; of two at a time the one that was asked for later stays.
        """
        number = next(self._numbers)
        self._asked_at = self._clock.monotonic()
        try:
            rows = self._reader.symbol_settings()
        except DatabaseAway as away:
            if self.away is None:
                logger.warning("SYMBOL_SETTINGS_UNREAD error={!r} known={}", str(away), len(self.page.own))
            self.away = str(away)
            raise
        page = self._page(rows)
        with self._lock:
            if number > self._newest:
                self._newest, self.page, self.away = number, page, None
            return self.page

    def _page(self, rows: Sequence[Mapping[str, Any]]) -> Page:
        own: dict[str, SymbolSettings] = {}
        spelled: dict[str, str] = {}
        wrong: dict[str, str] = {}
        names, settings = self._spellings.anywhere(), self._in_force.now
        for row in rows:
            name = str(row["symbol"])
            try:
                symbol = names.canonical(name)
            except UnknownSymbol as fault:
                wrong[name] = str(fault)
                continue
            if symbol in own:
                wrong[name] = f"{symbol} stands there twice, in two spellings: only the first counts"
                continue
            spelled[symbol] = name
            own[symbol], faults = sound_part(row, settings)
            if faults:
                wrong[name] = "; ".join(str(fault) for fault in faults)
        return Page(own=own, names=spelled, wrong=wrong, read_at=self._clock.now())

    def known(self, symbol: str) -> SymbolSettings:
        """What was last read of a symbol; asks nobody."""
        return self.page.own.get(symbol, NOTHING)

    def fresh(self, symbol: str) -> SymbolSettings:
        """What is set for a symbol, read anew unless that was done just now; the last reading while that cannot be."""
        asked = self._asked_at
        if asked is None or self._clock.monotonic() - asked >= FRESH_S:
            try:
                self.refresh()
            except DatabaseAway:
                logger.debug("SYMBOL_SETTINGS_LAST_KNOWN symbol={} away={!r}", symbol, self.away)
        return self.known(symbol)

    def leverage(self, account: str, symbol: str) -> int:
        """What is to be set before an entry; 0: left as it is. Asks nobody: a gateway's loop must not wait."""
        own = self.known(symbol).leverage
        return self._in_force.now.accounts[account].leverage if own is None else own

    def terms(self, account: str, symbol: str) -> Terms:
        """By what an entry on the symbol is decided, now; a line says what holds and why, when that is new."""
        settings, own = self._in_force.now, self.fresh(symbol)
        terms = laid_over(settings, account, own)
        alert = resolved_or_plain(settings, account, own)["alert_enabled"]
        if self._said.get(symbol) != (alert.value, alert.source):
            self._said[symbol] = (alert.value, alert.source)
            text = "[ALERT_CONFIG] symbol={} normalized={} alert_enabled={} source={}"
            logger.bind(event="alert_config").info(text, symbol, symbol, str(alert.value).lower(), alert.source)
        return terms


def laid_over(settings: Settings, account: str, own: SymbolSettings) -> Terms:
    """The terms of an account with a symbol's own on top; an override that no longer fits the settings is left out."""
    try:
        terms = terms_of(over(settings, account, own), account)
    except WrongSymbolSetting as wrong:
        logger.warning("SYMBOL_SETTINGS_UNFIT error={!r}", str(wrong))
        own = own.model_copy(update={"protection": {}, "trailing": {}})
        terms = terms_of(over(settings, account, own), account)
    return terms.for_symbol(trade_enabled=own.trade_enabled is not False, min_trade_usd=own.min_trade_usd)


def resolved_or_plain(settings: Settings, account: str, own: SymbolSettings) -> Mapping[str, Any]:
    """Each value with its source, without overrides that no longer fit the settings."""
    try:
        return resolved(settings, account, own)
    except WrongSymbolSetting:
        return resolved(settings, account, own.model_copy(update={"protection": {}, "trailing": {}}))

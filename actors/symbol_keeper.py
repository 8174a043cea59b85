"""The keeper of per-symbol settings: writes what an operator sets, notices what was changed in the table from outside.

A change by an operator is one transaction with its event, done when the answer is given; it needs the database, as an
entry does. What changed, by whomever, is told to the owners of open positions, who take over what became tighter.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from actors.clock import Cancellable
from actors.directory import Directory
from actors.guard import ActorContext, patience
from actors.messages import SetSymbol, Tick
from actors.owners import Owners
from actors.recording import Recorder, log, plain_event
from actors.reloading import difference, tell_owners
from actors.reporting import ReportingActor
from actors.symbol_book import Page, SymbolBook, laid_over
from config.in_force import SettingsInForce
from config.symbol_settings import NOTHING, SECTIONS, SymbolSettings, changed, to_row
from domain.catalogue import EventType
from domain.position.inputs import RulesChanged
from domain.position.state import Position
from domain.records import SymbolChange
from persistence.codec import to_json
from persistence.database import DatabaseAway
from persistence.writer import commit

LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the keeper is given."""

    book: SymbolBook
    in_force: SettingsInForce
    owners: Owners
    directory: Directory
    recorder: Recorder
    conninfo: str


class SymbolKeeper(ReportingActor):
    """The only one of us who writes the table."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._timer: Cancellable | None = None

    def started(self) -> None:
        """What holds at the start is no change."""
        self._look()

    def receive(self, message: Any) -> object:
        """A wish of an operator, or the time to look."""
        match message:
            case SetSymbol():
                return self._set(message)
            case Tick():
                self._look()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _look(self) -> None:
        try:
            page = self._wiring.book.refresh()
        except DatabaseAway:
            pass  # the book has said so, once; the last reading stands
        else:
            self._compare(page)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.remind_after(LOOK_EVERY_S, Tick())

    def _compare(self, page: Page) -> None:
        """Tell what is different from the last page that was told of, by this keeper or one before it."""
        before = self._wiring.book.told
        for name, fault in page.wrong.items():
            if before.wrong.get(name) != fault:
                self.report(EventType.SYMBOL_SETTINGS_REFUSED, {"name": name, "error": fault}, symbol=name)
        known = {} if before.read_at is None else dict.fromkeys([*before.own, *page.own])
        for symbol in known:
            old, new = before.own.get(symbol, NOTHING), page.own.get(symbol, NOTHING)
            if old != new:
                self.report(EventType.SYMBOL_SETTINGS_CHANGED, {"by": "database", **_said(old, new)}, symbol=symbol)
                self._tell_owners(symbol, old, new)
        self._told(page)

    def _told(self, page: Page) -> None:
        """Behind the telling: who dies in between leaves it to its successor, who may tell it twice."""
        if not self.fenced:  # else nothing was told
            self._wiring.book.told = page

    def _set(self, wanted: SetSymbol) -> SymbolSettings:
        """Raises WrongSymbolSetting, DatabaseAway: then nothing has changed."""
        book = self._wiring.book
        page = book.refresh()
        self._compare(page)
        old = book.known(wanted.symbol)
        new = changed(old, wanted.values, self._wiring.in_force.now)
        now = self.clock.now()
        data = {"by": f"uid {wanted.uid}", "uid": wanted.uid, **_said(old, new)}
        event = plain_event(EventType.SYMBOL_SETTINGS_CHANGED, now, data, symbol=wanted.symbol)
        # Under the name that the table has: another row of the same symbol would not count.
        name = page.names.get(wanted.symbol, wanted.symbol)
        change = SymbolChange(symbol=name, row=to_row(name, new))
        commit(self._wiring.conninfo, self.recorder.record(now, events=[event], symbols=(change,)), patience)
        log([event])
        self._tell_owners(wanted.symbol, old, new)
        self._told(replace(book.told, own={**book.told.own, wanted.symbol: _as_read(new)}))
        with contextlib.suppress(DatabaseAway):  # it is written; the book has said that it could not be read again
            book.refresh()
        return new

    def _tell_owners(self, symbol: str, old: SymbolSettings, new: SymbolSettings) -> None:
        settings = self._wiring.in_force.now

        def change(p: Position) -> RulesChanged | None:
            if p.symbol != symbol:
                return None
            return difference(laid_over(settings, p.account, old), laid_over(settings, p.account, new))

        tell_owners(self._wiring.owners, self._wiring.directory, change)


def _as_read(own: SymbolSettings) -> SymbolSettings:
    """As the table gives it back: an exact number among the overrides is text there."""
    return own.model_copy(update={name: json.loads(to_json(getattr(own, name))) for name in SECTIONS})


def _said(old: SymbolSettings, new: SymbolSettings) -> Mapping[str, object]:
    """What differs, old and new, as an event carries it."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    differing = [name for name in after if before[name] != after[name]]
    return {"old": {name: before[name] for name in differing}, "new": {name: after[name] for name in differing}}

"""Names of symbols as operators write them, read as each account's venue spells them (SYSTEM A10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from adapters.exchange.symbols import SymbolNames, UnknownSymbol
from domain.instrument import Instrument


class Spellings:
    """The names of all accounts' instruments, made anew when instruments or aliases change. Shared by threads."""

    def __init__(
        self, instruments: Mapping[str, Mapping[str, Instrument]], aliases: Callable[[], Mapping[str, str]]
    ) -> None:
        """`instruments` by account, as the gateways keep them; `aliases` are the configured ones."""
        self._instruments = instruments
        self._aliases = aliases
        self._made: dict[str | None, tuple[object, SymbolNames]] = {}

    def of(self, account: str) -> SymbolNames:
        """How the account's venue spells its instruments."""
        return self._names(account, dict(self._instruments[account]))

    def anywhere(self) -> SymbolNames:
        """The names of whichever account knows them."""
        together: dict[str, Instrument] = {}
        for instruments in self._instruments.values():
            together |= dict(instruments)
        return self._names(None, together)

    def _names(self, account: str | None, instruments: Mapping[str, Instrument]) -> SymbolNames:
        aliases = self._aliases()
        made_of = (tuple(instruments), aliases)
        known = self._made.get(account)
        if known is None or known[0] != made_of:
            known = (made_of, SymbolNames(instruments, aliases))
            self._made[account] = known
        return known[1]


def as_spelled(listed: Iterable[str], names: SymbolNames) -> frozenset[str]:
    """The listed symbols by the venue's ids; one that the venue does not know stays as it was written.

    It must not vanish: an allow list of nothing but unknown symbols still allows nothing.
    """
    found = set()
    for symbol in listed:
        try:
            found.add(names.canonical(symbol))
        except UnknownSymbol:
            found.add(symbol)
    return frozenset(found)

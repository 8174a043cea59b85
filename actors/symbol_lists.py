"""Lists of symbols as operators write them, read as one venue spells them (SYSTEM A10)."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.exchange.symbols import SymbolNames, UnknownSymbol


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

"""The one normaliser of symbol names (SYSTEM A10): any usual spelling -> the venue's id, which is ours too.

`BTCUSDT`, `BTC/USDT:USDT`, `BTC/USDT`, `BTC_USDT`, `BTC-USDT-SWAP`, `BTCUSDT.P`, in any case. Others only as
configured aliases. It never guesses: a name that fits no known instrument is an error that names the nearest ones.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

_SUFFIX = re.compile(r"(?:\.P|[-_]SWAP|[-_]PERP)$")
_SEPARATORS = re.compile(r"[-_/]")
_SETTLED = re.compile(r"(?P<pair>[^:]+):(?P<settle>[^:]+)")


class UnknownSymbol(ValueError):
    """A name that fits no instrument of the venue. `suggestions` are the nearest known symbols."""

    def __init__(self, name: str, suggestions: tuple[str, ...]) -> None:
        hint = f"; nearest: {', '.join(suggestions)}" if suggestions else ""
        super().__init__(f"symbol={name!r}: no such perpetual at this venue{hint}")
        self.name = name
        self.suggestions = suggestions


class SymbolNames:
    """The names of one venue's instruments."""

    def __init__(self, symbols: Iterable[str], aliases: Mapping[str, str] | None = None) -> None:
        """`aliases` maps a configured name to any spelling of a symbol. Raises UnknownSymbol."""
        self._known = {symbol.upper(): symbol for symbol in symbols}
        self._aliases: dict[str, str] = {}
        for alias, target in (aliases or {}).items():
            self._aliases[alias.strip().upper()] = self.canonical(target)

    def canonical(self, name: str) -> str:
        """The venue's id of the perpetual that `name` means. Raises UnknownSymbol."""
        text = name.strip().upper()
        if text in self._aliases:
            return self._aliases[text]
        if text in self._known:
            return self._known[text]
        plain = _plain(text)
        if plain in self._known:
            return self._known[plain]
        nearest = difflib.get_close_matches(plain or text, self._known, n=3, cutoff=0.6)
        raise UnknownSymbol(name, tuple(self._known[symbol] for symbol in nearest))


def _plain(text: str) -> str:
    """Base and quote joined; empty when the settlement currency says that it is another kind of contract."""
    text = _SUFFIX.sub("", text)
    settled = _SETTLED.fullmatch(text)
    if settled is not None:
        text = settled["pair"]
        if not text.endswith(settled["settle"]):
            return ""
    return _SEPARATORS.sub("", text)

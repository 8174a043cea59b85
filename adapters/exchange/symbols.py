"""The one normaliser of symbol names (SYSTEM A10): any usual spelling -> the venue's id, which is ours too.

Rules of this file:
- Every spelling of every instrument is written down beforehand and looked up whole; nothing is cut off a name, so that
  a dated or an inverse contract can never be taken for the perpetual of the same coin.
- A spelling that two instruments share means neither of them.
- Case is that of ASCII letters only: other alphabets fold letters of different names into one.
- It never guesses: what fits nothing is an error that says what was probably meant.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Iterator, Mapping

from domain.instrument import Instrument

_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_SWAPS = ("-SWAP", "_SWAP", "-PERP", "_PERP", ".P")
_SEPARATORS = re.compile(r"[-_/:.]+")
_DATED = re.compile(r"[-_:/]\d{6}$|[-_:]\d{1,2}[A-Z]{3}\d{2}$|USD[HMUZ]\d{2}$|-\d{6}-")
_SETTLED = re.compile(r"[^:]+:(?P<settle>[^:]+)")
_USDC = re.compile(r"USDC|[^-_/:.]{2,}(?<!USD)(?<!USDT)PERP$")
_INVERSE = re.compile(r"[^-_/:.]+[-_/]?USD(?:[-_.](?:SWAP|PERP|P))?")
_MULTIPLIER = re.compile(r"^1(?:0{3,}|M)|(?<=\D)10{3,}(?=\D)")


class UnknownSymbol(ValueError):
    """A name that fits no instrument of the venue, or more than one. `suggestions` are the nearest known symbols."""

    def __init__(self, name: str, why: str, suggestions: tuple[str, ...]) -> None:
        hint = f"; nearest: {', '.join(suggestions)}" if suggestions else ""
        super().__init__(f"symbol={name!r}: {why}{hint}")
        self.name = name
        self.suggestions = suggestions


class SymbolNames:
    """The names of one venue's instruments."""

    def __init__(self, instruments: Mapping[str, Instrument], aliases: Mapping[str, str] | None = None) -> None:
        """`aliases` maps a configured name to any spelling of a symbol; one that leads nowhere at this venue is none.

        An instrument's own spellings come before an alias.
        """
        self._known: dict[str, set[str]] = {}
        for symbol, instrument in instruments.items():
            for form in spellings(instrument):
                self._known.setdefault(_upper(form), set()).add(symbol)
        self._symbols = tuple(instruments)
        for alias, target in (aliases or {}).items():
            meant = self._known.get(_upper(target))
            if meant is not None:
                self._known.setdefault(_upper(alias), meant)

    def canonical(self, name: str) -> str:
        """The venue's id of the perpetual that `name` means. Raises UnknownSymbol."""
        found = sorted(self._known.get(_upper(name), ()))
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownSymbol(name, "means more than one perpetual", tuple(found))
        raise UnknownSymbol(name, _meant(_upper(name)), self._nearest(_upper(name)))

    def spelled(self, name: str) -> tuple[str, ...]:
        """Every spelling, in capitals, of the perpetual that `name` means; of an unknown name that name alone."""
        try:
            symbol = self.canonical(name)
        except UnknownSymbol:
            return (_upper(name),)
        return tuple(form for form, meant in self._known.items() if meant == {symbol})

    def _nearest(self, text: str) -> tuple[str, ...]:
        plain = _SEPARATORS.sub("", _without_suffix(text.partition(":")[0]))
        coin = _MULTIPLIER.sub("", plain)
        bundles = [symbol for symbol in self._symbols if coin and _MULTIPLIER.sub("", symbol) == coin]
        close = difflib.get_close_matches(plain or text, self._symbols, n=3, cutoff=0.6)
        return tuple(dict.fromkeys([*bundles, *close]))[:3]


def spellings(instrument: Instrument) -> Iterator[str]:
    """Every name that means this perpetual, in capitals where the venue writes so."""
    symbol, base, quote = instrument.symbol, instrument.base, instrument.quote
    yield symbol
    yield from (f"{symbol}{swap}" for swap in _SWAPS)
    for separator in ("/", "_", "-"):
        pair = f"{base}{separator}{quote}"
        yield pair
        yield from (f"{pair}{swap}" for swap in _SWAPS)
    yield f"{base}/{quote}:{quote}"


def _upper(name: str) -> str:
    return name.strip().translate(_UPPER)


def _without_suffix(text: str) -> str:
    return next((text.removesuffix(swap) for swap in _SWAPS if text.endswith(swap)), text)


def _meant(text: str) -> str:
    """What a name that means no instrument of ours looks like."""
    settled = _SETTLED.fullmatch(text)
    if _DATED.search(text):
        return "a future with an expiry date; only perpetuals are traded"
    if _USDC.search(text) or (settled is not None and settled["settle"].startswith("USDC")):
        return "a USDC-margined contract; only USDT margin is traded"
    if settled is not None and settled["settle"] != "USDT":
        return "an inverse contract, margined in its coin; only USDT margin is traded"
    if _INVERSE.fullmatch(text):
        return "an inverse contract, or a name that wants an alias (symbols.aliases); only USDT margin is traded"
    return "no such perpetual at this venue"

"""One normaliser for every spelling of a symbol (SYSTEM A10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange.symbols import SymbolNames, UnknownSymbol

KNOWN = ("BTCUSDT", "ETHUSDT", "1000PEPEUSDT", "BTCUSDC")
NAMES = SymbolNames(KNOWN, {"BTC_USD": "BTC/USDT", "xbt": "BTCUSDT"})


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("btcusdt", "BTCUSDT"),
        (" BTCUSDT ", "BTCUSDT"),
        ("BTC/USDT:USDT", "BTCUSDT"),
        ("btc/usdt:usdt", "BTCUSDT"),
        ("BTC/USDT", "BTCUSDT"),
        ("BTC_USDT", "BTCUSDT"),
        ("BTC-USDT", "BTCUSDT"),
        ("BTC-USDT-SWAP", "BTCUSDT"),
        ("BTC_USDT_PERP", "BTCUSDT"),
        ("BTCUSDT.P", "BTCUSDT"),
        ("btcusdt.p", "BTCUSDT"),
        ("1000PEPE/USDT:USDT", "1000PEPEUSDT"),
        ("BTC/USDC:USDC", "BTCUSDC"),
        ("BTC_USD", "BTCUSDT"),
        ("btc_usd", "BTCUSDT"),
        ("XBT", "BTCUSDT"),
    ],
)
def test_every_usual_spelling_is_understood(name: str, symbol: str) -> None:
    assert NAMES.canonical(name) == symbol


@pytest.mark.parametrize(
    "name", ["", "BTC", "PEPEUSDT", "BTC/USD:BTC", "BTC/USDT:BTC", "BTCUSDT_260327", "USDT/BTC", "/", ":"]
)
def test_what_fits_no_instrument_is_refused(name: str) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        NAMES.canonical(name)
    assert repr(name) in str(caught.value)


def test_the_error_names_the_nearest_symbols() -> None:
    with pytest.raises(UnknownSymbol, match="nearest: BTCUSDT") as caught:
        NAMES.canonical("BTTUSDT")
    assert caught.value.suggestions[0] == "BTCUSDT"


def test_an_alias_of_nothing_is_refused_at_once() -> None:
    with pytest.raises(UnknownSymbol, match="DOGEUSDT"):
        SymbolNames(KNOWN, {"DOGE": "DOGEUSDT"})


@given(
    st.sampled_from(KNOWN),
    st.sampled_from(["{b}{q}", "{b}/{q}", "{b}_{q}", "{b}-{q}", "{b}/{q}:{q}", "{b}-{q}-SWAP", "{b}{q}.P"]),
    st.booleans(),
)
def test_all_spellings_of_all_symbols_agree(symbol: str, form: str, lower: bool) -> None:
    name = form.format(b=symbol[:-4], q=symbol[-4:])
    assert NAMES.canonical(name.lower() if lower else name) == symbol


@given(st.text(max_size=20))
def test_anything_else_gives_a_known_symbol_or_the_error(name: str) -> None:
    try:
        symbols = {NAMES.canonical(name)}
    except UnknownSymbol as error:
        symbols = set(error.suggestions)
    assert symbols <= set(KNOWN)

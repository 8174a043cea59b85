"""One normaliser for every spelling of a symbol (SYSTEM A10), over the venues' ways of naming."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange.symbols import SymbolNames, UnknownSymbol, spellings
from domain.instrument import Instrument
from tests.unit.exchange import market_lists

VENUES = {"binance": market_lists.binance(), "bybit": market_lists.bybit()}
NAMES = {venue: SymbolNames(instruments) for venue, instruments in VENUES.items()}
ALIASES = {"BTC_USD": "BTC/USDT", "xbt": "btcusdt", "MATIC": "MATICUSDT", "ETHUSDT": "BTCUSDT"}
EVERY = [(venue, symbol) for venue, instruments in VENUES.items() for symbol in instruments]

SPELLED = [
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
    ("BTC-USDT-PERP", "BTCUSDT"),
    ("BTCUSDT-PERP", "BTCUSDT"),
    ("BTCUSDT_PERP", "BTCUSDT"),
    ("BTCUSDT.P", "BTCUSDT"),
    ("btcusdt.p", "BTCUSDT"),
    ("1000PEPE/USDT:USDT", "1000PEPEUSDT"),
    ("1000pepe-usdt-swap", "1000PEPEUSDT"),
    ("1000000MOG_USDT", "1000000MOGUSDT"),
    ("1INCH-USDT", "1INCHUSDT"),
    ("API3/USDT", "API3USDT"),
    ("A/USDT", "AUSDT"),
    ("0G_USDT", "0GUSDT"),
    ("USDC/USDT:USDT", "USDCUSDT"),
]
ONE_VENUE = [
    ("binance", "币安人生USDT", "币安人生USDT"),
    ("binance", "币安人生/usdt:usdt", "币安人生USDT"),
    ("binance", "1mbabydoge/usdt", "1MBABYDOGEUSDT"),
    ("binance", "BTCDOM-USDT", "BTCDOMUSDT"),
    ("binance", "4/USDT", "4USDT"),
    ("bybit", "SHIB1000/USDT:USDT", "SHIB1000USDT"),
    ("bybit", "perp_usdt", "PERPUSDT"),
]
REFUSED = [
    ("", "no such perpetual"),
    ("BTC", "no such perpetual"),
    ("USDT", "no such perpetual"),
    ("USDT/BTC", "no such perpetual"),
    ("/", "no such perpetual"),
    (":", "no such perpetual"),
    ("BTC//USDT", "no such perpetual"),
    ("BTC/USDT:USDT:USDT", "no such perpetual"),
    ("B-TCUSDT", "no such perpetual"),
    ("BTCUSDT.P.P", "no such perpetual"),
    ("BTC USDT", "no such perpetual"),
    ("BTC\u0131USDT", "no such perpetual"),  # a dotless i is a letter of its own
    ("B\u0422CUSDT", "no such perpetual"),  # a Cyrillic T too
    ("BTCUSDC", "USDC-margined"),
    ("BTC/USDC:USDC", "USDC-margined"),
    ("BTC-USDC-SWAP", "USDC-margined"),
    ("BTCPERP", "USDC-margined"),
    ("BTCUSDT_260327", "expiry"),
    ("BTC/USDT:USDT-260327", "expiry"),
    ("BTC-USDT-260327", "expiry"),
    ("BTCUSDT-27MAR26", "expiry"),
    ("BTC-27MAR26", "expiry"),
    ("BTCUSDH26", "expiry"),
    ("BTC/USD:BTC", "inverse"),
    ("BTC/USDT:BTC", "inverse"),
    ("BTCUSD", "inverse"),
    ("BTCUSD_PERP", "inverse"),
    ("BTC-USD-SWAP", "inverse"),
    ("BTC_USD", "inverse contract, or a name that wants an alias"),
]


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(("name", "symbol"), SPELLED)
def test_every_usual_spelling_is_understood(venue: str, name: str, symbol: str) -> None:
    assert NAMES[venue].canonical(name) == symbol


@pytest.mark.parametrize(("venue", "name", "symbol"), ONE_VENUE)
def test_a_venues_own_names_are_understood(venue: str, name: str, symbol: str) -> None:
    assert NAMES[venue].canonical(name) == symbol


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(("name", "why"), REFUSED)
def test_what_is_no_perpetual_of_ours_is_refused_and_says_what_it_is(venue: str, name: str, why: str) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        NAMES[venue].canonical(name)
    assert repr(name) in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("venue", "name", "meant"),
    [
        ("binance", "PEPEUSDT", "1000PEPEUSDT"),
        ("bybit", "PEPE/USDT:USDT", "1000PEPEUSDT"),
        ("binance", "SHIB-USDT-SWAP", "1000SHIBUSDT"),
        ("bybit", "SHIB_USDT", "SHIB1000USDT"),
        ("bybit", "1000SHIBUSDT", "SHIB1000USDT"),
        ("binance", "BABYDOGEUSDT", "1MBABYDOGEUSDT"),
        ("binance", "BTTUSDT", "BTCUSDT"),
    ],
)
def test_a_multiplied_coin_is_another_contract_and_is_named(venue: str, name: str, meant: str) -> None:
    """A thousand PEPE are not one PEPE: taking one for the other would be wrong by a factor of thousand."""
    with pytest.raises(UnknownSymbol) as caught:
        NAMES[venue].canonical(name)
    assert meant in caught.value.suggestions


@pytest.mark.parametrize("venue", VENUES)
def test_no_two_instruments_share_a_spelling(venue: str) -> None:
    owners: dict[str, set[str]] = {}
    for symbol, instrument in VENUES[venue].items():
        for form in spellings(instrument):
            owners.setdefault(form, set()).add(symbol)
    assert {form: found for form, found in owners.items() if len(found) > 1} == {}


def test_a_spelling_that_two_instruments_share_means_neither() -> None:
    one = VENUES["binance"]["BTCUSDT"]
    shared = {"BTCUSDT": one, "btcusdt": replace(one, symbol="btcusdt"), "XBTUSDT": replace(one, symbol="XBTUSDT")}
    for name in ("BTCUSDT", "btcusdt", "BTC/USDT"):
        with pytest.raises(UnknownSymbol, match="more than one perpetual"):
            SymbolNames(shared).canonical(name)
    assert SymbolNames(shared).canonical("XBTUSDT") == "XBTUSDT"


def test_what_means_a_symbol_is_listed_whole_and_an_unknown_name_means_itself() -> None:
    names = SymbolNames(VENUES["binance"], ALIASES)
    spelled = names.spelled("btc-usdt-swap")
    assert {"BTCUSDT", "BTC/USDT:USDT", "BTC_USDT", "XBT"} <= set(spelled)
    assert all(names.canonical(form) == "BTCUSDT" for form in spelled)
    assert names.spelled(" nosuchusdt") == ("NOSUCHUSDT",)


def test_aliases_are_read_in_any_case_and_never_take_a_symbols_own_name() -> None:
    names = SymbolNames(VENUES["binance"], ALIASES)
    assert [names.canonical(name) for name in ("BTC_USD", "btc_usd", "XBT")] == ["BTCUSDT"] * 3
    assert names.canonical("ETHUSDT") == "ETHUSDT"
    for name in ("BTC-USD", "MATIC"):  # not configured; configured, but for a symbol that is not there
        with pytest.raises(UnknownSymbol):
            names.canonical(name)


def _cased(name: str, capitals: list[bool]) -> str:
    turned = [c.lower() if low and c.isascii() else c for c, low in zip(name, capitals, strict=False)]
    return "".join(turned) + name[len(turned) :]


@given(st.sampled_from(EVERY), st.integers(0, 99), st.lists(st.booleans(), max_size=40))
def test_every_spelling_of_every_symbol_means_it(which: tuple[str, str], number: int, lower: list[bool]) -> None:
    venue, symbol = which
    instrument: Instrument = VENUES[venue][symbol]
    forms = list(spellings(instrument))
    name = _cased(forms[number % len(forms)], lower)
    assert NAMES[venue].canonical(name) == symbol


@given(st.one_of(st.text(max_size=20), st.text(alphabet="BTCUSDTPERSWA1000-_/:.", max_size=16)))
def test_anything_else_gives_one_symbol_or_the_error(name: str) -> None:
    try:
        found = {NAMES["bybit"].canonical(name)}
    except UnknownSymbol as error:
        found = set(error.suggestions)
    assert found <= set(VENUES["bybit"])

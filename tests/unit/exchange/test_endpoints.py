"""Nothing leaves for another host when both addresses are set; paths stay what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import ccxt.pro
import pytest

from adapters.exchange.access import AccountAccess
from adapters.exchange.binance import BinanceVenue
from adapters.exchange.bybit import BybitVenue
from adapters.exchange.endpoints import point_at
from adapters.exchange.instances import config, direct

REST, WS = "https://gate.example:8443", "wss://stream.example:9443"


def leaves(branch: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every address in a tree."""
    if isinstance(branch, dict):
        for name, part in branch.items():
            yield from leaves(part, f"{path}.{name}")
    elif isinstance(branch, list):
        for number, part in enumerate(branch):
            yield from leaves(part, f"{path}[{number}]")
    elif isinstance(branch, str):
        yield path, branch


def access(**changes: Any) -> AccountAccess:
    values: dict[str, Any] = {"account": "main", "exchange": "binanceusdm", "api_key": "k", "secret": "s"}
    return AccountAccess(**(values | changes))


MAKERS: list[Callable[[AccountAccess], Any]] = [
    BinanceVenue().open,
    BybitVenue().open,
    lambda where: direct(ccxt.pro.binanceusdm(config(where)), where),
    lambda where: direct(ccxt.pro.bybit(config(where)), where),
]


@pytest.mark.parametrize("demo", [False, True])
@pytest.mark.parametrize("made", MAKERS)
def test_no_address_of_the_whole_tree_leaves_for_another_host(
    demo: bool, made: Callable[[AccountAccess], Any]
) -> None:
    api = made(access(rest_url=REST, ws_url=WS, demo=demo))
    found = [(path, urlsplit(text)) for path, text in leaves(api.urls) if "://" in text]
    assert len(found) > 15
    for path, address in found:
        expected = WS if address.scheme in ("ws", "wss") else REST
        assert f"{address.scheme}://{address.netloc}" == expected, path


def test_paths_are_kept_and_the_stream_base_ends_in_ws() -> None:
    before = ccxt.pro.binanceusdm().urls
    after = point_at(before, REST, WS)
    assert [urlsplit(text).path for _, text in leaves(before)] == [urlsplit(text).path for _, text in leaves(after)]
    assert after["api"]["ws"]["linear"] == f"{WS}/ws"
    assert after["api"]["fapiPrivateV2"] == f"{REST}/fapi/v2"


def test_each_address_replaces_its_own_kind_only() -> None:
    before = ccxt.pro.binanceusdm().urls
    rest_only, ws_only = point_at(before, REST, None), point_at(before, None, WS)
    assert rest_only["api"]["ws"] == before["api"]["ws"]
    assert ws_only["api"]["fapiPrivate"] == before["api"]["fapiPrivate"]
    assert point_at(before, None, None) == before


def test_demo_trading_uses_the_venues_demo_hosts() -> None:
    api = BinanceVenue().open(access(demo=True))
    assert urlsplit(api.urls["api"]["fapiPrivate"]).hostname == "demo-fapi.binance.com"
    api = direct(ccxt.pro.bybit(config(access(demo=True))), access(demo=True))
    rest, private = api.urls["api"]["private"], api.urls["api"]["ws"]["private"]["contract"]
    assert api.implode_hostname(rest) == "https://api-demo.bybit.com"
    assert api.implode_hostname(private) == "wss://stream-demo.bybit.com/v5/private"


@pytest.mark.parametrize(
    ("rest_url", "ws_url", "named"),
    [
        ("gate.example", None, "rest_url"),
        ("ws://gate.example", None, "rest_url"),
        ("https://gate.example/api", None, "rest_url"),
        (None, "https://gate.example", "ws_url"),
        (None, "wss://gate.example/ws", "ws_url"),
        (None, "wss://", "ws_url"),
    ],
)
def test_an_unusable_address_is_refused_by_name(rest_url: str | None, ws_url: str | None, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        point_at({}, rest_url, ws_url)

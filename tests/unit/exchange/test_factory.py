"""What the core reads of each exchange before anything is connected."""

from __future__ import annotations

import pytest

from adapters.exchange.factory import (
    EXCHANGES,
    capabilities,
    open_account_stream,
    open_prices,
    open_trading,
    venue_rules,
)
from domain.position.plan import MoveStyle, VenueRules
from tests.unit.exchange.recording_venue import RecordingVenue, now


@pytest.mark.parametrize(
    ("exchange", "wanted"),
    [
        (
            "binanceusdm",
            VenueRules(attached_stop=False, close_position_stop=True, move=MoveStyle.NEW_BEFORE_CANCEL),
        ),
        ("bybit", VenueRules(attached_stop=True, close_position_stop=False, move=MoveStyle.ATTACHED)),
    ],
)
def test_a_position_decides_by_what_its_venue_can_do(exchange: str, wanted: VenueRules) -> None:
    assert venue_rules(exchange) == wanted


@pytest.mark.parametrize("exchange", list(EXCHANGES))
def test_every_exchange_opens_its_three_connections_and_names_its_limits(exchange: str) -> None:
    access = RecordingVenue(answers={}, exchange=exchange, url="http://127.0.0.1:1").access()
    client = open_trading(access, now)
    assert client.capabilities == capabilities(exchange)
    assert client.capabilities.reading == 1 + len(EXCHANGES[exchange].venue().open_orders())
    assert client.capabilities.hedge_mode
    open_prices(access, now)
    open_account_stream(access, now)


def test_an_exchange_that_we_do_not_speak_is_named_with_those_that_we_do() -> None:
    access = RecordingVenue(answers={}, exchange="kraken", url="http://127.0.0.1:1").access()
    with pytest.raises(ValueError, match="exchange='kraken': must be one of binanceusdm, bybit"):
        venue_rules("kraken")
    for opening in (open_trading, open_prices, open_account_stream):
        with pytest.raises(ValueError, match="account=main exchange='kraken'"):
            opening(access, now)

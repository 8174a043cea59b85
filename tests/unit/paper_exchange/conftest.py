"""Fixtures of the paper exchange's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.paper_exchange.bybit_venue import BybitVenue
from tests.unit.paper_exchange.hand import Hand
from tests.unit.paper_exchange.venue import Venue


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    """An exchange with the Binance dialect, in this process."""
    venue = Venue(tmp_path)
    yield venue
    venue.close()


@pytest.fixture
def hand(venue: Venue) -> Hand:
    """The control endpoints of that exchange."""
    return Hand(venue)


@pytest.fixture
def bybit(tmp_path: Path) -> Iterator[BybitVenue]:
    """An exchange with the Bybit dialect, in this process."""
    venue = BybitVenue(tmp_path)
    yield venue
    venue.close()


@pytest.fixture
def hedged(tmp_path: Path) -> Iterator[BybitVenue]:
    """The same in hedge mode."""
    venue = BybitVenue(tmp_path, hedge=True)
    yield venue
    venue.close()

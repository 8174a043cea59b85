"""Fixtures of the paper exchange's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.paper_exchange.venue import Venue


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    """An exchange with the Binance dialect, in this process."""
    venue = Venue(tmp_path)
    yield venue
    venue.close()

"""Events that a running service produces only when something seldom happens: their figures, their alerts, their effect.

One service: stories on symbols of their own at the same time, then those that concern everything, one after another.
How one would notice it broken: an event of the catalogue that `make events` lists, or one whose figures say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.end_to_end.fault_stage import Stage, Venue, Watch
from tests.end_to_end.performances import Performance, judged, tried
from tests.end_to_end.seldom_stories import ALONE, TOGETHER
from tests.end_to_end.service import ServiceProcess, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

VENUE = Venue(exchange="binanceusdm")
SYMBOLS = (
    "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT", "DOTUSDT", "BCHUSDT",
)  # fmt: skip
SETTINGS = {"reconciler": {"interval_s": 30}}


@pytest.fixture(scope="module")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Performance]:
    """All stories, played once."""
    with running(tmp_path_factory.mktemp("seldom"), SETTINGS) as service:
        yield perform(service)


def perform(service: ServiceProcess) -> Performance:
    """Play everything."""
    service.control("partial_fills", percent=0)  # a hand's order in parts would overtake the cancels of its own stops
    watch = Watch(service.timeline)
    stages = [Stage(service, watch, VENUE, symbol, "short" if n % 2 else "long") for n, symbol in enumerate(SYMBOLS)]
    failures: dict[str, Exception | None] = {}
    with ThreadPoolExecutor(len(TOGETHER)) as threads:
        given = zip(TOGETHER.items(), stages, strict=True)
        tries = {name: threads.submit(tried, story, stage) for (name, story), stage in given}
        failures |= {name: each.result() for name, each in tries.items()}
    for (name, story), symbol in zip(ALONE.items(), ("SOLUSDT", "BTCUSDT", "ETHUSDT"), strict=True):
        failures[name] = tried(story, Stage(service, watch, VENUE, symbol, "long"))
    return judged(service, failures)


@pytest.mark.parametrize("name", [*TOGETHER, *ALONE])
def test_is_told_and_comes_right(performance: Performance, name: str) -> None:
    failure = performance.failures[name]
    if failure is not None:
        raise failure


def test_no_law_was_broken_and_the_books_agree(performance: Performance) -> None:
    assert performance.judgement == ""

"""The heartbeat: asked while all is alive, no more often than set, and its failing is told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from actors.clock import VirtualClock
from actors.heartbeat import Heartbeat
from config.notifier import Notifier
from domain.catalogue import EventType, Severity
from tests.actors.order_path.stage import until
from tests.unit.channels.servers import Answer, Site, serving


class Watched:
    """A heartbeat, its clock, and what it told."""

    def __init__(self, url: str) -> None:
        self.clock = VirtualClock(datetime(2026, 11, 30, tzinfo=UTC))
        self.told: list[tuple[EventType, dict[str, object]]] = []
        settings = Notifier(heartbeat_url=SecretStr(url), heartbeat_every_s=60)
        self.heart = Heartbeat(settings, self.clock, self._tell)

    def _tell(self, event: EventType, data: dict[str, object]) -> None:
        self.told.append((event, data))

    def beat_until(self, ready: Callable[[], Any]) -> None:
        """A minute later, as the main thread would, until it has come to this."""
        self.clock.advance(60)

        def again() -> Any:
            self.heart.alive()
            return ready()

        until(again)


def test_it_is_asked_once_a_while_and_only_by_who_says_alive() -> None:
    with serving(Site()) as site:
        watched = Watched(f"{site.url}/ping/secretpart")
        for _ in range(20):
            watched.heart.alive()
        until(lambda: site.requests)
        watched.clock.advance(59)
        watched.heart.alive()
        assert len(site.requests) == 1
        watched.beat_until(lambda: len(site.requests) == 2)
        assert watched.told == []


def test_its_failing_is_a_warning_told_once_and_its_return_too() -> None:
    with serving(Site()) as site:
        site.good = Answer(404, "no such check")
        watched = Watched(f"{site.url}/ping/secretpart")
        watched.beat_until(lambda: watched.told)
        watched.beat_until(lambda: len(site.requests) == 2)
        watched.beat_until(lambda: len(site.requests) == 3)
        assert watched.told == [(EventType.HEARTBEAT_FAILED, {"error": "HTTP 404: no such check"})]
        assert EventType.HEARTBEAT_FAILED.severity is Severity.WARNING
        site.good = Answer(200, "OK")
        watched.beat_until(lambda: len(watched.told) == 2)
        assert watched.told[1] == (EventType.HEARTBEAT_RESTORED, {})


def test_one_that_hangs_delays_nobody() -> None:
    with serving(Site()) as site:
        site.good = Answer(hang=True)
        watched = Watched(site.url)
        watched.beat_until(lambda: site.requests)
        watched.clock.advance(600)
        watched.heart.alive()  # comes back at once, and does not ask a second time
        assert len(site.requests) == 1


def test_without_an_address_nothing_is_asked() -> None:
    watched = Watched("")
    watched.heart.alive()
    assert watched.told == []

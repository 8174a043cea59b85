"""Signal servers that misbehave, each in its own way: what was sent is stored, once, and health tells the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from actors import messages
from actors.messages import FeedState
from adapters.signals import client
from tests.actors.desk.rude_source import RudeSource
from tests.actors.desk.scene import Scene
from tests.end_to_end.signal_source import signal_row
from tests.persistence.conftest import Query

STORED = "SELECT id FROM fas.signals ORDER BY sequence"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.1)


def frame(*rows: object) -> str:
    return json.dumps({"type": "signals", "signals": rows})


def health(scene: Scene, state: str) -> Any:
    """How the feed is, once it is so."""

    def look() -> Any:
        found = scene.stage.ask(messages.SIGNAL_FEED, FeedState())
        return found if found.state == state else None

    return scene.wait(look, f"a feed that is {state}")


def test_a_wrong_token_is_down_with_the_reason_and_never_shown(scene: Scene, lines: list[str]) -> None:
    async def never(_: ServerConnection, __: dict[str, Any]) -> None:
        raise AssertionError("nobody was to come in")

    with RudeSource(never, token="right") as source:
        scene.desk().feed(source.url, "wr0ng-t0ken")
        scene.wait(lambda: source.turned_away > 2, "more tries")
        found = health(scene, "down")
    assert "401" in found.reason
    assert source.hellos == []
    assert not [line for line in lines if "wr0ng-t0ken" in line]


NAMES = [f"d{number:02}" for number in range(12)]


def test_a_server_that_drops_in_the_middle_of_everything(scene: Scene, rows: Query) -> None:
    """Each connection brings two signals more and is torn down in another way; the server goes by `last_id`."""

    async def dropping(connection: ServerConnection, hello: dict[str, Any]) -> None:
        begin = NAMES.index(hello["last_id"]) + 1 if hello["last_id"] in NAMES else 0
        rest = [signal_row(name, "NOSUCHUSDT") for name in NAMES[begin:]]
        if len(source.hellos) % 4 == 1:
            connection.transport.abort()  # after the hello, before a word
            return
        for row in rest[:2]:
            await connection.send(frame(row))
        match len(source.hellos) % 4:
            case 2:
                connection.transport.write(b"\x81\x7e\x40\x00{")  # a frame that is never finished
                connection.transport.close()
            case 3:
                await connection.close(1011, "out of order")
            case _ if rest:
                await connection.close()

    with RudeSource(dropping) as source:
        scene.desk().feed(source.url)
        scene.wait(lambda: [r["id"] for r in rows(STORED)] == NAMES, "all twelve, in order", 40)
        scene.outcome(NAMES[-1])
    assert rows.one("SELECT count(*) AS n FROM monitoring.events WHERE event_type = 'signal_refused'")["n"] == 12
    assert scene.stage.directory.newest_incarnation(messages.SIGNAL_FEED) == 1


def test_a_server_that_replays_everything_at_each_connection(scene: Scene, rows: Query) -> None:
    async def replaying(connection: ServerConnection, _: dict[str, Any]) -> None:
        await connection.send(frame(*(signal_row(name, "NOSUCHUSDT") for name in NAMES)))
        if len(source.hellos) < 4:
            await connection.close()

    with RudeSource(replaying) as source:
        scene.desk().feed(source.url)
        source.wait_hellos(4)
        scene.wait(lambda: len(rows(STORED)) == len(NAMES), "all stored")
        for name in NAMES:
            scene.outcome(name)
        health(scene, "healthy")
    assert [r["id"] for r in rows(STORED)] == NAMES
    assert rows.one("SELECT count(*) AS n FROM monitoring.events WHERE event_type = 'signal_refused'")["n"] == 12


def test_a_server_that_drips_a_frame_in_fragments(scene: Scene) -> None:
    async def dripping(connection: ServerConnection, _: dict[str, Any]) -> None:
        text = frame(signal_row("drip", "BTCUSDT"))

        async def drops() -> AsyncIterator[str]:
            for begin in range(0, len(text), 20):
                yield text[begin : begin + 20]
                await asyncio.sleep(0.01)

        await connection.send(drops())

    with RudeSource(dripping) as source:
        scene.desk().feed(source.url)
        assert scene.outcome("drip")["outcome"] == "opened"
        assert len(source.hellos) == 1


def test_a_half_open_connection_is_noticed_and_replaced(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is gone without a word: it neither pings nor answers a ping."""
    monkeypatch.setattr(client, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(client, "PONG_WITHIN_S", 0.3)

    async def gone(connection: ServerConnection, _: dict[str, Any]) -> None:
        if len(source.hellos) == 1:
            connection.transport.pause_reading()
        else:
            await connection.send(frame(signal_row("after", "BTCUSDT")))

    with RudeSource(gone) as source:
        scene.desk().feed(source.url)
        assert scene.outcome("after", 30)["outcome"] == "opened"
    lost = scene.reader.events(type_="signal_feed_lost")
    assert "ping timeout" in lost[0]["data"]["error"]


def test_rubbish_makes_a_connected_feed_doubtful(scene: Scene) -> None:
    async def rubbish(connection: ServerConnection, _: dict[str, Any]) -> None:
        await connection.send("rubbish")
        await connection.send(frame({"id": "half"}))

    with RudeSource(rubbish) as source:
        scene.desk().feed(source.url)
        found = health(scene, "degraded")
        assert "malformed signals or frames within 60 s" in found.reason

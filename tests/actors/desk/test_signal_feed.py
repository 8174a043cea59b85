"""The signal feed against real servers that misbehave: nothing is lost, nothing stored twice, nobody else suffers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from loguru import logger
from websockets.asyncio.server import ServerConnection

from actors import messages, signal_feed
from actors.messages import FeedState
from actors.supervision import Ping
from domain.entries.waves import WaveRules
from tests.actors.desk.rude_source import RudeSource
from tests.actors.desk.scene import Scene
from tests.end_to_end.signal_source import SignalSource, signal_row
from tests.persistence.conftest import Query

MALFORMED = "SELECT event_data, error_message FROM monitoring.events WHERE event_type = 'signal_malformed' ORDER BY id"
STORED = "SELECT id FROM fas.signals ORDER BY sequence"


def frame(*rows: dict[str, Any] | object) -> str:
    return json.dumps({"type": "signals", "signals": rows})


def stored(scene: Scene, rows: Query, *names: str) -> None:
    scene.wait(lambda: [r["id"] for r in rows(STORED)] == list(names), f"{names} in the database")


def test_good_ones_of_a_mixed_frame_are_kept(scene: Scene, source: SignalSource, rows: Query) -> None:
    scene.desk().feed(source.url)
    bad = {"id": "bad", "symbol": "BTCUSDT", "exchange": "binanceusdm", "action": ["HOLD"], "created_at": "soon"}
    source.signals(signal_row("a", "BTCUSDT"), bad, signal_row("b", "ETHUSDT"))
    assert (scene.outcome("a")["outcome"], scene.outcome("b")["outcome"]) == ("opened", "opened")
    stored(scene, rows, "a", "b")
    (told,) = rows(MALFORMED)
    assert told["error_message"] == (
        "action=['HOLD']: must be one of BUY, SELL, CLOSE; created_at='soon': must be an ISO-8601 time"
    )


NASTY: dict[str, str | bytes] = {
    "NUL in the id": frame({**signal_row("x", "BTCUSDT"), "id": "a\x00b"}),
    "NUL in the frame": '{"type": "signals", "signals": [\x00]}',
    "lone surrogate": '{"type": "signals", "signals": [{"id": "\\ud800"}]}',
    "deep": '{"type": "signals", "signals": [' + "[" * 900 + "]" * 900 + "]}",
    "far too deep": "[" * 200_000,
    "binary": b"\x00\xff\xfe",
    "huge number": frame({**signal_row("x", "BTCUSDT"), "id": "n", "score_week": 10**4000}),
    "no time of this world": frame({**signal_row("x", "BTCUSDT"), "created_at": "0001-01-01T00:00:00+14:00"}),
    "oversized signal": frame({**signal_row("big", "BTCUSDT"), "note": "x" * 20_000}),
    "NaN": '{"type": "signals", "signals": [{"score_week": NaN}]}',
    "empty": "",
}


def test_nasty_frames_cost_themselves_only(scene: Scene, source: SignalSource, rows: Query) -> None:
    scene.desk().feed(source.url)
    for sent in NASTY.values():
        source.send(sent)
    source.signals(signal_row("good", "BTCUSDT"))
    assert scene.outcome("good")["outcome"] == "opened"
    stored(scene, rows, "good")
    assert len(rows(MALFORMED)) == len(NASTY)
    assert len(source.hellos) == 1, "the connection was never lost"
    assert scene.stage.directory.newest_incarnation(messages.SIGNAL_FEED) == 1, "nor did the feed fall over"


def test_strange_text_in_a_field_of_nobody_does_not_spoil_the_signal(
    scene: Scene, source: SignalSource, rows: Query
) -> None:
    """What PostgreSQL refuses (NUL, lone surrogates), and what only looks like it, is stored as far as it can be."""
    scene.desk().feed(source.url)
    body = json.dumps(signal_row("odd", "BTCUSDT"))[:-1]
    more = r', "a": "\u0000", "b": "\\u0000", "c": "\ud800", "d\u0000": 0.10}]}'
    source.send('{"type": "signals", "signals": [' + body + more)
    assert scene.outcome("odd")["outcome"] == "opened"
    raw: Any = rows.one("SELECT raw FROM fas.signals")["raw"]
    assert raw["b"] == "\\u0000"
    assert raw["a"] == "\N{REPLACEMENT CHARACTER}"
    assert raw["d\N{REPLACEMENT CHARACTER}"] == "0.10"


def test_hello_names_the_last_stored_in_order_of_receipt(scene: Scene, source: SignalSource, rows: Query) -> None:
    scene.desk().feed(source.url, "t0ken")
    source.signals(signal_row("z", "BTCUSDT"), signal_row("a", "ETHUSDT"))
    scene.outcome("a")
    source.signals(signal_row("z", "BTCUSDT"))  # a replay of what is older
    source.signals(signal_row("m", "NOSUCH"))
    scene.outcome("m")
    source.signals(signal_row("a", "BTCUSDT"))
    source.hang_up()
    source.wait_hellos(2)
    assert source.hellos == [{"type": "hello", "last_id": None}, {"type": "hello", "last_id": "m"}]
    scene.stage.kill(messages.SIGNAL_FEED)
    source.wait_hellos(3)
    assert source.hellos[2]["last_id"] == "m"
    stored(scene, rows, "z", "a", "m")


@pytest.mark.parametrize("last", [FeedState(), Ping()], ids=lambda m: type(m).__name__)
def test_a_frame_does_not_wait_for_another_behind_a_question(
    scene: Scene, source: SignalSource, rows: Query, last: object
) -> None:
    scene.desk().feed(source.url)
    source.wait_hellos(1)
    feed, go = scene.stage.actor(messages.SIGNAL_FEED), threading.Event()
    receive = feed.receive
    feed.receive = lambda message: go.wait(30) if message == "wait" else receive(message)
    scene.stage.worked_off(messages.SIGNAL_FEED)
    scene.stage.tell(messages.SIGNAL_FEED, "wait")
    source.signals(signal_row("lonely", "BTCUSDT"))
    scene.wait(lambda: feed.inbox.depth() == 1, "the frame in the mailbox")
    scene.stage.tell(messages.SIGNAL_FEED, last)
    go.set()
    stored(scene, rows, "lonely")


def test_token_is_sent(scene: Scene) -> None:
    async def quiet(_: ServerConnection, __: dict[str, Any]) -> None:
        return None

    with RudeSource(quiet) as source:
        scene.desk().feed(source.url, "t0ken")
        source.wait_hellos(1)
        assert source.tokens == ["Bearer t0ken"]
        health = scene.wait(lambda: _healthy(scene), "a healthy feed")
        assert health.reason == ""


def _healthy(scene: Scene) -> Any:
    health = scene.stage.ask(messages.SIGNAL_FEED, FeedState())
    return health if health.state == "healthy" else None


def test_a_frame_over_the_limit_ends_the_connection_and_says_why(
    scene: Scene, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def oversized(connection: ServerConnection, _: dict[str, Any]) -> None:
        if len(source.hellos) == 1:
            await connection.send('{"x": "' + "x" * (5 << 20) + '"}')
        else:
            await connection.send(frame(signal_row("after", "BTCUSDT")))

    with RudeSource(oversized) as source:
        scene.desk().feed(source.url)
        assert scene.outcome("after")["outcome"] == "opened"
    (lost, *_) = rows("SELECT event_data FROM monitoring.events WHERE event_type = 'signal_feed_lost' ORDER BY id")
    data: Any = lost["event_data"]
    assert "message too big" in data["error"]


def test_spooled_while_the_database_is_away_and_answered_after_it(
    scene: Scene, source: SignalSource, rows: Query
) -> None:
    scene.desk().feed(source.url)
    source.signals(signal_row("before", "ETHUSDT"))
    scene.outcome("before")
    scene.database_away()
    source.signals(signal_row("while", "BTCUSDT"))
    scene.wait(lambda: scene.spool.count, "a record in the spool")
    source.hang_up()
    source.wait_hellos(2)
    assert source.hellos[1]["last_id"] == "while", "what is in the spool is stored too"
    scene.database_back()
    assert scene.outcome("while")["outcome"] == "opened"
    scene.wait(lambda: [r["id"] for r in rows_again(scene)] == ["before", "while"], "both, once")


def rows_again(scene: Scene) -> list[dict[str, Any]]:
    return scene.reader.pool.rows(STORED)


def test_a_feed_that_cannot_know_where_to_resume_does_not_connect(scene: Scene, source: SignalSource) -> None:
    """With `last_id: null` a server may think that nothing was missed."""
    scene.desk().feed(source.url)
    source.signals(signal_row("one", "BTCUSDT"))
    scene.outcome("one")
    scene.database_away()
    scene.stage.kill(messages.SIGNAL_FEED)
    health = scene.wait(lambda: _unready(scene), "the reason")
    assert "last stored signal cannot be read" in health.reason
    assert len(source.hellos) == 1
    scene.database_back()
    source.wait_hellos(2)
    assert source.hellos[1]["last_id"] == "one"


def _unready(scene: Scene) -> Any:
    health = scene.stage.ask(messages.SIGNAL_FEED, FeedState())
    return health if "cannot be read" in health.reason else None


def test_rubbish_without_end_is_counted_not_written(
    scene: Scene, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_feed, "QUOTA_S", 0.5)

    async def rubbish(connection: ServerConnection, _: dict[str, Any]) -> None:
        if len(source.hellos) == 1:
            for _number in range(2_000):
                await connection.send("rubbish")
            await connection.send(frame(signal_row("after", "BTCUSDT")))

    with RudeSource(rubbish) as source:
        began = time.monotonic()
        scene.desk().feed(source.url)
        assert scene.outcome("after")["outcome"] == "opened"
        told = scene.wait(lambda: _summed(rows), "the sum of the rest")
        quotas = (time.monotonic() - began) / signal_feed.QUOTA_S + 1
    assert len(told) <= quotas * (signal_feed.QUOTA + 1)
    assert sum(int(str(_data(t).get("count", 1))) for t in told) == 2_000


def _data(row: dict[str, object]) -> dict[str, object]:
    data = row["event_data"]
    assert isinstance(data, dict)
    return data


def _summed(rows: Query) -> list[dict[str, object]] | None:
    told = rows(MALFORMED)
    total = sum(int(str(_data(t).get("count", 1))) for t in told)
    return told if total >= 2_000 else None


FLOOD, BURSTS = 500, 40


@pytest.mark.timeout(200)
def test_ten_thousand_a_second_for_two_seconds(scene: Scene, rows: Query) -> None:
    """All stored once, each decided on once, everybody else answers meanwhile, and memory stays where it was."""
    names = [f"f{n:05}" for n in range(FLOOD * BURSTS)]
    template = signal_row("?", "NOSUCHUSDT")

    async def flood(connection: ServerConnection, _: dict[str, Any]) -> None:
        if len(source.hellos) > 1:
            return
        for burst in range(BURSTS):
            for name in names[burst * FLOOD : (burst + 1) * FLOOD]:
                await connection.send(frame({**template, "id": name}))
        await connection.send(frame({**template, "id": names[0]}))

    scene.desk(waves=WaveRules(window_s=1.0, places=2))
    with RudeSource(flood) as source, watched(scene) as seen:
        began = time.monotonic()
        scene.feed(source.url)
        scene.wait(lambda: rows.one("SELECT count(*) AS n FROM fas.signals")["n"] == len(names), "all stored", 150)
        stored_s = time.monotonic() - began
        scene.prices()
        assert scene.by_hand("BTCUSDT").symbol == "BTCUSDT", "an operator need not wait for the flood"
        answers = "SELECT count(*) AS n FROM monitoring.events WHERE event_type = 'signal_refused'"
        answered = rows.one(answers)["n"]
    assert len(source.hellos) == 1, "the server was slowed down, not lost"
    logger.info(
        "FLOOD stored={} seconds={:.1f} answered_by_then={} grown_mb={:.0f} slowest_answer_ms={:.0f}",
        len(names), stored_s, answered, seen.grown_mb, seen.slowest_s * 1000,
    )  # fmt: skip
    assert seen.grown_mb < 150
    assert seen.slowest_s < 3
    once = rows.one(
        "SELECT count(*) AS n, count(DISTINCT correlation_id) AS signals FROM monitoring.events "
        "WHERE event_type = 'signal_refused'"
    )
    assert once["n"] == once["signals"]


@dataclass
class Seen:
    """What somebody outside felt of a flood."""

    slowest_s: float = 0.0
    grown_mb: float = 0.0


@contextmanager
def watched(scene: Scene) -> Iterator[Seen]:
    """How long the desk let somebody wait, and how much memory the process took, at worst."""
    over, seen, process = threading.Event(), Seen(), psutil.Process()
    before = process.memory_info().rss

    def look() -> None:
        while not over.wait(0.05):
            asked = time.monotonic()
            scene.entries()
            seen.slowest_s = max(seen.slowest_s, time.monotonic() - asked)
            seen.grown_mb = max(seen.grown_mb, (process.memory_info().rss - before) / (1 << 20))

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    try:
        yield seen
    finally:
        over.set()
        looker.join(20)


def test_a_server_that_says_nothing_is_no_harm(scene: Scene) -> None:
    """It takes the connection and never shakes hands; the feed stops in time all the same."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        scene.desk().feed(f"ws://127.0.0.1:{silent.getsockname()[1]}")
        accepted, _ = silent.accept()
        began = time.monotonic()
        scene.stage.stop()
        assert time.monotonic() - began < 5
        accepted.close()

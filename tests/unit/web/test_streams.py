"""What an open page is told: the whole picture once, then what changed; and that a page costs nobody else."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from adapters.web.source import NotNow
from adapters.web.streams import WAITING, Page
from tests.unit.web.conftest import AT, SECRET, Site


class Listening:
    """One open page."""

    def __init__(self, site: Site) -> None:
        self.connection = site.connect()
        self.connection.request("GET", "/api/stream")
        self.reply: http.client.HTTPResponse = self.connection.getresponse()

    def next(self) -> tuple[str, Any]:
        """The next thing told: its name and what it says."""
        name = ""
        while True:
            line = self.reply.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))

    def until(self, name: str) -> Any:
        for _ in range(10):
            told, data = self.next()
            if told == name:
                return data
        raise AssertionError(f"no {name} came")

    def close(self) -> None:
        self.reply.close()
        self.connection.close()


def shown(number: int, mark: str) -> dict[str, object]:
    return {"id": number, "mark_price": mark}


def test_the_picture_first_then_only_what_changed(site: Site) -> None:
    site.source.open = [shown(1, "10"), shown(2, "20")]
    page = Listening(site)
    assert page.reply.headers["content-type"].startswith("text/event-stream")
    name, picture = page.next()
    assert name == "picture"
    assert [each["id"] for each in picture["positions"]] == [1, 2]
    site.source.open = [shown(2, "21"), shown(3, "30")]
    while not (step := page.until("step"))["positions"]:
        pass
    assert step["positions"] == [shown(2, "21"), shown(3, "30")]
    assert step["gone"] == [1]
    page.close()


def test_events_are_told_as_they_happen_and_without_secrets(site: Site) -> None:
    page = Listening(site)
    page.until("picture")
    site.source.fresh = [{"seq": 5, "data": {"error": SECRET}, "ts": AT}]
    assert page.until("events")["events"] == [{"seq": 5, "data": {"error": "***"}, "ts": "2026-11-30T07:00:00.000Z"}]
    page.close()


def test_one_page_too_many_is_refused_and_a_closed_one_makes_room(site: Site) -> None:
    pages = [Listening(site), Listening(site)]
    assert [page.reply.status for page in pages] == [200, 200]
    third = Listening(site)
    assert third.reply.status == 503
    assert "max_streams" in third.reply.read().decode()
    for page in pages:
        page.until("picture")
        page.close()
    for _ in range(50):  # each try is answered; a vanished page is noticed with the next thing told to it
        again = Listening(site)
        status = again.reply.status
        if status == 200:
            assert again.next()[0] == "picture"
        again.close()
        if status == 200:
            return
    pytest.fail("no room after the pages had gone")


def test_a_look_that_cannot_be_had_is_told_and_the_stream_goes_on(site: Site) -> None:
    page = Listening(site)
    page.until("picture")
    site.source.trouble = NotNow("nobody answers")
    assert page.until("trouble") == {"reason": "nobody answers"}
    site.source.trouble = None
    page.until("step")
    page.close()


def test_a_page_that_does_not_read_gets_the_whole_picture_later() -> None:
    page = Page()
    page.behind = False
    for number in range(WAITING):
        page.put(str(number))
    assert not page.behind
    page.put("one more")
    assert page.behind, "what waited is dropped: the next thing it gets is the picture"

"""The page in a real browser, over a running service: what it shows, that it stays current, and that hands find it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.browser import WATCHED, browsing, needs_chromium
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import Sections, ServiceProcess, running

pytestmark = needs_chromium
SCRIPT = "<img src=x onerror=document.title='hacked'>"
PAIRS = (
    "ink paper", "ink card", "soft paper", "soft card", "good good-bg", "bad bad-bg", "warn warn-bg", "good card",
    "bad card", "stop card", "accent paper", "soft shade",
)  # fmt: skip
CONTRAST = """(pairs) => {
  const probe = document.body.appendChild(document.createElement('i'));
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color.match(/\\d+/g).map((part) => Number(part) / 255);
  };
  const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ratio = (names) => {
    const [more, less] = names.split(' ').map((name) => light(read(name))).sort((a, b) => b - a);
    return (more + 0.05) / (less + 0.05);
  };
  const found = Object.fromEntries(pairs.map((names) => [names, ratio(names)]));
  probe.remove();
  return found;
}"""

CLOSED_AND = """async ([selector, act]) => {
  const dialog = document.querySelector('#detail');
  const told = new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  const fetched = window.fetch;
  window.fetch = (...what) => told.then(() => fetched(...what));
  document.querySelector('.card').click();
  dialog.close();
  document.querySelector(selector)[act]();
  await told;
  window.fetch = fetched;
  return document.activeElement.name;
}"""


@pytest.fixture(scope="module")
def taken() -> Iterator[socket.socket]:
    """A port that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, taken: socket.socket) -> Iterator[ServiceProcess]:
    overrides: Sections = {"web": {"enabled": True, "port": taken.getsockname()[1]}, "chaos": {"enabled": True}}
    with running(tmp_path_factory.mktemp("page"), overrides) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Browser, service: ServiceProcess, taken: socket.socket) -> Iterator[Page]:
    """One page for all tests, open from before the first position; nothing in it may go wrong."""
    taken.close()
    file = service.state_dir / "web.json"
    service.wait_for(file.exists, 20, "the address of the page")
    wrong: list[str] = []
    hosts: set[str | None] = set()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(json.loads(file.read_text())["url"])
    yield page
    assert wrong == []
    assert hosts == {"127.0.0.1"}, "the page asks nobody else for anything"
    page.close()


@pytest.fixture(scope="module")
def opened(page: Page, service: ServiceProcess) -> dict[str, Any]:
    return service.open("BTCUSDT")


def test_a_taken_port_is_told_trading_goes_on_and_it_is_served_once_it_is_free(
    service: ServiceProcess, taken: socket.socket
) -> None:
    told = service.wait_event("web_unavailable")
    port = taken.getsockname()[1]
    assert (told["severity"], told["data"]["port"]) == ("warning", port)
    line = f"WEB_UNAVAILABLE host=127.0.0.1 port={port}"
    service.wait_for(lambda: line in service.output.read_text(), 20, line)
    taken.close()
    position = service.open("ETHUSDT")
    service.ctl("position.close", id=position["id"])
    service.wait_state(position["id"], "CLOSED")
    judge(service)
    assert service.wait_event("web_listening")["data"]["url"] == f"http://127.0.0.1:{port}"


def test_an_empty_page_explains_itself(page: Page) -> None:
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#empty-why")).to_contain_text("no source of signals")
    expect(page.locator("#bare-now")).to_have_text("Nothing is open, so nothing is bare")
    page.locator("summary").click()
    expect(page.locator("#closed tbody tr")).to_have_count(1)
    expect(page.locator("#closed tbody tr")).to_contain_text("ETHUSDT")


def test_a_position_appears_and_its_stop_climbs(
    page: Page, service: ServiceProcess, opened: dict[str, Any]
) -> None:
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(page.locator("#empty")).to_be_hidden()
    expect(card.locator(".symbol")).to_have_text("BTCUSDT")
    expect(page.locator("#bare-now")).to_have_text("Every open position is covered now")
    expect(page.locator("#bare")).to_have_text(re.compile(r"^\d+(\.\d+)?$"))
    service.move_mark("BTCUSDT", "2", steps=3, pause_s=0.5)
    moved = service.wait_event("trailing_moved", position=opened["id"])
    shown = card.locator("dd").nth(2)
    service.wait_for(  # it may move once more between two looks
        lambda: shown.text_content() == service.position(opened["id"])["stop_price"], 30, "the page to show the stop"
    )
    assert Decimal(shown.text_content() or "") >= Decimal(moved["data"]["new_stop"])
    expect(card.locator("path.stop")).to_have_attribute("d", re.compile(r"H.*V"))
    expect(card.locator("path.mark")).to_have_attribute("d", re.compile(r"L.*L"))
    expect(card.locator("circle.fill")).to_have_count(1)
    expect(card.locator("title")).to_have_text(re.compile("BTCUSDT long: mark .*, stop "))


def test_a_killed_actor_shows_in_the_list_the_events_and_the_trend(
    page: Page, service: ServiceProcess, opened: dict[str, Any]
) -> None:
    service.ctl("actors.kill", name="reconciler/main", how="exception")
    row = page.locator("#actor-table tr", has_text="reconciler/main")
    expect(row.locator("td").nth(2)).to_have_text(re.compile("[1-9]"))
    expect(row).to_contain_text("ChaosCrash")
    page.locator("select[name=severity]").select_option("error")
    listed = page.locator("#event-list .event")
    expect(listed.first).to_contain_text("actor_crashed")
    assert set(listed.evaluate_all("rows => rows.map(row => row.dataset.severity)")) <= {"error", "critical"}
    expect(page.locator("#trend-note")).to_contain_text(re.compile(r"[1-9]\d* errors"))
    expect(page.locator("#trend rect.error").first).to_be_attached()
    page.locator("select[name=severity]").select_option("info")
    page.fill("input[name=type]", "trailing")
    page.fill("input[name=symbol]", "btc")
    expect(listed.first).to_contain_text("trailing")
    for text in listed.all_text_contents():
        assert "trailing" in text
    page.fill("input[name=symbol]", "nosuch")
    expect(page.locator("#no-events")).to_be_visible()
    page.locator("button[type=reset]").click()
    expect(page.locator("#no-events")).to_be_hidden()


def test_text_of_others_stays_text(page: Page, service: ServiceProcess) -> None:
    service.ctl("entries.pause", reason=SCRIPT)
    expect(page.locator("#entries")).to_have_text("closed")
    expect(page.locator("#entries-why")).to_contain_text(SCRIPT)
    expect(page.locator("#health")).to_have_attribute("data-state", "degraded")
    expect(page.locator("#event-list")).to_contain_text(SCRIPT)
    assert page.locator("main img").count() == 0
    assert "hacked" not in page.title()
    service.ctl("entries.resume")
    expect(page.locator("#health-word")).to_have_text("All is well")


def test_hands_on_the_keyboard_reach_everything(page: Page, opened: dict[str, Any]) -> None:
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("j")
    expect(page.locator(".card")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    expect(page.locator("#detail-title")).to_contain_text("BTCUSDT")
    expect(page.locator("#detail-events")).to_contain_text("stop_loss_placed")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(".card")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("input[name=type]")).to_be_focused()
    page.keyboard.type("t")
    assert page.input_value("input[name=type]") == "t", "a letter that is typed is no command"
    page.fill("input[name=type]", "")
    page.locator("#events-title").click()
    page.keyboard.press("p")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("p")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_a_dialog_that_is_told_late_of_its_end_takes_nothing(page: Page, opened: dict[str, Any]) -> None:
    """The browser tells of a close in a task of its own: by then hands may be in the filter, or in the next life."""
    expect(page.locator(".card")).to_have_count(1)
    assert page.evaluate(CLOSED_AND, ["input[name=type]", "focus"]) == "type"
    page.evaluate(CLOSED_AND, [".card", "click"])
    expect(page.locator("#detail")).to_be_visible()
    expect(page.locator("#detail-events")).to_contain_text("stop_loss_placed")
    page.locator("#detail .close").click()
    expect(page.locator("#detail")).to_be_hidden()
    page.locator("#events-title").click()


def test_light_and_dark_are_legible(page: Page) -> None:
    for theme in ("dark", "light"):
        page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        found = page.evaluate(CONTRAST, list(PAIRS))
        assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}, theme


def test_everything_has_a_name(page: Page) -> None:
    nameless = page.evaluate(
        "[...document.querySelectorAll('input, select, button, [role=button], svg[role=img], img, table')].filter("
        "(e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label') || e.alt === '')).length"
    )
    assert nameless == 0
    assert page.evaluate("document.documentElement.lang") == "en"


LINES_OF = """([id, text]) => {
    const figure = document.getElementById(id), range = document.createRange();
    figure.textContent = text;
    range.selectNodeContents(figure);
    return range.getClientRects().length;
}"""


def test_it_fits_a_phone(browser: Browser, page: Page, opened: dict[str, Any]) -> None:
    phone = browser.new_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    phone.goto(page.url)
    expect(phone.locator(".card .chart path.mark")).to_have_count(1)
    assert phone.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    for figure, text in (("equity", "100,007.58"), ("covered", "99.9665 %")):
        assert phone.evaluate(LINES_OF, [figure, text]) == 1, f"{text} is broken in the middle"
    phone.locator(".card").tap()
    expect(phone.locator("#detail-events")).to_contain_text("stop_loss_placed")
    assert phone.evaluate("document.querySelector('#detail').getBoundingClientRect().right <= innerWidth")
    phone.close()


def test_a_page_says_when_the_service_has_gone(browser: Browser, page: Page, service: ServiceProcess) -> None:
    other = browser.new_page()
    other.goto(page.url)
    expect(other.locator("#link")).to_have_text("live")
    page.goto("about:blank")  # it has no complaint so far, and is not to hear what comes now
    other.evaluate(WATCHED)
    service.ctl("actors.kill", name="web", how="exception")
    told = "said.some((each) => /^no connection: .*what you see is old/.test(each))"
    service.wait_for(lambda: other.evaluate(told), 30, "the page to say that what it shows is old")
    expect(other.locator("#link")).to_have_text("live")
    other.close()

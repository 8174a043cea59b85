"""The page where more positions are open than it shows: the real server and a real browser over chosen answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from actors.web.foremost import CARDS
from adapters.web.server import Address, WebServer
from adapters.web.source import Plain
from tests.end_to_end.browser import WATCHED, browsing, needs_chromium
from tests.unit.web.conftest import Scripted

pytestmark = [needs_chromium, pytest.mark.chaos]
ALL = 1000


class Many(Scripted):
    """A thousand positions, of which the first so many are told of."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [position(number) for number in range(ALL)]
        self.first = 0
        self.drawn: list[int] = []

    def picture(self) -> Plain:
        coverage = {
            "unprotected_seconds_today": "1.5", "owned_seconds_today": "90000", "unprotected_now": 0,
            "longest_now_s": 0.0,
        }  # fmt: skip
        return {
            "as_of": datetime.now(UTC), "mode": "paper", "dry_run": False, "version": "1", "uptime_s": 5,
            "status": "healthy", "reasons": [], "entries": {"open": True, "why": None}, "coverage": coverage,
            "today": None, "unrealized_pnl": "0", "accounts": [], "components": [], "open": len(self.open),
            "positions": self.open[self.first : self.first + CARDS], "owners": {"running": ALL, "all": ALL},
            "actors": [], "abandoned": [],
        }  # fmt: skip

    def positions(self, account: str | None, symbol: str | None, *, closed: int) -> Plain:
        found = super().positions(account, symbol, closed=closed)
        return {**found, "positions": [each for each in self.open if symbol in (None, each["symbol"])]}

    def drawing(self, position_id: int) -> Plain:
        self.drawn.append(position_id)
        return super().drawing(position_id)


def position(number: int, mark: str = "101") -> Plain:
    return {
        "id": number, "account": "main", "symbol": f"N{number}USDT", "side": "long", "state": "ACTIVE",
        "quantity": "1", "entry_price": "100", "mark_price": mark, "stop_price": "99", "unrealized_pnl": "1",
        "stop_order_id": "7", "unprotected_seconds": "0.01", "needs_intervention": False,
        "trailing": {"state": "TRAILING", "activation_price": None, "extreme_price": None, "updates": 1},
        "liquidation_price": None, "opened_at": datetime.now(UTC), "take_profits": [], "correlation_id": "c",
    }  # fmt: skip


@pytest.fixture
def source() -> Many:
    return Many()


@pytest.fixture
def page(source: Many) -> Iterator[Page]:
    server = WebServer(Address(host="127.0.0.1", port=0), source, version="1", audit_key="")
    url = server.start()
    try:
        with browsing() as browser:
            page = browser.new_page()
            page.goto(url)
            yield page
    finally:
        server.stop()


def test_it_shows_the_foremost_and_keeps_what_is_looked_at(page: Page, source: Many) -> None:
    cards = page.locator(".card")
    expect(cards).to_have_count(CARDS)
    expect(page.locator("#open")).to_have_text(str(ALL))
    expect(page.locator("#more")).to_contain_text(f"{ALL - CARDS} more")
    expect(page.locator("#bare-now")).to_have_text("Every open position is covered now")

    page.keyboard.press("j")
    expect(cards.first).to_be_focused()
    source.first = 1
    expect(page.locator('.card[data-id="0"]')).to_have_count(0)
    expect(page.locator('.card[data-id="1"]')).to_be_focused()

    page.keyboard.press("Enter")
    expect(page.locator("#detail-title")).to_have_text("N1USDT long · 1")
    source.first = 2
    expect(page.locator('.card[data-id="1"]')).to_have_count(0)
    source.open = [position(0), position(1, "102.5"), *source.open[2:]]
    expect(page.locator("#detail-facts")).to_contain_text("102.5")
    expect(page.locator("#detail-title")).to_have_text("N1USDT long · 1")
    source.open = [position(0), *source.open[2:]]
    expect(page.locator("#detail-title")).to_have_text("N1USDT long · 1 · closed")
    assert set(source.drawn) <= set(range(CARDS + 3)), "nothing is asked of those that were never shown"


def test_a_connection_that_says_nothing_is_dialled_anew(page: Page) -> None:
    """As when the loop of the server hangs: the connection stands, nothing comes. The browser's clock is moved on."""
    page.clock.install()
    page.reload()
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator(".card")).to_have_count(CARDS)
    page.evaluate(WATCHED)
    page.clock.fast_forward(20_000)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#frame")).to_have_attribute("data-state", "covered")
    assert page.evaluate("said")[0] == "no news: the service does not answer: what you see is old"

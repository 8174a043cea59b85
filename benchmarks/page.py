"""The page with a thousand positions in a real headless Chromium: `python -m benchmarks.page [--accounts 5]`.

The owners, feeds, journal, database, web actor and web server are the real ones, the venue is in memory
(`benchmarks.crowd`); all marks change once a second, and the page is left open for a while. Measured where a person
would: in the page, by the browser's own clock.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psutil
from playwright.sync_api import Browser, CDPSession, Page

from benchmarks.crowd import Crowd, gathered
from benchmarks.figures import Figure, table
from tests.end_to_end.browser import browsing

WATCH = """(() => {
  window.looks = { steps: [], bytes: [], late: [], keys: [], asked: 0, drawn: null };
  const listen = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (name, act) {
    return listen.call(this, name, (message) => {
      const began = performance.now();
      act(message);
      if (name !== 'step') return;
      looks.steps.push(performance.now() - began);
      looks.late.push(Date.now() - Date.parse(JSON.parse(message.data).as_of));
      looks.bytes.push(message.data.length);
    });
  };
  const ask = window.fetch;
  window.fetch = (...what) => { looks.asked += 1; return ask(...what); };
  const pressed = (event) => requestAnimationFrame(() => looks.keys.push(performance.now() - event.timeStamp));
  document.addEventListener('keydown', pressed, true);
  const look = () => {
    const cards = [...document.querySelectorAll('.card')];
    const seen = cards.filter((card) => card.getBoundingClientRect().top < innerHeight);
    if (cards.length >= 24 && seen.every((card) => card.querySelector('.chart .mark'))) looks.drawn = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""
FALL = 0.002
PRESS_MS = 130


@contextmanager
def wandering(crowd: Crowd) -> Iterator[None]:
    """All marks change once a second meanwhile."""
    over = threading.Event()
    chance = random.Random(7)

    def go() -> None:
        while not over.wait(1.0):
            crowd.wander(lambda: Decimal(str(round(chance.uniform(0, FALL), 6))))

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def metrics(session: CDPSession) -> dict[str, float]:
    """What the browser knows of the page, its rubbish thrown away before."""
    session.send("HeapProfiler.collectGarbage")
    return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}


def busy_of_service(page: Page, seconds: float) -> float:
    """Processor time of the service a second, in ms; the browser is not in it."""
    begin = psutil.Process().cpu_times()
    page.wait_for_timeout(1000 * seconds)
    end = psutil.Process().cpu_times()
    return float(1000 * (end.user + end.system - begin.user - begin.system) / seconds)


def opened(browser: Browser, url: str) -> tuple[Page, float]:
    """A page with its cards shown, and how long that took (ms)."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(url)
    while (drawn := page.evaluate("looks.drawn")) is None:  # its policy forbids wait_for_function
        page.wait_for_timeout(100)
    return page, float(drawn)


def measure(accounts: int, each: int, seconds: float, shot: Path | None) -> list[Figure]:
    """All figures of one crowd."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        gathered(Path(folder), accounts, each) as crowd,
    ):
        url = crowd.show()
        with wandering(crowd), browsing() as browser:
            blank = browser.new_page()
            alone = busy_of_service(blank, 10)
            firsts: list[float] = []
            for _ in range(4):
                page, first = opened(browser, url)
                firsts.append(first)
                page.close()
            page, first = opened(browser, url)
            firsts.append(first)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            page.wait_for_timeout(5000)
            page.evaluate("looks.steps = []; looks.late = []; looks.bytes = []")
            before = metrics(session)
            beside = busy_of_service(page, seconds)
            after = metrics(session)
            found = page.evaluate("looks")
            for _ in range(60):
                page.keyboard.press("j")
                page.wait_for_timeout(PRESS_MS)
            keys = page.evaluate("looks.keys")
            if shot is not None:
                page.screenshot(path=str(shot))
        where = f"{accounts * each} positions, {accounts} accounts"
        working = 1000 * (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
        heaps = [when["JSHeapUsedSize"] / 1e6 for when in (before, after)]
        told = {
            "page opened to 24 cards and all charts in sight, ms": firsts,
            "a step handled in the page, ms": found["steps"],
            "a look in the service to shown, ms": found["late"],
            "size of a step, KiB": [size / 1024 for size in found["bytes"]],
            "questions of the page in all": [found["asked"]],
            "main thread of the page busy, ms a second": [working],
            "a key pressed to the next frame, ms": keys,
            "heap of the page, begin and end, MB": heaps,
            "nodes of the page": [after["Nodes"]],
            "service busy without a page, ms a second": [alone],
            "service busy with one page open, ms a second": [beside],
        }
        return [Figure(name=name, where=where, values=values) for name, values in told.items()]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=5)
    parser.add_argument("--each", type=int, default=200, help="positions an account")
    parser.add_argument("--seconds", type=float, default=60, help="how long the page is watched")
    parser.add_argument("--shot", type=Path, help="a picture of the page goes here")
    asked = parser.parse_args()
    sys.stdout.write(table(measure(asked.accounts, asked.each, asked.seconds, asked.shot)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

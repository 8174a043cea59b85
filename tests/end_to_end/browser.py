"""A real Chromium without a window, where one is installed; what uses it is skipped elsewhere."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
)  # fmt: skip
SOON_MS = 30_000
"""How long `expect` looks for a fact: costs nothing where it comes at once, and a loaded machine is slow."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
WATCHED = """() => {
  window.said = [];
  const parts = ['#link', '#bare-now'].map((id) => document.querySelector(id));
  const note = () => window.said.push(parts.map((part) => part.textContent).join(': '));
  for (const part of parts) new MutationObserver(note).observe(part, { childList: true });
}"""
"""What the page says of its connection, from now on: `said`."""


def chromium() -> str | None:
    """The program, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed: apt-get install chromium")


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A started browser."""
    expect.set_options(timeout=SOON_MS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()

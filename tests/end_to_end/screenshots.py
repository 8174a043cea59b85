"""`python -m tests.end_to_end.screenshots URL FOLDER [NAME…]`: pictures of the page of a running service, for docs/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.end_to_end.browser import browsing

SHOTS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "is_mobile": True},
    "empty": {"color_scheme": "light", "viewport": {"width": 1280, "height": 760}},
}


def main(url: str, folder: Path, names: list[str]) -> None:
    """One picture a name."""
    folder.mkdir(parents=True, exist_ok=True)
    with browsing() as browser:
        for name in names or list(SHOTS):
            context = browser.new_context(**SHOTS[name])
            page = context.new_page()
            page.goto(url)
            page.wait_for_selector("#link[data-state=live]")
            page.wait_for_selector("#empty:visible" if name == "empty" else ".card .chart .mark")
            page.wait_for_selector(".event")
            page.screenshot(path=str(folder / f"page-{name}.png"))
            context.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

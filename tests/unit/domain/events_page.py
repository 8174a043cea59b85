"""`python -m tests.unit.domain.events_page` (`make docs`) writes docs/events.md from the catalogue, word for word."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from domain import catalogue
from domain.catalogue import FURTHER, EventType

PAGE = Path(__file__).parents[3] / "docs" / "events.md"
WRITE_IT = "docs/events.md no longer fits domain/catalogue.py: run `make docs`"
HEAD = """\
# Every event there is

Written by `make docs` from `domain/catalogue.py`; a test compares the two. An event is a row of `monitoring.events`
(`ctl events`), a line of the log and, from WARNING on, an alert. It carries `correlation_id`, `position_id`, `account`
and `symbol` where it has one; `ctl events correlation=ID` is one life from the signal to the close.

* **Severity** is that of the event by itself; a single happening may be graver or less grave.
* **Fields** are the names its data may hold, absent where not known; `…`: and figures of the case.
* **Log tag** is given where it is not the type in capitals.

A new event is one entry in the catalogue (value, severity, fields, its meaning below), then `make docs`, and a test
that makes a running service produce it: after `make test` and `make test-chaos`, `make events` lists those that no
running service produced, and fails.
"""


def meanings() -> dict[EventType, str]:
    """The sentence below each entry. Raises AssertionError for an entry without one."""
    (found,) = (
        node
        for node in ast.parse(inspect.getsource(catalogue)).body
        if isinstance(node, ast.ClassDef) and node.name == EventType.__name__
    )
    said: dict[EventType, str] = {}
    for entry, below in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(entry, ast.Assign) and isinstance(entry.targets[0], ast.Name):
            words = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
            assert isinstance(words, str), f"{entry.targets[0].id}: say below the entry what the event means"
            said[EventType[entry.targets[0].id]] = " ".join(words.split())
    return said


def page() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    yield "| event | severity | meaning | fields | log tag |"
    yield "|---|---|---|---|---|"
    for event, meaning in meanings().items():
        fields = " ".join("…" if name == FURTHER else f"`{name}`" for name in event.fields)
        tag = "" if event.tag == event.name else f"`{event.tag}`"
        yield f"| `{event.value}` | {event.severity.name} | {meaning} | {fields} | {tag} |"


if __name__ == "__main__":
    PAGE.write_text(page())

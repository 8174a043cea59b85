"""The copy that is mutated says the same as the sources, line by line."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.ground import ROOT, undecorated

SOURCES = sorted((ROOT / "domain").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_every_function_stays_on_its_line(path: Path) -> None:
    source = path.read_text()
    before, after = (
        {(node.name, node.lineno) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
        for text in (source, undecorated(source))
    )
    assert before == after


def test_what_was_decorated_is_so_still() -> None:
    source = '''class Point:
    x = 3

    @property
    def double(self) -> int:
        """Twice."""
        if self.x:
            return 2 * self.x
        return 0

    @property
    def name(self) -> str:
        return "p"


@derived("x")
def triple(point: Point) -> int:
    return 3 * point.x
'''
    opened = undecorated(source)
    names: dict[str, Any] = {"derived": lambda fact: lambda function: (fact, function)}
    exec(opened, names)  # noqa: S102 (the six lines above)
    point = names["Point"]()
    assert "@" not in opened
    assert names["triple"][0] == "x"
    assert names["triple"][1](point) == 9
    assert (point.double, point.name) == (6, "p")

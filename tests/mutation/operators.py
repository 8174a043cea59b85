"""The process that runs mutmut, with changes added that it does not make by itself. Started by `tests.mutation`.

The ones added matter most in a state machine: a call whose result nobody uses is taken out (an effect that is
forgotten), a bare condition is turned round, and `min` and `max`, `any` and `all` change places.

pytest collects and judges the tests once, on the code as it is. For a mutant the test functions that reach it are
called directly, the quickest first: none pays for collecting and reporting again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import libcst as cst  # type: ignore[import-not-found, unused-ignore]
from mutmut.__main__ import cli  # type: ignore[import-not-found, unused-ignore]
from mutmut.mutation import mutators  # type: ignore[import-not-found, unused-ignore]
from mutmut.runners.harness import PytestRunner  # type: ignore[import-not-found, unused-ignore]
from mutmut.utils.file_utils import change_cwd  # type: ignore[import-not-found, unused-ignore]
from mutmut.workers import isolation  # type: ignore[import-not-found, unused-ignore]

SWAPS = {"min": "max", "max": "min", "any": "all", "all": "any", "ROUND_FLOOR": "ROUND_CEILING"}
KILLED = 1


def forget(node: cst.SimpleStatementLine) -> Iterable[cst.CSTNode]:
    """`turn.record(event)` becomes `pass`."""
    match node.body:
        case [cst.Expr(value=cst.Call() | cst.Yield())]:
            yield node.with_changes(body=[cst.Pass()])


def turn_round(node: cst.If) -> Iterable[cst.CSTNode]:
    """`if p.closing:` becomes `if not p.closing:`; comparisons, `and`, `or` and `not` are mutmut's own."""
    if isinstance(node.test, cst.Name | cst.Attribute | cst.Call):
        space = cst.SimpleWhitespace(" ")
        yield node.with_changes(
            test=cst.UnaryOperation(operator=cst.Not(), expression=node.test), whitespace_before_test=space
        )


def swap(node: cst.Name) -> Iterable[cst.CSTNode]:
    """`min` for `max`, `any` for `all`, the floor for the ceiling."""
    if node.value in SWAPS:
        yield node.with_changes(value=SWAPS[node.value])


class Remembered:
    """A pytest plugin that keeps the test functions that need no fixture and no mark, by node id."""

    def __init__(self) -> None:
        self.tests: dict[str, Callable[[], Any]] = {}

    def pytest_collection_finish(self, session: Any) -> None:
        """Once pytest knows all tests."""
        for item in session.items:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            expected_to_pass = item.get_closest_marker("xfail") is None and item.get_closest_marker("skip") is None
            if expected_to_pass and set(item.fixturenames) <= set(parameters):
                self.tests[item.nodeid] = partial(item.obj, **parameters)


class DirectRunner(PytestRunner):  # type: ignore[misc, unused-ignore]
    """mutmut's runner for pytest, which leaves pytest out when a mutant is tested."""

    remembered = Remembered()

    def execute_pytest(self, params: list[str], **more: Any) -> int:
        """Run pytest, and remember what it collects."""
        return int(super().execute_pytest(params, plugins=[*more.get("plugins", ()), self.remembered]))

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        """pytest's exit code; the tests that need fixtures are run by pytest after the others."""
        known = self.remembered.tests
        if mutant_name is None:
            return int(super().run_tests(mutant_name=None, tests=tests))
        with change_cwd("mutants"):
            for name in tests:
                if name in known:
                    try:
                        known[name]()
                    except BaseException:  # pytest's own verdicts are no Exception
                        return KILLED
        others = [name for name in tests if name not in known]
        return int(super().run_tests(mutant_name=mutant_name, tests=others)) if others else 0


if __name__ == "__main__":
    mutators.mutation_operators.extend([(cst.SimpleStatementLine, forget), (cst.If, turn_round), (cst.Name, swap)])
    isolation.PytestRunner = DirectRunner
    cli(["run", "--max-children", *sys.argv[1:]])

"""The points of the order path: every place between two statements of it, taken from the source as it is today.

Rules of this file: production code knows nothing of this. A point is named `file:function:line` for the place before
the statement of that line, with `:after` for the place behind it (the end of a `with`, or between the value of a
`return` and the return) and `:end` for the end of a function. The same source gives the same points in the same order,
so that whoever arms a point and the process that dies there agree on its number.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOOK = "__crash_point__"
_VALUE = "__crash_value__"
BEFORE, AFTER, END = "", "after", "end"

# Phase, file, functions. A pattern that fits no function is an error: the list would have lost a part of the path.
ORDER_PATH: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("signal", "actors/signal_feed.py", ("SignalFeed.receive", "SignalFeed._store*", "SignalFeed._keep")),
    ("signal", "actors/signal_store.py", ("SignalStore.*",)),
    ("desk", "actors/entry_desk.py", ("EntryDesk.*",)),
    ("desk", "actors/openings.py", ("Openings.*",)),
    ("desk", "actors/closings.py", ("Closings.*",)),
    ("owner's start", "actors/supervisor.py", ("Supervisor._on_start_child", "Supervisor._launch")),
    ("owner", "actors/position.py", ("PositionActor.*",)),
    ("owner", "actors/owners.py", ("Owners.claim", "Owners.handed_over", "Owners.release")),
    ("journal", "actors/journal.py", ("Journal.*",)),
    ("journal", "actors/ticket.py", ("Ticket.*",)),
    ("transaction", "persistence/writer.py", ("Writer.*", "_write_group")),
    ("spool", "persistence/spool.py", ("Spool.*", "_write_whole")),
    ("gateway", "actors/gateway.py", ("Gateway.*", "RequestDesk.*")),
    ("gateway", "actors/turns.py", ("Turns.*",)),
    ("gateway", "actors/admission.py", ("Admission.*",)),
    ("gateway", "actors/sending.py", ("Sending.*", "LastLook.*")),
    ("request", "adapters/exchange/ccxt_client.py", tuple(f"CcxtTradingClient.{n}" for n in
        ("place", "cancel", "find", "position", "snapshot", "_ask", "_require_api", "_note_usage"))),
    ("request", "adapters/exchange/binance.py", tuple(f"BinanceVenue.{n}" for n in ("place", "cancel", "order"))),
    ("request", "adapters/exchange/bybit.py", tuple(f"BybitVenue.{n}" for n in
        ("place", "cancel", "order", "_order", "_stop_on_position"))),
    ("request", "adapters/exchange/transport.py", ("_started", "_left", "_answered")),
    ("news", "actors/account_feed.py", ("AccountFeed.receive", "AccountFeed._*")),
    ("start", "actors/memory.py", ("replay",)),
    ("start", "actors/tree.py", ("Tree._load_book",)),
    ("start", "persistence/lock.py", ("AccountLock.acquire", "AccountLock._*")),
)  # fmt: skip


_parsing = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place at which the process can be killed."""

    number: int
    phase: str
    file: str
    function: str
    line: int
    place: str

    def __str__(self) -> str:
        """Its name."""
        return ":".join([self.file, self.function, str(self.line), *filter(None, [self.place])])


def all_points() -> tuple[Point, ...]:
    """Every point of the order path, in the order of their numbers. Raises LookupError for a pattern that fits none."""
    # CPython 3.11 counts the depth of a tree for all threads together: two that parse fall over each other.
    with _parsing:
        return _all_points()


@cache
def _all_points() -> tuple[Point, ...]:
    found: list[Point] = []
    for _phase, file, _patterns in ORDER_PATH:
        found += _instrumented(file, len(found))[1]
    return tuple(found)


def named(name: str) -> Point:
    """The point of a name. Raises LookupError."""
    for point in all_points():
        if str(point) == name:
            return point
    raise LookupError(f"point {name!r}: there is none; --list shows them")


def modules() -> dict[str, str]:
    """The modules of the order path by their names, with their files."""
    return {file.removesuffix(".py").replace("/", "."): file for _phase, file, _patterns in ORDER_PATH}


def with_hooks(file: str) -> ast.Module:
    """The file's code with a call of the hook at each of its points."""
    first = next(point.number for point in all_points() if point.file == file)
    return _instrumented(file, first)[0]


def _instrumented(file: str, first: int) -> tuple[ast.Module, list[Point]]:
    phase, patterns = next((phase, patterns) for phase, name, patterns in ORDER_PATH if name == file)
    tree = ast.parse((ROOT / file).read_bytes(), file)
    hooks = _Hooks(phase, file, first)
    unused = set(patterns)
    for name, function in _functions(tree, ""):
        fitting = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
        if fitting:
            unused -= set(fitting)
            hooks.put_into(name, function)
    if unused:
        raise LookupError(f"{file}: no function fits {', '.join(sorted(unused))}")
    return ast.fix_missing_locations(tree), hooks.points


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    """Functions by their dotted names; one inside another belongs to the outer one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


class _Hooks:
    """Puts hooks into functions, and counts them."""

    def __init__(self, phase: str, file: str, first: int) -> None:
        self.points: list[Point] = []
        self._phase = phase
        self._file = file
        self._first = first
        self._function = ""

    def put_into(self, name: str, function: Function) -> None:
        """Into one function; a docstring stays its first statement."""
        self._function = name
        docstring = ast.get_docstring(function, clean=False) is not None
        body = self._block(function.body[docstring:], end=END)
        function.body = [*function.body[:docstring], *body]

    def _block(self, statements: list[ast.stmt], *, end: str) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for statement in statements:
            if isinstance(statement, ast.Global | ast.Nonlocal):
                made.append(statement)
                continue
            made.append(self._hook(statement, statement.lineno, BEFORE))
            self._descend(statement)
            made += self._behind_value(statement) if _returns_news(statement) else [statement]
        last = statements[-1]
        if end and not isinstance(last, ast.Return | ast.Raise | ast.Continue | ast.Break):
            made.append(self._hook(last, last.end_lineno or last.lineno, end))
        return made

    def _descend(self, statement: ast.stmt) -> None:
        inner = END if isinstance(statement, Function) else ""
        if isinstance(statement, ast.With | ast.AsyncWith):
            inner = AFTER
        for name in ("body", "orelse", "finalbody"):
            block = getattr(statement, name, None)
            if block:
                setattr(statement, name, self._block(block, end=inner))
        parts: list[ast.ExceptHandler] | list[ast.match_case] = []
        if isinstance(statement, ast.Try):
            parts = statement.handlers
        elif isinstance(statement, ast.Match):
            parts = statement.cases
        for part in parts:
            part.body = self._block(part.body, end="")

    def _behind_value(self, statement: ast.stmt) -> list[ast.stmt]:
        """`return f()` as three steps, so that one can die between the value and the return."""
        assert isinstance(statement, ast.Return)
        assert statement.value is not None
        keep = ast.copy_location(ast.Assign([ast.Name(_VALUE, ast.Store())], statement.value), statement)
        hook = self._hook(statement, statement.lineno, AFTER)
        back = ast.copy_location(ast.Return(ast.Name(_VALUE, ast.Load())), statement)
        return [keep, hook, back]

    def _hook(self, at: ast.stmt, line: int, place: str) -> ast.stmt:
        point = Point(
            number=self._first + len(self.points), phase=self._phase, file=self._file, function=self._function,
            line=line, place=place,
        )  # fmt: skip
        self.points.append(point)
        call = ast.Call(ast.Name(HOOK, ast.Load()), [ast.Constant(point.number)], [])
        return ast.copy_location(ast.Expr(call), at)


def _returns_news(statement: ast.stmt) -> bool:
    """Whether a return has a value that something must be done for."""
    if not isinstance(statement, ast.Return) or statement.value is None:
        return False
    return any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(statement.value))

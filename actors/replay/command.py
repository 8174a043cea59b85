"""The command line of `python main.py replay`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

from actors.replay.bars import Tape, open_tape
from actors.replay.output import busiest, picture, print_json, print_tables, write_csv
from actors.replay.owner import Terms
from actors.replay.session import Entry, Replayed, entries_at, entries_every, replay
from actors.replay.times import read_time
from actors.replay.totals import totals
from adapters.paper_exchange.tape import BarOrder, TapeError
from config.settings import Settings
from domain.instrument import PositionSide

DONE, FAILED, USAGE = 0, 1, 2
EVERY_MINUTES = 60
LONGEST_ROUND_TRIP_MS = 60_000
_SIDES = {"long": (PositionSide.LONG,), "short": (PositionSide.SHORT,), "both": (PositionSide.LONG, PositionSide.SHORT)}
_ORDERS = {
    BarOrder.LOW_FIRST: (BarOrder.LOW_FIRST,),
    BarOrder.HIGH_FIRST: (BarOrder.HIGH_FIRST,),
    BarOrder.BOTH: (BarOrder.LOW_FIRST, BarOrder.HIGH_FIRST),
}


class UsageError(Exception):
    """A command line that cannot be carried out; the text names thing, value and rule."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The parsed command line. Times in ms."""

    tapes: tuple[str, ...]
    settings: Path | None
    sides: tuple[PositionSide, ...]
    every: int | None
    moments: tuple[int, ...]
    usd: Decimal | None
    begin: int | None
    end: int | None
    orders: tuple[BarOrder, ...]
    jumps: bool
    round_trip_ms: int
    figure: Path | None
    csv: Path | None
    timelines: Path | None
    json: bool


def main(words: list[str], load: Callable[[Path | None], Settings]) -> int:
    """Carry the command out; returns the exit code. Raises SettingsError (of `load`)."""
    try:
        asked = parse(words)
        settings = load(asked.settings)
        tapes = [_opened(text, asked) for text in asked.tapes]
        wanted = [_entries(tape, asked) for tape in tapes]
    except UsageError as error:
        sys.stderr.write(f"replay: {error}\n")
        return USAGE
    terms = terms_of(settings, asked)
    rows = [
        row
        for tape, entries in zip(tapes, wanted, strict=True)
        for order in asked.orders
        for row in replay(tape, entries, terms, order, jumps=asked.jumps)
    ]
    notes = [tape.note for tape in tapes if tape.note is not None]
    try:
        _write_files(asked, tapes, rows)
    except OSError as error:
        sys.stderr.write(f"replay: {error.filename}: cannot be written: {error.strerror}\n")
        return FAILED
    if asked.json:
        print_json(rows, totals(rows), notes, sys.stdout)
        return DONE
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    print_tables(rows, totals(rows), sys.stdout)
    return DONE


def parse(words: Sequence[str]) -> Asked:
    """Read the command line. Raises UsageError."""
    parser = _Parser(prog="main.py replay", description="The protection rules over recorded markets, in virtual time.")
    add = parser.add_argument
    add("tapes", nargs="+", metavar="TAPE", help="[SYMBOL=]FILE of bars: .json, .csv, .zip or .feather")
    add("--settings", type=Path, help="whose protection, trailing and sizing apply; ./settings.toml if not given")
    add("--side", choices=tuple(_SIDES), default="long")
    add("--every", metavar="MINUTES", help=f"an entry every so often ({EVERY_MINUTES} unless --at is given)")
    add("--at", nargs="+", action="extend", default=[], metavar="TIME", help="an entry at this time (UTC)")
    add("--usd", help="what a position costs; sizing.position_size_usd if not given")
    add("--from", dest="begin", metavar="TIME", help="leave out the bars before")
    add("--to", dest="end", metavar="TIME", help="leave out the bars from there on")
    add("--bar-order", choices=[order.value for order in BarOrder], default=BarOrder.BOTH.value)
    add("--jump", action="store_true", help="prices jump from point to point of a bar instead of passing all between")
    add("--round-trip-ms", default="50", help="how long a request takes, there and back")
    add("--figure", type=Path, metavar="FILE.svg", help="draw the position whose stop moved most often")
    add("--csv", type=Path, metavar="FILE", help="all positions, a line each")
    add("--timelines", type=Path, metavar="FOLDER", help="the exchange's own record of each position")
    add("--json", action="store_true", help="positions and totals as JSON")
    found = parser.parse_args(words)
    every = None if found.every is None and found.at else found.every or str(EVERY_MINUTES)
    return Asked(
        tapes=tuple(found.tapes),
        settings=found.settings,
        sides=_SIDES[found.side],
        every=None if every is None else _whole("--every", every, 1, None),
        moments=tuple(_time("--at", text) for text in found.at),
        usd=None if found.usd is None else _money("--usd", found.usd),
        begin=None if found.begin is None else _time("--from", found.begin),
        end=None if found.end is None else _time("--to", found.end),
        orders=_ORDERS[BarOrder(found.bar_order)],
        jumps=found.jump,
        round_trip_ms=_whole("--round-trip-ms", found.round_trip_ms, 0, LONGEST_ROUND_TRIP_MS),
        figure=_target("--figure", found.figure),
        csv=_target("--csv", found.csv),
        timelines=found.timelines,
        json=found.json,
    )


def terms_of(settings: Settings, asked: Asked) -> Terms:
    """What the settings say of a position's life, under the command line's own words."""
    from actors import core_values, tree  # brings ccxt along: a second

    return Terms(
        protection=core_values.protection_of(settings),
        trailing=core_values.trailing_of(settings),
        take_profits=core_values.take_profits_of(settings),
        atr=core_values.atr_rules_of(settings),
        usd=settings.sizing.position_size_usd if asked.usd is None else asked.usd,
        overshoot_pct=settings.sizing.overshoot_pct,
        farthest_stop_pct=tree.LAST_CHECK_REACH_PCT,
        round_trip_ms=asked.round_trip_ms,
        recorded=asked.timelines is not None,
    )


def _opened(text: str, asked: Asked) -> Tape:
    try:
        return open_tape(text).cut(asked.begin, asked.end)
    except OSError as error:
        raise UsageError(f"{text}: {error.strerror or error}") from error
    except TapeError as error:
        raise UsageError(f"{text}: {error}") from error


def _entries(tape: Tape, asked: Asked) -> list[Entry]:
    try:
        entries = entries_at(tape, asked.moments, asked.sides)
    except TapeError as error:
        raise UsageError(f"{tape.name}: {error}") from error
    if asked.every is not None:
        entries += entries_every(tape, asked.every, asked.sides)
    return sorted(set(entries), key=lambda entry: (entry.at, entry.side))


def _write_files(asked: Asked, tapes: Iterable[Tape], rows: Sequence[Replayed]) -> None:
    """Raises OSError."""
    if asked.csv is not None:
        with asked.csv.open("w", newline="") as file:
            write_csv(rows, file)
    if asked.timelines is not None:
        asked.timelines.mkdir(parents=True, exist_ok=True)
        for row in rows:
            name = f"{Path(row.tape).stem}-{row.bar_order.value}-{row.number}.jsonl"
            (asked.timelines / name).write_text("".join(json.dumps(line) + "\n" for line in row.timeline))
    drawn = busiest(rows)
    if asked.figure is None:
        return
    if drawn is None:
        sys.stderr.write("note: no position was opened, so there is no picture\n")
        return
    asked.figure.write_text(picture(next(tape for tape in tapes if tape.name == drawn.tape), drawn))


def _target(option: str, path: Path | None) -> Path | None:
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: the folder {path.parent} does not exist")
    return path


def _time(option: str, text: str) -> int:
    try:
        return read_time(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {error}") from error


def _whole(option: str, text: str, least: int, most: int | None) -> int:
    rule = f"at least {least}" if most is None else f"{least} to {most}"
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        raise UsageError(f"{option} {text}: must be a whole number, {rule}")
    return int(text)


def _money(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise UsageError(f"{option} {text}: must be a decimal number") from None
    if not value.is_finite() or value <= 0:
        raise UsageError(f"{option} {text}: must be finite and above 0")
    return value

"""Where log lines go: readable on the terminal, JSON lines in a rotated file, and no secret in either."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from config.secrets import Secrets
from config.settings import Log

if TYPE_CHECKING:
    from loguru import Record

TERMINAL = "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <8}</level> {message}"
DEBUG_TAG = "[DEBUG_TRADING]"

_sinks: list[int] = []
_directory: list[Path] = []


def set_up(settings: Log, directory: Path, secrets: Iterable[str]) -> None:
    """Send loguru's lines to their places. `secrets` never appear in any of them. Raises OSError."""
    hidden = Secrets(secrets)

    def redact(record: Record) -> None:
        error = record["exception"]
        if error is not None:
            trace = "".join(traceback.format_exception(error.type, error.value, error.traceback))
            if hidden.inside(trace):
                # The sinks would write the error itself out: its text takes its place.
                record["exception"] = None
                record["message"] += f"\n{trace}"
        record["message"] = hidden.hide(record["message"])

    logger.remove()
    logger.configure(patcher=redact)
    # The first thing that is made under the state directory, and so the directory itself: parents get no mode.
    for made in (directory.parent, directory):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sinks[:], _directory[:] = _add_sinks(settings, directory), [directory]
    if settings.debug_trading:
        logger.add(
            sys.stderr,
            format=f"{DEBUG_TAG} {{message}}",
            level="DEBUG",
            filter=lambda record: "event" in record["extra"],  # what happened, what was judged, who was told
            backtrace=False,
            diagnose=False,
        )
    # Libraries say at INFO what may hold an address with a key in it.
    for name in ("ccxt", "websockets", "aiohttp", "asyncio", "pykka", "psycopg"):
        logging.getLogger(name).setLevel(logging.WARNING)


def change_level(settings: Log) -> None:
    """Another level from now on. The new sinks stand before the old ones go, so that no line is lost between them.

    Without `set_up` (a tree in a test) there is nothing to change.
    """
    for directory in _directory:
        before, _sinks[:] = tuple(_sinks), _add_sinks(settings, directory)
        for sink in before:
            logger.remove(sink)


def _add_sinks(settings: Log, directory: Path) -> list[int]:
    """The terminal and the file, at the set level."""
    sinks: list[int] = []
    if settings.terminal:
        sinks.append(logger.add(sys.stderr, format=TERMINAL, level=settings.level, backtrace=False, diagnose=False))
    sinks.append(
        logger.add(
            directory / "holdfast.jsonl",
            level=settings.level,
            serialize=True,
            rotation=settings.rotation,
            retention=settings.retention,
            backtrace=False,
            diagnose=False,
        )
    )
    return sinks

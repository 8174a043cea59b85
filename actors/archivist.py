"""The archivist: months of events are made ahead of time, and archived and dropped when they are old (SYSTEM D5).

It looks once an hour, on an errand of its own: nothing here holds up the journal. What fails is told once and tried
again; the month stays in the database meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from loguru import logger

from actors.errands import ErrandDone, Errands
from actors.guard import ActorContext
from actors.messages import Tick
from actors.recording import Recorder
from actors.reporting import ReportingActor
from config.settings import Settings
from domain.catalogue import EventType
from persistence.archive import Archive, ArchiveDamaged, NotArchived, archive_month, due_months, prune_log
from persistence.database import DatabaseAway
from persistence.partitions import ensure_partitions

ARCHIVIST = "archivist"
FIRST_S, EVERY_S, AGAIN_S = 5.0, 3600.0, 60.0
_MONTHS = "months of events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is kept, and for how long; 0: for ever."""

    events_months: int
    log_days: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the archivist is given. `away_because`: why the database must not be written yet; None: it may."""

    conninfo: str
    rules: Callable[[], Rules]
    away_because: Callable[[], str | None]
    recorder: Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one look did. `failed`: a month that could not be archived, and why."""

    made: tuple[str, ...]
    forgotten: int
    log_days: int
    archived: tuple[tuple[Archive, float], ...]
    failed: tuple[str, str] | None
    again_s: float = EVERY_S


def rules_of(settings: Settings) -> Rules:
    """The archivist's rules as the settings in force have them."""
    kept = settings.retention
    return Rules(events_months=kept.events_months, log_days=kept.transaction_log_days, folder=settings.archive_dir)


class Archivist(ReportingActor):
    """Looks once an hour."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._errands = Errands(self.remind)
        self._failing: tuple[str, str] | None = None

    def started(self) -> None:
        """The first look is soon, and no part of the start."""
        self.remind_after(FIRST_S, Tick())

    def receive(self, message: Any) -> object:
        """The time, or the end of a look."""
        match message:
            case Tick():
                self._look()
            case ErrandDone():
                self._errands.over(message)
                self._done(message)
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _look(self) -> None:
        if self._wiring.away_because() is not None:
            self.remind_after(AGAIN_S, Tick())
            return
        conninfo, rules, now = self._wiring.conninfo, self._wiring.rules(), self.clock.now()
        self._errands.run(_MONTHS, lambda: look(conninfo, rules, now))

    def _done(self, done: ErrandDone) -> None:
        if isinstance(done.error, DatabaseAway):  # the journal tells of it
            logger.info("ARCHIVIST_WAITS error={!r}", str(done.error))
            self.remind_after(AGAIN_S, Tick())
            return
        if done.error is not None or not isinstance(done.answer, Round):
            raise RuntimeError(f"{done.name}: {done.error or done.answer!r}") from done.error
        self._tell(done.answer)
        self.remind_after(done.answer.again_s, Tick())

    def _tell(self, seen: Round) -> None:
        if seen.made:
            self.report(EventType.PARTITIONS_MADE, {"partitions": ",".join(seen.made)})
        if seen.forgotten:
            figures = {"rows": seen.forgotten, "older_than_days": seen.log_days}
            self.report(EventType.RECORDS_FORGOTTEN, figures)
        for month, took_s in seen.archived:
            data = {
                "month": month.month,
                "file": str(month.file),
                "rows": month.rows,
                "sha256": month.sha256,
                "took_s": f"{took_s:.3f}",
            }
            self.report(EventType.EVENTS_ARCHIVED, data)
        if seen.failed is not None and seen.failed != self._failing:
            month_name, why = seen.failed
            self.report(EventType.ARCHIVE_FAILED, {"month": month_name, "error": why}, error=why)
        self._failing = seen.failed


def look(conninfo: str, rules: Rules, now: datetime) -> Round:
    """One look, in an errand's thread; months are archived oldest first, up to one that fails. Raises DatabaseAway."""
    made = tuple(ensure_partitions(conninfo, now))
    forgotten = prune_log(conninfo, now, rules.log_days) if rules.log_days else 0
    archived: list[tuple[Archive, float]] = []
    failed, again_s = None, EVERY_S
    for month in due_months(conninfo, now, rules.events_months) if rules.events_months else ():
        began = time.monotonic()
        try:
            archive = archive_month(conninfo, month, rules.folder)
        except DatabaseAway as away:  # or somebody reads for so long that the table cannot be dropped now
            logger.info("ARCHIVIST_WAITS month={} error={!r}", month, str(away))
            again_s = AGAIN_S
            break
        except (NotArchived, ArchiveDamaged, OSError) as error:
            failed = (month, f"{type(error).__name__}: {error}")
            break
        if archive is None:
            break  # another process is at it
        archived.append((archive, time.monotonic() - began))
    return Round(
        made=made,
        forgotten=forgotten,
        log_days=rules.log_days,
        archived=tuple(archived),
        failed=failed,
        again_s=again_s,
    )

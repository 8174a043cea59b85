"""New settings in a running service: read whole, refused whole or put in force whole, and told to whom it concerns.

Rules of this file: one reload at a time, on the thread of whoever asked; a reading that is wrong changes nothing; a
stop in force is never loosened (the owners take over only what became tighter). Both outcomes are events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from actors import messages
from actors.directory import Directory
from actors.messages import ReconcileNow
from actors.owners import Owners
from actors.rule_changes import RuleChange, RulesNew
from config.changes import Change, changes, merged
from config.fields import Level
from config.in_force import SettingsInForce
from config.settings import Log, Settings
from config.sources import Problem, SettingsError
from domain.catalogue import EventType
from domain.entries.terms import Terms
from domain.position.inputs import RulesChanged

SETTLES_S = 0.3

Tell = Callable[[EventType, dict[str, object]], None]
TermsOf = Callable[[Settings, str, str], Terms]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload came to: in force now, and what waits for a restart."""

    changed: tuple[Change, ...]
    needs_restart: tuple[Change, ...]


class Reloading:
    """The only writer of the settings in force."""

    def __init__(
        self,
        in_force: SettingsInForce,
        *,
        load: Callable[[], Settings],
        terms: TermsOf,
        set_log_level: Callable[[Log], None],
        owners: Owners,
        directory: Directory,
        tell: Tell,
    ) -> None:
        """`load` reads file and environment anew, or raises SettingsError; `terms` are those of account and symbol."""
        self._in_force = in_force
        self._load = load
        self._terms = terms
        self._set_log_level = set_log_level
        self._owners = owners
        self._directory = directory
        self._tell = tell
        self._lock = threading.Lock()

    def reload(self, by: str) -> Reloaded:
        """Read the settings anew and put the hot keys in force. Raises SettingsError: then nothing has changed."""
        with self._lock:
            try:
                read = self._read()
            except SettingsError as error:
                self._tell(
                    EventType.SETTINGS_REFUSED,
                    {"by": by, "error": str(error), "problems": [str(problem) for problem in error.problems]},
                )
                raise
            before = self._in_force.now
            found = changes(before, read)
            done = Reloaded(
                changed=tuple(change for change in found if change.hot),
                needs_restart=tuple(change for change in found if not change.hot),
            )
            self._put_in_force(before, merged(before, read))
            self._tell(
                EventType.SETTINGS_RELOADED,
                {"by": by, "changed": as_data(done.changed), "needs_restart": as_data(done.needs_restart)},
            )
            return done

    def _read(self) -> Settings:
        """The same twice, a moment apart: half of a file may be valid, and would mean defaults for the rest."""
        first = self._load()
        threading.Event().wait(SETTLES_S)
        if self._load() != first:
            rule = "has changed while it was read: it is being written; reload again once it is whole"
            raise SettingsError((Problem(source="settings", key="", rule=rule),))
        return first

    def set_log_level(self, level: Level, by: str) -> None:
        """Until the next reload, which brings back what the file says."""
        with self._lock:
            before = self._in_force.now
            after = before.model_copy(update={"log": before.log.model_copy(update={"level": level})})
            self._put_in_force(before, after)
            self._tell(
                EventType.SETTINGS_RELOADED,
                {"by": by, "changed": as_data(changes(before, after)), "needs_restart": []},
            )

    def _put_in_force(self, before: Settings, after: Settings) -> None:
        if after == before:
            return
        self._in_force.replace(after)
        if after.log != before.log:
            self._set_log_level(after.log)
        for account in after.accounts:
            self._directory.tell(messages.reconciler(account), ReconcileNow(reason="settings reloaded"))
        if (after.protection, after.trailing) != (before.protection, before.trailing):
            tell_owners(
                self._owners,
                self._directory,
                lambda p: difference(
                    self._terms(before, p.account, p.symbol), self._terms(after, p.account, p.symbol)
                ),
            )


def tell_owners(owners: Owners, directory: Directory, change: RuleChange) -> None:
    """Rules have changed, and are in force: write it down, and let the positions know that it concerns.

    Who is not reached, as it is only just being made or started, finds it by itself.
    """
    owners.rule_changes.add(change)
    for position in owners.all():
        if change(position) is not None:
            directory.tell(messages.position(position.id), RulesNew())


def difference(old: Terms, new: Terms) -> RulesChanged | None:
    """What an owner hears of other terms; None: its rules are the same by both."""
    if (old.protection, old.trailing) == (new.protection, new.trailing):
        return None
    return RulesChanged(
        old_protection=old.protection,
        protection=new.protection,
        old_trailing=old.trailing,
        trailing=new.trailing,
    )


def as_data(found: Iterable[Change]) -> list[Mapping[str, str]]:
    """Changes as an event or an answer carries them."""
    return [{"key": change.key, "old": change.old, "new": change.new} for change in found]

"""Whether entries are open, and why not: what the entry desk remembers about accounts, from one life to the next.

It decides nothing and sends nothing. What cannot be said yet (`undecidable`) is kept apart from a 'no'
(`closed_because`): a signal that meets the first waits, one that meets the second is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from actors.entry_judgement import AccountDesk
from actors.owners import Owners
from persistence.reader import Reader

PAUSES_FACT = "entries_paused"
RELEASED_FACT = "released_positions"
RELEASE_SETTLES_S = 5.0
ENDS_COUNT = timedelta(days=7)  # an end from before it is no reason to wait for an entry
EVERY_ACCOUNT = "*"


class EntryGate:
    """Used by the desk's thread alone."""

    def __init__(self, accounts: Iterable[str]) -> None:
        """Nothing is known of any account yet, so all are closed."""
        self.journal_up = True
        self.readable = True
        self.loaded = False
        self._unread = set(accounts)
        self._unordered = set(self._unread)
        self._locks_lost: dict[str, str] | None = None
        self._paused: dict[str, str] = {}
        self._released: dict[str, str] = {}
        self._last_order: dict[tuple[str, str], datetime] = {}

    # The answer.

    def undecidable(self, account: str) -> str | None:
        """Why nothing can be decided on yet, which is no refusal. Whoever cannot prove the lock leaves a signal to whom
        it may concern: another process may have the account, and would find it answered."""
        return self._unknown(account) or self._lock_lost(account)

    def _unknown(self, account: str) -> str | None:
        return self._database_away() or self.not_yet(account)

    def _lock_lost(self, account: str) -> str | None:
        return (self._locks_lost or {}).get(account)

    def not_yet(self, account: str) -> str | None:
        """What will be known of the account in a moment, after a start."""
        if account in self._unread:
            return "the account has not been read yet"
        if account in self._unordered:
            return "what was ordered on the account has not been read yet"
        if self._locks_lost is None:
            return "the warden has not said yet whether the account's lock is held"
        return None

    @property
    def database_known(self) -> bool:
        """Whether journal and desk can reach the database, and what outlives a desk has been read."""
        return self.journal_up and self.readable and self.loaded

    def _database_away(self) -> str | None:
        return None if self.database_known else "the database cannot be reached"

    def closed_because(self, account: str) -> str | None:
        """Why there are no entries on the account; None: open."""
        not_yet, lost = self._unknown(account), self._lock_lost(account)
        if not_yet is not None and lost is not None:
            return f"{lost}; {not_yet}"  # both are to be seen: whose database is away holds no lock either
        return not_yet or lost or self._paused.get(account, self._paused.get(EVERY_ACCOUNT))

    # What it learns.

    def load(self, reader: Reader, accounts: Mapping[str, AccountDesk], owners: Owners, now: datetime) -> None:
        """Read, once, what outlives a desk; what was ordered meanwhile stays in force. Raises DatabaseAway.

        What was ordered on an account is read when its instruments are known: without an exchange at a start, later.
        """
        facts = None if self.loaded else (reader.fact(PAUSES_FACT), reader.fact(RELEASED_FACT))
        for name in [name for name in self._unordered if accounts[name].instruments]:
            instruments = dict(accounts[name].instruments)
            bases = sorted({instrument.base for instrument in instruments.values()})
            for base, at in reader.last_order_at(name, bases).items():
                self.ordered(name, base, at)
            # A stop or a take-profit that ended a position was an order too, sent long before.
            for symbol, at in reader.last_ends(name, now - ENDS_COUNT).items():
                if symbol in instruments:
                    self.ordered(name, instruments[symbol].base, at)
            self._unordered.discard(name)
        if facts is not None:
            paused, released = facts
            self._paused = {**(paused or {}), **self._paused}
            self._released = {**(released or {}), **self._released}
            self._tell_of_released(owners)
        for position in owners.all():  # the newest may not have reached the database yet
            if not position.adopted:
                self.ordered(position.account, position.instrument.base, position.opened_at)
        self.loaded = self.readable = True

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be loaded."""
        return self.loaded and not self._unordered

    def account_read(self, account: str) -> bool:
        """The account was read whole; True the first time."""
        first = account in self._unread
        self._unread.discard(account)
        return first

    @property
    def locks_known(self) -> bool:
        """Whether the warden has told about the locks."""
        return self._locks_lost is not None

    def locks(self, lost: Mapping[str, str]) -> None:
        """All that the warden knows: the accounts whose lock is lost, and why."""
        self._locks_lost = {name: f"protection_only: {reason}" for name, reason in lost.items()}

    def lock(self, account: str, held: bool, reason: str) -> None:
        """One lock was lost or is held again."""
        if self._locks_lost is None:
            return  # the warden's full answer is still to come and includes this
        if held:
            self._locks_lost.pop(account, None)
        else:
            self._locks_lost[account] = reason

    def pause(self, account: str | None, reason: str) -> dict[str, object]:
        """An operator closes one account or all; returns the facts to keep."""
        self._paused[account or EVERY_ACCOUNT] = reason
        return {PAUSES_FACT: dict(self._paused)}

    def resume(self, account: str | None) -> dict[str, object]:
        """An operator opens one account or all; returns the facts to keep."""
        if account is None:
            self._paused.clear()
        else:
            self._paused.pop(account, None)
        return {PAUSES_FACT: dict(self._paused)}

    # Cooldown.

    def ordered(self, account: str, base: str, at: datetime) -> None:
        """An order for this base currency was decided."""
        known = self._last_order.get((account, base))
        self._last_order[account, base] = at if known is None else max(at, known)

    def last_order_at(self, account: str, base: str) -> datetime | None:
        """When an order for this base currency was decided last."""
        return self._last_order.get((account, base))

    # Positions handed back to a human.

    def release(self, account: str, symbol: str, owners: Owners, now: datetime) -> dict[str, object]:
        """A human has the position now: it is not adopted again before it is flat; returns the facts to keep."""
        self._released[f"{account} {symbol}"] = now.isoformat()
        self._tell_of_released(owners)
        return {RELEASED_FACT: dict(self._released)}

    def is_released(self, account: str, symbol: str) -> bool:
        """Whether a human has the position on this symbol."""
        return f"{account} {symbol}" in self._released

    def forget_flat(self, account: str, owners: Owners, now: datetime) -> dict[str, object] | None:
        """Released positions that are gone by now are over; returns the facts to keep if any was."""
        settled = now - timedelta(seconds=RELEASE_SETTLES_S)
        over = [
            key
            for key, at in self._released.items()
            if key.startswith(f"{account} ")
            and not owners.foreign_on(account, key.removeprefix(f"{account} "))
            and datetime.fromisoformat(at) < settled
        ]
        for key in over:
            del self._released[key]
        if not over:
            return None
        self._tell_of_released(owners)
        return {RELEASED_FACT: dict(self._released)}

    def _tell_of_released(self, owners: Owners) -> None:
        pairs = (key.partition(" ") for key in self._released)
        owners.leave_to_humans(frozenset((account, symbol) for account, _, symbol in pairs))

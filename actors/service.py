"""The service from the ground up: locks, database, exchanges, then the actor tree; and down again in reverse.

`Service` is a script in two halves, `start` and `stop`; the main thread stands between them, free for signals. Where
the database cannot be had the service stands on what this machine remembers (`Bottom`), and on it alone.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from loguru import logger

from actors.account_access import account_access, paper_options
from actors.attachment import Attachment
from actors.clock import SystemClock
from actors.foundation import Account, Ground
from actors.guard import configure_threads, patience
from actors.heartbeat import Heartbeat
from actors.lease import Lease
from actors.memory import Remembered, give_back, last_memory, remembered, tenures_of
from actors.refs import StartFailedError
from actors.taking_over import AccountHeld, TakeOver
from actors.tree import Tree
from actors.waiting_room import WaitingRoom
from adapters.exchange.access import AccountAccess
from adapters.exchange.factory import realm_of
from adapters.paper_launcher import PaperLauncher, own_program
from adapters.service_manager import ServiceManager
from config.live import confirmed_live
from config.settings import Settings
from config.sources import SettingsError
from domain.accounts import AccountFacts, Expected, address, refusal
from domain.catalogue import EventType
from persistence.database import DatabaseAway, instance_code, migrate, probe
from persistence.embedded import AlreadyRunning, EmbeddedFailed, EmbeddedPostgres
from persistence.local_book import LocalBook, Memory
from persistence.lock import AccountLock, LockLost, fingerprint
from persistence.partitions import ensure_partitions
from persistence.positions import highest_term
from persistence.reader import Reader
from persistence.spool import Spool

WATCH_EVERY_S = 0.5
FLUSH_S = 2.0
INSISTED_AFTER_S = 1.0
START_LIMIT_S = 120.0  # as the unit file gives a start; one that stood by has been ready, and is watched
EXIT_FAILED, EXIT_HELD = 1, 3

__all__ = ["AccountHeld", "Service", "WrongAddress"]


class WrongAddress(Exception):
    """An account's address is not of the service's mode: real money would be touched, or play money taken for it."""


@dataclass(slots=True, kw_only=True)
class Bottom:
    """What a start stands on. `remembered`: it stands on the local book, since the database cannot be had."""

    conninfo: str
    database: EmbeddedPostgres | None
    why_not: Exception | None = None
    instance: str = ""
    remembered: Remembered | None = None
    confirmed: dict[str, object] = field(default_factory=dict)


class Service:
    """One running service. `start` raises what is wrong; after it `wait` returns the exit code, `stop` cleans up."""

    def __init__(
        self,
        settings: Settings,
        version: str,
        *,
        load_settings: Callable[[], Settings],
        confirm_live: bool = False,
    ) -> None:
        """Nothing is touched yet. `load_settings` reads them anew, for a reload, and raises SettingsError.

        `confirm_live`: the operator has said yes to trading these accounts' real money.
        """
        self._settings = settings
        self._confirm_live = confirm_live
        self._version = version
        self._clock = SystemClock()
        self._load_settings = load_settings
        self._ending = threading.Event()
        self._reload_asked = threading.Event()
        self._ending_since = 0.0
        self._exit_code = 0
        self._reason = ""
        self._below = ExitStack()
        self._tree: Tree | None = None
        self._wrong: str | None = None
        self._manager = ServiceManager.of(os.environ)

    @property
    def tree(self) -> Tree:
        """The running tree. Raises RuntimeError before `start`."""
        if self._tree is None:
            raise RuntimeError("the service has not been started")
        return self._tree

    def start(self) -> None:
        """Bring everything up; `stop` is due either way.

        Raises AccountHeld, LiveUnconfirmed, NothingRemembered, or the error of whatever could not be had.
        """
        configure_threads()
        self._clock.start()
        self._below.callback(self._clock.stop)
        state_dir = self._settings.service.state_dir
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._below.callback(os.close, _exclusive(state_dir / "lock"))
        book = LocalBook(state_dir / "local.json")
        bottom = self._bottom(state_dir)
        exchanges = self._exchanges(state_dir)
        accesses = self._accesses(exchanges)
        locks = self._locks(bottom, accesses, exchanges)
        spool = Spool(state_dir / "spool")
        self._below.callback(spool.close)
        ours = (
            self._take_over(bottom, locks, book)
            if bottom.why_not is None
            else self._remember(bottom, locks, book, spool) or self._take_over(bottom, locks, book)
        )
        if not ours or self._ending.is_set():
            return  # asked to stop meanwhile, perhaps before the holder before us has fallen silent: send nothing
        self._grow(bottom, exchanges, accesses, locks, book, spool)

    def request_stop(self, reason: str, exit_code: int) -> None:
        """End the service soon, from any thread. The first reason counts."""
        if not self._ending.is_set():
            self._reason, self._exit_code = reason, exit_code
            self._ending_since = self._clock.monotonic()
            self._ending.set()

    def request_reload(self) -> None:
        """Read the settings anew, soon: for a signal's handler, which must not do it itself."""
        self._reload_asked.set()

    @property
    def insisted(self) -> bool:
        """Whether who asks to stop now does so again, and not just twice at a time (a terminal, a process group)."""
        return self._ending.is_set() and self._clock.monotonic() - self._ending_since >= INSISTED_AFTER_S

    def wait(self) -> int:
        """Stand by until somebody asks to stop, watching the root of the tree. Returns the exit code."""
        if self._ending.is_set():
            return self._exit_code
        every_s = self._manager.watch_every_s(WATCH_EVERY_S)
        watch = self.tree.watch(every_s)
        heartbeat = Heartbeat(self._settings.notifier, self._clock, self.tree.write)
        self._manager.ready(f"mode {self._settings.service.mode}, pid {os.getpid()}")
        while not self._ending.wait(every_s):
            self._reload_if_asked(self.tree)
            wrong = watch.wrong()
            if wrong is None:
                self._manager.alive()
                heartbeat.alive()
                continue
            logger.critical("ROOT_UNHEALTHY error={!r}: the tree cannot heal itself, the process ends at once", wrong)
            self._wrong = wrong
            self.request_stop(f"the actor tree cannot heal itself: {wrong}", EXIT_FAILED)
        self._manager.stopping(self._reason)
        return self._exit_code

    def _reload_if_asked(self, tree: Tree) -> None:
        if self._reload_asked.is_set():
            self._reload_asked.clear()
            # Refused settings have been told as an event, and the old ones stay: the service goes on.
            with suppress(SettingsError):
                tree.ruling.reloading.reload("SIGHUP")

    def stop(self, what_stays: Callable[[Tree], str]) -> None:
        """Take everything down in order; positions and stops stay where they are, and the log says so."""
        if self._tree is not None and (self._wrong is not None or not self._tree.sound):
            self._drop_tree(self._tree)
            return
        with self._below:
            if self._tree is not None and not self._stop_tree(self._tree, what_stays):
                self._below.pop_all()  # who may still send keeps the locks until the process ends
        logger.info("SHUTDOWN_DONE")

    def _drop_tree(self, tree: Tree) -> None:
        """A tree that is hung, or not up yet, is not stopped in order: the process just ends, which is safe as a kill.

        Nor is anything below it: locks are not given back by who cannot say that all its threads have ended.
        """
        logger.warning("SHUTDOWN_AT_ONCE reason={!r}", self._reason)
        if not tree.flush(FLUSH_S):
            logger.error("JOURNAL_UNFLUSHED what it had in hand is lost, but for what was sent")

    def _stop_tree(self, tree: Tree, what_stays: Callable[[Tree], str]) -> bool:
        stays = what_stays(tree)
        logger.info("SHUTDOWN reason={!r}: {}", self._reason or "asked to", stays)
        if tree.root is not None:
            tree.write(EventType.SERVICE_STOPPED, {"reason": self._reason, "stays": stays})
        stopped = tree.stop()
        if not stopped:
            logger.error("SHUTDOWN_OVERDUE the tree did not stop in time: the process ends at once, locks and all")
        return stopped

    # The ground.

    def _bottom(self, state_dir: Path) -> Bottom:
        """The database, ready for us, or why it cannot be had.

        Raises AccountHeld, MigrationRefused, LiveUnconfirmed.
        """
        url, database, conninfo = self._settings.database.url.get_secret_value(), None, ""
        try:
            if url:
                conninfo = url
            else:
                database = EmbeddedPostgres(state_dir / "pg")
                self._below.callback(database.stop)
                conninfo = database.start()
            return self._prepared(Bottom(conninfo=conninfo, database=database))
        except AlreadyRunning as running:
            raise AccountHeld(str(running)) from running
        except (DatabaseAway, EmbeddedFailed, OSError) as away:
            known = conninfo or (database.conninfo if database is not None else "")
            return Bottom(conninfo=known, database=database, why_not=away)

    def _prepared(self, bottom: Bottom) -> Bottom:
        probe(bottom.conninfo)
        migrate(bottom.conninfo)
        ensure_partitions(bottom.conninfo, self._clock.now())
        bottom.instance = instance_code(bottom.conninfo)
        reader = Reader(bottom.conninfo)
        try:
            bottom.confirmed = confirmed_live(
                self._settings, reader.fact, confirm=self._confirm_live, at=self._clock.now()
            )
        finally:
            reader.close()
        return bottom

    def _exchanges(self, state_dir: Path) -> dict[str, PaperLauncher]:
        if self._settings.service.mode != "paper":
            return {}
        launchers: dict[str, PaperLauncher] = {}
        for name, account in self._settings.accounts.items():
            if account.rest_url:
                continue  # a paper exchange that somebody else runs
            launcher = PaperLauncher(
                state_dir / "paper" / name,
                own_program(),
                paper_options(self._settings, account),
                port=self._settings.paper.port,
            )
            endpoint = launcher.start()
            logger.info("PAPER_EXCHANGE account={} pid={} rest={}", name, endpoint.pid, endpoint.rest_url)
            if self._settings.paper.stop_exchange_on_exit:
                self._below.callback(launcher.stop)
            launchers[name] = launcher
        return launchers

    def _accesses(self, exchanges: dict[str, PaperLauncher]) -> dict[str, AccountAccess]:
        testnet = self._settings.service.mode == "testnet"
        found = {
            name: account_access(name, account, exchanges.get(name), testnet=testnet)
            for name, account in self._settings.accounts.items()
        }
        for access in found.values():
            self._require_address(access)
        return found

    def _require_address(self, access: AccountAccess) -> None:
        """Nothing is sent to an address that the mode does not mean, not even a stop. Raises WrongAddress."""
        expected = Expected(account=access.account, mode=self._settings.service.mode, realm=realm_of(access))
        refused = refusal(tuple(address(AccountFacts(), expected)))
        if refused is not None:
            raise WrongAddress(f"account={access.account} rest_url={access.rest_url}: {refused}")

    def _locks(
        self, bottom: Bottom, accesses: dict[str, AccountAccess], exchanges: dict[str, PaperLauncher]
    ) -> dict[str, AccountLock]:
        holder = f"{socket.gethostname()} pid {os.getpid()}"
        return {
            name: AccountLock(
                bottom.conninfo,
                access.exchange,
                fingerprint(f"{access.api_key}@{name if name in exchanges else access.rest_url or ''}"),
                holder,
            )
            for name, access in accesses.items()
        }

    # Whose accounts they are.

    def _take_over(self, bottom: Bottom, locks: dict[str, AccountLock], book: LocalBook) -> bool:
        """Take all accounts, standing by for them if the settings say so; False when asked to stop meanwhile."""
        before = last_memory(book)
        reader = Reader(bottom.conninfo)
        self._below.callback(reader.close)

        def above(account: str) -> int:
            seen = before.tenures[account].seen if before is not None and account in before.tenures else 0
            return max(highest_term(reader.pool, account), seen)

        def prepare() -> None:
            if bottom.why_not is not None:  # it comes while we stand by
                self._prepared(bottom)

        taking = TakeOver(
            locks, above, self._ending, prepare=prepare, surely_dead=bottom.database is not None
        )
        for account, lock in locks.items():
            self._below.callback(give_back, account, lock, book)
        if self._settings.service.standby:
            if not self._stand_by(taking):
                return False
        else:
            taking.at_once()
            try:
                taking.await_silence(self._manager.alive)
            except LockLost as lost:
                raise AccountHeld(f"lost while taking it over: {lost}") from lost
        kept = before.positions if before is not None and before.instance == bottom.instance else ()
        if before is not None and before.positions and not kept:
            logger.critical(
                "ANOTHER_DATABASE instance={} knows nothing of {} positions of instance {} that this machine held last",
                bottom.instance, len(before.positions), before.instance,
            )  # fmt: skip
        host, facts = socket.gethostname(), {} if before is None else before.facts
        memory = Memory(
            instance=bottom.instance, host=host, tenures=tenures_of(locks), positions=kept, facts=facts
        )
        try:
            book.begin(memory)
        except OSError as error:
            logger.critical("LOCAL_BOOK_UNWRITTEN error={!r}", str(error))
        return True

    def _stand_by(self, taking: TakeOver) -> bool:
        """Wait for the accounts, however long it takes; False when asked to stop meanwhile."""
        room = WaitingRoom(
            self._settings, self._version, self._clock, self._manager, lambda why: self.request_stop(why, 0)
        )
        room.open()
        try:
            while taking.stand_by(room):
                try:
                    taking.await_silence(self._manager.alive)
                except LockLost as lost:
                    logger.warning("TAKE_OVER_LOST error={!r}", str(lost))
                    taking.let_go()
                else:
                    self._manager.patience(START_LIMIT_S)
                    return True
            return False
        finally:
            room.close()

    def _remember(
        self, bottom: Bottom, locks: dict[str, AccountLock], book: LocalBook, spool: Spool
    ) -> bool:
        """Go on without the database if this machine held the accounts last; False: wait for it (stand-by only).

        Raises NothingRemembered when that is not so and nobody stands by.
        """
        standby = self._settings.service.standby
        why = f"{type(bottom.why_not).__name__}: {bottom.why_not}"
        found = remembered(book, spool, tenures_of(locks), socket.gethostname(), why=why, standby=standby)
        if found is None:
            return False
        bottom.remembered, bottom.instance = found, found.memory.instance
        for account, lock in locks.items():
            lock.resume(found.memory.tenures[account].term)
            self._below.callback(give_back, account, lock, book)
        book.begin(found.memory)
        logger.critical(
            "WITHOUT_DATABASE error={!r}: protection_only, {} positions from {}",
            why, len(found.memory.positions), self._settings.service.state_dir / "local.json",
        )  # fmt: skip
        return True

    # The tree.

    def _grow(
        self,
        bottom: Bottom,
        exchanges: dict[str, PaperLauncher],
        accesses: dict[str, AccountAccess],
        locks: dict[str, AccountLock],
        book: LocalBook,
        spool: Spool,
    ) -> None:
        absent = bottom.remembered
        attachment = Attachment(
            bottom.conninfo, self._clock, instance=bottom.instance, awaited=locks if absent is not None else ()
        )
        reader = Reader(bottom.conninfo, lambda: attachment.closed_because, pulse=patience)
        self._below.callback(reader.close)
        self._tree = Tree(
            Ground(
                settings=self._settings,
                version=self._version,
                started_at=self._clock.now(),
                clock=self._clock,
                conninfo=bottom.conninfo,
                instance=bottom.instance,
                database=bottom.database,
                exchanges=exchanges,
                accounts=tuple(
                    Account(
                        name=name,
                        access=access,
                        lock=locks[name],
                        lease=self._lease(name, locks[name], bottom, book),
                        first_incarnation=0 if absent is None else absent.first_incarnation,
                        doubtful=_may_live(locks[name]) and bottom.database is None,
                    )
                    for name, access in accesses.items()
                ),
                reader=reader,
                spool=spool,
                book=book,
                attachment=attachment,
                remembered=None if absent is None else absent.memory.positions,
                request_stop=self.request_stop,
                load_settings=self._load_settings,
            )
        )
        try:
            self._tree.start(self._ending.is_set)
        except StartFailedError:
            if not self._ending.is_set():
                raise
            return  # asked to stop meanwhile
        data: dict[str, object] = {"mode": self._settings.service.mode, "version": self._version, "pid": os.getpid()}
        self._tree.write(EventType.SERVICE_STARTED, data, facts=bottom.confirmed or None)
        if absent is not None:
            memory = absent.memory
            known = {"error": str(bottom.why_not), "positions": len(memory.positions), "lives": memory.lives}
            self._tree.write(EventType.STARTED_WITHOUT_DATABASE, known)

    def _lease(self, account: str, lock: AccountLock, bottom: Bottom, book: LocalBook) -> Lease:
        def superseded(reason: str, term: int) -> None:
            book.saw_term(account, term)
            if self._tree is not None:
                self._tree.write(EventType.ACCOUNT_SUPERSEDED, {"account": account, "term": term, "error": reason})
            self.request_stop(f"{account}: {reason}", EXIT_HELD)

        lease = Lease(
            account,
            self._clock,
            instance=bottom.instance,
            term=lock.term,
            standby=self._settings.service.standby,
            superseded=superseded,
        )
        if bottom.remembered is None:
            began = self._clock.now()
            try:
                lock.beat()
            except LockLost as lost:
                if lost.higher_term is not None:
                    raise AccountHeld(str(lost)) from lost
                lease.unproven(began, str(lost), rival=False)  # the database has just gone: the keeper goes on
            else:
                lease.proven(began)
        return lease


def _exclusive(path: Path) -> int:
    """Lock the state directory for this process. Raises AccountHeld naming the holder."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 100).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise AccountHeld(f"{path.parent}: in use by {holder}") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"pid {os.getpid()}\n".encode(), 0)
    return handle


def _may_live(lock: AccountLock) -> bool:
    """Whether an account was taken over from somebody who did not give it back."""
    before = lock.predecessor
    return before is not None and not before.released

"""The service from the ground up: locks, database, exchanges, then the actor tree; and down again in reverse.

`Service` is a script in two halves, `start` and `stop`; the main thread stands between them, free for signals.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from loguru import logger

from actors.clock import SystemClock
from actors.guard import configure_threads
from actors.root import healthy
from actors.tree import Account, Ground, Tree
from adapters.exchange.access import AccountAccess
from adapters.exchange.factory import realm_of
from adapters.paper_launcher import PaperLauncher, own_program
from adapters.service_manager import ServiceManager
from config.live import confirmed_live
from config.settings import Account as AccountSettings
from config.settings import Settings
from domain.accounts import AccountFacts, Expected, address, refusal
from domain.catalogue import EventType
from persistence.database import ensure_partitions, instance_code, migrate
from persistence.embedded import AlreadyRunning, EmbeddedPostgres
from persistence.lock import AccountLock, Held, fingerprint
from persistence.positions import highest_term
from persistence.reader import Reader
from persistence.spool import Spool

LEASE_S = 5.0
RECEIVE_WINDOW_S = 2.0
WATCH_EVERY_S = 1.0
PAPER_KEY = "paper"
EXIT_FAILED = 1


class AccountHeld(Exception):
    """Another process has the state directory or the account; the message says who."""


class WrongAddress(Exception):
    """An account's address is not of the service's mode: real money would be touched, or play money taken for it."""


class Service:
    """One running service. `start` raises what is wrong; after it `wait` returns the exit code, `stop` cleans up."""

    def __init__(self, settings: Settings, version: str, *, confirm_live: bool = False) -> None:
        """Nothing is touched yet. `confirm_live`: the operator has said yes to trading these accounts' real money."""
        self._settings = settings
        self._confirm_live = confirm_live
        self._version = version
        self._clock = SystemClock()
        self._ending = threading.Event()
        self._exit_code = 0
        self._reason = ""
        self._below = ExitStack()
        self._tree: Tree | None = None
        self._manager = ServiceManager.of(os.environ)

    @property
    def tree(self) -> Tree:
        """The running tree. Raises RuntimeError before `start`."""
        if self._tree is None:
            raise RuntimeError("the service has not been started")
        return self._tree

    def start(self) -> None:
        """Bring everything up; `stop` is due either way.

        Raises AccountHeld, LiveUnconfirmed, or the error of whatever could not be had.
        """
        configure_threads()
        self._clock.start()
        self._below.callback(self._clock.stop)
        state_dir = self._settings.service.state_dir
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._below.callback(os.close, _exclusive(state_dir / "lock"))
        conninfo, database = self._database(state_dir)
        migrate(conninfo)
        ensure_partitions(conninfo, self._clock.now())
        reader = Reader(conninfo)
        self._below.callback(reader.close)
        confirmed = confirmed_live(
            self._settings, reader.fact, confirm=self._confirm_live, at=self._clock.now()
        )
        exchanges = self._exchanges(state_dir)
        accounts = self._accounts(conninfo, reader, exchanges, embedded=database is not None)
        if self._ending.is_set():
            return  # asked to stop meanwhile, perhaps before the holder before us has fallen silent: send nothing
        spool = Spool(state_dir / "spool")
        self._below.callback(spool.close)
        self._tree = Tree(
            Ground(
                settings=self._settings,
                version=self._version,
                started_at=self._clock.now(),
                clock=self._clock,
                conninfo=conninfo,
                instance=instance_code(conninfo),
                database=database,
                exchanges=exchanges,
                accounts=accounts,
                reader=reader,
                spool=spool,
                request_stop=self.request_stop,
            )
        )
        self._tree.start()
        self._tree.write(
            EventType.SERVICE_STARTED,
            {"mode": self._settings.service.mode, "version": self._version, "pid": os.getpid()},
            facts=confirmed or None,
        )

    def request_stop(self, reason: str, exit_code: int) -> None:
        """End the service soon, from any thread. The first reason counts."""
        if not self._ending.is_set():
            self._reason, self._exit_code = reason, exit_code
            self._ending.set()

    def wait(self) -> int:
        """Stand by until somebody asks to stop, watching the root of the tree. Returns the exit code."""
        if self._ending.is_set():
            return self._exit_code
        tree = self.tree
        self._manager.ready(f"mode {self._settings.service.mode}, pid {os.getpid()}")
        while not self._ending.wait(WATCH_EVERY_S):
            if tree.root is not None and healthy(tree.root, tree.directory, self._clock):
                self._manager.alive()
                continue
            logger.critical("ROOT_UNHEALTHY the tree can no longer heal itself, the process ends")
            self.request_stop("the actor tree cannot heal itself", EXIT_FAILED)
        self._manager.stopping(self._reason)
        return self._exit_code

    def stop(self, what_stays: Callable[[Tree], str]) -> None:
        """Take everything down in order; positions and stops stay where they are, and the log says so."""
        with self._below:
            if self._tree is not None:
                self._stop_tree(self._tree, what_stays)
        logger.info("SHUTDOWN_DONE")

    def _stop_tree(self, tree: Tree, what_stays: Callable[[Tree], str]) -> None:
        stays = what_stays(tree)
        logger.info("SHUTDOWN reason={!r}: {}", self._reason or "asked to", stays)
        if tree.root is not None:
            tree.write(EventType.SERVICE_STOPPED, {"reason": self._reason, "stays": stays})
        if not tree.stop():
            logger.error("SHUTDOWN_OVERDUE some actors did not stop in time and were left behind")

    # The ground.

    def _database(self, state_dir: Path) -> tuple[str, EmbeddedPostgres | None]:
        url = self._settings.database.url.get_secret_value()
        if url:
            return url, None
        embedded = EmbeddedPostgres(state_dir / "pg")
        try:
            conninfo = embedded.start()
        except AlreadyRunning as running:
            raise AccountHeld(str(running)) from running
        self._below.callback(embedded.stop)
        return conninfo, embedded

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

    def _accounts(
        self, conninfo: str, reader: Reader, exchanges: dict[str, PaperLauncher], *, embedded: bool
    ) -> tuple[Account, ...]:
        found: list[Account] = []
        for name, account in self._settings.accounts.items():
            testnet = self._settings.service.mode == "testnet"
            access = account_access(name, account, exchanges.get(name), testnet=testnet)
            self._require_address(access)
            holder = f"{socket.gethostname()} pid {os.getpid()}"
            key = fingerprint(f"{access.api_key}@{name if name in exchanges else access.rest_url or ''}")
            lock = AccountLock(conninfo, access.exchange, key, holder)
            try:
                lock.acquire(above=highest_term(reader.pool, name))
            except Held as held:
                logger.error("RUN_LOCKED account={} holder={!r}", name, held.holder)
                raise AccountHeld(str(held)) from held
            self._below.callback(_released, lock)
            self._await_predecessor(name, lock, embedded=embedded)
            found.append(Account(name=name, access=access, lock=lock))
        return tuple(found)

    def _require_address(self, access: AccountAccess) -> None:
        """Nothing is sent to an address that the mode does not mean, not even a stop. Raises WrongAddress."""
        expected = Expected(account=access.account, mode=self._settings.service.mode, realm=realm_of(access))
        refused = refusal(tuple(address(AccountFacts(), expected)))
        if refused is not None:
            raise WrongAddress(f"account={access.account} rest_url={access.rest_url}: {refused}")

    def _await_predecessor(self, account: str, lock: AccountLock, *, embedded: bool) -> None:
        """Send nothing while the holder before us may still be heard (DESIGN 3, 'The lock decides').

        Beside an embedded database the state directory's own lock proves that the holder is dead: only what it put on
        the wire may still arrive. With a shared database its lease has to run out first.
        """
        before = lock.predecessor
        if before is None or before.released:
            return
        wait = RECEIVE_WINDOW_S + (0.0 if embedded else LEASE_S) - before.silent_s
        if wait > 0:
            logger.info("TAKE_OVER account={} from={!r} wait_s={:.1f}", account, before.holder, wait)
            self._ending.wait(wait)


def account_access(
    name: str, account: AccountSettings, exchange: PaperLauncher | None, *, testnet: bool
) -> AccountAccess:
    """How to reach an account: the paper exchange's address and keys in paper mode, the settings' own otherwise.

    Binance's testnet is its demo trading (VENUES B.4), unless an address of its own is given.
    """
    endpoint = exchange.running() if exchange is not None else None
    return AccountAccess(
        account=name,
        exchange=account.exchange,
        api_key=account.api_key.get_secret_value() or (PAPER_KEY if endpoint is not None else ""),
        secret=account.secret.get_secret_value() or (PAPER_KEY if endpoint is not None else ""),
        rest_url=endpoint.rest_url if endpoint is not None else account.rest_url or None,
        ws_url=endpoint.ws_url if endpoint is not None else account.ws_url or None,
        demo=account.demo or (testnet and not account.rest_url),
        hedge_mode=account.hedge_mode,
    )


def paper_options(settings: Settings, account: AccountSettings) -> list[str]:
    """The paper exchange's command line for an account."""
    paper = settings.paper
    options = ["--dialect", account.exchange, "--seed", str(paper.seed), "--balance", str(paper.balance)]
    options += ["--volatility", str(paper.volatility), "--latency-ms", str(paper.latency_ms)]
    options += ["--speed", str(paper.tape_speed), "--bar-order", paper.bar_order]
    options += ["--key", account.api_key.get_secret_value() or PAPER_KEY]
    options += ["--secret", account.secret.get_secret_value() or PAPER_KEY]
    for tape in paper.tape:
        options += ["--tape", tape]
    if paper.symbols:
        options += ["--symbols", ",".join(paper.symbols)]
    if paper.only_tape:
        options.append("--only-tape")
    if paper.control:
        options.append("--control")
    if account.hedge_mode:
        options.append("--hedge-mode")
    return options


def _released(lock: AccountLock) -> None:
    """Give an account back, so that a successor need not wait; without a database it will have to."""
    from persistence.database import DatabaseAway

    try:
        lock.release()
    except DatabaseAway as away:
        logger.warning("LOCK_UNRELEASED error={!r}", str(away))


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


def thread_dump() -> str:
    """The stacks of all threads, for a signal that asks why nothing moves."""
    import traceback

    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"--- {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    ]
    return "\n".join(parts)

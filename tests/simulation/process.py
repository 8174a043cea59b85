"""One Holdfast process: what `actors.service` does around the tree, on the simulation's ground.

It takes the account over, waits for what its predecessor may still have on the wire, starts the real tree, and watches
its root. It dies by kill -9 (`Scheduler.kill`) or ends by itself; whoever runs the world starts the next one. A
stand-by runs beside it, on a disk of its own, and takes the account over from a holder that may still live.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from actors import account_feed, archivist, gateway, market_feed, signal_feed
from actors.attachment import Attachment
from actors.clock import Callback, Cancellable, SteadyTime
from actors.foundation import Account, Ground
from actors.lease import Lease
from actors.service import WATCH_EVERY_S
from actors.taking_over import BEAT_EVERY_S
from actors.tree import Tree
from adapters.exchange.access import AccountAccess
from config.settings import Settings
from domain.lease import successor_waits
from persistence.database import DatabaseAway
from tests.simulation.network import Network, SimulatedAccount, SimulatedClient, SimulatedPrices
from tests.simulation.pace import Pace
from tests.simulation.scheduler import SECOND, Host, Scheduler
from tests.simulation.store import Access, Database, Disk, FactBook, MemorySpool, StoreLock, StoreReader
from tests.simulation.threads import SimulatedEvent

ACCOUNT = "main"
INSTANCE = "sim0"


class HostClock:
    """`actors.clock.Clock` of one process; `ahead` is how far its wall clock is ahead of the venue's."""

    def __init__(self, scheduler: Scheduler, host: Host, start: datetime, ahead: timedelta) -> None:
        self.ahead = ahead
        self._scheduler = scheduler
        self._host = host
        self._start = start
        self._steady = SteadyTime(self._wall(), self.monotonic())

    def now(self) -> datetime:
        """What the process takes for the time."""
        return self._steady.read(self._wall(), self.monotonic())

    def _wall(self) -> datetime:
        return self._start + self.ahead + timedelta(microseconds=self._scheduler.now)

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return self._scheduler.now / SECOND

    def call_at(self, at: datetime, callback: Callback) -> Cancellable:
        """See `Clock`."""
        return self.call_after((at - self.now()).total_seconds(), callback)

    def call_after(self, seconds: float, callback: Callback) -> Cancellable:
        """See `Clock`."""
        return self._scheduler.after(seconds, callback, self._host)


class SimulatedTree(Tree):
    """The real tree, its connections leading into the simulation."""

    def __init__(self, ground: Ground, network: Network, host: Host) -> None:
        self._network = network
        self._host = host
        super().__init__(ground)

    def _gateway(self, account: Account) -> gateway.Wiring:
        def client() -> SimulatedClient:
            return SimulatedClient(self._network, self._host, self._ground.clock.now)

        return replace(super()._gateway(account), open_client=client)

    def _archivist(self) -> archivist.Wiring:
        return replace(super()._archivist(), away_because=lambda: "no months are kept in a simulation")

    def _market_feed(self, account: Account) -> market_feed.Wiring:
        return replace(
            super()._market_feed(account), open_stream=lambda: SimulatedPrices(self._network, self._host)
        )

    def _account_feed(self, account: Account) -> account_feed.Wiring:
        return replace(
            super()._account_feed(account), open_stream=lambda: SimulatedAccount(self._network, self._host)
        )

    def _signal_feed(self) -> signal_feed.Wiring | None:
        return super()._signal_feed()


class Process:
    """One life of the service."""

    def __init__(
        self,
        number: int,
        scheduler: Scheduler,
        network: Network,
        database: Database,
        disk: Disk,
        settings: Settings,
        ended: Callable[[Process, str], object],
        ahead: timedelta,
        pace: Pace,
        *,
        rivals: bool = False,
        waiting: bool = False,
    ) -> None:
        """`rivals`: a stand-by stands in the settings. `waiting`: this is one, until it has the account."""
        self.number = number
        self.waiting = waiting
        self.host = Host(f"process {number}")
        self.clock = HostClock(scheduler, self.host, network.start, ahead)
        self.access = Access(scheduler, self.host, database, network.faults)
        self.tree: Tree | None = None
        self.born = scheduler.now
        self.ready_at: int | None = None
        self._scheduler = scheduler
        self._network = network
        self._disk = disk
        self._settings = settings
        self._ended = ended
        self._rivals = rivals
        self._asked: str | None = None
        self._ending = SimulatedEvent(scheduler, pace.after)
        scheduler.spawn(self.host, self._main, "main")

    def request_stop(self, reason: str, code: int = 0) -> None:
        """End soon."""
        self._asked = self._asked or f"{reason} (exit code {code})"
        self._ending.set()

    def _main(self) -> None:
        try:
            self._start()
        except (DatabaseAway, Exception) as error:
            self._end(f"start failed: {type(error).__name__}: {error}")
            return
        tree = self.tree
        watch = tree.watch(WATCH_EVERY_S) if tree is not None else None
        while not self._ending.wait(WATCH_EVERY_S):
            wrong = watch.wrong() if watch is not None else "there is no tree"
            if wrong is not None:
                self._end(f"at once: {wrong}")
                return
        if tree is not None:
            tree.stop()
        self._end(self._asked or "")

    def _start(self) -> None:
        lock = StoreLock(self.access)
        stood_by = self.waiting
        if stood_by:
            lock.stand_by()
        else:
            lock.acquire()
        self.waiting = False
        if lock.silent_s is not None:
            self._be_silent(lock, timedelta(seconds=lock.silent_s), surely_dead=not stood_by)
        lease = Lease(
            ACCOUNT,
            self.clock,
            instance=INSTANCE,
            term=lock.term,
            standby=self._rivals,
            superseded=lambda reason, _term: self.request_stop(reason),
        )
        lease.proven(self.clock.now())
        anything: Any = None
        access = AccountAccess(account=ACCOUNT, exchange="binanceusdm", api_key="", secret="", rest_url="http://127.0.0.1")
        ground = Ground(
            settings=self._settings,
            version="simulated",
            started_at=self.clock.now(),
            clock=cast("Any", self.clock),
            conninfo="",
            instance=INSTANCE,
            database=anything,
            exchanges={},
            accounts=(
                Account(name=ACCOUNT, access=access, lock=cast("Any", lock), lease=lease, doubtful=stood_by),
            ),
            reader=cast("Any", StoreReader(self.access)),
            spool=cast("Any", MemorySpool(self._scheduler, self.host, self._disk.spooled)),
            book=cast("Any", FactBook(self._disk, self.host)),
            attachment=Attachment("", self.clock, instance=INSTANCE),
            remembered=None,
            request_stop=self.request_stop,
            load_settings=lambda: self._settings,
        )
        tree = SimulatedTree(ground, self._network, self.host)
        tree.recorder.run_id = f"{self.number}"
        self.tree = tree
        tree.start()
        self.ready_at = self._scheduler.now

    def _be_silent(self, lock: StoreLock, holder_silent: timedelta, *, surely_dead: bool) -> None:
        """Wait for what the holder before us may still have on the wire, and beat meanwhile."""
        waits = successor_waits(holder_silent, released=False, surely_dead=surely_dead).total_seconds()
        until = self._scheduler.now + round(waits * SECOND)
        while (left := until - self._scheduler.now) > 0:
            self._scheduler.sleep(min(left / SECOND, BEAT_EVERY_S))
            lock.beat()

    def _end(self, reason: str) -> None:
        self._scheduler.after(0, lambda: self._ended(self, reason))


def settings_of(values: dict[str, Any]) -> Settings:
    """Settings as they come out of a file with these tables."""
    base: dict[str, Any] = {
        "service": {"mode": "paper", "state_dir": Path("state")},
        "accounts": {ACCOUNT: {"exchange": "binanceusdm", "untracked": "adopt"}},
        "signals": {"url": "ws://signals"},
        "admin": {"enabled": False},
        "web": {"enabled": False},
        "chaos": {"enabled": True},
    }
    return Settings.model_validate({**base, **values})

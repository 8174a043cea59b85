"""Every kind of actor dies by exception, by exit and by a hang, in the running service, while the market moves.

The full matrix (each in each phase of a position) is in the simulation; here the threads, the database and the wire are
real. How one would notice it broken: take a kind out of the supervisor's table, or forget to fence a hung one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.admin.client import NoService
from adapters.admin.protocol import AdminError
from tests.chaos.aftermath import judged, settled
from tests.chaos.busy_market import SETTINGS, BusyMarket
from tests.end_to_end.fault_stage import Watch
from tests.end_to_end.service import ServiceProcess, now_ms, running
from tests.end_to_end.signal_source import SignalSource
from tests.oracle.court import Disturbance

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

OWNED = "ETHUSDT"
OWNER = "position"
KINDS = (
    "journal", "notifier", "warden", "gateway/main", "entry_desk", "market_feed/main", "positions/main",
    "reconciler/main", "account_feed/main", "signal_feed", "admin", OWNER, "alarms",
)  # fmt: skip
# Each death is died on one of the two dialects: a service with more than eight abandoned threads ends itself, and one
# in which everybody dies within a minute has used up its budget of questions (LAWS S15) and waits with the rest.
SENDERS = ("gateway/main", OWNER)  # through whose hands an order goes on its way
MARKETS = ("SOLUSDT", "BNBUSDT", "XRPUSDT", "LTCUSDT")
QUICK = {"binanceusdm": ("exception", "exit"), "bybit": ("exit", "exception")}
HANGS = {
    "binanceusdm": (
        ("journal", "gateway/main"), ("entry_desk", "market_feed/main", OWNER), ("positions/main", "alarms"),
    ),
    "bybit": (("warden", "account_feed/main"), ("notifier", "reconciler/main"), ("signal_feed", OWNER), ("admin",)),
}
NOTICED_S = 2.0  # LAWS L4
REPLACED_S = 5.0
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One that was seen and replaced."""

    exchange: str
    name: str
    how: str
    replaced_s: float
    last_error: str


class Executioner:
    """Kills in one service, and waits for each successor."""

    def __init__(self, service: ServiceProcess, exchange: str) -> None:
        self.deaths: list[Death] = []
        self._service = service
        self._exchange = exchange

    def kill(self, kinds: Sequence[str], how: str) -> None:
        """Kill these at the same time; each has a successor of the next epoch, and its death is told."""
        names = [self._name(kind) for kind in kinds]
        before = {name: self._actors()[name] for name in names}
        begun: dict[str, datetime] = {}
        if how == "hang":
            self._excuse(kinds)
        for name in names:
            begun[name] = datetime.now().astimezone()
            self._ctl("actors.kill", name=name, how=how)
        for kind, name in zip(kinds, names, strict=True):
            self._await(kind, name, how, before[name]["epoch"] + 1, begun[name])

    def _excuse(self, kinds: Sequence[str]) -> None:
        """What was decided waits in the mailbox of one that hangs until it is replaced (L4: 5 s), and no timeline shows
        it: the cancel that ends a move is in flight longer than the 2 s of S5.
        """
        moment = now_ms()
        places = {kind: None if kind.startswith("gateway/") else OWNED for kind in kinds if kind in SENDERS}
        hung = tuple(Disturbance(at=moment, why=f"{kind} hung", symbol=symbol) for kind, symbol in places.items())
        terms = self._service.terms
        self._service.terms = replace(terms, disturbances=(*terms.disturbances, *hung))

    def _await(self, kind: str, name: str, how: str, epoch: int, begun: datetime) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            now = self._actors().get(name)
            if now is not None and now["epoch"] >= epoch and now["state"] == "RUNNING":
                break
            assert time.monotonic() < deadline, f"{name} was killed by {how} and is {now}\n{self._service.log_tail()}"
            time.sleep(0.05)
        fell = "actor_hung" if how == "hang" else "actor_crashed"
        self._event(fell, name, epoch - 1)
        replaced = self._event("actor_restarted", name, epoch)
        seconds = (datetime.fromisoformat(replaced["ts"]) - begun).total_seconds()
        self.deaths.append(
            Death(exchange=self._exchange, name=kind, how=how, replaced_s=seconds, last_error=now["last_error"])
        )

    def _event(self, type_: str, name: str, epoch: int) -> dict[str, Any]:
        """The event of an actor's epoch; a dead journal writes it a moment later."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for event in self._events(type_):
                if event["data"]["name"] == name and event["data"]["epoch"] == epoch:
                    return event
            assert time.monotonic() < deadline, f"no {type_} of {name} epoch {epoch}\n{self._service.log_tail()}"
            time.sleep(0.05)

    def _events(self, type_: str) -> list[dict[str, Any]]:
        try:
            return self._service.events(type=type_)
        except (NoService, AdminError, OSError):
            return []

    def _name(self, kind: str) -> str:
        if kind != OWNER:
            return kind
        (position,) = self._ctl("positions", symbol=OWNED)["positions"]
        return f"position/{position['id']}"

    def _actors(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self._ctl("actors")["actors"]}

    def _ctl(self, method: str, **params: object) -> Any:
        """Ask until somebody answers: the one who answers dies too."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._service.ctl(method, **params)
            except (NoService, OSError):
                assert self._service.alive, self._service.log_tail()
                assert time.monotonic() < deadline, f"nobody answers {method}\n{self._service.log_tail()}"
                time.sleep(0.05)


def test_every_kind_of_actor_dies_in_every_way(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(execute, tmp_path / exchange, exchange) for exchange in HANGS]
        deaths = [death for each in both for death in each.result()]
    rows = [f"  {d.exchange:12} {d.name:18} {d.how:10} {d.replaced_s:6.3f}  {d.last_error}" for d in deaths]
    sys.stdout.write("\n".join(["", "  exchange     killed             by         replaced within, s", *rows, ""]))
    died = {(death.name, death.how) for death in deaths}
    assert died >= {(kind, how) for kind in KINDS for how in ("exception", "exit")}
    assert died >= {(kind, "hang") for kind in KINDS}
    assert all(death.last_error for death in deaths)
    late = [death for death in deaths if death.replaced_s > (REPLACED_S if death.how == "hang" else NOTICED_S)]
    assert not late, late


def execute(base: Path, exchange: str) -> list[Death]:
    """Kill everybody in one service; afterwards it is whole, and no law was broken."""
    base.mkdir()
    base.chmod(0o755)
    with SignalSource(resumes=True) as source:
        settings: dict[str, dict[str, Any]] = {
            "accounts.main": {"exchange": exchange},
            "signals": {"url": source.url, "max_age_s": 10_000_000},
            "trailing": SETTINGS,
            "chaos": {"enabled": True},
            "reconciler": {"interval_s": 30},
        }
        with running(base, settings) as service:
            watch = Watch(service.timeline)
            service.open(OWNED)
            with BusyMarket(service, watch, source, seed=5, symbols=MARKETS) as market:
                service.wait_for(lambda: len(market.active) >= 3, 20, "a few positions")
                executioner = Executioner(service, exchange)
                for first in range(0, len(KINDS), 4):
                    for kinds, how in zip(
                        (KINDS[first : first + 2], KINDS[first + 2 : first + 4]), QUICK[exchange], strict=True
                    ):
                        executioner.kill(kinds, how)
                for kinds in HANGS[exchange]:
                    executioner.kill(kinds, "hang")
            settled(service, watch, (OWNED, *MARKETS), market.sent)
            judged(service, market.sent)
            shown = service.ctl("actors")
            hung = [death.name for death in executioner.deaths if death.how == "hang"]
            assert len(shown["abandoned"]) == len(hung), shown["abandoned"]
            return executioner.deaths

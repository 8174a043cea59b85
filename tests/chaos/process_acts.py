"""Acts on processes and actors: the service killed, paused, stopped; its actors killed; database and exchange gone.

Rules of this file: whatever needs the service while another act has it away is no act at all and says so (False).
"""

from __future__ import annotations

import random
import signal
from functools import partial

from adapters.admin.client import NoService
from adapters.admin.protocol import AdminError
from tests.chaos.act import Act, Group
from tests.chaos.house import House, send

ACTORS = ("journal", "notifier", "alarms", "warden", "entry_desk", "signal_feed", "admin")
"""One in the house."""
ACTORS_OF_AN_ACCOUNT = ("gateway", "market_feed", "positions", "reconciler", "account_feed")
OWNER = "position"
BETWEEN = ("gateway", "positions", "account_feed", OWNER)
"""Who stands between a fill and its stop: their deaths are told to the oracle, the others' are no excuse."""
WAYS = ("exception", "exit", "hang")


def service_acts(rng: random.Random, _accounts: tuple[str, ...]) -> list[Act]:
    """Each once."""
    dead_s, pause_s, long_s = rng.uniform(0, 3), rng.uniform(1, 4), rng.uniform(5, 15)
    down_s = rng.uniform(0, 2)
    return [
        Act(group=Group.SERVICE, kind="service kill -9", begin=_kill9, end=_start, lasts_s=dead_s),
        Act(group=Group.SERVICE, kind="service kill -9", begin=_kill9, end=_start, lasts_s=0.0),
        Act(group=Group.SERVICE, kind="service SIGTERM", begin=_terminate, end=_start, lasts_s=down_s),
        Act(group=Group.SERVICE, kind="service paused 1-4 s", begin=_pause, end=_resume, lasts_s=pause_s),
        Act(group=Group.SERVICE, kind="service paused 5-15 s", begin=_pause, end=_resume, lasts_s=long_s),
    ]


def actor_acts(rng: random.Random, accounts: tuple[str, ...]) -> list[Act]:
    """Every kind of actor in every way, each once."""
    acts = []
    for how in WAYS:
        acts += [_kill(name, name, how) for name in ACTORS]
        for kind in ACTORS_OF_AN_ACCOUNT:
            account = rng.choice(accounts)
            acts.append(_kill(kind, f"{kind}/{account}", how, account))
        acts += [_kill_owner(rng.choice(accounts), rng.random(), how) for _ in range(3)]
    return acts


def database_acts(rng: random.Random, _accounts: tuple[str, ...]) -> list[Act]:
    """Each once."""
    group = Group.DATABASE
    away_s, frozen_s = rng.uniform(5, 40), rng.uniform(3, 20)
    return [
        Act(group=group, kind="database kill -9", begin=_kill_postmaster),
        Act(group=group, kind="database away 5-40 s", begin=_take_away, end=_bring_back, lasts_s=away_s),
        Act(group=group, kind="database backends ended", begin=_end_backends),
        Act(
            group=group, kind="database frozen 3-20 s", begin=_freeze, end=_thaw, lasts_s=frozen_s,
            freezes_database=True,
        ),
    ]  # fmt: skip


def exchange_acts(rng: random.Random, accounts: tuple[str, ...]) -> list[Act]:
    """Each account's once."""
    return [
        Act(
            group=Group.EXCHANGE, kind=f"exchange kill -9 ({account})", account=account, lasts_s=rng.uniform(0, 5),
            begin=partial(_kill_exchange, account), end=partial(_start_exchange, account),
        )
        for account in accounts
    ]  # fmt: skip


# The service.


def _kill9(house: House) -> bool:
    if not house.service.alive:
        return False
    house.service.kill9()
    return True


def _terminate(house: House) -> bool:
    if not house.service.alive:
        return False
    code = house.service.interrupt(signal.SIGTERM)
    if code != 0:
        house.complaints.append(f"the service ended with {code} on SIGTERM")
    return True


def _start(house: House) -> bool:
    return house.start_again()


def _pause(house: House) -> bool:
    if not house.service.alive:
        return False
    house.pause()
    return True


def _resume(house: House) -> bool:
    house.resume()
    return True


# Actors.


def _kill(kind: str, name: str, how: str, account: str = "") -> Act:
    return Act(group=Group.ACTOR, kind=f"actor {kind} {how}", begin=partial(_kill_actor, name, how, account))


def _kill_owner(account: str, share: float, how: str) -> Act:
    return Act(group=Group.ACTOR, kind=f"actor {OWNER} {how}", begin=partial(_kill_any_owner, account, share, how))


def _kill_actor(name: str, how: str, account: str, house: House) -> bool:
    if not house.can_be_asked:
        return False
    try:
        house.service.ctl("actors.kill", name=name, how=how)
    except (NoService, AdminError):
        return False
    kind = name.partition("/")[0]
    if kind in BETWEEN:
        house.disturb(account, f"actor killed: {kind} {how}")
    if how == "hang":
        house.hung.append(name)
    return True


def _kill_any_owner(account: str, share: float, how: str, house: House) -> bool:
    if not house.can_be_asked:
        return False
    try:
        owned = sorted(row["id"] for row in house.service.positions(account=account))
    except (NoService, AdminError):
        return False
    return bool(owned) and _kill_actor(f"{OWNER}/{owned[int(share * len(owned))]}", how, account, house)


# The database.


def _kill_postmaster(house: House) -> bool:
    found = house.postgres()
    if found:
        send(found[0], signal.SIGKILL)
    return bool(found)


def _end_backends(house: House) -> bool:
    """As an administrator would: every connection breaks, the server lives."""
    backends = [each for each in house.postgres()[1:] if house.is_backend(each)]
    for each in backends:
        send(each, signal.SIGTERM)
    return bool(backends)


def _take_away(house: House) -> bool:
    """Nobody can connect and every connection breaks; the server itself lives on."""
    socket = house.database_socket()
    if not socket.exists():
        return False
    socket.rename(socket.with_suffix(".away"))
    return _end_backends(house)


def _bring_back(house: House) -> bool:
    socket = house.database_socket()
    away = socket.with_suffix(".away")
    if away.exists():
        if socket.exists():
            away.unlink()  # a new server came meanwhile, with a socket of its own
        else:
            away.rename(socket)
    return True


def _freeze(house: House) -> bool:
    house.frozen = house.postgres()
    for each in house.frozen:
        send(each, signal.SIGSTOP)
    return bool(house.frozen)


def _thaw(house: House) -> bool:
    for each in house.frozen:
        send(each, signal.SIGCONT)
    house.frozen = []
    return True


# The exchange.


def _kill_exchange(account: str, house: House) -> bool:
    house.exchanges[account].kill9()
    return True


def _start_exchange(account: str, house: House) -> bool:
    house.exchanges[account].ensure()
    return True

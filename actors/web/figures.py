"""What Prometheus is told: the names and meanings of all figures, and where each comes from.

Names here are used by deploy/prometheus and deploy/grafana; a test compares. Counters are those of this process: they
begin at 0 with it. A figure that is not known now is left out, never 0. Positions come and go, so their owners are
told of together, under the name `position`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from actors.tally import BOUNDS_S, Tally
from actors.tally import Spread as Counted
from adapters.web.source import Figure, Sample, Spread
from domain.entries.funds import Funds
from domain.position import ledger
from domain.position.state import Position

HEALTH = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0, "down": 0.0}
OWNER = "position/"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What was asked together for one scrape; None where it could not be had."""

    status: Row
    health: Row
    actors: Row
    owned: Sequence[Position]
    funds: Mapping[str, Funds | None]
    mark_ages_s: Mapping[str, float]
    spooled: int | None
    outbox: int | None
    started_at: datetime
    now: datetime


def figures(known: Gathered, tally: Tally) -> list[Figure]:
    """All gauges and counters."""
    return [*_service(known), *_positions(known), *_money(known), *_actors(known), *_counted(known, tally)]


def spreads(tally: Tally) -> list[Spread]:
    """All histograms."""
    bare = "How long a position was bare each time, from the fill or the loss of its stop until it was covered."
    trip = "From an order's first byte to its answer, by kind: entry, stop, take_profit, exit."
    found = [_spread("unprotected_duration_seconds", bare, {}, tally.unprotected())]
    for (account, kind), counted in sorted(tally.round_trips().items()):
        found.append(_spread("order_round_trip_seconds", trip, {"account": account, "kind": kind}, counted))
    return found


def _service(known: Gathered) -> Iterable[Figure]:
    status, health = known.status, known.health
    words = {"version": str(status["version"]), "mode": str(status["mode"]), "dry_run": str(status["dry_run"]).lower()}
    yield _gauge("info", "1; its labels say what runs.", [(words, 1)])
    yield _gauge("uptime_seconds", "Since this process began.", [({}, _age(known.started_at, known.now))])
    yield _gauge("health", "1 healthy, 0.5 degraded, 0 unhealthy: as /health.", [({}, HEALTH[health["status"]])])
    parts = [({"component": each["name"]}, HEALTH.get(each["state"], 0.0)) for each in health["components"]]
    yield _gauge("component_health", "1 healthy, 0.5 degraded, 0 down.", parts)
    why = status["entries"]["why"] or {}
    doors = [({"account": each["name"]}, 0.0 if each["name"] in why else 1.0) for each in status["accounts"]]
    yield _gauge("entries_open", "1 while an account takes entries.", doors)
    fired = {each["account"] for each in status["kill_switch"] or ()}
    switches = [({"account": each["name"]}, float(each["name"] in fired)) for each in status["accounts"]]
    yield _gauge("kill_switch", "1 while it is in force: all is closed, nothing enters until it is reset.", switches)
    if known.spooled is not None:
        yield _gauge("journal_spooled_records", "Records that wait for the database on disk.", [({}, known.spooled)])
    if known.outbox is not None:
        yield _gauge("alerts_waiting", "Alerts that no channel has taken yet.", [({}, known.outbox)])
    if (seconds := status["unprotected_seconds_today"]) is not None:
        text = "Unprotected seconds of the positions opened today (UTC) or open still, in sum."
        yield _gauge("unprotected_seconds_today", text, [({}, seconds)])


def _positions(known: Gathered) -> Iterable[Figure]:
    accounts = [each["name"] for each in known.status["accounts"]]

    def by_account(name: str, text: str, chosen: Sequence[Position]) -> Figure:
        numbers = Counter(p.account for p in chosen)
        return _gauge(name, text, [({"account": account}, numbers[account]) for account in accounts])

    sides = Counter((p.account, p.side.value) for p in known.owned)
    yield _gauge(
        "positions_open",
        "Positions that have an owner.",
        [({"account": a, "side": side}, sides[a, side]) for a in accounts for side in ("long", "short")],
    )
    bare = [p for p in known.owned if p.unprotected_since is not None]
    yield by_account("positions_unprotected", "Positions that are bare at this moment.", bare)
    helpless = [p for p in known.owned if p.needs_intervention]
    yield by_account("positions_need_intervention", "Positions that wait for a human.", helpless)
    longest = dict.fromkeys(accounts, 0.0)
    for p in bare:
        if p.unprotected_since is not None:
            longest[p.account] = max(longest[p.account], _age(p.unprotected_since, known.now))
    text = "How long the position that is bare longest has been so; 0: none is."
    yield _gauge("unprotected_longest_seconds", text, [({"account": a}, each) for a, each in longest.items()])
    trails = Counter((p.account, p.trail.state.value) for p in known.owned)
    labelled = [({"account": account, "state": state}, number) for (account, state), number in sorted(trails.items())]
    yield _gauge("trailing_stops", "Positions by the state of their trailing stop.", labelled)
    ages = [({"account": account}, age) for account, age in sorted(known.mark_ages_s.items())]
    yield _gauge("mark_price_age_seconds", "Age of the oldest mark price that an open position goes by.", ages)


def _money(known: Gathered) -> Iterable[Figure]:
    read = {account: funds for account, funds in known.funds.items() if funds is not None}
    yield _gauge("wallet_usd", "Wallet balance, without open profit.", [_of(a, f.wallet) for a, f in read.items()])
    yield _gauge("equity_usd", "Wallet balance and open profit.", [_of(a, f.equity) for a, f in read.items()])
    yield _gauge("free_margin_usd", "What is not bound as margin.", [_of(a, f.free) for a, f in read.items()])
    open_profit: dict[str, Decimal] = {each["name"]: Decimal(0) for each in known.status["accounts"]}
    for p in known.owned:
        open_profit[p.account] += ledger.unrealized_pnl(p) or Decimal(0)
    profits = [_of(account, profit) for account, profit in open_profit.items()]
    yield _gauge("unrealized_pnl_usd", "Open profit of our positions at their mark prices.", profits)


def _actors(known: Gathered) -> Iterable[Figure]:
    rows = known.actors["actors"]
    named = [each for each in rows if not each["name"].startswith(OWNER)]
    owners = [each for each in rows if each["name"].startswith(OWNER)]

    def each_and_owners(name: str, text: str, key: str) -> Figure:
        samples = [({"actor": each["name"]}, float(each[key])) for each in named]
        samples.append(({"actor": "position"}, max((float(each[key]) for each in owners), default=0.0)))
        return _gauge(name, text, samples)

    running = [({"actor": each["name"]}, float(each["state"] == "RUNNING")) for each in named]
    running.append(({"actor": "position"}, float(all(each["state"] == "RUNNING" for each in owners))))
    yield _gauge("actor_running", "1 while it runs; `position`: while all owners do.", running)
    yield each_and_owners("actor_restarts", "Restarts; `position`: of the owner with most.", "restarts")
    yield each_and_owners("actor_mailbox_depth", "Messages that wait; `position`: at the longest queue.", "mailbox")
    text = "Since it last finished a message; `position`: the longest."
    yield each_and_owners("actor_heartbeat_age_seconds", text, "heartbeat_age_s")
    yield _gauge("threads", "Threads of the process.", [({}, threading.active_count())])
    hung = len(known.actors["abandoned"])
    yield _gauge("abandoned_threads", "Hung threads that were fenced, replaced and left behind.", [({}, hung)])


def _counted(known: Gathered, tally: Tally) -> Iterable[Figure]:
    lost = [({"message": kind}, number) for kind, number in sorted(known.actors["dead_letters"].items())]
    yield _counter("dead_letters_total", "Messages that reached nobody.", lost)
    events = [({"type": kind, "severity": grave}, number) for (kind, grave), number in sorted(tally.events().items())]
    yield _counter("events_total", "Events by type and severity (the catalogue's names).", events)
    refused = [({"event": kind, "reason": why}, number) for (kind, why), number in sorted(tally.refusals().items())]
    yield _counter("refusals_total", "Signals and orders refused, by us or by the venue, with the reason.", refused)
    sent: Counter[tuple[str, str]] = Counter()
    for key, counted in tally.round_trips().items():
        sent[key] += sum(counted.counts)
    orders = [({"account": account, "kind": kind}, number) for (account, kind), number in sorted(sent.items())]
    yield _counter("orders_total", "Orders sent, stop moves included, by kind.", orders)


def _of(account: str, value: Decimal) -> tuple[dict[str, str], Decimal]:
    return {"account": account}, value


def _gauge(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float | Decimal]]) -> Figure:
    return _figure(name, text, "gauge", samples)


def _counter(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Figure:
    return _figure(name, text, "counter", samples)


def _figure(name: str, text: str, kind: str, samples: Iterable[tuple[Mapping[str, str], float | Decimal]]) -> Figure:
    made = tuple(Sample(labels=labels, value=float(value)) for labels, value in samples)
    return Figure(name=name, help=text, kind=kind, samples=made)


def _spread(name: str, text: str, labels: Mapping[str, str], counted: Counted) -> Spread:
    return Spread(
        name=name, help=text, labels=labels, bounds_s=BOUNDS_S, counts=counted.counts, sum_s=counted.sum_s
    )


def _age(since: datetime, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0)

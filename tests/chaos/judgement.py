"""What a run of the monkey has shown: the oracle's verdicts, the database against the exchange, signals, spool, actors.

Rules of this file: nothing is excused here; what the oracle excuses it counts, and the table shows it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
from loguru import logger

from tests.chaos.house import House
from tests.chaos.monkey import heal
from tests.chaos.whole import await_whole
from tests.chaos.wire_faults import Strike
from tests.end_to_end.agreement import conninfo, differences
from tests.oracle.court import Absence, Disturbance, Terms
from tests.oracle.judge import Verdict, judge_file
from tests.oracle.report import breach_text

CALM_S = 12.0
"""Longer than any deadline of the oracle but the right size's, which the liveness of each burst has shown."""
AGREES_WITHIN_S = 30.0
ANSWERED_WITHIN_S = 30.0
EVERY_MS = 4_000
POLL_S = 0.5


@dataclass(slots=True, kw_only=True)
class Judgement:
    """`violations` in words, each with its evidence."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    log: Counter[str] = field(default_factory=Counter)


def judge_house(house: House) -> Judgement:
    """Heal, wait for calm, judge. The service is stopped in order at the end."""
    found = Judgement()
    house.flow.stop()
    heal(house)
    found.violations += await_whole(house).complaints
    time.sleep(CALM_S)
    strikes = house.proxy.strikes()
    found.strikes = Counter(f"{strike.what}" for strike in strikes)
    _until_none(partial(unanswered, house), ANSWERED_WITHIN_S, found)
    _until_none(partial(left_in_spool, house), AGREES_WITHIN_S, found)
    found.violations += [f"refused by the database: {name}" for name in refused(house)]
    for name, exchange in house.exchanges.items():
        terms = terms_of(house, name, strikes)
        _until_none(partial(disagreement, house, name, terms), AGREES_WITHIN_S, found)
        found.verdicts[name] = judge_file(exchange.timeline, terms)
        found.violations += [f"{name}: {breach_text(breach).strip()}" for breach in found.verdicts[name].breaches]
    found.violations += tree_not_well(house)
    found.signals = outcomes(house)
    found.violations += [f"the service did not start while something was away: {each}" for each in house.failed_starts]
    found.violations += house.complaints + [f"the service ended by itself: {each}" for each in house.self_exits]
    code = house.service.interrupt()
    if code != 0:
        found.violations.append(f"the service ended with {code} when it was asked to")
    found.log = log_tags(house)
    return found


def terms_of(house: House, account: str, strikes: list[Strike]) -> Terms:
    """What the oracle is told about an account."""
    exchange = house.exchanges[account]
    absences = [*house.service.terms.absences, *house.absences]
    disturbances = list(house.disturbances[account])
    for strike in strikes:
        if strike.route != account:
            continue
        why = f"wire: {strike.what}"
        if strike.what.of_line:
            absences.append(Absence(since=strike.at, until=strike.until, why=why))
            continue
        # A slow request disturbs as long as it lasts, and nobody else's symbol.
        moments = [*range(strike.at, strike.until, EVERY_MS), strike.until]
        symbol = strike.symbol or None
        disturbances += [Disturbance(at=moment, why=why, symbol=symbol) for moment in moments]
    return Terms(filters=exchange.filters, absences=tuple(absences), disturbances=tuple(disturbances))


def disagreement(house: House, account: str, terms: Terms) -> list[str]:
    """Where database and exchange tell different stories of an account."""
    exchange = house.exchanges[account]
    verdict = judge_file(exchange.timeline, terms)
    found = differences(house.service.state_dir, verdict, same_ids=not exchange.venue.attaches, account=account)
    return [f"{account}: {each}" for each in found]


def unanswered(house: House) -> list[str]:
    """Signals that were sent and are not answered for exactly once, and positions that one signal opened twice."""
    with psycopg.connect(conninfo(house.service.state_dir)) as connection:
        stored = {row[0]: row[1] for row in connection.execute("SELECT id, outcome FROM fas.signals")}
        answers = Counter(
            row[0]
            for row in connection.execute(
                "SELECT event_data->>'signal' FROM monitoring.events "
                "WHERE event_type IN ('signal_accepted', 'signal_refused')"
            )
        )
        positions = Counter(
            row[0] for row in connection.execute("SELECT correlation_id FROM monitoring.positions")
        )
    found = []
    for name in house.flow.ids():
        if name not in stored:
            found.append(f"signal {name}: sent and never stored")
        elif not stored[name]:
            found.append(f"signal {name}: stored and not answered")
        elif answers[name] != 1:
            found.append(f"signal {name}: answered {answers[name]} times ({stored[name]})")
        if positions[name] > 1:
            found.append(f"signal {name}: opened {positions[name]} positions")
    return found


def outcomes(house: House) -> Counter[str]:
    """What became of the signals."""
    with psycopg.connect(conninfo(house.service.state_dir)) as connection:
        return Counter(row[0] for row in connection.execute("SELECT outcome FROM fas.signals"))


def left_in_spool(house: House) -> list[str]:
    """Records that have not come into the database yet."""
    files = (house.service.state_dir / "spool").glob("*")
    return [f"left in the spool: {file.name}, {size} bytes" for file in files if (size := _size(file))]


def _size(file: Path) -> int:
    """Nothing if it is gone: what was written up is removed meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def refused(house: House) -> list[str]:
    """The files of records that the database will never take."""
    return sorted(file.name for file in (house.service.state_dir / "refused").glob("*"))


def tree_not_well(house: House) -> list[str]:
    """Actors that do not run, and threads that were given up though nobody had hung them."""
    told = house.service.ctl("actors")
    found = [f"actor {each['name']}: {each['state']}" for each in told["actors"] if each["state"] != "RUNNING"]
    mine = Counter(house.hung)
    return found + [f"abandoned, and not by us: {name}" for name in (Counter(told["abandoned"]) - mine).elements()]


def log_tags(house: House) -> Counter[str]:
    """The warnings and worse that the service printed, by their first word."""
    found: Counter[str] = Counter()
    for line in house.service.output.read_text(errors="replace").splitlines():
        words = line.split()
        if len(words) > 2 and words[1] in ("ERROR", "CRITICAL"):
            found[f"{words[1]} {words[2]}"] += 1
    return found


def _until_none(wrong: Callable[[], list[str]], limit_s: float, found: Judgement) -> None:
    """Wait until nothing is wrong; what still is after the limit is a violation."""
    deadline = time.monotonic() + limit_s
    while (left := wrong()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    found.violations += left
    if left:
        logger.error("JUDGEMENT {} such: {}", len(left), left[0])

"""From what is known of the service to the conditions that are so now. Pure; the time is told.

Rules of this file: what can be looked at is looked at anew each time (`Sight`), and survives any restart by that; only
what is a matter of several events is remembered from events (refusals, openings, crash loops).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from domain.accounts import Finding
from domain.alerting.standing import Condition, Topic, in_words
from domain.catalogue import EventType, Severity
from domain.position.state import Position
from domain.records import Event

HEARD = frozenset(
    {
        EventType.STOP_LOSS_REFUSED,
        EventType.STOP_LOSS_PLACED,
        EventType.POSITION_PROTECTED,
        EventType.POSITION_FAILED,
        EventType.POSITION_ROLLED_BACK,
        EventType.ACTOR_CRASHED,
        EventType.ACTOR_HUNG,
        EventType.ACTOR_ESCALATED,
        EventType.ACTOR_STEADY,
        EventType.GROUP_ESCALATED,
        EventType.GROUP_STEADY,
        EventType.ZOMBIES_MANY,
        EventType.ZOMBIES_FEW,
    }
)
"""The events that this file goes by: rare ones, so that moves of stops do not pass here."""

URGENT = frozenset({EventType.STOP_LOSS_REFUSED, EventType.ACTOR_ESCALATED, EventType.GROUP_ESCALATED})
"""Of these what is worth a look at once; the others are in time with the next one."""

OWNER_SAYS_S = 5.0
GRACE_S = 1.0
SETTLED_S = 60.0
REFUSALS = 2
REFUSED_WITHIN_S = 60.0
REFUSED_OVER_S = 300.0
OPENINGS_S = 3_600.0
FEWEST_OPENINGS = 6
CALMER_PCT = 10
BALANCE_CALM_PCT = 110
_MARGIN = Decimal(BALANCE_CALM_PCT) / 100
_FROM_EVENTS = frozenset({Topic.STOPS_REFUSED, Topic.CRASH_LOOP, Topic.ZOMBIES})
_FINDINGS = {"key_refused": Topic.CREDENTIALS, "clock_skew": Topic.CLOCK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on something is worth an alert; 0: never."""

    unprotected_s: float
    opening_success_pct: Decimal
    signal_feed_s: float
    stream_down_s: float
    database_down_s: float
    balance_low: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """How a feed says it is; `account` None: the signal feed."""

    name: str
    account: str | None
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSight:
    """How an account stands. `equity` None: not known yet; `killed`: why its kill switch is in force."""

    findings: tuple[Finding, ...] = ()
    equity: Decimal | None = None
    maintenance: str | None = None
    killed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What can be looked at now. None: nobody can tell at the moment."""

    positions: tuple[Position, ...] = ()
    accounts: Mapping[str, AccountSight] = field(default_factory=dict)
    feeds: tuple[Feed, ...] | None = None
    database_away: str | None = None
    database_known: bool = False
    locks_lost: Mapping[str, str] | None = None


class Opening(NamedTuple):
    """How an opening came out."""

    at: datetime
    good: bool


class Loop(NamedTuple):
    """A crash loop, and who would say that it is over."""

    supervisor: str
    error: str


class Evidence:
    """What events have told; used by one thread."""

    def __init__(self, since: datetime) -> None:
        """`since`: from when on events are heard."""
        self._since = since
        self._refused: dict[tuple[str, str], deque[datetime]] = {}
        self._ended: set[str] = set()  # of which the end was heard: an earlier life cannot matter
        self._why_refused: dict[tuple[str, str], str] = {}
        self._openings: dict[int, Opening] = {}
        self._looping: dict[str, Loop] = {}
        self._zombies: dict[str, str] = {}
        self._poor: set[str] = set()
        self._failing_openings = False

    def hear(self, event: Event) -> None:
        """One event of `HEARD`."""
        place = (event.account or "", event.symbol or "")
        match event.type:
            case EventType.STOP_LOSS_REFUSED:
                self._ended.discard(_place(*place))
                self._refused.setdefault(place, deque(maxlen=REFUSALS)).append(event.at)
                self._why_refused[place] = str(event.data.get("error") or event.data.get("reason") or "")
            case EventType.STOP_LOSS_PLACED:
                self._refused.pop(place, None)
                self._ended.add(_place(*place))
            case EventType.POSITION_PROTECTED:
                if _cover(event):  # else it is protected by being closed
                    self._opened(event, good=True)
            case EventType.POSITION_FAILED | EventType.POSITION_ROLLED_BACK:
                self._opened(event, good=False)
            case EventType.ACTOR_ESCALATED | EventType.GROUP_ESCALATED:
                loop = Loop(str(event.data.get("supervisor")), str(event.data.get("error") or ""))
                self._ended.discard(_fallen(event))
                self._looping[_fallen(event)] = loop
            case EventType.ACTOR_STEADY | EventType.GROUP_STEADY:
                self._steady(_fallen(event))
            case EventType.ACTOR_CRASHED | EventType.ACTOR_HUNG:
                # The successor of a supervisor counts anew: where the falls go on it says so, and their end.
                name = str(event.data.get("name"))
                for who in [who for who, loop in self._looping.items() if loop.supervisor == name]:
                    self._steady(who)
            case EventType.ZOMBIES_MANY:
                self._ended.discard(event.account or "")
                self._zombies[event.account or ""] = str(event.data.get("within_an_hour"))
            case EventType.ZOMBIES_FEW:
                self._ended.add(event.account or "")
                self._zombies.pop(event.account or "", None)

    def _steady(self, who: str) -> None:
        self._looping.pop(who, None)
        self._ended.add(who)

    def _opened(self, event: Event, *, good: bool) -> None:
        if event.position_id is not None:
            self._openings.setdefault(event.position_id, Opening(event.at, good))

    def conditions(self, sight: Sight, limits: Limits, now: datetime) -> Iterator[Condition]:
        """What is so now."""
        for position in sight.positions:
            yield from _position(position, limits, now)
        for account, seen in sight.accounts.items():
            yield from self._account(account, seen, limits)
        for feed in sight.feeds or ():
            yield from _feed(feed, limits)
        if sight.database_away is not None:
            yield Condition(
                topic=Topic.DATABASE,
                subject="database",
                severity=Severity.CRITICAL,
                text=f"the database is away: {sight.database_away}",
                after_s=limits.database_down_s,
                calm_s=5,
            )
        # While the database is away no lock can be proven by anybody: that says nothing of another process.
        for account, why in (sight.locks_lost or {}).items() if sight.database_away is None else ():
            yield Condition(
                topic=Topic.TWO_PROCESSES,
                subject=account,
                severity=Severity.CRITICAL,
                text=f"the lock of account {account} cannot be proven, another process may hold it: {why}",
                told=True,
                account=account,
                after_s=5,
                calm_s=5,
            )
        yield from self._refusals(now)
        yield from self._success(limits, now)
        for who, loop in self._looping.items():
            yield Condition(
                topic=Topic.CRASH_LOOP,
                subject=who,
                severity=Severity.CRITICAL,
                text=f"{who}: one fall after another: {loop.error}",
                told=True,
            )

        for account, number in self._zombies.items():
            yield Condition(
                topic=Topic.ZOMBIES,
                subject=account,
                severity=Severity.WARNING,
                text=f"account {account}: {number} orders without a position within an hour",
                told=True,
                account=account,
            )

    def unknown(self, condition: Condition, sight: Sight, now: datetime) -> bool:
        """Whether nobody can tell at the moment if a condition that is not seen still holds."""
        match condition.topic:
            case Topic.STREAM | Topic.SIGNAL_FEED:
                return sight.feeds is None or condition.subject not in {feed.name for feed in sight.feeds}
            case Topic.DATABASE:
                return not sight.database_known
            case Topic.TWO_PROCESSES:
                return sight.locks_lost is None or sight.database_away is not None
            case Topic.BALANCE:
                seen = sight.accounts.get(condition.subject)
                return seen is not None and seen.equity is None
            case Topic.OPENING_SUCCESS:
                return now - self._since < timedelta(seconds=OPENINGS_S) and len(self._openings) < FEWEST_OPENINGS
        if condition.subject in self._ended:
            return False
        return condition.topic in _FROM_EVENTS and now - self._since < timedelta(seconds=SETTLED_S)

    def _account(self, account: str, seen: AccountSight, limits: Limits) -> Iterator[Condition]:
        for finding in seen.findings:
            topic = _FINDINGS.get(finding.code)
            if topic is not None:
                yield Condition(
                    topic=topic,
                    subject=account,
                    severity=finding.severity,
                    text=f"account {account}: {finding.text}",
                    told=True,
                    account=account,
                )
        if seen.maintenance is not None:
            yield Condition(
                topic=Topic.MAINTENANCE,
                subject=account,
                severity=Severity.WARNING,
                text=f"the exchange of account {account} is in maintenance",
                told=True,
                account=account,
            )
        if seen.killed is not None:
            yield Condition(
                topic=Topic.KILL_SWITCH,
                subject=account,
                severity=Severity.CRITICAL,
                text=f"account {account} takes no entries: {seen.killed}",
                told=True,
                account=account,
            )
        if seen.equity is None or limits.balance_low <= 0:
            return
        limit = limits.balance_low * _MARGIN if account in self._poor else limits.balance_low
        if seen.equity < limit:
            self._poor.add(account)
            yield Condition(
                topic=Topic.BALANCE,
                subject=account,
                severity=Severity.WARNING,
                text=f"account {account}: the equity is {seen.equity}, below {limits.balance_low}",
                account=account,
                after_s=5,
            )
        else:
            self._poor.discard(account)

    def _refusals(self, now: datetime) -> Iterator[Condition]:
        for place, times in tuple(self._refused.items()):
            if now - times[-1] >= timedelta(seconds=REFUSED_OVER_S):
                del self._refused[place]
                continue
            if len(times) < REFUSALS or times[-1] - times[0] > timedelta(seconds=REFUSED_WITHIN_S):
                continue
            account, symbol = place
            yield Condition(
                topic=Topic.STOPS_REFUSED,
                subject=_place(account, symbol),
                severity=Severity.CRITICAL,
                text=f"the exchange of account {account} refuses stops for {symbol}: {self._why_refused[place]}",
                account=account,
                symbol=symbol,
            )

    def _success(self, limits: Limits, now: datetime) -> Iterator[Condition]:
        oldest = now - timedelta(seconds=OPENINGS_S)
        self._openings = {key: opening for key, opening in self._openings.items() if opening.at >= oldest}
        openings = self._openings.values()
        if not limits.opening_success_pct or len(openings) < FEWEST_OPENINGS:
            self._failing_openings = False
            return
        good = sum(1 for opening in openings if opening.good)
        success = Decimal(100 * good) / len(openings)
        limit = limits.opening_success_pct + (CALMER_PCT if self._failing_openings else 0)
        self._failing_openings = success < limit
        if self._failing_openings:
            yield Condition(
                topic=Topic.OPENING_SUCCESS,
                subject="openings",
                severity=Severity.WARNING,
                text=f"only {good} of the last hour's {len(openings)} openings came to be protected",
            )


def _place(account: str, symbol: str) -> str:
    return f"{account} {symbol}"


def _fallen(event: Event) -> str:
    """Who falls again and again. Of a group another child may have fallen last than the one it was told of first."""
    if event.type in (EventType.GROUP_ESCALATED, EventType.GROUP_STEADY):
        return f"children of {event.data.get('supervisor')}"
    return str(event.data.get("name"))


def _cover(event: Event) -> bool:
    return Decimal(str(event.data.get("cover") or 0)) > 0


def _position(position: Position, limits: Limits, now: datetime) -> Iterator[Condition]:
    named = f"{position.symbol} {position.side} ({position.account}, position {position.id})"
    since = position.unprotected_since
    bare = timedelta(0) if since is None else now - since
    # At five seconds its owner says so, in an event of its own; one that says nothing is not waited for long.
    said = position.unprotected_alerted
    limit_s = limits.unprotected_s if said or limits.unprotected_s < OWNER_SAYS_S else limits.unprotected_s + GRACE_S
    if since is not None and bare >= timedelta(seconds=limit_s):
        yield Condition(
            topic=Topic.UNPROTECTED,
            subject=str(position.id),
            severity=Severity.CRITICAL,
            text=f"{named} has no stop since {since:%H:%M:%S} UTC ({in_words(bare)})",
            told=said,
            account=position.account,
            symbol=position.symbol,
            position_id=position.id,
        )
    if position.needs_intervention:
        yield Condition(
            topic=Topic.ROLLBACK_FAILED,
            subject=str(position.id),
            severity=Severity.CRITICAL,
            text=f"{named} can neither be covered nor closed: a human is needed",
            told=True,
            account=position.account,
            symbol=position.symbol,
            position_id=position.id,
        )


def _feed(feed: Feed, limits: Limits) -> Iterator[Condition]:
    if feed.account is None:
        if limits.signal_feed_s and feed.state != "healthy":
            yield Condition(
                topic=Topic.SIGNAL_FEED,
                subject=feed.name,
                severity=Severity.WARNING,
                text=f"the signal feed is {feed.state}: {feed.reason}",
                after_s=limits.signal_feed_s,
                calm_s=60,
            )
    elif feed.state == "down":
        yield Condition(
            topic=Topic.STREAM,
            subject=feed.name,
            severity=Severity.CRITICAL,
            text=f"{feed.name} is down: {feed.reason}",
            account=feed.account,
            after_s=limits.stream_down_s,
            calm_s=5,
        )

"""The alarms: what stands until it is over (SYSTEM E2). Thin around `domain.alerting`.

It looks every second at what all share, has an errand ask those that must be asked, and hears events from the journal.
Rules of this file:
- Nothing of what stands is lost with this actor (`Memory`), nor with the process (the table of alerts).
- What is raised, repeated and cleared goes into the outbox with its event, in one record.
- Before the first look it is read what an earlier life left standing: else that is raised and told a second time, and
  who had acknowledged it is forgotten. A database that does not answer is not waited for long.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from loguru import logger

from actors import messages
from actors.alerting_messages import Acknowledge, Happened, ShowAlarms
from actors.directory import Directory, Unanswered, Unavailable
from actors.errands import ErrandDone, Errands
from actors.foundation import Account
from actors.guard import ActorContext
from actors.journal import JournalState
from actors.messages import FeedState, Health, Show, Tick
from actors.owners import Owners
from actors.recording import Recorder, plain_event
from actors.reporting import ReportingActor
from config.in_force import SettingsInForce
from config.notifier import Notifier as NotifierSettings
from domain.alerting.digest import Day, due, words
from domain.alerting.evidence import URGENT, AccountSight, Evidence, Feed, Limits, Sight
from domain.alerting.standing import Board, Condition, News, Standing, Topic, What, step
from domain.catalogue import EventType, Severity
from domain.days import day_of
from domain.identity import PositionId
from domain.records import AlertChange
from persistence.database import DatabaseAway

LOOK_EVERY_S = 1.0
ASK_EVERY_S = 2.0
ANSWER_S = 1.0
READ_AGAIN_S = 5.0
EARLIER_S = 1.5
ASK, READ, DIGEST = "ask", "read", "digest"
DIGEST_DAY = "digest_day"
_EVENTS = {
    What.RAISED: EventType.ALERT_RAISED,
    What.REPEATED: EventType.ALERT_REPEATED,
    What.CLEARED: EventType.ALERT_CLEARED,
}


@dataclass(slots=True, kw_only=True)
class Memory:
    """What outlives the actor: the board, what was heard, and whether an earlier life's alerts were taken up."""

    evidence: Evidence
    board: Board = field(default_factory=Board)
    read: bool = False
    digest_day: str | None = None
    numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the alarms are given. `earlier` reads what stands in the database, `fact` what was last written under a key,
    `digest` a day. They raise DatabaseAway.
    """

    memory: Memory
    in_force: SettingsInForce
    owners: Owners
    accounts: Sequence[Account]
    earlier: Callable[[], Sequence[Mapping[str, Any]]]
    fact: Callable[[str], Any]
    digest: Callable[[date], Day]
    recorder: Recorder


class Answers(NamedTuple):
    """What those said who had to be asked. `database` None: the journal did not answer."""

    feeds: tuple[Feed, ...]
    database: JournalState | None
    locks_lost: Mapping[str, str] | None


class Alarms(ReportingActor):
    """Looks, and says what begins and what is over."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._memory = wiring.memory
        self._errands = Errands(self.remind)
        self._feeds: tuple[Feed, ...] | None = None
        self._database: JournalState | None = None
        self._locks_lost: Mapping[str, str] | None = None
        self._asked_at: float | None = None
        self._read_at: float | None = None
        self._blind_until: float | None = None

    def started(self) -> None:
        """Read at once what stood before. Look soon: not before everybody else has been started too."""
        if not self._memory.read:
            self._blind_until = self.clock.monotonic() + EARLIER_S
            self._read_earlier()
        self.remind_after(LOOK_EVERY_S, Tick())

    def receive(self, message: Any) -> object:
        """Events, answers, an operator's word, or the time to look."""
        match message:
            case Happened(events=events):
                for event in events:
                    self._memory.evidence.hear(event)
                if any(event.type in URGENT for event in events):
                    self._look()
            case Tick():
                self._run_errands()
                self._look()
                self.remind_after(LOOK_EVERY_S, Tick())
            case ErrandDone():
                self._errands.over(message)
                self._done(message)
            case Acknowledge(alert_id=alert_id, uid=uid):
                return self._acknowledge(alert_id, uid)
            case ShowAlarms() | Show():
                return tuple(self._memory.board.standing.values())
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    # Looking.

    def _look(self) -> None:
        if self._blind_until is not None and self.clock.monotonic() < self._blind_until:
            return
        now = self.clock.now()
        settings = self._wiring.in_force.now.notifier
        limits = limits_of(settings)
        sight, evidence = self._sight(), self._memory.evidence
        board, news = step(
            self._memory.board,
            evidence.conditions(sight, limits, now),
            now,
            mint=self._mint,
            unknown=lambda condition: evidence.unknown(condition, sight, now),
            repeat_s=settings.repeat_minutes * 60,
        )
        if self.fenced:
            return  # hung meanwhile: its successor looks by itself
        for each in news:
            self._tell(each)
        self._memory.board = board  # after the telling: what dies in between is told twice, not never

    def _sight(self) -> Sight:
        database = self._database
        waiting = None if database is None or database.database_up else f"{database.spooled} records wait in the spool"
        return Sight(
            positions=tuple(self._wiring.owners.all()),
            accounts={account.name: _account(account) for account in self._wiring.accounts},
            feeds=self._feeds,
            database_away=waiting,
            database_known=database is not None,
            locks_lost=self._locks_lost,
        )

    def _mint(self) -> str:
        return f"{self.recorder.run_id}-s{next(iter(self._memory.numbers))}"

    # Telling.

    def _tell(self, news: News) -> None:
        """Event and message in one record. A repeat and an end are messages of their own, as grave as the alert."""
        standing, condition = news.standing, news.standing.condition
        quiet = news.what is What.RAISED and condition.told
        raised = news.what is What.RAISED
        number = next(iter(self._memory.numbers))
        row = AlertChange(
            alert_id=standing.alert_id if raised else f"{standing.alert_id}-{number}",
            at=news.at,
            severity=condition.severity,
            type=condition.topic.value,
            text=f"{condition.topic.value.upper()} {news.text}",
            symbol=condition.symbol,
            account=condition.account,
            position_id=condition.position_id,
            condition=condition.key if raised else None,
            sent_at=news.at if quiet else None,
        )
        rows = [row]
        if news.what is What.CLEARED:
            rows.append(AlertChange(alert_id=standing.alert_id, at=news.at, cleared_at=news.at))
        data: dict[str, object] = {"alert": standing.alert_id, "condition": condition.key, "text": condition.text}
        if not raised:
            data["stands_s" if news.what is What.REPEATED else "stood_s"] = int(news.stood.total_seconds())
        event = plain_event(
            _EVENTS[news.what],
            news.at,
            data,
            severity=condition.severity if raised else None,
            account=condition.account,
            symbol=condition.symbol,
        )
        self.write(event, alerts=tuple(rows))

    def _acknowledge(self, alert_id: str, uid: int) -> bool:
        found = [each for each in self._memory.board.standing.values() if alert_id in (each.alert_id, _key(each))]
        now, by = self.clock.now(), f"uid {uid}"
        for each in found:
            self._memory.board = self._memory.board.acknowledged(each.alert_id, by)
            data = {"alert": each.alert_id, "condition": _key(each), "uid": uid}
            event = plain_event(
                EventType.ALERT_ACKNOWLEDGED,
                now,
                data,
                account=each.condition.account,
                symbol=each.condition.symbol,
            )
            known = AlertChange(alert_id=each.alert_id, at=now, acknowledged_at=now, acknowledged_by=by)
            self.write(event, alerts=(known,))
        return bool(found)

    # Errands.

    def _run_errands(self) -> None:
        passed = self.clock.monotonic()
        if self._asked_at is None or passed - self._asked_at >= ASK_EVERY_S:
            self._asked_at = passed
            names = _feed_names(self.directory, [account.name for account in self._wiring.accounts])
            self._errands.run(ASK, lambda: _ask(self.directory, names))
        if not self._memory.read and (self._read_at is None or passed - self._read_at >= READ_AGAIN_S):
            self._read_earlier()
        memory, hour = self._memory, self._wiring.in_force.now.notifier.digest_hour
        day = due(self.clock.now(), hour, memory.digest_day) if memory.read else None
        if day is not None:
            self._errands.run(DIGEST, lambda: self._wiring.digest(day))

    def _read_earlier(self) -> None:
        self._read_at = self.clock.monotonic()
        self._errands.run(READ, self._read)

    def _read(self) -> tuple[Sequence[Mapping[str, Any]], Any]:
        """On an errand's thread: what stood when the last life ended, and the last day that was told."""
        return self._wiring.earlier(), self._wiring.fact(DIGEST_DAY)

    def _done(self, done: ErrandDone) -> None:
        if isinstance(done.error, DatabaseAway):
            if done.name == READ:
                self._see()
            return  # tried again
        if done.error is not None:
            raise RuntimeError(f"{done.name}: {done.error!r}") from done.error
        answer: Any = done.answer
        if done.name == ASK:
            self._feeds, self._locks_lost = answer.feeds, answer.locks_lost
            self._database = answer.database or self._database  # one that waits for its database does not answer
        elif done.name == READ and not self._memory.read:
            rows, told = answer
            self._memory.read = True
            self._memory.digest_day = told or self._first_day()
            self._take_up([_standing(row) for row in rows if _topic(row) is not None])
            self._see()
        elif done.name == DIGEST:
            self._tell_day(answer)

    def _see(self) -> None:
        """What was heard meanwhile is looked at now."""
        if self._blind_until is not None:
            self._blind_until = None
            self._look()

    def _first_day(self) -> str:
        """A service that has never told any does not begin with a day that it has not seen; remembered over starts."""
        now = self.clock.now()
        yesterday = (day_of(now) - timedelta(days=1)).isoformat()
        self.write(facts={DIGEST_DAY: yesterday})
        return yesterday

    def _tell_day(self, day: Day) -> None:
        """The digest and that it was told, in one record."""
        self._memory.digest_day = day.day.isoformat()
        data: dict[str, object] = {
            "day": day.day.isoformat(),
            "text": words(day),
            "unprotected_seconds": day.unprotected_seconds,
            "net_pnl": day.net_pnl,
            "closed": day.closed,
            "refused": dict(day.refused),
        }
        event = plain_event(EventType.DAILY_DIGEST, self.clock.now(), data)
        self.write(event, facts={DIGEST_DAY: self._memory.digest_day})

    def _take_up(self, earlier: Sequence[Standing]) -> None:
        """What stood when the last life ended goes on standing, until it is seen to be over."""
        own = {each.alert_id for each in self._memory.board.standing.values()}
        board, superseded = self._memory.board.with_earlier(each for each in earlier if each.alert_id not in own)
        self._memory.board = board
        now = self.clock.now()
        over = tuple(AlertChange(alert_id=each.alert_id, at=now, cleared_at=now) for each in superseded)
        if over:
            self.write(alerts=over)


def limits_of(settings: NotifierSettings) -> Limits:
    """From where on something is worth an alert, as set now."""
    return Limits(
        unprotected_s=settings.unprotected_s,
        opening_success_pct=settings.opening_success_pct,
        signal_feed_s=settings.signal_feed_minutes * 60,
        stream_down_s=settings.stream_down_s,
        database_down_s=settings.database_down_s,
        balance_low=settings.balance_low_usd,
    )


def _key(standing: Standing) -> str:
    return standing.condition.key


def _account(account: Account) -> AccountSight:
    standing = account.standing
    funds = standing.funds
    return AccountSight(
        findings=standing.findings,
        equity=None if funds is None else funds.equity,
        maintenance=standing.maintenance,
        killed=standing.kill_switch.reason,
    )


def _feed_names(directory: Directory, accounts: Iterable[str]) -> list[tuple[str, str | None]]:
    names: list[tuple[str, str | None]] = [(messages.SIGNAL_FEED, None)]
    for account in accounts:
        names += [(messages.market_feed(account), account), (messages.account_feed(account), account)]
    return [each for each in names if directory.newest_incarnation(each[0]) is not None]


def _ask(directory: Directory, feeds: Sequence[tuple[str, str | None]]) -> Answers:
    """On an errand's thread. Who does not answer is not known, and is no news."""
    found = []
    for name, account in feeds:
        health: Health | None = _asked(directory, name, FeedState())
        if health is not None:
            found.append(Feed(name=name, account=account, state=health.state, reason=health.reason))
    warden = _asked(directory, messages.WARDEN, Show())
    return Answers(
        feeds=tuple(found),
        database=_asked(directory, messages.JOURNAL, Show()),
        locks_lost=None if warden is None else warden["locks_lost"],
    )


def _asked(directory: Directory, name: str, question: object) -> Any:
    try:
        return directory.ask(name, question, ANSWER_S)
    except (Unavailable, Unanswered):
        return None


def _topic(row: Mapping[str, Any]) -> Topic | None:
    """What the alert of a row is about; None: a newer program knows, we do not."""
    topic = str(row["condition"]).partition(":")[0]
    if topic in tuple(Topic):
        return Topic(topic)
    text = "ALERT_OF_ANOTHER_VERSION id={} condition={}: it goes on standing"
    logger.warning(text, row["alert_id"], row["condition"])
    return None


def _standing(row: Mapping[str, Any]) -> Standing:
    """An alert of an earlier life, from its row; its condition is filled in again when it is seen."""
    topic, _, subject = str(row["condition"]).partition(":")
    condition = Condition(
        topic=Topic(topic),
        subject=subject,
        severity=Severity(row["severity"]),
        text=str(row["text"]).removeprefix(f"{topic.upper()} "),
        account=row["account"],
        symbol=row["symbol"],
        position_id=None if row["position_id"] is None else PositionId(row["position_id"]),
    )
    raised_at: datetime = row["raised_at"].astimezone(UTC)
    return Standing(
        alert_id=row["alert_id"],
        condition=condition,
        raised_at=raised_at,
        told_at=raised_at,
        acknowledged_by=row["acknowledged_by"],
    )

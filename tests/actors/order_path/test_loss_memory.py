"""What losses are counted from outlives a kill at any moment: this machine has it before anything else is done.

How one would notice it broken: killed within a second of a day's first start, the automatic kill switch counts from
the next start, and what was lost in between is in nobody's figures.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.kill_switch import KillSwitch, Wiring
from actors.loss_memory import LOSS_FACT, as_fact, recall
from actors.marks import Marks
from actors.messages import Write
from actors.standing import Standing
from actors.switch_messages import KILL_SWITCH
from domain.catalogue import EventType
from domain.entries.funds import Funds
from domain.judgement.losses import NOTHING, Limits, Reading, Source, Watch, begun_late, hear
from persistence.database import DatabaseAway
from tests.actors.order_path.stage import Stage, until

D = Decimal
LIMITS = Limits(daily_loss_usd=D(100))
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class LocalBook:
    """Where this machine keeps facts; `full`: the disk is."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.full = False

    def keep(self, key: str, value: object) -> None:
        if self.full:
            raise OSError("no space left on device")
        self.facts[key] = value

    def fact(self, key: str) -> Any:
        return self.facts.get(key)


class Database:
    """A database that knows this fact, or (None) has lost it with the commit that a kill took along."""

    def __init__(self, fact: object = None, *, away: bool = False) -> None:
        self._fact, self._away = fact, away

    def fact(self, key: str) -> Any:
        if self._away:
            raise DatabaseAway("not now")
        return self._fact if key == LOSS_FACT else None

    def realized(self, account: str, besides: list[int]) -> Decimal:
        return D(0)


def funds(stage: Stage, equity: int) -> Funds:
    return Funds(wallet=D(equity), equity=D(equity), free=D(equity), read_at=stage.clock.now())


def watch_of(value: int, at: datetime = NOW) -> Watch:
    return hear(NOTHING, Reading(source=Source.ACCOUNT, at=at, value=D(value)), LIMITS)[0]


@pytest.fixture
def local() -> LocalBook:
    return LocalBook()


def wired(stage: Stage, local: LocalBook, standing: Standing, reader: Database) -> Callable[[Any], Any]:
    wiring = Wiring(
        standings={"main": standing}, owners=stage.owners, book=local, written={}, recorder=stage.recorder,
        dry_run=False, marks=Marks(), reader=reader, limits=lambda: LIMITS,
    )  # fmt: skip
    return lambda context: KillSwitch.start(context, wiring)


def day_start(local: LocalBook, source: Source = Source.ACCOUNT) -> str | None:
    rows = (local.fact(LOSS_FACT) or {}).get("accounts", {})
    found: str | None = rows.get("main", {}).get(source.value, {}).get("day_start")
    return found


def account_row(write: Write) -> dict[str, str]:
    """What a record says of the account's equity."""
    fact: Any = (write.record.facts or {}).get(LOSS_FACT) or {"accounts": {}}
    row: dict[str, str] = fact["accounts"].get("main", {}).get("account", {})
    return row


def test_the_day_is_counted_from_the_first_word_of_the_first_life(
    stage: Stage, local: LocalBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal never got to write it."""
    monkeypatch.setattr("actors.loss_watch.KEEP_EVERY_S", 0.0)
    journal, standing = stage.ear(messages.JOURNAL), Standing()
    standing.funds_read(funds(stage, 1000))
    stage.add(KILL_SWITCH, wired(stage, local, standing, Database()))
    stage.start()
    until(lambda: day_start(local), what="the beginning of the day, on this machine")
    assert (day_start(local), day_start(local, Source.BOOK)) == ("1000", "0"), "by its first look, not a second later"
    stage.kill(KILL_SWITCH)
    until(lambda: stage.directory.newest_incarnation(KILL_SWITCH) == 2, what="its successor")
    standing.funds_read(funds(stage, 950))
    later = journal.wait(Write, lambda write: account_row(write).get("value") == "950")
    assert account_row(later)["day_start"] == "1000", "what was lost since the first life counts"
    said = [e for w in journal.of(Write) for e in w.record.events if e.type is EventType.LOSSES_COUNTED_FROM]
    assert sorted((e.data["source"], e.data["value"]) for e in said) == [("account", "1000"), ("book", "0")]


def test_a_start_looks_quickly_until_it_has_read_both(
    stage: Stage, local: LocalBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_EVERY_S", "BEGINNING_S"):
        monkeypatch.setattr(f"actors.kill_switch.{name}", 3600.0)
    stage.ear(messages.JOURNAL)
    standing = Standing()
    stage.add(KILL_SWITCH, wired(stage, local, standing, Database()))
    stage.start()
    until(lambda: day_start(local, Source.BOOK), what="the book was read at once")
    assert day_start(local) is None
    standing.funds_read(funds(stage, 1000))
    until(lambda: day_start(local) == "1000", what="the account is read as soon as it can be")


def test_a_full_disk_is_shouted_about_and_the_journal_still_has_it(stage: Stage, local: LocalBook) -> None:
    local.full = True
    journal, standing = stage.ear(messages.JOURNAL), Standing()
    standing.funds_read(funds(stage, 1000))
    stage.add(KILL_SWITCH, wired(stage, local, standing, Database()))
    stage.start()
    assert account_row(journal.wait(Write, account_row))["day_start"] == "1000"


OLDER, NEWER = (as_fact({"main": watch_of(value)}, NOW + timedelta(seconds=s)) for value, s in ((1, 0), (2, 1)))
OLD_FORMAT = NEWER["accounts"]


@pytest.mark.parametrize(
    ("written", "kept", "start"),
    [
        (None, OLDER, 1), (OLDER, None, 1), (OLDER, NEWER, 2), (NEWER, OLDER, 2),
        (OLD_FORMAT, None, 2), (OLD_FORMAT, OLDER, 1), (None, None, None), ("rubbish", OLDER, 1),
        ({"kept_at": "never", "accounts": {}}, OLDER, 1), (OLDER, as_fact({}, NOW + timedelta(seconds=1)), None),
        (as_fact({"main": NOTHING}, NOW) | {"accounts": {"main": {"account": {"day": "?"}}}}, None, None),
    ],
)  # fmt: skip
def test_the_newer_word_counts(local: LocalBook, written: object, kept: object, start: int | None) -> None:
    if kept is not None:
        local.keep(LOSS_FACT, kept)
    found = recall(["main", "other"], Database(written), local)
    assert {name: watch.curves[Source.ACCOUNT].day_start for name, watch in found.items()} == (
        {} if start is None else {"main": D(start)}
    )


def test_without_the_database_nothing_is_recalled(local: LocalBook) -> None:
    local.keep(LOSS_FACT, OLDER)
    with pytest.raises(DatabaseAway):
        recall(["main"], Database(away=True), local)


def test_a_day_that_began_before_anybody_looked_is_told_of() -> None:
    def late(before: Watch, at: datetime) -> bool:
        reading = Reading(source=Source.ACCOUNT, at=at, value=D(5))
        return begun_late(before, hear(before, reading, LIMITS)[0], reading)

    assert late(NOTHING, NOW)
    assert not late(watch_of(1), NOW + timedelta(seconds=5))
    evening = watch_of(1, NOW.replace(hour=23, minute=59, second=30))
    for second in (32, 34):
        at = NOW.replace(hour=23, minute=59, second=second)
        evening = hear(evening, Reading(source=Source.ACCOUNT, at=at, value=D(1)), LIMITS)[0]
    midnight = NOW.replace(hour=0) + timedelta(days=1)
    assert not late(evening, midnight + timedelta(seconds=5)), "somebody looked at midnight"
    assert late(evening, midnight + timedelta(hours=1)), "nobody did"

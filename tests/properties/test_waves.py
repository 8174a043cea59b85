"""Random lives of waves against the rules that an operator would state, with restarts that know only the book.

How it would show that it is broken: a wave with more entries than places, a signal without an answer or with two, a
better one judged after a worse one, a spare sent away while a place was free.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entries.signal import Action, Signal
from domain.entries.waves import Known, RankBy, Standing, Turn, WaveKey, WaveRules, Waves
from domain.identity import PositionId

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEYS = (WaveKey("main", "a"), WaveKey("main", "b"), WaveKey("second", "a"))
BASES = tuple("ABCDEF")
Score = st.one_of(st.none(), st.integers(0, 3).map(Decimal))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def signal(name: str, week: Decimal | None = None, month: Decimal | None = None) -> Signal:
    return Signal(
        id=name,
        symbol="BTCUSDT",
        exchange="binance",
        account=None,
        action=Action.BUY,
        score_week=week,
        score_month=month,
        wave=None,
        created_at=NOON,
    )


@dataclass
class Book:
    """What the database would know of one wave."""

    entries: dict[PositionId, tuple[str, str]] = field(default_factory=dict)
    """By position: its base and whether it is `pending`, `filled` or `failed`."""
    not_needed: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def taken(self) -> int:
        return sum(1 for _, fate in self.entries.values() if fate != "failed")

    def known(self) -> Known:
        held = {p: entry for p, entry in self.entries.items() if entry[1] != "failed"}
        return Known(
            positions=tuple((p, base, fate == "pending") for p, (base, fate) in held.items()),
            failed=sum(1 for _, fate in self.entries.values() if fate == "failed"),
            not_needed=self.not_needed,
            refused=dict(self.refused),
        )


class World:
    """A desk that judges by lot, the book it writes, and somebody who watches the rules."""

    def __init__(self, rules: WaveRules, draw: st.DataObject) -> None:
        self.rules = rules
        self.draw = draw
        self.now = NOON
        self.number = 0
        self.book = {key: Book() for key in KEYS}
        self.unanswered: dict[str, tuple[WaveKey, Signal]] = {}
        self.added: dict[str, datetime] = {}
        self.answers: Counter[str] = Counter()
        self.judged: set[tuple[str, datetime]] = set()
        self.later: dict[str, WaveKey] = {}
        self.waves = Waves(rules)

    def restart(self) -> None:
        """The process died: what has no answer is found in the book, what is not there is not known."""
        self.judged.clear()
        self.waves = Waves(self.rules)
        self.later.clear()
        for key, each in self.unanswered.values():
            self._add(key, each)

    def arrive(self, key: WaveKey, week: Decimal | None, month: Decimal | None) -> None:
        self.number += 1
        name = f"s{self.number}"
        self.unanswered[name] = (key, signal(name, week, month))
        self._add(*self.unanswered[name])

    def _add(self, key: WaveKey, each: Signal) -> None:
        if not self.waves.knows(key):
            self.waves.recall(key, self.book[key].known())
        self.waves.add(key, each, self.now)
        self.waves.add(key, each, self.now)  # a second hearing changes nothing
        self.added[each.id] = self.now

    def fate(self, key: WaveKey, fate: str) -> None:
        """The oldest entry of a wave that is still pending is filled or fails."""
        for position, (base, now) in self.book[key].entries.items():
            if now == "pending":
                self.book[key].entries[position] = (base, fate)
                (self.waves.failed if fate == "failed" else self.waves.entered)(position)
                return

    def judge_all(self, *, lazy: bool = False) -> None:
        while (turn := self.waves.next(self.now)) is not None:
            self._judge(turn, lazy=lazy)

    def _judge(self, turn: Turn, *, lazy: bool) -> None:
        key, book = turn.standing.key, self.book[turn.standing.key]
        assert self.unanswered[turn.signal.id][0] == key
        assert self.now >= self.added[turn.signal.id] + timedelta(seconds=self.rules.window_s) or turn.standing.of > 1
        assert 1 <= turn.standing.rank <= turn.standing.of
        self.later.pop(turn.signal.id, None)
        if turn.spare:
            reserved = sum(1 for each in self.later.values() if each == key)
            assert book.taken() + reserved >= self.rules.places, "sent away while a place was free"
        judged_at = (turn.signal.id, self.now)
        assert judged_at not in self.judged, "asked again at once"
        self.judged.add(judged_at)
        verdict = "open" if not lazy else self.draw.draw(st.sampled_from(("open", "open", "refuse", "later")))
        base = self.draw.draw(st.sampled_from(BASES)) if lazy else f"x{self.number}-{turn.signal.id}"
        if verdict == "later":
            self.waves.later(turn, self.now + timedelta(seconds=1))
            if not turn.spare:
                self.later[turn.signal.id] = key
            return
        self._answer(turn.signal.id)
        if verdict == "refuse" or self.waves.held_by(turn, base) is not None:
            book.refused["no"] += 1
            self.waves.refused(turn, "no")
        elif turn.spare:
            book.not_needed += 1
            self.waves.not_needed(turn)
        else:
            position = PositionId(len(self.answers))
            self.waves.opened(turn, base)
            self._look_at_tally(key, 1)
            self.waves.started(turn, base, position)
            book.entries[position] = (base, "pending")
            assert book.taken() <= self.rules.places, "more entries than places"
            return
        self._look_at_tally(key, 0)

    def _answer(self, name: str) -> None:
        self.answers[name] += 1
        assert self.answers[name] == 1, "two answers"
        del self.unanswered[name]

    def _look_at_tally(self, key: WaveKey, opening: int) -> None:
        tally = self.waves.finished(key)
        assert (tally is not None) == (not any(k == key for k, _ in self.unanswered.values()))
        if tally is None:
            return
        book = self.book[key]
        assert tally.opened == len(book.entries) + opening
        assert (tally.not_needed, dict(tally.refused)) == (book.not_needed, dict(book.refused))
        assert tally.received == tally.valid + sum(tally.refused.values())


def test_a_source_that_never_lets_a_wave_end_does_not_make_it_grow() -> None:
    """One more signal is always waiting: what was answered is counted, and only so many are kept for their rank."""
    waves, key = Waves(WaveRules(window_s=0, places=1), ranked=50), KEYS[0]
    waves.recall(key, Known())
    sizes = []
    waves.add(key, signal("s0", Decimal(0), None), NOON)
    for number in range(1, 401):
        waves.add(key, signal(f"s{number}", Decimal(number), None), NOON)
        turn = waves.next(NOON)
        assert turn is not None
        assert turn.standing == Standing(key, 1, number + 1)
        waves.refused(turn, "no")
        assert waves.finished(key) is None
        sizes.append(len(pickle.dumps(waves)))
    assert sizes[-1] < sizes[60] + 500
    last = waves.next(NOON)
    assert last is not None
    waves.refused(last, "no")
    tally = waves.finished(key)
    assert tally is not None
    assert (tally.received, dict(tally.refused)) == (401, {"no": 401})


RULES = st.builds(
    WaveRules,
    window_s=st.sampled_from((0.0, 5.0)),
    places=st.integers(1, 4),
    rank_by=st.sampled_from(RankBy),
    spares_wait_s=st.just(20.0),
)


@settings(max_examples=150, deadline=None)
@given(rules=RULES, data=st.data())
def test_never_more_entries_than_places_and_every_signal_one_answer(rules: WaveRules, data: st.DataObject) -> None:
    world = World(rules, data)
    for _ in range(data.draw(st.integers(1, 25))):
        match data.draw(st.sampled_from(("arrive", "arrive", "arrive", "wait", "fill", "fail", "restart"))):
            case "arrive":
                world.arrive(data.draw(st.sampled_from(KEYS)), data.draw(Score), data.draw(Score))
            case "wait":
                world.now += timedelta(seconds=data.draw(st.sampled_from((0.5, 3.0, 6.0))))
            case "restart":
                world.restart()
            case fate:
                world.fate(data.draw(st.sampled_from(KEYS)), "filled" if fate == "fill" else "failed")
        world.judge_all(lazy=True)
    for _ in range(40):  # now everything is said: all is answered in the end
        world.now += timedelta(seconds=5)
        world.judge_all()
    assert not world.unanswered
    assert len(world.waves) == 0
    assert world.waves.due_at() is None


@given(scores=st.lists(st.tuples(Score, Score), min_size=1, max_size=12), rank_by=st.sampled_from(RankBy))
def test_the_best_goes_first_whatever_the_order_of_receipt(
    scores: list[tuple[Decimal | None, Decimal | None]], rank_by: RankBy
) -> None:
    waves = Waves(WaveRules(window_s=5.0, places=1, rank_by=rank_by))
    waves.recall(KEYS[0], Known())
    for number, (week, month) in enumerate(scores):
        waves.add(KEYS[0], signal(f"s{number}", week, month), at(0.0))
    assert waves.next(at(4.9)) is None
    seen: list[Signal] = []
    while (turn := waves.next(at(5.0))) is not None:
        seen.append(turn.signal)
        assert turn.standing == (KEYS[0], len(seen), len(scores))
        waves.refused(turn, "no")

    def worth(each: Signal) -> tuple[Decimal, Decimal, int]:
        none = Decimal(-1)
        week = none if each.score_week is None else each.score_week
        month = none if each.score_month is None else each.score_month
        first, second = (week, month) if rank_by is RankBy.SCORE_WEEK else (month, week)
        return first, second, -int(each.id[1:])

    assert seen == sorted(seen, key=worth, reverse=True)
    assert len(seen) == len(scores)


def wave_of(count: int, places: int) -> Waves:
    waves = Waves(WaveRules(window_s=0.0, places=places, spares_wait_s=60))
    waves.recall(KEYS[0], Known())
    for number in range(count):
        waves.add(KEYS[0], signal(f"s{number}", Decimal(count - number)), at(0.0))
    return waves


def turn_of(waves: Waves, now: datetime = NOON) -> Turn:
    turn = waves.next(now)
    assert turn is not None
    return turn


def opened(waves: Waves, base: str, position: int) -> None:
    turn = turn_of(waves)
    assert not turn.spare
    waves.opened(turn, base)
    waves.started(turn, base, PositionId(position))


def test_a_spare_moves_up_when_the_venue_refuses_an_entry() -> None:
    waves = wave_of(3, places=1)
    opened(waves, "A", 1)
    assert waves.next(at(1.0)) is None, "as long as the entry may fail"
    assert list(waves.pending()) == [1]
    waves.failed(PositionId(1))
    assert turn_of(waves).signal.id == "s1"


def test_spares_are_not_needed_once_the_entries_are_filled() -> None:
    waves = wave_of(2, places=1)
    opened(waves, "A", 1)
    waves.entered(PositionId(1))
    turn = turn_of(waves)
    assert (turn.spare, turn.standing.rank) == (True, 2)
    waves.not_needed(turn)
    tally = waves.finished(KEYS[0])
    assert tally is not None
    assert (tally.received, tally.valid, tally.opened, tally.not_needed) == (2, 2, 1, 1)


def test_spares_do_not_wait_for_ever() -> None:
    waves = wave_of(2, places=1)
    opened(waves, "A", 1)
    assert waves.due_at() == at(60.0)
    assert waves.next(at(59.0)) is None
    assert turn_of(waves, at(60.0)).spare


def test_one_that_cannot_be_judged_yet_keeps_its_place() -> None:
    waves = wave_of(2, places=1)
    first = turn_of(waves)
    waves.later(first, at(1.0))
    assert waves.next(at(0.5)) is None
    assert waves.due_at() == at(1.0)
    assert turn_of(waves, at(1.0)).signal.id == "s0"


def test_an_answer_about_one_thing_wakes_only_those_that_wait_for_it() -> None:
    waves = wave_of(3, places=3)
    for name in ("x", "y", None):
        waves.later(turn_of(waves), at(9.0), name)
    waves.soon(at(1.0), "y")
    assert turn_of(waves, at(1.0)).signal.id == "s1"
    assert waves.next(at(1.0)) is None
    waves.soon(at(2.0))
    assert turn_of(waves, at(2.0)).signal.id == "s0"


def test_a_late_signal_finds_only_the_places_that_are_left() -> None:
    waves = wave_of(1, places=2)
    opened(waves, "A", 1)
    assert waves.finished(KEYS[0]) is not None
    waves.entered(PositionId(1))
    for name in ("late", "later"):
        waves.add(KEYS[0], signal(name), at(9.0))
    opened_too = turn_of(waves, at(9.0))
    assert (opened_too.signal.id, opened_too.spare) == ("late", False)
    waves.opened(opened_too, "B")
    assert turn_of(waves, at(9.0)).spare


def test_only_so_many_waves_are_remembered() -> None:
    waves = Waves(WaveRules(), remembered=2)
    for number in range(4):
        key = WaveKey("main", str(number))
        waves.recall(key, Known())
        waves.add(key, signal(f"s{number}"), at(0.0))
        waves.refused(turn_of(waves), "no")
        assert waves.finished(key) is not None
    assert [waves.knows(WaveKey("main", str(number))) for number in range(4)] == [False, False, True, True]

"""Signals that want an entry: they join their wave, and are judged when it is their turn (`domain.entries.waves`).

What a wave has opened already is recalled from the book when it is not known: no restart gives it a place more. The
last answer and the summary of a wave are one record, so that both are there or neither.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from loguru import logger

from actors.entry_gate import EntryGate
from actors.entry_judgement import Judgement, Wiring
from actors.grants import Grants
from actors.intake import Intake, as_stored
from actors.openings import Openings
from actors.recording import plain_event
from actors.reporting import ReportingActor
from actors.signal_answers import SignalAnswers, Story
from adapters.exchange.symbols import UnknownSymbol
from domain.catalogue import EventType
from domain.entries.signal import Action, Signal
from domain.entries.situation import Refusal, Wish
from domain.entries.waves import Known, Tally, Turn, WaveKey, Waves
from domain.identity import PositionId
from domain.instrument import PositionSide
from domain.position import ledger
from domain.position.plan import Plan
from domain.position.state import Phase, Position
from domain.records import Event, Ranked
from persistence.database import DatabaseAway

MAY_FAIL = (Phase.PENDING_ENTRY, Phase.ENTRY_PLACED)
LOOK_AGAIN = timedelta(seconds=1)
IN_HAND = 20_000
FAILURES_KNOWN = 1_000
SHORTEST_S = 0.001
PRICES_KNOWN_AFTER_S = 10.0
BLIND_FOR_S = 30.0
# The journal is given up sooner than it could be so far behind.
LAGGING = timedelta(seconds=60)
CLOSES_KNOWN = 10_000
SIDES: Mapping[object, PositionSide] = {Action.BUY: PositionSide.LONG, Action.SELL: PositionSide.SHORT}

Checks = tuple[Mapping[str, object], ...]


class Market(NamedTuple):
    """What is asked about and answered by its name."""

    account: str
    symbol: str


class WaveDesk:
    """Used by the desk's thread alone."""

    def __init__(
        self,
        desk: ReportingActor,
        wiring: Wiring,
        gate: EntryGate,
        judgement: Judgement,
        grants: Grants,
        openings: Openings,
        answers: SignalAnswers,
        intake: Intake,
    ) -> None:
        """`desk` has the clock."""
        self._desk = desk
        self._wiring = wiring
        self._gate = gate
        self._judgement = judgement
        self._grants = grants
        self._openings = openings
        self._answers = answers
        self._intake = intake
        self._waves = Waves(wiring.waves)
        self._closes: dict[Market, tuple[int, Signal]] = {}
        self._failed: deque[PositionId] = deque(maxlen=FAILURES_KNOWN)
        self._zero = desk.clock.now() - timedelta(seconds=desk.clock.monotonic())
        self._prices_known_at = desk.clock.monotonic() + PRICES_KNOWN_AFTER_S
        self._blind_since: dict[str, float] = {}

    # What it is told.

    def holds(self, signal_id: str) -> bool:
        """Whether a signal waits here for its answer."""
        return self._waves.holds(signal_id)

    def join(self, signal: Signal) -> None:
        """A stored signal joins its wave; without room in hand it is left in the book. Raises DatabaseAway."""
        if len(self._waves) >= IN_HAND:
            return
        account = self._judgement.account_of(signal)
        key = WaveKey(account if isinstance(account, str) else "", wave_name(signal))
        if not self._waves.knows(key):
            self._waves.recall(key, self._recalled(key))
        self._waves.add(key, signal, self._moment())

    def soon(self, market: Market | None = None) -> None:
        """What signals wait for may have come: an answer about this market alone, or the account, or the database."""
        self._waves.soon(self._moment(), market)

    def closed(self, account: str, symbol: str, signal: Signal) -> None:
        """A close was heard: what waits here since before it is not to be opened any more."""
        self._closes.pop(Market(account, symbol), None)
        self._closes[Market(account, symbol)] = (self._waves.received, signal)
        if len(self._closes) > CLOSES_KNOWN:
            del self._closes[next(iter(self._closes))]

    def ended(self, position: Position) -> None:
        """A position's life is over."""
        if position.phase is Phase.FAILED:
            self._failed.append(position.id)
            self._waves.failed(position.id)
        else:
            self._waves.entered(position.id)

    # What it does.

    def turn(self) -> bool:
        """Answer one signal, if it is anybody's turn. Raises DatabaseAway: it is that one's turn still."""
        for position_id in self._waves.pending():
            state = self._wiring.owners.state(position_id)
            if state is not None and not _may_fail(state):
                self._waves.entered(position_id)
        now = self._moment()
        turn = self._waves.next(now)
        if turn is None:
            return False
        try:
            waits_for = self._decide(turn)
        except DatabaseAway:
            self._waves.later(turn, now)
            raise
        if waits_for is not None:
            self._waves.later(turn, now + LOOK_AGAIN, waits_for)
        return True

    def due_in(self, poll_s: float) -> float | None:
        """Seconds until there may be something to do; `poll_s` while the fate of an entry is being looked for."""
        due = self._waves.due_at()
        waits = [] if due is None else [max((due - self._moment()).total_seconds(), SHORTEST_S)]
        if next(self._waves.pending(), None) is not None:
            waits.append(poll_s)
        return min(waits, default=None)

    def _moment(self) -> datetime:
        """A time for waves alone: one that a step of the wall clock neither closes early nor keeps open."""
        return self._zero + timedelta(seconds=self._desk.clock.monotonic())

    def _decide(self, turn: Turn) -> Market | None:
        """Judge a signal and answer it, or say by which market it cannot be judged yet."""
        signal = turn.signal
        account = self._judgement.account_of(signal)
        if isinstance(account, Refusal):
            self._refuse(turn, account, None, None)
            return None
        try:
            symbol = self._judgement.symbols(account).canonical(signal.symbol)
        except UnknownSymbol as unknown:
            if not self._wiring.accounts[account].instruments:
                return Market(account, signal.symbol)
            self._refuse(turn, Refusal(code="unknown_symbol", figures={"error": str(unknown)}), account, None)
            return None
        if self._gate.undecidable(account) is not None or self._early(account, symbol):
            return Market(account, symbol)
        closed = self._closed_since(turn, account, symbol)
        if closed is not None:
            self._refuse(turn, closed, account, symbol)
            return None
        wish = self._wish(signal, account, symbol)
        terms = self._wiring.terms(account, symbol)
        granted = self._grants.consider(wish, terms)
        if isinstance(granted, Refusal):
            self._refuse(turn, granted, account, symbol, self._judgement.made)
            return None
        if granted is None:
            return Market(account, symbol)
        unwanted = self._unwanted(turn, wish)
        _guard(turn, wish, unwanted)
        checks = (*self._judgement.made, _made(turn, unwanted))
        if unwanted is not None:
            self._refuse(turn, unwanted, account, symbol, checks)
            return None
        plan = self._grants.plan(wish, granted, terms)
        if plan is None:
            return Market(account, symbol)
        if isinstance(plan, Refusal):
            self._refuse(turn, plan, account, symbol, checks)
            return None
        self._open(turn, wish, plan, self._judgement.figures(plan, granted), checks)
        return None

    def _closed_since(self, turn: Turn, account: str, symbol: str) -> Refusal | None:
        """The source has said close after it said this, and was told of no position while this waited."""
        received, close = self._closes.get(Market(account, symbol), (0, turn.signal))
        if turn.order[-1] > received or close.created_at < turn.signal.created_at:
            return None
        return Refusal(code="closed_since", figures={"symbol": symbol, "signal": close.id})

    def _early(self, account: str, symbol: str) -> bool:
        """Whether what is not heard yet is no reason to refuse: so shortly after the start, or after a stream broke.

        A network that was away brings missed signals back with the very moment in which the account is still unread.
        """
        now = self._desk.clock.monotonic()
        if self._wiring.accounts[account].standing.blind is None:
            self._blind_since.pop(account, None)
        elif now - self._blind_since.setdefault(account, now) < BLIND_FOR_S:
            return True
        return now < self._prices_known_at and self._wiring.marks.get(account, symbol) is None

    def _wish(self, signal: Signal, account: str, symbol: str) -> Wish:
        return Wish(
            account=account,
            symbol=symbol,
            instrument=self._wiring.accounts[account].instruments[symbol],
            side=SIDES[signal.action],
            key=signal.key(symbol),
            created_at=signal.created_at,
        )

    def _unwanted(self, turn: Turn, wish: Wish) -> Refusal | None:
        """What only its wave has against a signal: too many better ones, or one of the same base currency."""
        holder = self._waves.held_by(turn, wish.instrument.base)
        if holder is not None:
            figures = {"base": wish.instrument.base, "position": holder[0]}
            return Refusal(code="base_in_wave", figures=figures)
        return Refusal(code="not_needed", figures={"places": self._wiring.waves.places}) if turn.spare else None

    # Answers.

    def _refuse(
        self, turn: Turn, refusal: Refusal, account: str | None, symbol: str | None, checks: Checks = ()
    ) -> None:
        if refusal.code == "not_needed":
            self._waves.not_needed(turn)
        else:
            self._waves.refused(turn, refusal.code)
        self._answers.refuse(turn.signal, refusal, account, symbol, self._story(turn, checks))

    def _open(self, turn: Turn, wish: Wish, plan: Plan, figures: Mapping[str, object], checks: Checks) -> None:
        signal, base = turn.signal, wish.instrument.base
        self._waves.opened(turn, base)
        story = self._story(turn, checks)
        if self._wiring.dry_run:
            self._answers.accept(signal, "dry_run", figures, None, wish.account, wish.symbol, story)
            return
        position = self._openings.open(wish, plan, "signal", signal, figures, story)
        self._waves.started(turn, base, position.id)
        self._gate.ordered(wish.account, base, position.opened_at)
        self._intake.answered(signal.id, position.id)
        self._intake.acted_on(wish.account, signal.key(wish.symbol), position.id)
        if not self._desk.fenced:
            self._wiring.told.opened(signal.id, (wish.account, signal.key(wish.symbol)), position.id)

    def _story(self, turn: Turn, checks: Checks) -> Story:
        key, rank, of = turn.standing
        tally = self._waves.finished(key)
        return Story(
            ranked=Ranked(account=key.account, wave=key.name, rank=rank, of=of),
            checks=checks,
            summary=() if tally is None else (self._summary(key, tally),),
        )

    def _summary(self, key: WaveKey, tally: Tally) -> Event:
        data = {
            "wave": key.name,
            "received": tally.received,
            "valid": tally.valid,
            "opened": tally.opened,
            "failed": tally.failed,
            "not_needed": tally.not_needed,
            "refused": dict(tally.refused),
        }
        return plain_event(EventType.WAVE_FINISHED, self._desk.clock.now(), data, account=key.account or None)

    # What the book knows.

    def _recalled(self, key: WaveKey) -> Known:
        """Places taken and answers given before this desk's life. Raises DatabaseAway."""
        positions: list[tuple[PositionId | None, str, bool]] = []
        failed = not_needed = 0
        refused: Counter[str] = Counter()
        rows = self._wiring.reader.wave(key.account, key.name)
        for row in rows:
            # That it failed may be heard before it is written.
            fell_through = row["status"] == Phase.FAILED.value or row["position_id"] in self._failed
            if row["outcome"] == "opened" and fell_through:
                failed += 1
            elif row["outcome"] in ("opened", "dry_run"):
                positions.append((row["position_id"], self._base(key, row["symbol"]), self._undecided(row)))
            elif row["outcome"] == "not_needed":
                not_needed += 1
            else:
                refused[row["outcome"]] += 1
        listed = {row["position_id"] for row in rows}
        positions += [
            (p.id, p.instrument.base, _may_fail(p)) for p in self._lagging(key) if p.id not in listed
        ]
        return Known(positions=tuple(positions), failed=failed, not_needed=not_needed, refused=refused)

    def _base(self, key: WaveKey, symbol: str | None) -> str:
        instruments = self._wiring.accounts[key.account].instruments if key.account else {}
        return instruments[symbol].base if symbol in instruments else symbol or ""

    def _undecided(self, row: dict[str, object]) -> bool:
        """Whether an entry may still fail; one that ended before we looked is taken for filled."""
        position_id = row["position_id"]
        state = self._wiring.owners.state(PositionId(position_id)) if isinstance(position_id, int) else None
        return state is not None and _may_fail(state)

    def _lagging(self, key: WaveKey) -> list[Position]:
        """Positions of the wave whose opening is still on its way to the book: a desk before this one died just now."""
        since = self._desk.clock.now() - LAGGING
        found = []
        for p in self._wiring.owners.all(key.account):
            if p.signal_id is None or p.opened_at < since:
                continue
            row = self._wiring.reader.signal(p.signal_id)
            if row is not None and wave_name(as_stored(row)) == key.name:
                found.append(p)
        return found


def wave_name(signal: Signal) -> str:
    """The signal's own word for its wave, else the minute in which it was made."""
    return signal.wave or f"{signal.created_at:%Y-%m-%dT%H:%M}"


def _may_fail(position: Position) -> bool:
    """Whether nothing of the entry has been filled yet."""
    return position.phase in MAY_FAIL and ledger.exposure(position) <= 0


def _made(turn: Turn, found: Refusal | None) -> Mapping[str, object]:
    """The wave's own check, as the others are told."""
    place = {"check": "wave", "rank": turn.standing.rank, "of": turn.standing.of}
    if found is None:
        return {**place, "result": "passed"}
    return {**place, "result": "blocked", "code": found.code, **found.figures}


def _guard(turn: Turn, wish: Wish, found: Refusal | None) -> None:
    key, rank, of = turn.standing
    verdict = "passed" if found is None else "blocked"
    why = "" if found is None else f" code={found.code}"
    text = "GUARD wave_{} symbol={} wave={} rank={} of={}{}"
    logger.bind(event="guard").info(text, verdict, wish.symbol, key.name, rank, of, why)

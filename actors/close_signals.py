"""Signals that close: they wait for no wave; the answer comes when the owner has it, as closing twice is harmless."""

from __future__ import annotations

from collections.abc import Callable

from actors.closings import Closings
from actors.entry_gate import EntryGate
from actors.entry_judgement import Judgement, Wiring
from actors.intake import Intake
from actors.reporting import ReportingActor
from actors.signal_answers import SignalAnswers
from adapters.exchange.symbols import UnknownSymbol
from domain.entries.checks import out_of_time
from domain.entries.signal import Signal
from domain.entries.situation import Refusal
from domain.identity import PositionId
from domain.position.state import CloseReason


class CloseSignals:
    """Used by the desk's thread alone."""

    def __init__(
        self,
        desk: ReportingActor,
        wiring: Wiring,
        gate: EntryGate,
        judgement: Judgement,
        closings: Closings,
        answers: SignalAnswers,
        intake: Intake,
        heard: Callable[[str, str, Signal], None],
    ) -> None:
        """`desk` has the clock; `heard` is told of each close by account and symbol."""
        self._desk = desk
        self._wiring = wiring
        self._gate = gate
        self._judgement = judgement
        self._closings = closings
        self._answers = answers
        self._intake = intake
        self._heard = heard

    def take(self, signal: Signal) -> None:
        """Have the position closed, or refuse; or leave it unanswered for a later look. Raises DatabaseAway."""
        account = self._judgement.account_of(signal)
        if isinstance(account, Refusal):
            self._answers.refuse(signal, account, None, None)
            return
        try:
            symbol = self._judgement.symbols(account).canonical(signal.symbol)
        except UnknownSymbol as unknown:
            if self._wiring.accounts[account].instruments:
                refusal = Refusal(code="unknown_symbol", figures={"error": str(unknown)})
                self._answers.refuse(signal, refusal, account, None)
            return
        if self._gate.undecidable(account) is None:
            self._heard(account, symbol, signal)
            self._close(signal, account, symbol)

    def push(self) -> None:
        """Tell the owners that live by now, and answer the signals whose close has arrived."""
        for position_id, signal in self._closings.push():
            account = self._judgement.account_of(signal)
            named = account if isinstance(account, str) else None
            self._answers.accept(signal, "closing", {}, position_id, named, None)

    def _close(self, signal: Signal, account: str, symbol: str) -> None:
        owners = self._wiring.owners.owners_on(account, symbol)  # in hedge mode both sides
        refusal = self._refusal(signal, account, symbol, owners)
        if refusal is not None:
            self._answers.refuse(signal, refusal, account, symbol)
        elif self._wiring.dry_run:
            self._answers.accept(signal, "dry_run", {"position": owners[0]}, owners[0], account, symbol)
        elif self._closings.want(owners[0], CloseReason.SIGNAL, signal):
            for other in owners[1:]:
                self._closings.want(other, CloseReason.SIGNAL)
            self._intake.answered(signal.id, owners[0])
            self._intake.acted_on(account, signal.key(symbol), owners[0])
            self.push()
        else:
            self._answers.accept(signal, "closing", {}, owners[0], account, symbol)

    def _refusal(
        self, signal: Signal, account: str, symbol: str, owners: tuple[PositionId, ...]
    ) -> Refusal | None:
        late = out_of_time(signal.created_at, self._wiring.terms(account, symbol).rules, self._desk.clock.now())
        if late is not None:
            return late
        twin = self._judgement.closed_by(account, symbol, signal)
        if twin is not None:
            figures = {"signal_key": signal.key(symbol), "existing_order_id": str(twin)}
            return Refusal(code="duplicate_signal", figures=figures)
        return None if owners else Refusal(code="no_position", figures={"symbol": symbol})

"""Where frames leave the exchange, and where they can be lost, doubled, late, out of order or unreadable."""

import asyncio
from collections.abc import Callable
from typing import Final

from adapters.paper_exchange.faults import Fault, FaultPlan, Stage, happening_of_frame

_GARBLED_SHARE: Final = 2


class FrameGate:
    """One connection's way out. `put` sends a frame on; frames are let through in order unless a fault says other."""

    def __init__(self, plan: FaultPlan | None, put: Callable[[str], None]) -> None:
        self._plan = plan
        self._put = put
        self._held: list[str] = []

    def send(self, text: str) -> None:
        """Let a frame through, or do to it what was ordered."""
        if self._plan is None or not (self._held or self._plan.expects(Stage.FRAME)):
            self._put(text)
            return
        happening = happening_of_frame(text)
        ordered = None if happening is None else self._plan.strike(happening)
        if ordered is None:
            self._put(text)
            self._release()
            return
        match ordered.fault:
            case Fault.DOUBLE:
                self._put(text)
                self._later(ordered.ms, text)
            case Fault.LATE:
                self._later(ordered.ms, text)
            case Fault.REORDER:
                # Should no other frame follow, it still has to come.
                self._held.append(text)
                asyncio.get_running_loop().call_later(ordered.ms / 1000, self._release)
            case Fault.GARBLE:
                self._put(text[: len(text) // _GARBLED_SHARE])
            case _:
                pass

    def _later(self, ms: int, text: str) -> None:
        if ms:
            asyncio.get_running_loop().call_later(ms / 1000, self._put, text)
        else:
            self._put(text)

    def _release(self) -> None:
        held, self._held = self._held, []
        for text in held:
            self._put(text)

"""Deliveries of one channel, each on a thread of its own: whoever asks for one never waits for a network.

Rules of this file:
- One delivery at a time, unless the one before is overdue: then it is given up, and its thread left to its time-outs.
- At most `LEFT_ALONE` threads may be left so; until one of them ends nothing more is begun.
- The end is told by message, an overdue one's too: a message that was taken late was taken.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from actors.alerting_messages import Handed
from adapters.channels.interface import Channel, Message, NotDelivered
from domain.alerting.outbox import Failure

DEADLINE_S = 20.0
LEFT_ALONE = 3


class Dispatch:
    """One channel's, used in its actor's thread."""

    def __init__(
        self, channel: Channel, tell: Callable[[Handed], object], monotonic: Callable[[], float]
    ) -> None:
        """`tell` is called in the thread of the delivery."""
        self.channel = channel
        self._tell = tell
        self._monotonic = monotonic
        self._threads: list[threading.Thread] = []
        self._number = 0
        self._present: tuple[int, float] | None = None

    @property
    def free(self) -> bool:
        """Whether a delivery may be begun."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return self._present is None and len(self._threads) <= LEFT_ALONE

    def begin(self, message: Message) -> int:
        """Deliver; the number that its end will bear."""
        number = self.beside(message)
        self._present = (number, self._monotonic())
        return number

    def beside(self, message: Message) -> int:
        """Deliver a trial beside whatever is under way."""
        self._number += 1
        number = self._number
        name = f"channel:{self.channel.name}"
        thread = threading.Thread(target=lambda: self._deliver(number, message), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return number

    def ended(self, number: int) -> bool:
        """The end of a delivery was heard: whether it was the present one, and none that was given up."""
        if self._present is None or self._present[0] != number:
            return False
        self._present = None
        return True

    def overdue(self) -> bool:
        """Whether the delivery under way takes too long; it is given up by that."""
        if self._present is None or self._monotonic() - self._present[1] < DEADLINE_S:
            return False
        self._present = None
        return True

    def _deliver(self, number: int, message: Message) -> None:
        began = self._monotonic()
        failure, stack = None, ""
        try:
            self.channel.deliver(message)
        except NotDelivered as not_delivered:
            failure = Failure(
                reason=not_delivered.reason,
                retry_after_s=not_delivered.retry_after_s,
                refused=not_delivered.refused,
            )
            stack = _frames(not_delivered)
        except Exception as error:  # noqa: BLE001 - whatever a channel's library raises is a reason to try again
            failure, stack = Failure(reason=f"{type(error).__name__}: {error}"), _frames(error)
        took_s = self._monotonic() - began
        self._tell(Handed(channel=self.channel.name, number=number, took_s=took_s, failure=failure, stack=stack))


def _frames(error: BaseException) -> str:
    """Where it was raised, on one line; no values, which may hold a key."""
    return " > ".join(f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__))

"""How badly the network and the venue of a test world behave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How the network and the venue behave: seconds, and chances between 0 and 1."""

    latency: tuple[float, float] = (0.01, 0.06)
    stream_latency: tuple[float, float] = (0.005, 0.08)
    patience: float = 3.0
    lose_request: float = 0.0
    lose_reply: float = 0.0
    unreachable: float = 0.0
    drop_news: float = 0.0
    repeat_news: float = 0.0
    refuse_stop: float = 0.0
    refuse_exit: float = 0.0
    refuse_entry: float = 0.0
    refuse_target: float = 0.0
    slots: int = 99
    cancel_fails: float = 0.0
    deny_young: float = 0.0
    stale_reading: float = 0.0
    part_fill: float = 0.0
    stuck_trigger: float = 0.0
    refuse_trigger: float = 0.0
    feed_stops: float = 0.0


CALM = Weather()

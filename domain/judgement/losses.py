"""Whether an account has lost so much that the kill switch is to fire by itself: two sources, each twice. Pure.

Rules of this file. Two sources tell independently how the account does: the BOOK (executions as the streams told them,
open positions at their mark prices) and the ACCOUNT (its equity, read afresh from the exchange). Each is measured
against itself only: how far it is below its own beginning of the day (UTC), and below its own peak. A limit counts as
passed when both sources pass it, each in at least two readings in a row that are some seconds apart, the last of each
fresh. So no glitch of one source fires anything, be it a wild mark price, a stale answer, an execution that never was
or money that somebody took out of the account; it is told as a doubt when it lasts. A beginning or a peak is the middle
of three readings, so that one wrong reading sets none. A clock that is set back makes no reading an old one for long:
what was lost counts on, and is seen anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Any

from domain.instrument import MONEY, percent_of
from domain.judgement.kill_switch import Cause

ZERO = Decimal(0)
TIMES = 2
APART = timedelta(seconds=3)
GOOD = timedelta(seconds=90)
DOUBTFUL_AFTER = timedelta(seconds=60)
STEADY_OF = 3


class Source(StrEnum):
    """Who says so."""

    BOOK = "book"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """0: off. The per cent are of the account's peak."""

    daily_loss_usd: Decimal = ZERO
    drawdown_pct: Decimal = ZERO

    @property
    def off(self) -> bool:
        """Whether there is nothing to watch."""
        return self.daily_loss_usd <= 0 and self.drawdown_pct <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a source says the account is worth, by whatever it counts from, at a time."""

    source: Source
    at: datetime
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """How long, and in how many readings in a row, a source has been past a limit."""

    since: datetime
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One source's story: where its day began, its peak, its last readings, and which limits it is past."""

    day: date
    day_start: Decimal
    peak: Decimal
    recent: tuple[Decimal, ...]
    at: datetime
    settling: bool = True
    """The day's beginning is still the middle of its first readings; `young`: so is the peak."""
    young: bool = True
    past: Mapping[Cause, Beyond] = field(default_factory=dict)

    @property
    def value(self) -> Decimal:
        """The last reading."""
        return self.recent[-1]

    def loss(self, cause: Cause) -> Decimal:
        """How far it is below where it is measured from; negative: above."""
        with localcontext(MONEY):
            return (self.day_start if cause is Cause.DAILY_LOSS else self.peak) - self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is known of an account. `doubted`: what a doubt was told of, until it is over."""

    curves: Mapping[Source, Curve] = field(default_factory=dict)
    doubted: frozenset[Cause] = frozenset()

    @property
    def suspicious(self) -> bool:
        """Whether some source is past a limit: then the account is to be read again at once."""
        return any(curve.past for curve in self.curves.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows: fire (or, `doubt`: tell a human that the sources do not agree), and on which figures."""

    cause: Cause
    figures: Mapping[str, str]
    doubt: bool = False


NOTHING = Watch()


def hear(watch: Watch, reading: Reading, limits: Limits) -> tuple[Watch, Verdict | None]:
    """One reading; an older one than the last of its source says nothing."""
    known = watch.curves.get(reading.source)
    if known is not None and reading.at <= known.at:
        if known.at - reading.at <= GOOD:
            return watch, None
        known = _set_back(known, reading.at.date())
    curve = _begun(reading) if known is None else _continued(known, reading)
    curves = {**watch.curves, reading.source: curve}
    past = {}
    for cause in (Cause.DAILY_LOSS, Cause.DRAWDOWN):
        limit = _limit(cause, curves, limits)
        if limit is not None and curve.loss(cause) >= limit:
            before = curve.past.get(cause)
            past[cause] = Beyond(since=reading.at) if before is None else replace(before, times=before.times + 1)
    curves[reading.source] = replace(curve, past=past)
    watch = replace(watch, curves=curves)
    return _judged(watch, reading.at, limits)


def begun_anew(watch: Watch) -> Watch:
    """After a reset: all is measured from where it is now."""
    curves = {
        source: replace(curve, day_start=curve.value, peak=curve.value, past={})
        for source, curve in watch.curves.items()
    }
    return Watch(curves=curves)


def begun_late(before: Watch, after: Watch, reading: Reading) -> bool:
    """Whether this reading is what its source's day is counted from: nobody looked when the day began."""
    known, curve = before.curves.get(reading.source), after.curves[reading.source]
    return known is None or (curve.day != known.day and curve.settling)


def _begun(reading: Reading) -> Curve:
    value = reading.value
    return Curve(day=reading.at.date(), day_start=value, peak=value, recent=(value,), at=reading.at)


def _set_back(curve: Curve, day: date) -> Curve:
    """No reading comes so late: the clock was ahead. A day that it began too soon began all the same."""
    return replace(curve, day=min(curve.day, day), past={})


def _continued(curve: Curve, reading: Reading) -> Curve:
    if reading.at.date() != curve.day:
        curve = replace(curve, day=reading.at.date(), day_start=_steady(curve.recent))
        if reading.at - curve.at > GOOD:  # nobody looked at midnight: the day begins with the next readings
            curve = replace(curve, recent=(), settling=True)
    recent = (*curve.recent, reading.value)[-STEADY_OF:]
    steady, unsettled = _steady(recent), len(recent) < STEADY_OF
    return replace(
        curve,
        recent=recent,
        at=reading.at,
        day_start=steady if curve.settling else curve.day_start,
        peak=steady if curve.young else max(curve.peak, steady),
        settling=curve.settling and unsettled,
        young=curve.young and unsettled,
    )


def _steady(values: tuple[Decimal, ...]) -> Decimal:
    """The middle one; of two the lower."""
    return sorted(values)[(len(values) - 1) // 2]


def _limit(cause: Cause, curves: Mapping[Source, Curve], limits: Limits) -> Decimal | None:
    """In money; None: off, or not known before the account was read."""
    if cause is Cause.DAILY_LOSS:
        return limits.daily_loss_usd if limits.daily_loss_usd > 0 else None
    account = curves.get(Source.ACCOUNT)
    if limits.drawdown_pct <= 0 or account is None or account.peak <= 0:
        return None
    return percent_of(account.peak, limits.drawdown_pct)


def _judged(watch: Watch, now: datetime, limits: Limits) -> tuple[Watch, Verdict | None]:
    for cause in (Cause.DAILY_LOSS, Cause.DRAWDOWN):
        limit = _limit(cause, watch.curves, limits)
        if limit is None:
            continue
        agreeing = [source for source in Source if _sure(watch.curves.get(source), cause, now)]
        if len(agreeing) == len(Source):
            return watch, Verdict(cause=cause, figures=_figures(watch, cause, limit))
    return _doubts(watch, now, limits)


def _sure(curve: Curve | None, cause: Cause, now: datetime) -> bool:
    past = None if curve is None else curve.past.get(cause)
    if curve is None or past is None or abs(now - curve.at) > GOOD:  # of the future: the clock was set back since
        return False
    return past.times >= TIMES and curve.at - past.since >= APART


def _doubts(watch: Watch, now: datetime, limits: Limits) -> tuple[Watch, Verdict | None]:
    """One source alone is past a limit, and that for long: a human is to know, once."""
    for cause in (Cause.DAILY_LOSS, Cause.DRAWDOWN):
        limit = _limit(cause, watch.curves, limits)
        lasting = [
            curve.past[cause].since
            for curve in watch.curves.values()
            if cause in curve.past and now - curve.past[cause].since >= DOUBTFUL_AFTER
        ]
        if not lasting or limit is None:
            watch = replace(watch, doubted=watch.doubted - {cause})
        elif cause not in watch.doubted:
            watch = replace(watch, doubted=watch.doubted | {cause})
            return watch, Verdict(cause=cause, figures=_figures(watch, cause, limit), doubt=True)
    return watch, None


def _figures(watch: Watch, cause: Cause, limit: Decimal) -> dict[str, str]:
    told = {f"lost_by_{source}": f"{curve.loss(cause):.2f}" for source, curve in sorted(watch.curves.items())}
    return {**told, "limit": f"{limit:.2f}"}


# As a fact: what has to outlive a restart.


def to_row(watch: Watch) -> dict[str, Any]:
    """As JSON holds it."""
    return {
        source.value: {
            "day": curve.day.isoformat(),
            "day_start": str(curve.day_start),
            "peak": str(curve.peak),
            "value": str(curve.value),
            "at": curve.at.isoformat(),
        }
        for source, curve in watch.curves.items()
    }


def from_row(row: Mapping[str, Any]) -> Watch:
    """The reverse. Raises KeyError, ValueError, TypeError, ArithmeticError: it is not what `to_row` made."""
    return Watch(
        curves={
            Source(source): Curve(
                day=date.fromisoformat(each["day"]),
                day_start=Decimal(each["day_start"]),
                peak=Decimal(each["peak"]),
                recent=(Decimal(each["value"]),) * STEADY_OF,
                at=datetime.fromisoformat(each["at"]),
                settling=False,
                young=False,
            )
            for source, each in row.items()
        }
    )

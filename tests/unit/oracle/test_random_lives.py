"""Random lawful lives pass; the same life with one unlawful act anywhere in it is caught."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.judge import Verdict
from tests.unit.oracle.tiny_exchange import TinyExchange

Act = Callable[[TinyExchange, int, int, int], int]
"""What is done to the live stop (its number, its trigger in tenths, the next sequence); returns the stop then live."""


def dropped(x: TinyExchange, stop: int, tenths: int, sequence: int) -> int:
    x.cancel(stop)
    x.wait(10)
    return x.stop(f"{tenths / 10:.1f}", sequence=sequence)


def loosened(x: TinyExchange, stop: int, tenths: int, sequence: int) -> int:
    new = x.stop(f"{(tenths - 1) / 10:.1f}", sequence=sequence)
    x.cancel(stop)
    return new


def sent_twice(x: TinyExchange, stop: int, tenths: int, sequence: int) -> int:
    first = x.stop(f"{tenths / 10:.1f}", sequence=sequence)
    x.cancel(x.stop(f"{tenths / 10:.1f}", sequence=sequence))
    x.cancel(stop)
    return first


def flipped(x: TinyExchange, stop: int, tenths: int, sequence: int) -> int:
    x.cancel(x.stop("150", side="BUY", sequence=sequence))
    return stop


def old_epoch(x: TinyExchange, stop: int, tenths: int, sequence: int) -> int:
    x.wait(2_500)
    new = x.stop(f"{tenths / 10:.1f}", sequence=sequence, epoch=(1, 0))
    x.cancel(stop)
    return new


def forgotten(x: TinyExchange, stop: int, tenths: int, sequence: int) -> int:
    new = x.stop(f"{tenths / 10:.1f}", sequence=sequence)
    x.wait(2_500)
    x.cancel(stop)
    return new


UNLAWFUL: dict[str, Act] = {
    "S4": dropped,
    "S3": loosened,
    "S7": sent_twice,
    "S2": flipped,
    "S8": old_epoch,
    "S5": forgotten,
}


def live(rises: list[int], unlawful: Act | None, place: int) -> Verdict:
    """A long position whose stop follows the mark, one unlawful act put in before the move number `place`."""
    x = TinyExchange()
    x.entry()
    x.wait(15)
    tenths, sequence = 980, 2
    stop = x.stop("98.0")
    for number, rise in enumerate(rises):
        if unlawful is not None and number == place % len(rises):
            sequence += 1
            stop = unlawful(x, stop, tenths, sequence)
        tenths += rise
        x.mark(f"{(tenths + 20) / 10:.1f}")
        x.wait(rise)
        sequence += 1
        new = x.stop(f"{tenths / 10:.1f}", sequence=sequence)
        x.wait(5)
        x.cancel(stop)
        stop = new
    x.fire(stop, f"{tenths / 10:.1f}")
    return x.verdict()


LIVES = st.lists(st.integers(1, 400), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(LIVES)
def test_lawful_lives_pass(rises: list[int]) -> None:
    verdict = live(rises, None, 0)
    assert verdict.clean, verdict.breaches
    assert verdict.lives[0].moves == len(rises)


@settings(max_examples=60, deadline=None)
@given(LIVES, st.integers(0, 100), st.sampled_from(sorted(UNLAWFUL)))
def test_one_unlawful_act_is_caught(rises: list[int], place: int, law: str) -> None:
    assert law in live(rises, UNLAWFUL[law], place).broken()

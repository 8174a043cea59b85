"""Ids: they say who made them, fit the venues, and are never mistaken for a stranger's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import (
    POSITION_EPOCH,
    Epoch,
    OrderKind,
    PositionId,
    base36,
    mint_client_id,
    mint_position_id,
    parse_client_id,
)

INSTANCES = st.from_regex(r"[0-9a-z]{4}", fullmatch=True)
POSITIONS = st.integers(0, 2**53 - 1).map(PositionId)
COUNTS = st.integers(0, 36**2 - 1)


@given(number=st.integers(0, 2**64))
def test_base_36_reads_back(number: int) -> None:
    assert int(base36(number), 36) == number


def test_a_negative_number_has_no_base_36() -> None:
    with pytest.raises(ValueError, match="-1"):
        base36(-1)


@given(
    instance=INSTANCES,
    position=POSITIONS,
    term=COUNTS,
    incarnation=COUNTS,
    number=COUNTS,
    kind=st.sampled_from(OrderKind),
)
def test_a_client_id_reads_back_and_fits_both_venues(
    instance: str, position: PositionId, term: int, incarnation: int, number: int, kind: OrderKind
) -> None:
    epoch = Epoch(term, incarnation)
    text = mint_client_id(instance, position, epoch, number, kind)
    assert len(text) <= 36
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    parsed = parse_client_id(text)
    assert parsed is not None
    assert (parsed.instance, parsed.position_id, parsed.epoch, parsed.sequence, parsed.kind) == (
        instance,
        position,
        epoch,
        number,
        kind,
    )


def test_the_longest_ordinary_id_has_at_most_36_characters() -> None:
    position = mint_position_id(datetime(2046, 1, 1, tzinfo=UTC), 4095)
    text = mint_client_id("zzzz", position, Epoch(36**3 - 1, 36**2 - 1), 36**3 - 1, OrderKind.TAKE_PROFIT)
    assert len(text) <= 36


def test_one_character_too_many_is_refused_and_not_cut() -> None:
    with pytest.raises(ValueError, match="37 characters, the venues take 36"):
        mint_client_id("zzzz", PositionId(36**10 - 1), Epoch(36**4 - 1, 36**4 - 1), 36**8 - 1, OrderKind.STOP)


@given(text=st.none() | st.text(max_size=40) | st.from_regex(r"hf[0-9a-z]{4}-[0-9a-z]+-[0-9a-z]+-[0-9a-z]+[a-z]"))
def test_a_strangers_id_is_not_ours(text: str | None) -> None:
    parsed = parse_client_id(text)
    if parsed is not None:
        assert text == mint_client_id(
            parsed.instance, parsed.position_id, parsed.epoch, parsed.sequence, parsed.kind
        ) or re.search(r"[-_]0[0-9a-z]", text or "")


@pytest.mark.parametrize("text", ["hfab12-1-1_1-1s\n", "HFab12-1-1_1-1s", "hfab12-1-1_1-1q", "xhfab12-1-1_1-1s", ""])
def test_what_only_looks_like_ours_is_not(text: str) -> None:
    assert parse_client_id(text) is None


@given(
    age=st.timedeltas(timedelta(0), timedelta(days=64 * 365)),
    later=st.timedeltas(timedelta(milliseconds=1), timedelta(days=900)),
    counters=st.tuples(st.integers(0, 4095), st.integers(0, 4095)),
)
def test_position_ids_order_by_time_and_fit_a_json_number(
    age: timedelta, later: timedelta, counters: tuple[int, int]
) -> None:
    opened = POSITION_EPOCH + age
    one, other = mint_position_id(opened, counters[0]), mint_position_id(opened + later, counters[1])
    assert 0 <= one < other < 2**53


def test_the_millisecond_is_exact() -> None:
    moment = datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
    for n in range(2_000):
        at = moment + timedelta(days=7 * n)
        assert mint_position_id(at, 5) == (7 * n * 86_400_000 + 1) * 4096 + 5


def test_an_id_of_exactly_36_characters_is_minted() -> None:
    text = mint_client_id("zzzz", PositionId(36**10 - 1), Epoch(36**4 - 1, 36**4 - 1), 36**7 - 1, OrderKind.STOP)
    assert len(text) == 36
    assert text == "hfzzzz-zzzzzzzzzz-zzzz_zzzz-zzzzzzzs"


def test_a_counter_that_has_run_over_begins_again() -> None:
    assert mint_position_id(POSITION_EPOCH, 4096 + 5) == mint_position_id(POSITION_EPOCH, 5) == 5

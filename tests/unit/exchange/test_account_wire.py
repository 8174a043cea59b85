"""The account read over HTTP from both dialects of the paper exchange, and what a client makes of bans."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.exchange.access import AccountAccess
from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.factory import open_trading
from adapters.exchange.interface import VenueFailure
from adapters.paper_launcher import PaperLauncher
from domain.accounts import AccountFacts, Expected, MarginMode, Realm, judge
from domain.orders import Rejected, RejectReason
from tests.unit.exchange.recording_venue import RecordingVenue, intent, now, recording_venue

pytestmark = pytest.mark.wire
PROGRAM = (sys.executable, str(Path(__file__).parents[3] / "main.py"), "paper-exchange")
ORDER = "POST /fapi/v1/order"


@pytest.fixture(scope="module", params=["binanceusdm", "bybit"])
def access(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountAccess]:
    folder = tmp_path_factory.mktemp(request.param)
    launcher = PaperLauncher(folder, PROGRAM, ["--dialect", request.param, "--volatility", "0"])
    endpoint = launcher.start()
    yield AccountAccess(
        account="main",
        exchange=request.param,
        api_key="paper",
        secret="paper",
        rest_url=endpoint.rest_url,
        ws_url=endpoint.ws_url,
    )
    launcher.stop()


def facts_of(access: AccountAccess) -> AccountFacts:
    async def run() -> AccountFacts:
        client = open_trading(access, now)
        try:
            await client.connect()
            return await client.account_facts()
        finally:
            await client.close()

    return asyncio.run(run())


def test_everything_is_read_and_nothing_is_wrong(access: AccountAccess) -> None:
    facts = facts_of(access)
    assert facts.unread == ()
    assert (facts.may_trade, facts.may_withdraw, facts.hedge_mode) == (True, False, False)
    assert facts.total is not None
    assert facts.total == facts.free == 10_000
    assert facts.held == frozenset()
    assert facts.clock_ahead_ms is not None
    assert abs(facts.clock_ahead_ms) < 500
    modes = {facts.margin_mode} - {None} or set((facts.margin_modes or {}).values())
    assert modes == {MarginMode.CROSS}
    assert judge(facts, Expected(account="main", mode="paper", realm=Realm.LOCAL)) == ()


def test_a_wrong_secret_is_one_finding(access: AccountAccess) -> None:
    facts = facts_of(replace(access, secret="wrong"))
    assert {unread.reason for unread in facts.unread} == {RejectReason.CREDENTIALS}
    findings = judge(facts, Expected(account="main", mode="paper", realm=Realm.LOCAL))
    assert [finding.code for finding in findings] == ["key_refused"]


def scenario(
    play: Callable[[CcxtTradingClient, RecordingVenue], Awaitable[None]], answers: dict[str, Any], clock: Any = now
) -> None:
    async def run() -> None:
        async with recording_venue(**answers) as venue:
            client = open_trading(venue.access(), clock)
            try:
                await client.connect()
                venue.seen.clear()
                await play(client, venue)
            finally:
                await client.close()

    asyncio.run(run())


def refused(status: int, text: str, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": -1003, "msg": text}, status=status, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("status", "text", "headers", "banned_s"),
    [
        (418, "IP banned until {until}.", {}, 40),
        (418, "no words", {"Retry-After": "97"}, 97),
        (418, "no words", {}, 120),
        (403, "access too frequent", {}, 120),
        (403, "forbidden", {}, None),
        (429, "too many", {"Retry-After": "3"}, None),
    ],
)
def test_a_ban_lets_nothing_leave_until_its_end(
    status: int, text: str, headers: dict[str, str], banned_s: int | None
) -> None:
    later = [timedelta(0)]
    until = int((now() + timedelta(seconds=40)).timestamp() * 1000)

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        first = await client.place(intent())
        assert isinstance(first, Rejected)
        assert first.reason is RejectReason.RATE_LIMIT
        venue.answers[ORDER] = (200, {})
        again = await client.place(intent())
        if banned_s is None:
            assert len(venue.seen) == 2
            assert client.allowance.banned_until is None
            return
        assert isinstance(again, Rejected)
        assert (again.reason, again.code) == (RejectReason.RATE_LIMIT, "local")
        assert again.retry_after_s is not None
        assert abs(again.retry_after_s - banned_s) <= 1
        assert len(venue.seen) == 1
        with pytest.raises(VenueFailure, match="bans"):
            await client.synchronise()
        later[0] = timedelta(seconds=banned_s + 1)
        await client.place(intent())
        assert len(venue.seen) == 2

    answers = {ORDER: refused(status, text.format(until=until), **headers)}
    scenario(play, answers, lambda: now() + later[0])


def test_too_many_without_a_time_waits_until_the_count_begins_anew() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"X-MBX-USED-WEIGHT-1M": "2401"}
        return web.json_response({"code": -1003, "msg": "too many"}, status=429, headers=headers)

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent())
        assert isinstance(outcome, Rejected)
        assert outcome.retry_after_s is not None
        assert (outcome.retry_after_s + now().second) % 60 in (58, 59, 0, 1, 2)
        (used,) = client.allowance.usage
        assert (used.used, used.most) == (2401, 2400)

    scenario(play, {ORDER: answer})

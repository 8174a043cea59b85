"""Reading an account: every question asked by itself, so that one that fails hides no other (`python main.py check`).

What the answers mean is judged in `domain.accounts`; which questions a venue takes is in its own account module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from adapters.exchange.access import AccountAccess
from adapters.exchange.interface import VenueFailure
from domain.accounts import AccountFacts, Realm, Unread

_DEMO = ("demo", "testnet")


async def gather(questions: Mapping[str, Callable[[], Awaitable[AccountFacts]]], at: datetime) -> AccountFacts:
    """All answers in one; a VenueFailure becomes an `Unread` of the question's name."""

    async def answer(name: str, question: Callable[[], Awaitable[AccountFacts]]) -> AccountFacts:
        try:
            return await question()
        except VenueFailure as failure:
            unread = Unread(question=name, reason=failure.reason, code=failure.code, text=failure.text)
            return AccountFacts(unread=(unread,))

    facts = AccountFacts(read_at=at)
    for part in await asyncio.gather(*(answer(name, question) for name, question in questions.items())):
        facts = facts.joined(part)
    return facts


def realm(access: AccountAccess, domains: tuple[str, ...]) -> Realm:
    """Whose money the account's address means; `domains` are the venue's own."""
    if access.rest_url is None:
        return Realm.DEMO if access.demo else Realm.LIVE
    host = urlsplit(access.rest_url).hostname or ""
    if any(host == domain or host.endswith(f".{domain}") for domain in domains):
        return Realm.DEMO if access.demo or any(word in host for word in _DEMO) else Realm.LIVE
    return Realm.LOCAL if _is_local(host) else Realm.UNKNOWN


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

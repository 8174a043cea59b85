"""Acts on the wire: what the fault proxy does between the service and an exchange."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial

from tests.chaos.act import Act, Group
from tests.chaos.house import House
from tests.chaos.wire_faults import What

REQUESTS: dict[What, dict[str, int]] = {
    What.LOSE: {},
    What.SWALLOW: {},
    What.BLACKHOLE: {},
    What.MUTE: {},
    What.DELAY: {"after_ms": 900},
    What.DRIP: {"ms": 1_500},
    What.BREAK_OFF: {},
    What.GARBLE: {},
    What.TWICE: {},
}
# A market order that was filled no longer guards its id on Binance: nobody could tell the second from a new one.
ONCE_ELSE = {"path": "algoOrder"}
PAST_THE_WINDOW_MS = 3_200
BALANCER = (502, 503, 504)
LINE = (What.REFUSE, What.CUT_REST, What.CUT_STREAMS, What.FREEZE_STREAMS, What.GARBLE_STREAMS)
METHODS = ("POST", "POST", "GET", "*", "*")


def wire_acts(rng: random.Random, accounts: tuple[str, ...]) -> list[Act]:
    """Each fault of the wire on each account once."""
    acts: list[Act] = []
    for account in accounts:
        acts += [_requests(rng, account, what, body) for what, body in REQUESTS.items()]
        acts.append(_requests(rng, account, What.DELAY, {"before_ms": PAST_THE_WINDOW_MS}, "past the window"))
        for acted in (False, True):
            body = {"status": rng.choice(BALANCER), "acted": acted}
            acts.append(_requests(rng, account, What.BALANCER, body, "5xx, done" if acted else "5xx, not done"))
        acts.append(_requests(rng, account, What.BALANCER, {"status": 429, "retry_after_s": 1}, "429"))
        acts += [_line(rng, account, what) for what in LINE]
    return acts


def _requests(rng: random.Random, account: str, what: What, body: dict[str, int], more: str = "") -> Act:
    """A share of the account's requests of one method, for some seconds."""
    lasts_s = rng.uniform(2, 6)
    order = {**body, "method": rng.choice(METHODS), "percent": rng.choice((50, 80, 100)), "for_ms": int(lasts_s * 1000)}
    kind = f"wire {what}{' ' + more if more else ''}"
    return Act(
        group=Group.WIRE, kind=kind, account=account, lasts_s=lasts_s, begin=partial(_order, account, what, order)
    )


def _line(rng: random.Random, account: str, what: What) -> Act:
    lasts_s = 0.0 if what is What.GARBLE_STREAMS else rng.uniform(1, 9)
    order = {"for_ms": int(lasts_s * 1000)} if lasts_s else {}
    return Act(
        group=Group.WIRE, kind=f"wire {what}", account=account, lasts_s=lasts_s,
        begin=partial(_order, account, what, order),
    )  # fmt: skip


def _order(account: str, what: What, body: Mapping[str, object], house: House) -> bool:
    aim = ONCE_ELSE if what is What.TWICE and not house.exchanges[account].venue.attaches else {}
    house.proxy.order(what, account, **body, **aim)
    return True

"""What a venue says of an account, and what is wrong with it: facts in, findings out, in the words for a human.

Rules of this file: it asks nobody and changes nothing. A finding that is CRITICAL keeps the account's entries closed
(`refusal`); protection of what is open never depends on a finding. What could not be read is a finding too. We change
neither position mode nor margin mode ourselves (DESIGN 3, 'Hands off'): a finding says what a human has to switch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypeVar

from domain.catalogue import Severity
from domain.decimals import text_of
from domain.entries.margin import Bracket
from domain.orders import RejectReason

SLOTS_IN_RESERVE = 10  # DESIGN 3, 'Conditional orders are scarce': for the moves of the stops that rest
KEY_ENDS_SOON = timedelta(days=14)
_NAMED = 3
V = TypeVar("V")


class MarginMode(StrEnum):
    """Whether a position's margin is its own or the account's."""

    CROSS = "cross"
    ISOLATED = "isolated"


class Realm(StrEnum):
    """Whose money it is at an address: the venue's live or demo side, this machine, or a host that we do not know."""

    LIVE = "live"
    DEMO = "demo"
    LOCAL = "local"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A question about the account that got no answer."""

    question: str
    reason: RejectReason
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What was read of one account. None: the venue was not asked, cannot be asked, or gave no answer (`unread`).

    Money in the margin currency; `clock_ahead_ms` is our clock's lead over the venue's; `conditional` and `leverages`
    go by symbol; `dead_man_s` is the window of an armed dead-man switch, 0 when there is none. `multi_asset`: the
    margin is made of several currencies, which excludes isolated margin. `margin_mode` is that of the whole account
    where symbols have none of their own. `unsupported` names a kind of account that cannot be traded.
    """

    read_at: datetime | None = None
    may_trade: bool | None = None
    may_withdraw: bool | None = None
    bound_to_ip: bool | None = None
    key_ends_at: datetime | None = None
    hedge_mode: bool | None = None
    multi_asset: bool | None = None
    unsupported: str | None = None
    margin_mode: MarginMode | None = None
    margin_modes: Mapping[str, MarginMode] | None = None
    leverages: Mapping[str, int] | None = None
    most_leverages: Mapping[str, int] | None = None
    brackets: Mapping[str, tuple[Bracket, ...]] | None = None
    dead_man_s: int | None = None
    clock_ahead_ms: int | None = None
    conditional: Mapping[str, int] | None = None
    conditional_limit: int | None = None
    held: frozenset[str] | None = None
    currency: str | None = None
    wallet: Decimal | None = None
    total: Decimal | None = None
    free: Decimal | None = None
    unread: tuple[Unread, ...] = ()

    def joined(self, other: AccountFacts) -> AccountFacts:
        """These facts with what `other` knows on top."""
        known = {each.name: getattr(other, each.name) for each in fields(other)}
        more = {name: value for name, value in known.items() if value is not None and name != "unread"}
        return replace(self, **more, unread=(*self.unread, *other.unread))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the settings say of the account. `symbols`: those that may be entered, empty for all."""

    account: str
    mode: Literal["paper", "testnet", "live"]
    realm: Realm
    hedge_mode: bool = False
    margin_mode: MarginMode | None = None
    leverage: int = 0
    receive_window_ms: int = 2000
    symbols: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing. `figures` are what decided it."""

    code: str
    severity: Severity
    text: str
    figures: Mapping[str, str | int | bool | None] = field(default_factory=dict)


def refusal(findings: Collection[Finding]) -> str | None:
    """Why there are no entries on an account with these findings; None: there may be."""
    grave = [finding.text for finding in findings if finding.severity is Severity.CRITICAL]
    return "; ".join(grave) or None


def judge(facts: AccountFacts, expected: Expected) -> tuple[Finding, ...]:
    """Everything that is to be said of the account, the gravest first."""
    order = list(Severity)
    found = [finding for rule in RULES for finding in rule(facts, expected)]
    return tuple(sorted(found, key=lambda finding: -order.index(finding.severity)))


def address(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """Paper and testnet never touch real money, live never trades play money unseen."""
    mode, realm = expected.mode, expected.realm
    figures = {"mode": mode, "address": realm.value}
    if realm is Realm.LIVE and mode != "live":
        text = f"the address is the exchange's live one, but service.mode is {mode}: real money would be traded"
        yield Finding(code="live_address", severity=Severity.CRITICAL, text=text, figures=figures)
    elif realm is Realm.DEMO and mode != "testnet":
        text = f"the address is the exchange's demo one, but service.mode is {mode}"
        yield Finding(code="demo_address", severity=Severity.CRITICAL, text=text, figures=figures)
    elif realm is Realm.LOCAL and mode == "live":
        text = "the address is on this machine, though service.mode is live"
        yield Finding(code="local_address", severity=Severity.WARNING, text=text, figures=figures)


def key(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """The key is taken, may trade, and can do no more than it must."""
    refused = next((each for each in facts.unread if each.reason is RejectReason.CREDENTIALS), None)
    if refused is not None:
        text = (
            f"the exchange refuses the API key ({refused.text}): check api_key and secret, the key's list of IP "
            "addresses and its permissions; a demo key is refused at the live address in the same way, and the reverse"
        )
        yield Finding(code="key_refused", severity=Severity.CRITICAL, text=text, figures={"error_code": refused.code})
    if facts.may_trade is False:
        text = "the API key may not trade perpetual futures: give it that permission at the exchange"
        yield Finding(code="may_not_trade", severity=Severity.CRITICAL, text=text)
    if facts.may_withdraw:
        text = "the API key may withdraw money: take that permission from it, Holdfast never needs it"
        yield Finding(code="may_withdraw", severity=Severity.WARNING, text=text)
    if facts.bound_to_ip is False and expected.mode == "live":
        text = "the API key is not bound to an IP address: whoever has it can use it from anywhere"
        yield Finding(code="key_for_any_ip", severity=Severity.WARNING, text=text)
    until = None if facts.key_ends_at is None or facts.read_at is None else facts.key_ends_at - facts.read_at
    if facts.key_ends_at is not None and until is not None and until < KEY_ENDS_SOON:
        ends = facts.key_ends_at.strftime("%Y-%m-%d %H:%M UTC")
        text = f"the API key ends on {ends}: without a new one positions could not be protected after that"
        yield Finding(code="key_ends", severity=Severity.WARNING, text=text, figures={"ends_at": ends})


def kind(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """It is a kind of account that we can trade."""
    if facts.unsupported is not None:
        text = f"{facts.unsupported} is not supported"
        yield Finding(code="account_kind", severity=Severity.CRITICAL, text=text)


def position_mode(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """Long and short apart, or one position a symbol: as the settings say."""
    if facts.hedge_mode is None or facts.hedge_mode is expected.hedge_mode:
        return
    is_, wanted = ("hedge", "one-way") if facts.hedge_mode else ("one-way", "hedge")
    name = f"accounts.{expected.account}.hedge_mode"
    text = (
        f"the account is in {is_} mode, but {name} = {str(expected.hedge_mode).lower()}: switch the account to "
        f"{wanted} mode at the exchange (it must be flat, without open orders), or set {name} = "
        f"{str(facts.hedge_mode).lower()}; Holdfast never switches it"
    )
    figures = {"account_hedge_mode": facts.hedge_mode, "expected_hedge_mode": expected.hedge_mode}
    yield Finding(code="position_mode", severity=Severity.CRITICAL, text=text, figures=figures)


def margin_mode(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """Cross or isolated, as the settings expect. The gateway refuses entries on each symbol that differs."""
    wanted = expected.margin_mode
    if wanted is None:
        return
    if wanted is MarginMode.ISOLATED and facts.multi_asset:
        text = (
            "the account is in multi-assets mode, which knows cross margin only, but "
            f"accounts.{expected.account}.margin_mode = isolated: switch multi-assets mode off at the exchange"
        )
        yield Finding(code="multi_asset", severity=Severity.CRITICAL, text=text)
    if facts.margin_mode not in (None, wanted):
        text = (
            f"margin is {facts.margin_mode} on the whole account, but accounts.{expected.account}.margin_mode = "
            f"{wanted}: switch it at the exchange; Holdfast never switches it"
        )
        account_wide = {"account": str(facts.margin_mode), "expected": wanted.value}
        yield Finding(code="margin_mode", severity=Severity.CRITICAL, text=text, figures=account_wide)
    modes = _in_use(facts.margin_modes, expected)
    wrong = sorted(symbol for symbol, mode in modes.items() if mode is not wanted)
    if not wrong:
        return
    other = MarginMode.CROSS if wanted is MarginMode.ISOLATED else MarginMode.ISOLATED
    everywhere = len(wrong) == len(modes)
    where = "every symbol" if everywhere and len(wrong) > 1 else _named(wrong)
    text = (
        f"margin is {other} on {where}, but accounts.{expected.account}.margin_mode = {wanted}: no entries there "
        "until it is switched at the exchange; Holdfast never switches it"
    )
    severity = Severity.CRITICAL if everywhere else Severity.WARNING
    figures = {"symbols": len(wrong), "of": len(modes), "expected": wanted.value}
    yield Finding(code="margin_mode", severity=severity, text=text, figures=figures)


def leverage(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """The leverage set can be had, and where a position keeps another one that is said."""
    wanted = expected.leverage
    if wanted <= 0:
        return
    most = _in_use(facts.most_leverages, expected)
    short = sorted(symbol for symbol, limit in most.items() if limit < wanted)
    if short:
        everywhere = len(short) == len(most)
        text = (
            f"leverage {wanted} cannot be had on {_named(short)} (at most "
            f"{', '.join(str(most[symbol]) for symbol in short[:_NAMED])}): entries there would be refused"
        )
        severity = Severity.CRITICAL if everywhere else Severity.WARNING
        figures = {"symbols": len(short), "of": len(most), "leverage": wanted}
        yield Finding(code="leverage_too_high", severity=severity, text=text, figures=figures)
    held = facts.held or frozenset()
    kept = sorted(symbol for symbol in held if (facts.leverages or {}).get(symbol, wanted) != wanted)
    if kept:
        text = (
            f"leverage is not {wanted} on {_named(kept)}, where a position is open: it is set once the symbol is flat"
        )
        figures = {"symbols": len(kept), "leverage": wanted}
        yield Finding(code="leverage_kept", severity=Severity.WARNING, text=text, figures=figures)


def dead_man(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """No switch that cancels orders when we are silent: it would take the stops with it (DESIGN 3)."""
    if facts.dead_man_s:
        text = (
            f"a dead-man switch of {facts.dead_man_s} s is armed at the exchange: when the connection is lost it would "
            "cancel the stops that protect the positions; switch it off"
        )
        figures = {"window_s": facts.dead_man_s}
        yield Finding(code="dead_man_switch", severity=Severity.WARNING, text=text, figures=figures)


def clock(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """Our clock is near the venue's: what is stamped too far off is refused there."""
    ahead, window = facts.clock_ahead_ms, expected.receive_window_ms
    if ahead is None or abs(ahead) * 2 <= window:
        return
    way = "ahead of" if ahead > 0 else "behind"
    text = (
        f"this machine's clock is {abs(ahead)} ms {way} the exchange's, the receive window is {window} ms: let NTP "
        "set the clock"
    )
    severity = Severity.CRITICAL if abs(ahead) > window else Severity.WARNING
    figures = {"ahead_ms": ahead, "receive_window_ms": window}
    yield Finding(code="clock_skew", severity=severity, text=text, figures=figures)


def slots(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """Room for one more stop, beside those kept in reserve."""
    if facts.conditional is None or facts.conditional_limit is None:
        return
    used = sum(facts.conditional.values())
    if used + 1 + SLOTS_IN_RESERVE <= facts.conditional_limit:
        return
    text = (
        f"{used} of {facts.conditional_limit} conditional orders are open, {SLOTS_IN_RESERVE} are kept in reserve: "
        "no entry until some are gone"
    )
    figures = {"used": used, "limit": facts.conditional_limit, "reserve": SLOTS_IN_RESERVE}
    yield Finding(code="no_conditional_slots", severity=Severity.WARNING, text=text, figures=figures)


def balance(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """There is money to open a position with."""
    if facts.free is None or facts.total is None or facts.free > 0:
        return
    text = f"no free margin: {facts.total} {facts.currency} in all, {facts.free} free: entries will be refused"
    figures = {"total": text_of(facts.total), "free": text_of(facts.free), "currency": facts.currency}
    yield Finding(code="no_free_margin", severity=Severity.WARNING, text=text, figures=figures)


def complete(facts: AccountFacts, expected: Expected) -> Iterator[Finding]:
    """Everything could be read. Without its position mode an account is not traded."""
    for unread in facts.unread:
        if unread.reason is RejectReason.CREDENTIALS:
            continue  # said once, for the key
        text = f"{unread.question} could not be read: {unread.text}"
        figures = {"question": unread.question, "error_code": unread.code}
        yield Finding(code="not_read", severity=Severity.WARNING, text=text, figures=figures)
    if facts.hedge_mode is None and not any(each.reason is RejectReason.CREDENTIALS for each in facts.unread):
        text = "the account's position mode is not known, so no order can be sent that surely means what we want"
        yield Finding(code="mode_unknown", severity=Severity.CRITICAL, text=text)


RULES = (
    address,
    key,
    kind,
    position_mode,
    margin_mode,
    leverage,
    dead_man,
    clock,
    slots,
    balance,
    complete,
)


def _in_use(values: Mapping[str, V] | None, expected: Expected) -> dict[str, V]:
    known = values or {}
    return {symbol: value for symbol, value in known.items() if not expected.symbols or symbol in expected.symbols}


def _named(symbols: list[str]) -> str:
    more = len(symbols) - _NAMED
    return ", ".join(symbols[:_NAMED]) + (f" and {more} more" if more > 0 else "")

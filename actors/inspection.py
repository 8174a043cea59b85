"""`python main.py check`: settings, state directory, database, channels, accounts; all that is wrong in one run.

Rules of this file: it changes nothing and starts nothing. In paper mode a paper exchange that runs is asked, one that
does not is started by `run`, and so is the embedded database: that is no fault. Nothing of a secret is said.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from actors.account_access import account_access
from actors.clock import SystemClock
from actors.standing import expected_of
from adapters.channels.factory import open_channel, wrong_with
from adapters.exchange.access import AccountAccess
from adapters.exchange.factory import open_trading
from adapters.exchange.interface import TradingClient, VenueFailure
from adapters.exchange.symbols import SymbolNames, UnknownSymbol
from adapters.exchange.venue import exact
from adapters.paper_launcher import PaperLauncher, own_program
from config.settings import Settings
from domain import accounts
from domain.accounts import AccountFacts
from domain.catalogue import Severity
from persistence.database import DatabaseAway, MigrationRefused
from persistence.inspection import pending, running_embedded

ACCOUNT_WITHIN_S = 30.0
ZERO = Decimal(0)


class Weight(StrEnum):
    """How bad a line of the report is."""

    WRONG = "WRONG"
    WARNING = "warning"
    NOTE = "note"
    FINE = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing found. `code` names its kind for scripts."""

    weight: Weight
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What was found of one thing."""

    title: str
    lines: tuple[Line, ...]

    @property
    def wrong(self) -> int:
        """How many things are wrong with it."""
        return sum(line.weight is Weight.WRONG for line in self.lines)


_WEIGHTS = {Severity.CRITICAL: Weight.WRONG, Severity.ERROR: Weight.WRONG, Severity.WARNING: Weight.WARNING}


def inspect(settings: Settings) -> tuple[Section, ...]:
    """Look at everything that the settings point at."""
    return (
        Section(title="settings", lines=tuple(_settings(settings))),
        Section(title="state directory", lines=tuple(_state_dir(settings.service.state_dir))),
        Section(title="database", lines=tuple(_database(settings))),
        Section(title="alerts", lines=tuple(_channels(settings))),
        *asyncio.run(_accounts(settings)),
    )


def as_text(sections: tuple[Section, ...]) -> str:
    """The report as people read it: the worst of each section first, the sum at the end."""
    order = list(Weight)
    said: list[str] = []
    for section in sections:
        said.append(section.title)
        for line in sorted(section.lines, key=lambda line: order.index(line.weight)):
            named = f"{line.code}: " if line.weight in (Weight.WRONG, Weight.WARNING) else ""
            said.append(f"  {line.weight.value:<8} {named}{' '.join(line.text.split())}")
    wrong = sum(section.wrong for section in sections)
    warnings = sum(line.weight is Weight.WARNING for section in sections for line in section.lines)
    said.append(f"{wrong or 'nothing'} wrong, {warnings or 'no'} warning{'' if warnings == 1 else 's'}")
    return "\n".join(said)


# Settings and what stands below.


def _settings(settings: Settings) -> Iterator[Line]:
    for sentence in settings.without_effect():
        yield Line(weight=Weight.NOTE, code="without_effect", text=sentence)
    named = ", ".join(f"{name} ({account.exchange})" for name, account in settings.accounts.items())
    dry = ", dry run" if settings.service.dry_run else ""
    yield Line(weight=Weight.FINE, code="settings", text=f"mode {settings.service.mode}{dry}, accounts {named}")


def _state_dir(state_dir: Path) -> Iterator[Line]:
    path = state_dir.absolute()
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not existing.is_dir():
        yield Line(weight=Weight.WRONG, code="state_dir", text=f"{existing}: is not a directory")
    elif not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        yield Line(weight=Weight.WRONG, code="state_dir", text=f"{existing}: not readable and writable by this user")
    elif existing != path:
        yield Line(weight=Weight.FINE, code="state_dir", text=f"{path}: will be made")
    else:
        yield Line(weight=Weight.FINE, code="state_dir", text=str(path))


def _database(settings: Settings) -> Iterator[Line]:
    url = settings.database.url.get_secret_value()
    base = settings.service.state_dir / "pg"
    conninfo = url or running_embedded(base)
    if conninfo is None:
        yield Line(weight=Weight.NOTE, code="database", text=f"embedded, not running: `run` starts it in {base}")
        return
    kind = "database.url" if url else "embedded, running"
    try:
        steps = pending(conninfo)
    except DatabaseAway as away:
        yield Line(weight=Weight.WRONG, code="database_away", text=f"{kind}: cannot be reached: {away}")
    except MigrationRefused as refused:
        yield Line(weight=Weight.WRONG, code="database_schema", text=f"{kind}: {refused}")
    else:
        schema = f"`run` applies {', '.join(steps)}" if steps else "the schema is up to date"
        yield Line(weight=Weight.FINE, code="database", text=f"{kind}: reachable, {schema}")


def _channels(settings: Settings) -> Iterator[Line]:
    """A service with a wrong address runs all the same: without this its first alert would be the first to say so."""
    notifier = settings.notifier
    good = []
    for name, address in notifier.urls.items():
        wrong = wrong_with(open_channel(name, address.get_secret_value(), telegram_url=notifier.telegram_url))
        if wrong is None:
            good.append(name)
        else:
            yield Line(weight=Weight.WRONG, code="channel_address", text=f"notifier.urls.{name}: {wrong}")
    if good:
        text = f"{', '.join(good)}: `ctl notify.test` tries them"
        yield Line(weight=Weight.FINE, code="channels", text=text)
    elif not notifier.urls:
        text = "no channel is set (notifier.urls): alerts are in the log, in `ctl alerts` and on the page only"
        yield Line(weight=Weight.NOTE, code="no_channel", text=text)


# Accounts.


async def _accounts(settings: Settings) -> list[Section]:
    return await asyncio.gather(*(_account(settings, name) for name in settings.accounts))


async def _account(settings: Settings, name: str) -> Section:
    account = settings.accounts[name]
    launcher: PaperLauncher | None = None
    if settings.service.mode == "paper" and not account.rest_url:
        launcher = PaperLauncher(settings.service.state_dir / "paper" / name, own_program(), ())
        if launcher.running() is None:
            text = "the paper exchange is not running: `run` starts it, there is nothing to check before"
            missing = Line(weight=Weight.NOTE, code="paper_exchange", text=text)
            return Section(title=f"account {name} ({account.exchange}, paper)", lines=(missing,))
    access = account_access(name, account, launcher, testnet=settings.service.mode == "testnet")
    title = f"account {name} ({account.exchange}, {access.rest_url or ('demo' if access.demo else 'live')})"
    client = open_trading(access, SystemClock().now)
    try:
        async with asyncio.timeout(ACCOUNT_WITHIN_S):
            lines = await _read(settings, access, client)
    except VenueFailure as failure:
        lines = [Line(weight=Weight.WRONG, code="unreachable", text=f"the exchange cannot be read: {failure.text}")]
    except TimeoutError:
        text = f"no complete answer within {ACCOUNT_WITHIN_S:.0f} s"
        lines = [Line(weight=Weight.WRONG, code="unreachable", text=text)]
    finally:
        await client.close()
    return Section(title=title, lines=tuple(lines))


async def _read(settings: Settings, access: AccountAccess, client: TradingClient) -> list[Line]:
    """Raises VenueFailure when not even the instruments can be read."""
    instruments = await client.connect()
    facts = await client.account_facts()
    expected = expected_of(settings, access.account, access, instruments)
    lines = [
        Line(weight=_WEIGHTS.get(finding.severity, Weight.NOTE), code=finding.code, text=finding.text)
        for finding in accounts.judge(facts, expected)
    ]
    lines += _unknown_symbols(settings, access.account, SymbolNames(instruments, settings.symbols.aliases))
    said = _in_figures(facts, len(instruments))
    if said:
        lines.append(Line(weight=Weight.FINE, code="account", text=said))
    return lines


def _unknown_symbols(settings: Settings, account: str, names: SymbolNames) -> Iterator[Line]:
    """Symbols in lists that this account's venue does not know; other accounts may."""
    listed = (
        ("entries.allow_list", settings.entries.allow_list),
        ("entries.stop_list", settings.entries.stop_list),
        (f"accounts.{account}.exclude", settings.accounts[account].exclude),
        ("symbols.aliases", settings.symbols.aliases.values()),
    )
    for key, symbols in listed:
        for symbol in symbols:
            try:
                names.canonical(symbol)
            except UnknownSymbol as unknown:
                yield Line(weight=Weight.WARNING, code="unknown_symbol", text=f"{key}: {unknown}")


def _in_figures(facts: AccountFacts, symbols: int) -> str:
    said = [f"{symbols} symbols"]
    if facts.total is not None:
        said.append(f"balance {exact(facts.total)} {facts.currency}, {exact(facts.free or ZERO)} free")
    if facts.held is not None:
        said.append(f"{len(facts.held)} position{'' if len(facts.held) == 1 else 's'} open")
    if facts.conditional is not None:
        limit = "" if facts.conditional_limit is None else f" of {facts.conditional_limit}"
        said.append(f"{sum(facts.conditional.values())}{limit} conditional orders")
    if facts.clock_ahead_ms is not None:
        said.append(f"clock {facts.clock_ahead_ms:+} ms")
    return ", ".join(said)

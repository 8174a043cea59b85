"""The methods that the service answers: a line of help each, and the parameter that may stand without its name.

`ctl` shows this table; it sends a method that is not in it all the same, since a newer service may know more.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """`positional` is the parameter that `ctl METHOD VALUE` sets."""

    name: str
    usage: str
    line: str
    positional: str = "id"


METHODS = (
    Method(name="status", usage="", line="mode, accounts, components, positions, whether entries are open"),
    Method(name="positions", usage="[account=] [symbol=] [all=true]", line="open positions with their stops"),
    Method(name="position.show", usage="ID", line="all about one position"),
    Method(
        name="position.open",
        usage="account= symbol= side=long|short usd=|quantity= [stop_pct=|stop_price=] [take_profits=JSON]",
        line="open a position, with the checks of a signal",
        positional="symbol",
    ),
    Method(name="position.close", usage="ID [fraction=1]", line="close a position, or a part of it"),
    Method(name="position.set_stop", usage="ID price=", line="move the stop, looser or tighter"),
    Method(
        name="position.set_trailing",
        usage="ID [enabled=true|false] [activation_pct=] [callback_pct=]",
        line="change how a position trails",
    ),
    Method(name="position.release", usage="ID", line="hand a position back to a human; its stop stays"),
    Method(
        name="close_all",
        usage="[account=] [all=true]",
        line="close all positions of the service; all=true: strangers' too",
        positional="account",
    ),
    Method(name="entries.pause", usage="[account=] [reason=]", line="no new positions", positional="account"),
    Method(name="entries.resume", usage="[account=] [reason=]", line="new positions again", positional="account"),
    Method(
        name="kill_switch.arm",
        usage="[account=] [reason=]",
        line="first step to stop everything: gives a code that is good for a minute",
        positional="account",
    ),
    Method(
        name="kill_switch.confirm",
        usage="CODE",
        line="second step: no entries, and every owned position is closed, until reset",
        positional="code",
    ),
    Method(name="kill_switch.reset", usage="[account=]", line="entries again", positional="account"),
    Method(name="signal.show", usage="ID", line="what became of a signal, and why"),
    Method(name="signals", usage="[limit=] [symbol=] [outcome=]", line="the latest signals", positional="symbol"),
    Method(name="reconcile", usage="[account=]", line="compare with the exchange now", positional="account"),
    Method(
        name="zombies.scan",
        usage="[account=] [dry_run=true] [aggressive=true]",
        line="find orders that have no position to act on and cancel them: ours, in aggressive mode anybody's",
        positional="account",
    ),
    Method(
        name="events",
        usage="[since=] [limit=] [symbol=] [type=] [severity=] [position=ID] [correlation=] [--follow]",
        line="what happened, in order",
        positional="position",
    ),
    Method(
        name="events.follow",
        usage="[since=] [limit=20] [symbol=] [type=] [severity=] [position=ID] [correlation=]",
        line="the last events, then each as it is written",
        positional="position",
    ),
    Method(
        name="report",
        usage="[DAY|today|yesterday] [from= to=] [account=] [--csv]",
        line="what a day, or any span, came to: P&L, fees, unprotected seconds, refusals",
        positional="day",
    ),
    Method(name="actors", usage="", line="every actor: state, epoch, restarts, mailbox", positional="name"),
    Method(
        name="actors.kill",
        usage="NAME how=exception|exit|hang",
        line="break an actor on purpose (chaos.enabled only)",
        positional="name",
    ),
    Method(name="alerts", usage="[limit=]", line="alerts: what stands, then the latest", positional="limit"),
    Method(name="alerts.ack", usage="ID", line="you know of this alert: it is not repeated"),
    Method(name="notify.test", usage="", line="a trial message by every channel, and what became of it"),
    Method(
        name="symbol.get",
        usage="SYMBOL",
        line="what holds for one symbol, each value with its source",
        positional="symbol",
    ),
    Method(
        name="symbol.set",
        usage="SYMBOL key=value|default ...",
        line="set it for one symbol, at once (trade_enabled, leverage, trailing.callback_pct, ...)",
        positional="symbol",
    ),
    Method(
        name="alerts_audit",
        usage="[SYMBOL]",
        line="alerts, trading and limits of each symbol, and where they come from",
        positional="symbol",
    ),
    Method(name="settings.reload", usage="", line="read the settings file anew: hot keys at once, others are named"),
    Method(
        name="log.level",
        usage="DEBUG|INFO|WARNING|ERROR",
        line="how much is logged, until the next reload or start",
        positional="level",
    ),
    Method(name="shutdown", usage="[all=true]", line="stop the service; says what stays on the exchange"),
)

_BY_NAME = {method.name: method for method in METHODS}


def method_of(name: str) -> Method | None:
    """The method of this name, if it is one that is known here."""
    return _BY_NAME.get(name)


def positional_of(method: str) -> str:
    """The parameter's name for a value given without one."""
    known = _BY_NAME.get(method)
    return known.positional if known else "id"

"""What holds for single symbols: shown with its sources, changed, audited."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from actors import messages
from actors.control.answering import ANSWER_S, Answering
from actors.messages import SetSymbol
from actors.symbol_book import resolved_or_plain
from adapters.admin.parameters import Parameters, refused, required
from adapters.admin.protocol import Caller
from config.symbol_settings import WrongSymbolSetting, keys
from domain.decimals import plain
from domain.instrument import Instrument
from persistence.database import DatabaseAway

UNSET = "default"
WRITE_S = 3 * ANSWER_S
_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


def get(house: Answering, params: Parameters, _: Caller) -> object:
    """Each value of one symbol, and whether the database, the settings or the default says so."""
    symbol = house.canonical(required("symbol", params.text("symbol")))
    params.done()
    return _shown(house, symbol)


def change(house: Answering, params: Parameters, caller: Caller) -> object:
    """Set what is given; `default` takes a value away again. Needs the database."""
    symbol = house.canonical(required("symbol", params.text("symbol")))
    given = params.rest(*keys())
    params.done()
    if not given:
        raise refused("symbol", symbol, f"give at least one of {', '.join(keys())}")
    values: dict[str, object] = {
        key: None if text.lower() == UNSET else _TRUTHS.get(text.lower(), text) for key, text in given.items()
    }
    try:
        order = SetSymbol(symbol=symbol, values=values, uid=caller.uid)
        house.directory.ask(messages.SYMBOL_KEEPER, order, WRITE_S)
    except WrongSymbolSetting as wrong:
        raise refused(wrong.key, wrong.value, wrong.rule) from wrong
    return _shown(house, symbol)


def _shown(house: Answering, symbol: str) -> dict[str, object]:
    book = house.wiring.ruling.symbols
    own = book.fresh(symbol)
    values = {
        account: {
            key: {"value": _wire(each.value), "source": each.source}
            for key, each in resolved_or_plain(house.wiring.ruling.in_force.now, account, own).items()
        }
        for account, instruments in house.wiring.instruments.items()
        if symbol in instruments
    }
    shown: dict[str, object] = {"symbol": symbol, "as_of": book.page.read_at, "stale": book.away}
    if len(values) == 1:
        return {**shown, "values": next(iter(values.values()))}
    return {**shown, "accounts": values}


def audit(house: Answering, params: Parameters, _: Caller) -> object:
    """The alerts audit of INTERFACE 'HTTP', numbers as numbers; a symbol of two accounts has a row for each venue."""
    asked = params.text("symbol")
    params.done()
    wanted = None if asked is None else house.canonical(asked)
    return alerts_audit(house, wanted, asked)


def alerts_audit(house: Answering, wanted: str | None, asked: str | None = None) -> dict[str, object]:
    """One symbol, or all that any account knows; `last_alert_at` is None while the database is away."""
    settings, book = house.wiring.ruling.in_force.now, house.wiring.ruling.symbols
    book.fresh(wanted or "")
    listed = [
        (account, instrument)
        for account, instruments in house.wiring.instruments.items()
        for instrument in sorted(dict(instruments).values(), key=lambda each: each.symbol)
        if wanted in (None, instrument.symbol)
    ]
    try:
        last: Mapping[str, Any] = house.wiring.reader.last_alerts([each.symbol for _, each in listed])
    except DatabaseAway:
        last = {}
    rows = [
        _audited(asked or each.symbol, each, resolved_or_plain(settings, account, book.known(each.symbol)), last)
        | ({"account": account} if len(house.wiring.instruments) > 1 else {})
        for account, each in listed
    ]
    return {"timestamp": house.clock.now(), "symbols": rows}


def _audited(
    name: str, instrument: Instrument, values: Mapping[str, Any], last: Mapping[str, Any]
) -> dict[str, object]:
    return {
        "symbol": name,
        "alert_enabled": values["alert_enabled"].value,
        "alert_enabled_source": values["alert_enabled"].source,
        "buy_alert_enabled": values["buy_alert_enabled"].value,
        "sell_alert_enabled": values["sell_alert_enabled"].value,
        "trade_enabled": values["trade_enabled"].value,
        "min_trade_usd": _number(values["min_trade_usd"].value),
        "min_qty": _number(instrument.min_quantity),
        "step_size": _number(instrument.step),
        "cooldown_seconds": _number(values["cooldown_seconds"].value),
        "last_alert_at": last.get(instrument.symbol),
        "symbol_normalized": instrument.symbol,
    }


def _number(value: Decimal | float) -> int | float:
    """A figure to look at, not to reckon with: JSON's own number."""
    return int(value) if value == int(value) else float(value)


def _wire(value: Any) -> object:
    """A value as JSON carries it: exact numbers as text."""
    if isinstance(value, tuple):
        return [each.model_dump(mode="json") for each in value]
    return plain(value) if isinstance(value, Decimal) else value

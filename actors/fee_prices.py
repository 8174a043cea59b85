"""What a fee in another coin was worth: venues take fees in a coin of their own where an account chose so.

Rules of this file: it asks nobody. A price counts if it is a mark price of that coin in USDT, within a minute of the
execution; else the fee stays what it is, and is counted apart.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from actors.marks import Marks
from domain.orders import MARGIN_CURRENCY, Fill
from domain.position.inputs import FillHeard, FillsListed

PRICED_WITHIN = timedelta(minutes=1)


def priced(heard: FillHeard | FillsListed, account: str, marks: Marks) -> FillHeard | FillsListed:
    """The same news, each execution with the price of its fee where one is known."""
    if isinstance(heard, FillHeard):
        return replace(heard, fill=_priced(heard.fill, account, marks))
    return replace(heard, fills=tuple(_priced(fill, account, marks) for fill in heard.fills))


def _priced(fill: Fill, account: str, marks: Marks) -> Fill:
    if fill.fee_currency == MARGIN_CURRENCY:
        return fill
    mark = marks.get(account, fill.fee_currency + MARGIN_CURRENCY)
    if mark is None or abs(mark.at - fill.at) > PRICED_WITHIN:
        return fill
    return replace(fill, fee_price=mark.price)

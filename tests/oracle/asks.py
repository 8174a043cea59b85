"""What a request asks of the venue, read from its line: Binance USD-M and Bybit v5 linear, one set of words for both.

Rules of this file: nothing is interpreted that a law does not ask about, and a value stays as it came (`object`), since
whether it is a sane number is a law of its own (S13). `intent` is a parameter that no venue has: a simulated network
may note in it the id that the sender minted for a request which carries none (Bybit's trading-stop, an amendment).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.oracle.ours import Ident, identify
from tests.oracle.reader import RequestLine

CONTROL = "/control"
_BYBIT = "/v5/"
_UUID = re.compile(r"[0-9a-f]{4,8}(?:-?[0-9a-f]{4}){0,4}-([0-9a-f]{12})")
_SIDES = {"1": "LONG", "2": "SHORT"}
_IDS = ("algoId", "clientAlgoId", "orderId", "origClientOrderId", "orderLinkId")
_CARRIED = ("newClientOrderId", "clientAlgoId", "orderLinkId")
# Settings of the account that are not ours to change; the last of these would delete stops.
_HANDS_OFF = (
    "marginType", "positionSide/dual", "positionMargin", "multiAssetsMargin", "countdownCancelAll", "switch-mode",
    "switch-isolated", "set-margin-mode", "add-margin", "set-auto-add-margin", "disconnected-cancel-all",
)  # fmt: skip


class What(StrEnum):
    """What kind of request it is."""

    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"
    CANCEL_ALL = "cancel all"
    ATTACH = "attach"
    LEVERAGE = "leverage"
    MODE = "mode"
    QUESTION = "question"
    CONTROL = "control"
    OTHER = "other"

    @property
    def trades(self) -> bool:
        """Whether it puts an order, or the terms of one, at the venue."""
        return self in (What.PLACE, What.AMEND, What.ATTACH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `names`: the orders that it names ('algo 5', 'order 7'). `ident`: whose it is, where an id says."""

    line: RequestLine
    what: What
    symbol: str | None = None
    position_side: str = "BOTH"
    conditional: bool = False
    buys: bool = False
    takes_profit: bool = False
    whole: bool = False
    quantity: object = None
    trigger: object = None
    price: object = None
    stop_loss: object = None
    take_profit: object = None
    names: tuple[str, ...] = ()
    ident: Ident | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The position that it is about."""
        return str(self.symbol), self.position_side

    @property
    def outsider(self) -> bool:
        """Whether a test asked, playing somebody else."""
        return self.what is What.CONTROL


def read_ask(line: RequestLine) -> Ask:
    """What this request asks."""
    if line.path.startswith(CONTROL):
        return Ask(line=line, what=What.CONTROL, symbol=line.params.get("symbol"))
    if line.method == "GET":
        return Ask(line=line, what=What.QUESTION, symbol=line.params.get("symbol"))
    return _bybit(line) if line.path.startswith(_BYBIT) else _binance(line)


def is_zero(value: object) -> bool:
    """Whether an attached leg is to be taken away: Bybit's '0'."""
    text = str(value)
    return text != "" and not text.strip("0.")


def _binance(line: RequestLine) -> Ask:
    params, end = line.params, line.path.rsplit("/", 1)[-1]
    what = What.OTHER
    sort = "algo" if "algo" in end.lower() else "order"
    if line.path.endswith(_HANDS_OFF):
        what = What.MODE
    elif end == "leverage":
        what = What.LEVERAGE
    elif end in ("order", "algoOrder"):
        what = {"POST": What.PLACE, "PUT": What.AMEND, "DELETE": What.CANCEL}.get(line.method, What.OTHER)
    elif end in ("allOpenOrders", "algoOpenOrders") and line.method == "DELETE":
        what = What.CANCEL_ALL
    placed = what is What.PLACE
    return Ask(
        line=line,
        what=what,
        symbol=params.get("symbol"),
        position_side=params.get("positionSide") or "BOTH",
        conditional=sort == "algo",
        buys=params.get("side") == "BUY",
        takes_profit="TAKE_PROFIT" in str(params.get("type")),
        whole=str(params.get("closePosition", "")).lower() == "true",
        quantity=params.get("quantity"),
        trigger=params.get("triggerPrice"),
        price=params.get("price"),
        names=() if placed else _named(params, (sort,)),
        ident=_ident(params, carries=placed),
    )


def _bybit(line: RequestLine) -> Ask:
    params = line.params
    what = {
        "/v5/order/create": What.PLACE,
        "/v5/order/amend": What.AMEND,
        "/v5/order/cancel": What.CANCEL,
        "/v5/order/cancel-all": What.CANCEL_ALL,
        "/v5/position/trading-stop": What.ATTACH,
        "/v5/position/set-leverage": What.LEVERAGE,
    }.get(line.path, What.MODE if line.path.endswith(_HANDS_OFF) else What.OTHER)
    placed = what is What.PLACE
    trigger = params.get("triggerPrice") or None
    conditional = trigger is not None or what is What.ATTACH
    buys = str(params.get("side", "")).lower() == "buy"
    # Direction 1 fires when the price rises to the trigger: a profit for whoever then sells.
    rises = str(params.get("triggerDirection", "")) == "1"
    closes = str(params.get("closeOnTrigger", "")).lower() == "true" and is_zero(params.get("qty", ""))
    return Ask(
        line=line,
        what=what,
        symbol=params.get("symbol"),
        position_side=_SIDES.get(str(params.get("positionIdx", "0")), "BOTH"),
        conditional=conditional,
        buys=buys,
        takes_profit=placed and trigger is not None and rises != buys,
        whole=closes,
        quantity=params.get("qty"),
        trigger=trigger,
        price=params.get("price") or None,
        stop_loss=params.get("stopLoss") or None,
        take_profit=params.get("takeProfit") or None,
        names=() if placed else _named(params, ("algo", "order")),
        ident=_ident(params, carries=placed),
    )


def _named(params: Mapping[str, Any], sorts: tuple[str, ...]) -> tuple[str, ...]:
    """The orders that it names; an id in the form of a UUID ends in the number that the log has."""
    ids = [str(params[name]) for name in _IDS if params.get(name)]
    numbers = [str(int(match[1], 16)) for each in ids if (match := _UUID.fullmatch(each)) is not None]
    return tuple(f"{sort} {each}" for each in (*ids, *numbers) for sort in sorts)


def _ident(params: Mapping[str, Any], *, carries: bool) -> Ident | None:
    """Whose request it is: by the id that a new order carries, else by what a network noted."""
    carried = next((params[name] for name in _CARRIED if params.get(name)), "") if carries else ""
    return identify(str(carried or params.get("intent") or ""))

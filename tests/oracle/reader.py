"""The timeline's lines as values.

Rules of this file: money is read as exact Decimal from decimal strings and from nothing else; a line that cannot be
read, or that breaks the sequence, is an error with its number, save a torn last one (the exchange may be killed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

_DECIMAL = re.compile(r"-?\d+(\.\d+)?")


class TimelineError(Exception):
    """The timeline itself cannot be trusted: which line, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Common to all: `seq` numbers the lines, `t` is exchange time in ms; `more`: the step goes on in the next line."""

    seq: int
    t: int
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine(Line):
    """The exchange process started or stopped."""

    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine(Line):
    """A request came in."""

    id: int
    method: str
    path: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyLine(Line):
    """A request was answered; `code` is the venue's error code, None if there was none."""

    request: int
    status: int
    code: int | None

    @property
    def granted(self) -> bool:
        """Whether the venue said yes."""
        return self.code is None and self.status < 400


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine(Line):
    """An ordinary order after a change. `request`: the one that caused it, if the log says so."""

    symbol: str
    order_id: str
    client_id: str
    side: str
    type: str
    quantity: Decimal
    reduce_only: bool
    close_position: bool
    position_side: str
    status: str
    executed: Decimal
    origin: str
    algo_id: str | None
    request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgoLine(Line):
    """A conditional order after a change. `attached`: it stands on the position itself; `request` as in OrderLine."""

    symbol: str
    algo_id: str
    client_id: str
    side: str
    type: str
    quantity: Decimal
    trigger: Decimal
    working_type: str
    reduce_only: bool
    close_position: bool
    position_side: str
    status: str
    child_id: str | None
    origin: str
    attached: bool = False
    request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLine(Line):
    """One execution."""

    symbol: str
    trade_id: str
    order_id: str
    client_id: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realized_pnl: Decimal
    position_side: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine(Line):
    """A position after a change; `quantity` is signed."""

    symbol: str
    position_side: str
    quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLine(Line):
    """A price point of a symbol."""

    symbol: str
    mark: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLine(Line):
    """A test played the outsider or the venue: ordered something (`refused`: in vain)."""

    command: str
    asked: Mapping[str, Any]
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StruckLine(Line):
    """An ordered fault struck a request, a frame or an order."""

    what: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLine(Line):
    """A line that no law asks about (balances, snapshots, settings of the account)."""

    kind: str


AnyLine = (
    SessionLine
    | RequestLine
    | ReplyLine
    | OrderLine
    | AlgoLine
    | FillLine
    | PositionLine
    | PriceLine
    | ControlLine
    | StruckLine
    | OtherLine
)


def read_lines(path: Path) -> Iterator[AnyLine]:
    """Every whole line of the file. Raises TimelineError for an unreadable line that is not the torn last one."""
    with path.open("rb") as file:
        yield from ordered(_objects(file))


def ordered(objects: Iterable[Mapping[str, Any]]) -> Iterator[AnyLine]:
    """The objects as lines, their numbers proven to rise. Raises TimelineError."""
    last = -1
    for raw in objects:
        line = parse_line(raw)
        if line.seq <= last:
            raise TimelineError(f"line seq={line.seq}: follows seq={last}, numbers must rise")
        last = line.seq
        yield line


def parse_line(raw: Mapping[str, Any]) -> AnyLine:
    """One object of the timeline as a line. Raises TimelineError."""
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise TimelineError(f"line seq={raw.get('seq')} kind={raw.get('kind')}: {error!r}") from error


def _objects(file: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            return
        try:
            raw = json.loads(line)
        except ValueError as error:
            raise TimelineError(f"line {number} is no JSON: {error}") from error
        if not isinstance(raw, dict):
            raise TimelineError(f"line {number} is no object")
        yield raw


def _money(raw: Mapping[str, Any], key: str) -> Decimal:
    value = raw[key]
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError(f"{key}={value!r}: must be a plain decimal string")
    return Decimal(value)


def _id(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _parse(raw: Mapping[str, Any]) -> AnyLine:
    seq, t, more = int(raw["seq"]), int(raw["t"]), bool(raw.get("more"))
    match raw["kind"]:
        case "price":
            return PriceLine(seq=seq, t=t, more=more, symbol=raw["symbol"], mark=_money(raw, "mark"))
        case "request":
            return RequestLine(
                seq=seq, t=t, more=more, id=raw["id"], method=raw["method"], path=raw["path"], params=raw["params"]
            )
        case "reply":
            return ReplyLine(
                seq=seq, t=t, more=more, request=raw["request"], status=raw["status"], code=raw.get("code") or None
            )
        case "order":
            return OrderLine(
                **_side_of(raw, seq, t, more),
                order_id=str(raw["orderId"]),
                client_id=raw["clientOrderId"],
                executed=_money(raw, "executedQty"),
                algo_id=_id(raw.get("algoId")),
            )
        case "algo":
            return AlgoLine(
                **_side_of(raw, seq, t, more),
                algo_id=str(raw["algoId"]),
                client_id=raw["clientAlgoId"],
                trigger=_money(raw, "triggerPrice"),
                working_type=raw["workingType"],
                child_id=_id(raw.get("actualOrderId")),
                attached=bool(raw.get("attached")),
            )
        case "fill":
            return FillLine(
                seq=seq,
                t=t,
                more=more,
                symbol=raw["symbol"],
                trade_id=str(raw["tradeId"]),
                order_id=str(raw["orderId"]),
                client_id=raw["clientOrderId"],
                side=raw["side"],
                quantity=_money(raw, "quantity"),
                price=_money(raw, "price"),
                fee=_money(raw, "fee"),
                realized_pnl=_money(raw, "realizedPnl"),
                position_side=raw["positionSide"],
            )
        case "position":
            return PositionLine(
                seq=seq,
                t=t,
                more=more,
                symbol=raw["symbol"],
                position_side=raw["positionSide"],
                quantity=_money(raw, "quantity"),
                entry_price=_money(raw, "entryPrice"),
            )
        case "session":
            return SessionLine(seq=seq, t=t, more=more, event=raw["event"])
        case "control":
            return ControlLine(
                seq=seq, t=t, more=more, command=raw["command"], asked=raw["asked"], refused="refused" in raw
            )
        case "struck":
            return StruckLine(seq=seq, t=t, more=more, what=raw["what"], params=raw.get("params") or {})
        case kind:
            return OtherLine(seq=seq, t=t, more=more, kind=str(kind))


def _side_of(raw: Mapping[str, Any], seq: int, t: int, more: bool) -> dict[str, Any]:
    """The fields that ordinary and conditional orders share."""
    return {
        "seq": seq,
        "t": t,
        "more": more,
        "symbol": raw["symbol"],
        "side": raw["side"],
        "type": raw["type"],
        "quantity": _money(raw, "quantity"),
        "reduce_only": bool(raw["reduceOnly"]),
        "close_position": bool(raw["closePosition"]),
        "position_side": raw["positionSide"],
        "status": raw["status"],
        "origin": raw["origin"],
        "request": raw.get("request"),
    }

"""A hand-worked exchange for the oracle's own tests: it writes the lines of a timeline, right or deliberately wrong.

Rules of this file: nothing happens by itself; a test says each step, and what it says is what the timeline shows.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.oracle.court import Terms
from tests.oracle.judge import Verdict, judge
from tests.oracle.reader import ordered

SYMBOL = "BTCUSDT"
START = 1_800_000_000_000


def client_id(kind: str, sequence: int, position: int = 1, epoch: tuple[int, int] = (1, 1)) -> str:
    """A client id of ours (all numbers below 10, so that base 36 looks the same)."""
    return f"hfab12-{position}-{epoch[0]}_{epoch[1]}-{sequence}{kind}"


class TinyExchange:
    """Writes lines; `t` is the exchange's time in ms, moved by `wait`."""

    def __init__(self, symbol: str = SYMBOL, mark: str = "100") -> None:
        self.symbol = symbol
        self.t = START
        self.lines: list[dict[str, Any]] = []
        self.quantities: dict[str, Decimal] = {}
        self._ids = 0
        self._orders: dict[int, dict[str, Any]] = {}
        self.write("session", event="start", pid=1)
        self.mark(mark)

    def write(self, kind: str, more: bool = False, **fields: Any) -> None:
        """One line."""
        line = {"seq": len(self.lines) + 1, "t": self.t, "kind": kind, **fields}
        self.lines.append({**line, "more": True} if more else line)

    def wait(self, ms: int) -> None:
        """Let time pass; a balance line shows it."""
        self.t += ms
        self.write("balance", asset="USDT", wallet="1000")

    def mark(self, price: str, more: bool = False) -> None:
        """A price point; `more` when it sets something off."""
        self.write("price", more, symbol=self.symbol, mark=price, last=price, index=price)

    def ask(self, method: str, path: str, **params: Any) -> int:
        """A request; returns its number."""
        self._ids += 1
        self.write("request", id=self._ids, method=method, path=path, params={"symbol": self.symbol, **params})
        return self._ids

    def answer(self, request: int, code: int | None = None) -> None:
        """The reply to a request."""
        self.write("reply", request=request, status=400 if code else 200, code=code)

    def market(
        self, name: str, side: str, quantity: str, price: str = "100", *, reduce_only: bool = False,
        origin: str = "api", filled: str | None = None, asked: bool = True, position_side: str = "BOTH",
    ) -> int:  # fmt: skip
        """A market order, filled whole or as far as `filled`."""
        api = origin == "api" and asked
        hedged = {"positionSide": position_side} if position_side != "BOTH" else {}
        request = (
            self.ask("POST", "/fapi/v1/order", side=side, quantity=quantity, newClientOrderId=name, **hedged)
            if api else 0
        )  # fmt: skip
        order = self.accept(
            name, side, quantity, reduce_only=reduce_only, origin=origin, position_side=position_side
        )
        self.fill(order, filled or quantity, price)
        if request:
            self.answer(request)
        return order

    def entry(self, quantity: str = "1", side: str = "BUY", *, position: int = 1, **more: Any) -> int:
        """An entry of ours."""
        name = client_id("e", more.pop("sequence", 1), position, more.pop("epoch", (1, 1)))
        return self.market(name, side, quantity, **more)

    def stop(
        self, trigger: str = "98", quantity: str = "1", side: str = "SELL", *, sequence: int = 2, position: int = 1,
        epoch: tuple[int, int] = (1, 1), reduce_only: bool = True, close_position: bool = False,
        name: str | None = None, sort: str = "STOP_MARKET", position_side: str = "BOTH", status: str = "NEW",
    ) -> int:  # fmt: skip
        """A conditional order of ours (or of `name`), accepted."""
        name = name or client_id("s", sequence, position, epoch)
        params: dict[str, Any] = {"side": side, "triggerPrice": trigger, "clientAlgoId": name, "type": sort}
        params |= {"closePosition": "true"} if close_position else {"quantity": quantity}
        params |= {"positionSide": position_side} if position_side != "BOTH" else {}
        request = self.ask("POST", "/fapi/v1/algoOrder", **params)
        algo = self.conditional(
            name, side, trigger, quantity, sort=sort, reduce_only=reduce_only, close_position=close_position,
            position_side=position_side, status=status,
        )  # fmt: skip
        self.answer(request)
        return algo

    def conditional(
        self, name: str, side: str, trigger: str, quantity: str, *, sort: str = "STOP_MARKET", reduce_only: bool = True,
        close_position: bool = False, position_side: str = "BOTH", status: str = "NEW", attached: bool = False,
        request: int | None = None, origin: str = "api", more: bool = False,
    ) -> int:  # fmt: skip
        """A conditional as the exchange shows it first; returns its number."""
        self._ids += 1
        algo = self._ids
        self._orders[algo] = {
            "symbol": self.symbol, "algoId": algo, "clientAlgoId": name, "side": side, "type": sort,
            "quantity": "0" if close_position else quantity, "triggerPrice": trigger, "workingType": "MARK_PRICE",
            "reduceOnly": reduce_only, "closePosition": close_position, "positionSide": position_side,
            "status": status, "actualOrderId": None, "origin": origin,
        }  # fmt: skip
        if attached:
            self._orders[algo]["attached"] = True
        self.write("algo", more=more, **self._orders[algo], **({} if request is None else {"request": request}))
        return algo

    def refuse_stop(self, code: int = -2021, trigger: str = "99", quantity: str = "1") -> None:
        """A stop that the exchange does not take."""
        name = client_id("s", 9)
        params = {"side": "SELL", "triggerPrice": trigger, "clientAlgoId": name, "type": "STOP_MARKET"}
        self.answer(self.ask("POST", "/fapi/v1/algoOrder", quantity=quantity, **params), code)

    def end(self, order: int, status: str = "EXPIRED") -> None:
        """An ordinary order comes to its end without more fills."""
        self._orders[order] |= {"status": status}
        self.write("order", **self._orders[order])

    def cancel(self, algo: int) -> None:
        """Our request to cancel a conditional, and its cancel."""
        request = self.ask("DELETE", "/fapi/v1/algoOrder", algoId=str(algo))
        self.change(algo, "CANCELED")
        self.answer(request)

    def change(self, algo: int, status: str, more: bool = False, request: int | None = None, **fields: Any) -> None:
        """Another status of a conditional, or other terms; `request`: the one that the log names as the cause."""
        self._orders[algo] |= {"status": status, **fields}
        self.write("algo", more=more, **self._orders[algo], **({} if request is None else {"request": request}))

    def row(self, number: int) -> dict[str, Any]:
        """An order as its last line shows it."""
        return self._orders[number]

    def fire(self, algo: int, price: str, filled: str | None = None) -> None:
        """The mark touches the trigger and the child fills, in one step."""
        row = self._orders[algo]
        self.mark(price, more=True)
        self.change(algo, "TRIGGERING", more=True)
        held = abs(self.quantities.get(row["positionSide"], Decimal(0)))
        quantity = str(held) if row["closePosition"] else row["quantity"]
        child = self.accept(
            "web_child", row["side"], quantity, reduce_only=True, origin="algo", algo=algo,
            position_side=row["positionSide"],
        )  # fmt: skip
        self.change(algo, "TRIGGERED", more=True, actualOrderId=child)
        self.fill(child, filled or quantity, price, more=True)
        self.change(algo, "FINISHED")

    def fill(self, order: int, quantity: str, price: str = "100", more: bool = False) -> None:
        """An execution: order, fill and position lines of one step."""
        row = self._orders[order]
        executed = Decimal(row["executedQty"]) + Decimal(quantity)
        whole = executed == Decimal(row["quantity"])
        row |= {"executedQty": str(executed), "status": "FILLED" if whole else "PARTIALLY_FILLED"}
        side = row["positionSide"]
        signed = Decimal(quantity) if row["side"] == "BUY" else -Decimal(quantity)
        self.quantities[side] = self.quantities.get(side, Decimal(0)) + signed
        self._ids += 1
        self.write("order", more=True, **row)
        self.write(
            "fill", more=True, symbol=self.symbol, tradeId=self._ids, orderId=order,
            clientOrderId=row["clientOrderId"], side=row["side"], quantity=quantity, price=price, fee="0.05",
            feeAsset="USDT", realizedPnl="0", positionSide=side,
        )  # fmt: skip
        self.write(
            "position", more=more, symbol=self.symbol, positionSide=side, quantity=str(self.quantities[side]),
            entryPrice="0",
        )  # fmt: skip

    def exit(
        self, quantity: str = "1", side: str = "SELL", *, position: int = 1, sequence: int = 8, **more: Any
    ) -> int:
        """A reduce-only market order of ours."""
        return self.market(client_id("x", sequence, position), side, quantity, reduce_only=True, **more)

    def verdict(self, terms: Terms | None = None) -> Verdict:
        """What the oracle says, after a minute of quiet."""
        for _ in range(60):
            self.wait(1000)
        return judge(ordered(self.lines), terms)

    def accept(
        self, name: str, side: str, quantity: str, *, reduce_only: bool = False, origin: str = "api",
        algo: int | None = None, position_side: str = "BOTH",
    ) -> int:  # fmt: skip
        """An ordinary order as the exchange shows it first; its fills follow. Returns its number."""
        self._ids += 1
        self._orders[self._ids] = {
            "symbol": self.symbol, "orderId": self._ids, "clientOrderId": name, "side": side, "type": "MARKET",
            "quantity": quantity, "reduceOnly": reduce_only, "closePosition": False, "positionSide": position_side,
            "status": "NEW", "executedQty": "0", "avgPrice": "0", "origin": origin, "algoId": algo,
        }  # fmt: skip
        self.write("order", more=True, **self._orders[self._ids])
        return self._ids

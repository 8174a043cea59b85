"""The hand-worked exchange in Bybit's words: stops that stand on the position, orders amended in place.

The stories say who did it: by a request of ours (`by_us`), or by a human at the venue.
"""

from __future__ import annotations

from typing import Any

from tests.unit.oracle.tiny_exchange import TinyExchange, client_id

CREATE, AMEND, TRADING_STOP = "/v5/order/create", "/v5/order/amend", "/v5/position/trading-stop"
INDEX = {"BOTH": "0", "LONG": "1", "SHORT": "2"}


class TinyBybit(TinyExchange):
    """A tiny exchange whose requests are Bybit's; its lines name the requests behind them, as the real log does."""

    def entry(self, quantity: str = "1", side: str = "BUY", *, position: int = 1, **more: Any) -> int:
        """An entry of ours, with `stop_loss` (a price) attached in the step of its first fill if it is given."""
        name = client_id("e", more.pop("sequence", 1), position, more.pop("epoch", (1, 1)))
        stop_loss, position_side = more.pop("stop_loss", None), more.pop("position_side", "BOTH")
        filled = more.pop("filled", quantity)
        params: dict[str, Any] = {"side": side.capitalize(), "qty": quantity, "orderLinkId": name}
        params |= {"positionIdx": INDEX[position_side]} | ({"stopLoss": stop_loss} if stop_loss is not None else {})
        request = self.ask("POST", CREATE, **params)
        order = self.accept(name, side, quantity, position_side=position_side)
        self.fill(order, filled, more=stop_loss is not None)
        if stop_loss is not None:
            self.attach(stop_loss, position_side, request)
        self.answer(request)
        return order

    def attach(self, trigger: str, position_side: str, request: int | None, sort: str = "STOP_MARKET") -> int:
        """A stop (or take-profit) on the position, as the exchange shows it first."""
        held = self.quantities[position_side]
        return self.conditional(
            "", "SELL" if held > 0 else "BUY", trigger, "0", sort=sort, close_position=True,
            position_side=position_side, attached=True, request=request,
        )  # fmt: skip

    def set_stop(self, trigger: str, algo: int | None = None, position_side: str = "BOTH", **noted: Any) -> int:
        """Our trading-stop: sets one, or moves `algo`; "0" takes it away. `noted`: what a network adds (an intent)."""
        request = self.ask(
            "POST", TRADING_STOP, stopLoss=trigger, slTriggerBy="MarkPrice", tpslMode="Full",
            positionIdx=INDEX[position_side], **noted,
        )  # fmt: skip
        if algo is None:
            algo = self.attach(trigger, position_side, request)
        elif trigger == "0":
            self.change(algo, "CANCELED", request=request)
        else:
            self.change(algo, "NEW", request=request, triggerPrice=trigger)
        self.answer(request)
        return algo

    def stop_order(
        self, trigger: str, quantity: str = "1", side: str = "SELL", *, sequence: int = 2, position: int = 1,
        position_side: str = "BOTH", kind: str = "s", epoch: tuple[int, int] = (1, 1),
    ) -> int:  # fmt: skip
        """A conditional order of ours by its own request; kind t is a take-profit."""
        name = client_id(kind, sequence, position, epoch)
        profit = kind == "t"
        falls = (side == "SELL") is not profit
        request = self.ask(
            "POST", CREATE, side=side.capitalize(), qty=quantity, orderLinkId=name, triggerPrice=trigger,
            triggerDirection="2" if falls else "1", reduceOnly="true", positionIdx=INDEX[position_side],
        )  # fmt: skip
        sort = "TAKE_PROFIT_MARKET" if profit else "STOP_MARKET"
        algo = self.conditional(name, side, trigger, quantity, sort=sort, position_side=position_side, request=request)
        self.answer(request)
        return algo

    def amend(self, algo: int, **terms: Any) -> None:
        """Our amendment in place: `triggerPrice`, `quantity`; `intent` is noted by the network, not sent."""
        noted = {"intent": terms.pop("intent")} if "intent" in terms else {}
        asked = {{"quantity": "qty"}.get(name, name): value for name, value in terms.items()}
        request = self.ask("POST", AMEND, orderLinkId=self.row(algo)["clientAlgoId"], **asked, **noted)
        self.change(algo, "NEW", request=request, **terms)
        self.answer(request)

    def human_sets(self, algo: int, trigger: str) -> None:
        """A human moves a stop of the position; "0" takes it away."""
        self.write("control", command="position_stop", asked={"symbol": self.symbol, "stop_loss": trigger})
        if trigger == "0":
            self.change(algo, "CANCELED")
        else:
            self.change(algo, "NEW", triggerPrice=trigger)

    def gone_with_the_position(self, algo: int) -> None:
        """The exchange takes an attached order away: the position is flat."""
        self.change(algo, "EXPIRED")

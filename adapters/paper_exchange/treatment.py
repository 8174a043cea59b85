"""What the faults that struck a REST request add up to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from adapters.paper_exchange.faults import Fault, Ordered
from adapters.paper_exchange.wire import Rejection, WireReply


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """How a request fares. `ending` is the fault that decides what the client gets, None for the honest reply."""

    before_s: float = 0.0
    after_s: float = 0.0
    ending: Ordered | None = None
    stale_ms: int | None = None
    hide_ms: int | None = None
    cut: Ordered | None = None

    @classmethod
    def of(cls, struck: Iterable[Ordered]) -> "Treatment":
        """The sum of what struck."""
        made = cls()
        for ordered in struck:
            match ordered.fault:
                case Fault.DELAY:
                    made = replace(
                        made,
                        before_s=made.before_s + ordered.before_ms / 1000,
                        after_s=made.after_s + ordered.after_ms / 1000,
                    )
                case Fault.STALE:
                    made = replace(made, stale_ms=ordered.ms)
                case Fault.HIDE:
                    made = replace(made, hide_ms=ordered.ms)
                case Fault.ROWS:
                    made = replace(made, cut=ordered)
                case _:
                    made = replace(made, ending=ordered)
        return made

    @property
    def is_carried_out(self) -> bool:
        """False if the request never reaches the dialect."""
        if self.ending is None or self.ending.fault in (Fault.DROP_REPLY, Fault.REJECT):
            return True
        return self.ending.fault is not Fault.DROP_REQUEST and self.ending.acted

    @property
    def rejection(self) -> Rejection | None:
        """The venue's error that stands in for its reply."""
        return None if self.ending is None else self.ending.rejection

    def shown(self, reply: WireReply) -> WireReply:
        """The reply without the rows that are to be missing."""
        if self.cut is None or reply.status != 200:
            return reply
        return replace(reply, body=_without_rows(reply.body, self.cut.drop))


def _without_rows(body: Any, drop: int | None) -> Any:
    """The list of a reply (Binance: the body itself, Bybit: result.list) cut short; None drops every row."""
    if isinstance(body, list):
        return [] if drop is None else body[: max(0, len(body) - drop)]
    if isinstance(body, dict) and isinstance(body.get("result"), dict) and isinstance(body["result"].get("list"), list):
        return body | {"result": body["result"] | {"list": _without_rows(body["result"]["list"], drop)}}
    return body

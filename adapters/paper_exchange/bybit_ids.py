"""How the engine's numbers look on Bybit: order ids in the form of a UUID, the client id that was really given.

A conditional keeps its orderId when it triggers: the order that its trigger makes has no id of its own on this venue.
"""

import re
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.orders import AlgoOrder, Fill, Order, Origin

_FORM: Final = re.compile(r"(0a1d|c0de)0000-0000-4000-8000-([0-9a-f]{12})\Z")
_ORDER: Final = "0a1d"
_CONDITIONAL: Final = "c0de"
_EXECUTION: Final = "e8ec"


def _uuid(kind: str, number: int) -> str:
    return f"{kind}0000-0000-4000-8000-{number:012x}"


def conditional_id(algo_id: int) -> str:
    """The orderId of a conditional."""
    return _uuid(_CONDITIONAL, algo_id)


def order_id(order: Order) -> str:
    """The orderId of an ordinary order; that of the conditional that made it, if one did."""
    return _uuid(_ORDER, order.order_id) if order.algo_id is None else conditional_id(order.algo_id)


def execution_id(fill: Fill) -> str:
    """The execId of a fill."""
    return _uuid(_EXECUTION, fill.trade_id)


def link_of_order(book: Book, order: Order) -> str:
    """The orderLinkId of an order, "" for one that the venue or a human made."""
    if order.algo_id is not None:
        parent = book.algos.get(order.algo_id)
        return "" if parent is None else link_of_conditional(parent)
    given = order.origin is Origin.API and order.client_order_id != f"web_{order.order_id}"
    return order.client_order_id if given else ""


def link_of_conditional(algo: AlgoOrder) -> str:
    """The orderLinkId of a conditional, "" for one without."""
    return "" if algo.client_algo_id == f"venue_algo_{algo.algo_id}" else algo.client_algo_id


def by_id(book: Book, text: str) -> Order | AlgoOrder | None:
    """What an orderId names."""
    found = _FORM.match(text)
    if found is None:
        return None
    number = int(found[2], 16)
    return book.orders.get(number) if found[1] == _ORDER else book.algos.get(number)


def by_link(book: Book, link: str) -> Order | AlgoOrder | None:
    """What an orderLinkId names; they are never used twice."""
    algo = book.algo_by_client_id(link)
    if algo is not None:
        return algo
    return book.order_by_any_client_id(link)

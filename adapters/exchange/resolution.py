"""Which status an order has, said in the log: what the venue called it, how much is filled, what we take it for."""

from __future__ import annotations

from decimal import Decimal

from loguru import logger

from domain.orders import OrderStatus, resolve_status


def resolved(order: str, said: str, status: OrderStatus, quantity: Decimal, filled: Decimal) -> OrderStatus:
    """`resolve_status`, with its line (SYSTEM C1): where the venue's word was overruled for everybody to see, else for
    whoever looks for it, since each reading of an account brings it anew for every order that rests.
    """
    found = resolve_status(status, quantity, filled)
    level = "DEBUG" if found is status else "INFO"
    text = "[STATUS_RESOLUTION] order={} status={} cumulative_qty={} resolved={}"
    logger.bind(event="status_resolution").log(level, text, order, said, filled, found.value)
    return found

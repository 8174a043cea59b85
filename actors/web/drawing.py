"""What the chart of one position is drawn from: points kept in memory, and what the book says of the time before.

Pure. Numbers to draw by, floats on purpose; what people read beside a chart comes from the position itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

STOPS = {
    "stop_loss_placed": "stop_price",
    "stop_loss_moved": "new_stop",
    "trailing_moved": "new_stop",
}
Point = tuple[float, float | None, float | None]


def drawing(
    position_id: int, points: Sequence[Point], life: Sequence[Mapping[str, Any]], missing: str | None
) -> dict[str, Any]:
    """`life`: its events {type, at, data}, oldest first. `missing`: why there are none."""
    begins = points[0][0] if points else float("inf")
    before: list[Point] = []
    stops: list[tuple[float, float]] = []
    fills: list[dict[str, Any]] = []
    for event in life:
        at, data = event["at"].timestamp(), event["data"]
        if event["type"] in STOPS and (price := _number(data.get(STOPS[event["type"]]))) is not None:
            stops.append((at, price))
        elif event["type"] == "price_range" and at < begins and (last := _number(data.get("last"))) is not None:
            before.append((at, last, None))
        elif event["type"] == "fill" and (price := _number(data.get("price"))) is not None:
            fills.append({"at": at, "price": price, "side": data.get("side"), "quantity": data.get("quantity")})
    return {"id": position_id, "points": [*before, *points], "stops": stops, "fills": fills, "missing": missing}


def _number(text: object) -> float | None:
    try:
        return None if text is None else float(str(text))
    except ValueError:
        return None

"""Candles as SVG text, two of them marked as a pair; the same bytes for the same candles."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape

from adapters.drawing import BOTTOM, FAINT, GRID, HEIGHT, INK, LEFT, OUT, PAPER, RIGHT, STOP_COLOUR, TOP, WIDTH
from adapters.exchange.interface import Candle

UP = "#15803d"
LINES = 6
LABEL_EVERY = 6


def draw_candles(candles: Sequence[Candle], last: int, title: str) -> str:
    """The picture; the pair ends at place `last`."""
    high, low = max(c.high for c in candles), min(c.low for c in candles)
    width = (WIDTH - LEFT - RIGHT) / len(candles)

    def y(price: Decimal) -> float:
        return TOP + float((high - price) / (high - low)) * (HEIGHT - TOP - BOTTOM)

    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13" role="img" aria-label="{escape(title)}">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="26" font-size="17" font-weight="600" fill="{INK}">{escape(title)}</text>',
    ]
    for n in range(LINES + 1):
        price = low + (high - low) * n / LINES
        parts.append(f'<path d="M{LEFT} {y(price):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        label = f'text-anchor="end" fill="{FAINT}">{price:,.1f}</text>'
        parts.append(f'<text x="{LEFT - 8}" y="{y(price) + 4:.1f}" {label}')
    pair = LEFT + (last - 1) * width
    parts.append(
        f'<rect x="{pair:.1f}" y="{TOP}" width="{2 * width:.1f}" height="{HEIGHT - TOP - BOTTOM}" fill="none" '
        f'stroke="{STOP_COLOUR}" stroke-width="1.5" stroke-dasharray="5 4"/>'
    )
    for place, each in enumerate(candles):
        middle = LEFT + (place + 0.5) * width
        colour = UP if each.close >= each.open else OUT
        top, bottom = y(max(each.open, each.close)), y(min(each.open, each.close))
        parts.append(f'<path d="M{middle:.1f} {y(each.high):.1f}V{y(each.low):.1f}" stroke="{colour}"/>')
        parts.append(
            f'<rect x="{middle - width * 0.35:.1f}" y="{top:.1f}" width="{width * 0.7:.1f}" '
            f'height="{max(bottom - top, 1):.1f}" fill="{colour}"/>'
        )
        if place % LABEL_EVERY == 0:
            label = f'text-anchor="middle" fill="{FAINT}">{each.opened_at:%H:%M}</text>'
            parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 18}" {label}')
    day = f"{candles[0].opened_at:%Y-%m-%d} UTC"
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end" fill="{FAINT}">{day}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"

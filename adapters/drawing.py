"""Pictures of a run: the mark price, the stop as a staircase, what was filled.

A small SVG writer of its own: no browser, no plotting library, the same bytes for the same run.
Rules of this file: prices stay Decimal until they become a place on the page; times are exchange times in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from html import escape

from domain.identity import OrderKind

WIDTH, HEIGHT = 1200, 560
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 64, 52
INK, FAINT, GRID, PAPER = "#1f2933", "#627282", "#e3e8ee", "#ffffff"
MARK, STOP_COLOUR, LONG, SHORT, OUT = "#2563a8", "#c2410c", "#15803d", "#7c3aed", "#b91c1c"
_STEPS_MS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000,
             3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000, 172_800_000, 432_000_000)  # fmt: skip
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A fill. `kind` is the letter of the order's kind (`domain.identity.OrderKind`), empty for a stranger's."""

    at: int
    price: Decimal
    buys: bool
    kind: str


@dataclass(slots=True, kw_only=True)
class Run:
    """One symbol, as far as a picture needs it; times in ms. A stop of None: none in force."""

    symbol: str
    marks: list[tuple[int, Decimal]] = field(default_factory=list)
    stops: list[tuple[int, Decimal | None]] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    lives: list[tuple[int, int, int]] = field(default_factory=list)
    """Begin, end (ms) and number of stop moves of each position."""


def busiest_window(run: Run) -> tuple[int, int]:
    """Begin and end (ms) of the position whose stop moved most often, with room around it."""
    if not run.lives:
        return run.marks[0][0], run.marks[-1][0]
    begin, end, _ = max(run.lives, key=lambda life: (life[2], life[1] - life[0]))
    room = max((end - begin) // 8, 1_000)
    return max(begin - room, run.marks[0][0]), min(end + room, run.marks[-1][0])


def draw_run(run: Run, window: tuple[int, int], title: str) -> str:
    """The picture as SVG text. Raises ValueError when the window shows nothing."""
    page = _Page(run, window)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13" role="img" aria-label="{escape(title)}">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="26" font-size="17" font-weight="600" fill="{INK}">{escape(title)}</text>',
        *page.axes(),
        *page.mark_line(),
        *page.staircase(),
        *page.executions(),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Page:
    """Where a time and a price are on the page."""

    def __init__(self, run: Run, window: tuple[int, int]) -> None:
        self.begin, self.end = window
        if self.end <= self.begin:
            raise ValueError(f"window {window}: must end after it begins")
        self.marks = [(t, price) for t, price in run.marks if self.begin <= t <= self.end]
        if not self.marks:
            raise ValueError(f"window {window}: no price of {run.symbol} in it")
        self.fills = [fill for fill in run.executions if self.begin <= fill.at <= self.end]
        self.steps = _steps_within(run.stops, self.begin, self.end)
        shown = [price for _, price in self.marks] + [fill.price for fill in self.fills]
        shown += [price for _, _, price in self.steps]
        low, high = min(shown), max(shown)
        room = (high - low) / 20 or high / 1000
        self.low, self.high = low - room, high + room

    def x(self, t: int) -> float:
        return LEFT + (t - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def y(self, price: Decimal) -> float:
        return TOP + float((self.high - price) / (self.high - self.low)) * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> list[str]:
        parts = []
        for price in _round_prices(self.low, self.high):
            y = self.y(price)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
            parts.append(_label(LEFT - 8, y + 4, "end", f"{price:,f}"))
        step = next((s for s in _STEPS_MS if (self.end - self.begin) / s <= 9), _STEPS_MS[-1])
        for t in range(-(-self.begin // step) * step, self.end + 1, step):
            x = self.x(t)
            parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
            parts.append(_label(x, HEIGHT - BOTTOM + 18, "middle", _clock(t, step, self.end - self.begin)))
        day = datetime.fromtimestamp(self.begin / 1000, UTC).strftime("%Y-%m-%d")
        parts.append(_label(WIDTH - RIGHT, HEIGHT - 12, "end", f"exchange time, {day} UTC"))
        parts.append(_label(LEFT - 8, TOP - 10, "end", "USDT"))
        return parts

    def mark_line(self) -> list[str]:
        points = " ".join(f"{self.x(t):.1f},{self.y(price):.1f}" for t, price in self._thinned())
        return [f'<polyline points="{points}" fill="none" stroke="{MARK}" stroke-width="1.3"/>']

    def staircase(self) -> list[str]:
        parts, path = [], ""
        last_end: int | None = None
        for begin, end, price in self.steps:
            y = self.y(price)
            path += f"V{y:.1f}" if begin == last_end else f"M{self.x(begin):.1f} {y:.1f}"
            path += f"H{self.x(end):.1f}"
            last_end = end
        if path:
            parts.append(f'<path d="{path}" fill="none" stroke="{STOP_COLOUR}" stroke-width="2"/>')
        return parts

    def executions(self) -> list[str]:
        return [_symbol(self.x(fill.at), self.y(fill.price), fill.kind, fill.buys) for fill in self.fills]

    def _thinned(self) -> list[tuple[int, Decimal]]:
        """First, lowest, highest and last mark of every pixel column: what the eye can tell apart."""
        columns: dict[int, list[tuple[int, Decimal]]] = {}
        for point in self.marks:
            columns.setdefault(int(self.x(point[0])), []).append(point)
        kept: list[tuple[int, Decimal]] = []
        for points in columns.values():
            chosen = {0, len(points) - 1}
            chosen.add(min(range(len(points)), key=lambda i: points[i][1]))
            chosen.add(max(range(len(points)), key=lambda i: points[i][1]))
            kept += [points[i] for i in sorted(chosen)]
        return kept


def _steps_within(stops: list[tuple[int, Decimal | None]], begin: int, end: int) -> list[tuple[int, int, Decimal]]:
    """The stairs as (begin, end, price), cut to the window."""
    steps = []
    for (since, price), until in zip(stops, [t for t, _ in stops[1:]] + [end], strict=True):
        if price is not None and since < end and until > begin:
            steps.append((max(since, begin), min(until, end), price))
    return steps


def _round_prices(low: Decimal, high: Decimal) -> list[Decimal]:
    """Five to ten round prices between the two."""
    exponent = (high - low).adjusted()
    for factor in (Decimal("0.1"), Decimal("0.2"), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(5)):
        step = factor.scaleb(exponent)
        if (high - low) / step <= 9:
            break
    else:
        step = Decimal(1).scaleb(exponent + 1)
    first = int(low / step) + 1
    places = max(0, -int(step.normalize().as_tuple().exponent))
    return [round(step * n, places) for n in range(first, int(high / step) + 1)]


def _label(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{FAINT}">{text}</text>'


def _clock(t: int, step: int, shown: int) -> str:
    if step >= _DAY_MS:
        form = "%m-%d"
    elif shown > _DAY_MS:
        form = "%m-%d %H:%M"
    else:
        form = "%H:%M" if step >= 60_000 else "%H:%M:%S"
    text = datetime.fromtimestamp(t / 1000, UTC).strftime(form)
    return f"{text}.{t % 1000 // 100}" if step < 1_000 else text


def _symbol(x: float, y: float, kind: str, buys: bool) -> str:
    """A triangle for an entry (up: long), a cross for a stop-out, a ring for an exit, a square for anything else."""
    if kind == OrderKind.ENTRY:
        tip, colour = (-1, LONG) if buys else (1, SHORT)
        return (
            f'<path d="M{x:.1f} {y + tip * 9:.1f}L{x - 8:.1f} {y - tip * 6:.1f}H{x + 8:.1f}Z" fill="{colour}" '
            f'stroke="{PAPER}"/>'
        )
    if kind == OrderKind.STOP:
        return f'<path d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12" stroke="{OUT}" stroke-width="3" fill="none"/>'
    if kind == OrderKind.EXIT:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{PAPER}" stroke="{OUT}" stroke-width="2.5"/>'
    return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{FAINT}"/>'


def _legend() -> list[str]:
    x, y = LEFT, 46
    parts = []
    for text, shape in (
        ("mark price", f'<path d="M{{x}} {y}h22" stroke="{MARK}" stroke-width="1.6"/>'),
        ("stop in force", f'<path d="M{{x}} {y + 4}h11v-8h11" fill="none" stroke="{STOP_COLOUR}" stroke-width="2"/>'),
        ("long entry", (OrderKind.ENTRY, True)),
        ("short entry", (OrderKind.ENTRY, False)),
        ("stopped out", (OrderKind.STOP, False)),
        ("closed", (OrderKind.EXIT, False)),
    ):
        parts.append(shape.format(x=x) if isinstance(shape, str) else _symbol(x + 11, y, *shape))
        parts.append(f'<text x="{x + 28}" y="{y + 4}" fill="{INK}">{text}</text>')
        x += 44 + 8 * len(text)
    return parts

"""Curves, drawn as SVG by hand: what something costs at several sizes, sizes in powers of ten. It reads on a light and on a dark page."""

from collections.abc import Sequence
from html import escape
from math import log10

from bench.comparison.chart import STYLE
from bench.growth import Curve, Point

COLUMNS = 2
WIDTH, HEIGHT = 370, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 20, 40, 40
COLOUR = "#2f7d5b"
TICKS = 4


def draw(curves: Sequence[Curve], foot: str) -> str:
    """Return an SVG with a panel for each curve."""
    rows = -(-len(curves) // COLUMNS)
    panels = [
        f'<g transform="translate({i % COLUMNS * WIDTH},{i // COLUMNS * HEIGHT})">{_panel(curve)}</g>'
        for i, curve in enumerate(curves)
    ]
    label = "What a message costs as a deployment grows"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * WIDTH} {rows * HEIGHT + 20}" role="img" '
        f'aria-label="{label}"><style>{STYLE}.g{{stroke:#8a8f98;stroke-opacity:.35}}</style>{"".join(panels)}'
        f'<text class="s" x="0" y="{rows * HEIGHT + 12}">{escape(foot)}</text></svg>\n'
    )


def _panel(curve: Curve) -> str:
    most = _round_up(max(point.figure for point in curve.points))
    parts = [f'<text class="t" x="0" y="16">{escape(curve.title)}, {curve.unit}</text>']
    for tick in range(TICKS + 1):
        y = _y(most * tick / TICKS, most)
        parts.append(
            f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="s" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * tick / TICKS:g}</text>'
        )
    places = [(_x(point, curve.points), _y(point.figure, most), point) for point in curve.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOUR}" stroke-width="2"/>')
    for x, y, point in places:
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOUR}"><title>{point.size:,}: {point.figure:,.3g}</title>'
            f'</circle><text class="s" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{point.size:,}</text>'
        )
    parts.append(
        f'<text class="s" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - BOTTOM + 30}" text-anchor="middle">{escape(curve.sizes)}</text>'
    )
    return "".join(parts)


def _x(point: Point, points: Sequence[Point]) -> float:
    least, most = log10(points[0].size), log10(points[-1].size)
    share = (log10(point.size) - least) / (most - least) if most > least else 0.5
    return LEFT + 20 + share * (WIDTH - LEFT - RIGHT - 50)


def _y(figure: float, most: float) -> float:
    return HEIGHT - BOTTOM - figure / most * (HEIGHT - TOP - BOTTOM)


def _round_up(figure: float) -> float:
    """Return the next figure that reads well: 1, 2, 4 or 8 times a power of ten, at least a fifth above."""
    unit = 10.0 ** int(log10(figure) - (figure < 1))
    return next(unit * nice for nice in (1, 2, 4, 8, 10, 20) if unit * nice >= 1.1 * figure)

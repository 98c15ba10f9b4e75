"""The chart of a rebuild: events a second over its time, drawn as SVG by hand. It reads on a light and on a dark page."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from bench.comparison.chart import STYLE
from workers.rebuild_reports import Progress

WIDTH, HEIGHT = 760, 220
LEFT, TOP, BOTTOM = 70, 40, 180
COLOUR = "#2f7d5b"


def chart(said: Sequence[Progress], title: str) -> str:
    """Return an SVG of the rate between each two reports of progress."""
    rates = [
        (later.seconds, (later.done - before.done) / (later.seconds - before.seconds))
        for before, later in pairwise((Progress("", 0, 0, 0.0), *said))
        if later.seconds > before.seconds and later.done > before.done
    ]
    longest, fastest = max(seconds for seconds, _ in rates), max(rate for _, rate in rates)
    points = " ".join(
        f"{LEFT + (WIDTH - LEFT - 10) * seconds / longest:.1f},{BOTTOM - (BOTTOM - TOP) * rate / fastest:.1f}"
        for seconds, rate in rates
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<style>{STYLE}</style><text x="0" y="16">{escape(title)}</text>'
        f'<text class="s" x="0" y="{TOP + 4}">{fastest:,.0f}/s</text><text class="s" x="0" y="{BOTTOM}">0</text>'
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{WIDTH - 10}" fill="none" stroke="#8a8f98"/>'
        f'<polyline points="{points}" fill="none" stroke="{COLOUR}" stroke-width="2"/>'
        f'<text class="s" x="{LEFT}" y="{BOTTOM + 18}">0 s</text>'
        f'<text class="s" x="{WIDTH - 60}" y="{BOTTOM + 18}">{longest:,.0f} s</text></svg>\n'
    )

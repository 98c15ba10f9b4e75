"""The chart of rebuilds: events a second over their time, drawn as SVG by hand, one below the other on the same scales. It reads on a
light and on a dark page."""

from collections.abc import Sequence
from html import escape

from bench.comparison.chart import STYLE
from bench.rebuild_runs import Rebuilt, Step
from workers.rebuild_reports import Progress

WIDTH, LEFT, RIGHT = 760, 70, 20
TOP, PANEL, GAP = 34, 120, 62
COLOUR, AXIS = "#2f7d5b", "#8a8f98"
LETTER = 6.5  # what a letter is wide, at most
REPORT_SECONDS, REPORTS_MAX = 0.3, 60


def chart(rebuilds: Sequence[Rebuilt], title: str) -> str:
    """Return an SVG of the rate between each two reports of progress, and of what comes when all events are in."""
    longest = max(each.seconds for each in rebuilds)
    fastest = max(rate for each in rebuilds for _, rate in rates(each.said))
    panels = "".join(
        _panel(each, TOP + number * (PANEL + GAP), longest, fastest) for number, each in enumerate(rebuilds)
    )
    height = TOP + len(rebuilds) * (PANEL + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f'<style>{STYLE}</style><text class="t" x="0" y="16">{escape(title)}</text>{panels}</svg>\n'
    )


def rates(said: Sequence[Progress]) -> list[tuple[float, float]]:
    """Return when a report came, and the rate since the one before. Parts report in turn: what is close together is one report."""
    found, before = [], Progress("", 0, 0, 0.0)
    apart = max(REPORT_SECONDS, said[-1].seconds / REPORTS_MAX)
    for later in said:
        if later.seconds - before.seconds >= apart and later.done > before.done:
            found.append((later.seconds, (later.done - before.done) / (later.seconds - before.seconds)))
            before = later
    return found


def _panel(found: Rebuilt, top: float, longest: float, fastest: float) -> str:
    head, low = top + 16, top + 16 + PANEL
    name = f"by {found.jobs} process{'es' if found.jobs > 1 else ''}: {found.seconds:,.0f} s in all"

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / longest

    # The command takes a moment to start: filling ends when the next step begins.
    filled = found.steps[0].seconds if found.steps else found.seconds
    start = max(0.0, filled - found.said[-1].seconds)
    points = " ".join(
        f"{x(start + seconds):.1f},{low - (low - head) * rate / fastest:.1f}" for seconds, rate in rates(found.said)
    )
    return (
        f'<text x="{LEFT}" y="{top + 8}">{escape(name)}</text>'
        f'<text class="s" x="0" y="{head + 4}">{fastest:,.0f}/s</text><text class="s" x="0" y="{low}">0</text>'
        f'<path d="M{LEFT} {head}V{low}H{WIDTH - RIGHT}" fill="none" stroke="{AXIS}"/>'
        f'<polyline points="{points}" fill="none" stroke="{COLOUR}" stroke-width="2"/>'
        f"{_steps(found.steps, x(found.seconds), [x(step.seconds) for step in found.steps], head, low)}"
        f'<text class="s" x="{LEFT}" y="{low + 15}">0 s</text>'
        f'<text class="s" x="{WIDTH - RIGHT}" y="{low + 15}" text-anchor="end">{longest:,.0f} s</text>'
    )


def _steps(steps: Sequence[Step], end: float, begins: Sequence[float], head: float, low: float) -> str:
    """Return a line where each step begins, and its name behind that; names that have no place go below the others."""
    drawn, row, last = [], 0, 0.0
    for step, at in zip(steps, begins, strict=True):
        is_right = at + LETTER * len(step.name) > WIDTH - RIGHT
        row = row + 1 if at < last or is_right else 0
        last = at + LETTER * len(step.name) + 8
        drawn.append(
            f'<path d="M{at:.1f} {head}V{low}" stroke="{AXIS}" stroke-dasharray="2 3"/>'
            f'<text class="s" x="{at - 4 if is_right else at + 4:.1f}" y="{head + 10 + 13 * row}"'
            f"{' text-anchor=' + chr(34) + 'end' + chr(34) if is_right else ''}>{escape(step.name)}</text>"
        )
    drawn.append(f'<path d="M{end:.1f} {head}V{low}" stroke="{AXIS}"/>')
    return "".join(drawn)

"""The chart: processor time of a message as bars, drawn as SVG by hand. It reads on a light and on a dark page."""

from collections.abc import Sequence
from html import escape

from bench.comparison.report import Report, Row, said

WIDTH = 760
LEFT = 200
BAR = 16
GAP = 6
HEADING = 26
TITLES = {
    "S1": "a message to 50 listeners",
    "S2": "a durable message to 5 listeners, {rooms} rooms",
    "S3": "a message at 50 a second",
    "S5": "a page of 50 of {messages:,} messages",
}
COLOURS = {"hansard": "#2f7d5b", "usual": "#8a8f98", "ejabberd": "#b07a2c", "socketio": "#5b6fb0"}
NAMES = {
    "hansard": "Hansard", "usual": "FastAPI + SQLAlchemy", "ejabberd": "ejabberd, archive on",
    "socketio": "Socket.IO, keeps nothing",
}  # fmt: skip
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.s{font-size:11px;fill:#6b7280}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9aa4b0}}"
)


def chart(report: Report) -> str:
    """Return an SVG of what a report's scenarios cost, shorter being better."""
    parts, top = [], 34
    for scenario, title in TITLES.items():
        rows = [row for row in report.rows if row.scenario == scenario]
        if rows:
            parts.append(f'<text class="t" x="0" y="{top + 14}">{scenario}: {escape(said(title, report))}</text>')
            top += HEADING
            parts += _bars(rows, top)
            top += len(rows) * (BAR + GAP) + GAP
    cores = "one core" if report.cores == 1 else f"{report.cores} cores"
    foot = f"Server, Postgres and Redis on {cores}; medians of interleaved runs; {report.made_at}, {report.machine}"
    head = "Milliseconds of processor time, all processes of the server (shorter is better)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 18}" role="img" aria-label="{head}">'
        f'<style>{STYLE}</style><text x="0" y="16">{head}</text>'
        f'{"".join(parts)}<text class="s" x="0" y="{top + 10}">{escape(foot)}</text></svg>\n'
    )


def _bars(rows: Sequence[Row], top: int) -> list[str]:
    longest = max(row.cpu_ms for row in rows)
    parts = []
    for i, row in enumerate(sorted(rows, key=lambda row: row.cpu_ms)):
        y = top + i * (BAR + GAP)
        size = max(2.0, (WIDTH - LEFT - 150) * row.cpu_ms / longest)
        parts.append(
            f'<text x="12" y="{y + 13}">{escape(NAMES.get(row.peer, row.peer))}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{size:.1f}" height="{BAR}" rx="3" fill="{COLOURS.get(row.peer, "#999")}"/>'
            f'<text class="s" x="{LEFT + size + 8:.1f}" y="{y + 13}">{row.cpu_ms:.2f} ms</text>'
        )
    return parts

"""The report: all runs of all peers as a table of medians, as JSON, and what the checker found."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct
from msgspec.json import encode, format
from msgspec.structs import replace

from bench.comparison.scenarios import Length, Run

SAYS = {
    "S1": "deliveries/s (1 room of 50, 5 senders × 8)",
    "S2": "durable sends/s ({rooms} rooms of 5, one sender each)",
    "S2x5": "the same, all five sending",
    "S3": "50 sends/s over 20 rooms of 5",
    "S4": "connects/s of {sockets:,} idle sockets",
    "S5": "pages/s (newest 50 of {messages:,}, 16 connections)",
}
KEEPS_NOTHING = ("socketio",)
COLUMNS = ("scenario", "peer", "a second", "CPU ms", "p50 / p99 ms", "KiB each", "generator", "others", "checked")


class Row(Struct, frozen=True):
    """The median of a peer's runs of a scenario. `times_usual`: what the usual chat's processor time is of its own."""

    scenario: str
    peer: str
    runs: int
    rate: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    kib: float
    generator_percent: float
    others_percent: float
    findings: int
    times_usual: float = 0.0


class Report(Struct, frozen=True):
    """Everything, with what must be known to read it."""

    made_at: str
    machine: str
    cores: int
    are_apart: bool
    length: Length
    rows: list[Row]
    runs: list[Run]

    def written(self, path: Path) -> None:
        path.write_bytes(format(encode(self), indent=1) + b"\n")


def report(runs: Sequence[Run], length: Length, *, cores: int, are_apart: bool) -> Report:
    return Report(time.strftime("%Y-%m-%d"), machine(), cores, are_apart, length, rows(runs), list(runs))


def machine() -> str:
    """Return what is measured on, in a few words."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def rows(runs: Sequence[Run]) -> list[Row]:
    """Return a row for each scenario and peer, in the order of the runs."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.scenario, run.peer), []).append(run)
    medians = {key: _median(*key, group) for key, group in grouped.items()}
    made = []
    for (scenario, _), row in medians.items():
        usual = medians.get((scenario, "usual"))
        made.append(replace(row, times_usual=usual.cpu_ms / row.cpu_ms if usual and row.cpu_ms else 0.0))
    return sorted(made, key=lambda row: list(SAYS).index(row.scenario))


def table(report: Report) -> str:
    """Return the table as Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in report.rows:
        cells = (
            f"{row.scenario}: {said(SAYS[row.scenario], report)}", row.peer, f"{row.rate:,.0f}",
            f"{row.cpu_ms:.2f}" + (f" (× {row.times_usual:.1f})" if row.times_usual and row.peer != "usual" else ""),
            f"{row.p50_ms:.1f} / {row.p99_ms:.1f}" if row.p50_ms else "–", f"{row.kib:.0f}" if row.kib else "–",
            f"{row.generator_percent:.0f} %", f"{row.others_percent:.0f} %",
            f"{row.findings} findings" if row.findings else "keeps nothing" if row.peer in KEEPS_NOTHING else "holds",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def said(title: str, report: Report) -> str:
    """Return a title with the size of what was run."""
    length = report.length
    return title.format(rooms=length.rooms, sockets=length.sockets, messages=length.messages)


def _median(scenario: str, peer: str, group: Sequence[Run]) -> Row:
    def of(name: str) -> float:
        return round(float(median(getattr(run, name) for run in group)), 3)

    return Row(
        scenario, peer, len(group), of("rate"), of("cpu_ms"), of("p50_ms"), of("p99_ms"), of("kib"),
        of("generator_percent"), of("others_percent"), sum(len(run.findings) for run in group),
    )  # fmt: skip

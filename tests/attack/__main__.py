"""`python -m tests.attack`: attack a deployment of one's own in every way that we know, and print a table.

Exit code 0: nothing succeeded, and nobody else noticed. 1: an attack did; its row says how.
"""

import argparse
import asyncio
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace

from tests.attack.attacks import ATTACKS
from tests.attack.measuring import RATES, Times
from tests.attack.rounds import Field, Row, battlefield
from tests.attack.scene import Attack

SECONDS = 4.0
DESCRIPTORS = 1_024  # what a shell gives its programs; the server may raise it
HEAD = ("attack", "sent", "answered", *(f"{what} p50/p99 ms" for what in RATES), "RSS", "fds", "verdict")
WIDTHS = (22, 34, 44, 26, 26, 26, 8, 5, 9)


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    if asked.list:
        for attack in ATTACKS.values():
            print(f"{attack.name:<22} {attack.rule}")
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
    chosen = [ATTACKS[name] for name in asked.only] or list(ATTACKS.values())
    print(_line(HEAD), flush=True)
    rows = asyncio.run(_run(chosen, asked.seconds))
    succeeded = [row.name for row in rows if row.breaches]
    print(f"\n{len(rows)} attacks, {len(succeeded)} succeeded{': ' + ', '.join(succeeded) if succeeded else ''}.")
    return 1 if succeeded else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description="Attack a deployment of one's own.")
    parser.add_argument("--only", nargs="+", default=[], choices=ATTACKS, metavar="NAME", help="these attacks alone")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long each lasts (default {SECONDS:.0f})")
    parser.add_argument("--list", action="store_true", help="name the attacks, and the rule that each tries to break")
    return parser


async def _run(chosen: list[Attack], seconds: float) -> list[Row]:
    """Attack one deployment with everything that passes, and one of its own with each that lasts."""
    rows: list[Row] = []
    passing = [attack for attack in chosen if not (attack.is_lasting or attack.is_patient)]
    patient = [attack for attack in chosen if attack.is_patient]
    if passing or patient:
        async with battlefield() as field:
            for attack in passing:
                rows.append(_shown(await _judged(field, attack, seconds)))
            rows += map(_shown, await asyncio.gather(*(field.suffer(attack, seconds) for attack in patient)))
    for attack in chosen:
        if attack.is_lasting:
            rows.append(_shown(await _judged_alone(attack, seconds)))
    return rows


async def _judged(field: Field, attack: Attack, seconds: float) -> Row:
    """Attack once, and once more where all that was wrong is how long something took: the machine may have been busy."""
    row = await field.suffer(attack, seconds)
    if row.slow and not row.broken:
        row = replace(await field.suffer(attack, seconds), is_second=True)
    return row


async def _judged_alone(attack: Attack, seconds: float) -> Row:
    """The same on deployments of its own, a fresh one each time."""
    async with battlefield() as field:
        row = await field.suffer(attack, seconds)
    if row.slow and not row.broken:
        async with battlefield() as field:
            row = replace(await field.suffer(attack, seconds), is_second=True)
    return row


def _shown(row: Row) -> Row:
    verdict = ("SUCCEEDED" if row.breaches else "held") + (" (2nd)" if row.is_second else "")
    times = [_times(row.quiet.get(what), row.during.get(what)) for what in RATES]
    cells = (
        row.name,
        row.found.sent,
        row.found.answered,
        *times,
        f"+{row.rss_growth_mib:.0f} MiB",
        str(row.descriptors),
        verdict,
    )
    print(_line(cells), flush=True)
    for breach in row.breaches:
        print(f"  - {breach}", flush=True)
    return row


def _times(quiet: Times | None, during: Times | None) -> str:
    if quiet is None or during is None:
        return "–"
    ratio = during.p99 / max(quiet.p99, 0.001)
    return f"{quiet.p50:.0f}/{quiet.p99:.0f} → {during.p50:.0f}/{during.p99:.0f} ×{ratio:.1f}"


def _line(cells: Sequence[str]) -> str:
    return " | ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
